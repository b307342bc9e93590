//! Notes: durable with the transaction that sets them, taken back with one that fails, and beside everything else.

use std::fs;
use std::os::unix::fs::FileExt;

use watchful_backend::{Backend, BackendSettings};
use watchful_mvcc::{Group, Mvcc, MvccError, NOTE_NAME_BYTES_MAX, NOTE_VALUE_BYTES_MAX, PutOptions, Txn};

use crate::support::{Store, settings};

/// Runs one transaction in a group of its own.
fn commit<R>(store: &Store, work: impl FnOnce(&mut Txn<'_, '_>) -> Result<R, MvccError>) -> R {
    let mut group = store.begin_group().unwrap();
    let outcome = group.txn(work).unwrap();
    group.commit().unwrap();
    outcome.value
}

fn set(group: &mut Group<'_>, name: &str, value: &str) {
    group.txn(|txn| txn.set_note(name.as_bytes(), value.as_bytes())).unwrap();
}

fn told(notes: Result<Vec<watchful_mvcc::Note>, MvccError>) -> Vec<String> {
    let text = |(name, value): &(bytes::Bytes, bytes::Bytes)| {
        format!("{}={}", name.escape_ascii(), value.escape_ascii())
    };
    notes.unwrap().iter().map(text).collect()
}

#[test]
fn a_note_takes_no_revision_and_is_there_after_a_reopening() {
    let mut store = Store::new();
    let mut group = store.begin_group().unwrap();
    let outcome = group.txn(|txn| txn.set_note(b"user/root", b"1")).unwrap();
    assert_eq!(outcome.revision, None);
    set(&mut group, "user/ann", "");
    set(&mut group, "users", "2");
    assert_eq!(group.commit().unwrap(), []);
    for _ in 0..2 {
        assert_eq!(store.current_revision(), 1);
        assert_eq!(told(store.notes(b"user/")), ["user/ann=", "user/root=1"]);
        assert_eq!(told(store.notes(b"")), ["user/ann=", "user/root=1", "users=2"]);
        assert_eq!(store.note(b"user/root").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!((store.note(b"user").unwrap(), store.note(b"").unwrap()), (None, None));
        store.reopen();
    }
    assert!(commit(&store, |txn| txn.remove_note(b"users")));
    assert!(!commit(&store, |txn| txn.remove_note(b"users")));
    store.reopen();
    assert_eq!(told(store.notes(b"")), ["user/ann=", "user/root=1"]);
    store.close();
    let report = watchful_mvcc::check(store.path()).unwrap();
    assert!(report.is_ok() && report.notes == 2, "{report:?}");
}

/// A transaction sees what it and those before it in its group did to notes; readers see it after the commit.
#[test]
fn a_transaction_reads_the_notes_of_its_group() {
    let store = Store::new();
    commit(&store, |txn| txn.set_note(b"a/2", b"old"));
    let mut group = store.begin_group().unwrap();
    set(&mut group, "a/1", "one");
    group
        .txn(|txn| -> Result<(), MvccError> {
            assert_eq!(told(txn.notes(b"a/")), ["a/1=one", "a/2=old"]);
            txn.set_note(b"a/2", b"new")?;
            txn.set_note(b"a/0", b"zero")?;
            txn.set_note(b"b", b"")?;
            assert!(txn.remove_note(b"a/1")?);
            assert!(!txn.remove_note(b"a/1")?);
            assert_eq!((txn.note(b"a/1")?, txn.note(b"a/2")?.as_deref()), (None, Some(&b"new"[..])));
            assert_eq!(told(txn.notes(b"a/")), ["a/0=zero", "a/2=new"]);
            txn.put(b"k", b"v", PutOptions::default())?;
            Ok(())
        })
        .unwrap();
    assert_eq!(told(store.notes(b"")), ["a/2=old"], "it is not committed yet");
    group.commit().unwrap();
    assert_eq!(told(store.notes(b"")), ["a/0=zero", "a/2=new", "b="]);
    assert_eq!(store.current_revision(), 2);
}

/// A transaction that fails takes its notes back with its keys; a group that is dropped takes all back.
#[test]
fn a_failed_transaction_notes_nothing() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    set(&mut group, "kept", "1");
    let failed = group.txn(|txn| -> Result<(), MvccError> {
        txn.set_note(b"kept", b"2")?;
        txn.set_note(b"lost", b"2")?;
        txn.put(b"k", b"v", PutOptions { lease: 9, ..PutOptions::default() })?;
        Ok(())
    });
    assert!(matches!(failed, Err(MvccError::LeaseNotFound { id: 9 })));
    group.txn(|txn| txn.put(b"k", b"v", PutOptions::default())).unwrap();
    group.commit().unwrap();
    assert_eq!(told(store.notes(b"")), ["kept=1"]);
    let mut group = store.begin_group().unwrap();
    set(&mut group, "kept", "3");
    drop(group);
    assert_eq!(told(store.notes(b"")), ["kept=1"]);
}

#[test]
fn what_is_no_note_is_refused_and_the_transaction_goes_on() {
    let store = Store::new();
    let longest = vec![b'n'; NOTE_NAME_BYTES_MAX + 1];
    let largest = vec![b'v'; NOTE_VALUE_BYTES_MAX + 1];
    commit(&store, |txn| {
        for name in [&b""[..], &longest] {
            let refused = txn.set_note(name, b"").unwrap_err();
            assert!(matches!(refused, MvccError::NoteName { len_max: NOTE_NAME_BYTES_MAX, .. }), "{refused}");
            assert!(matches!(txn.remove_note(name), Err(MvccError::NoteName { .. })));
        }
        assert!(matches!(txn.set_note(b"a", &largest), Err(MvccError::TooLarge { .. })));
        txn.set_note(&longest[1..], &largest[1..])
    });
    assert_eq!(store.note(&longest[1..]).unwrap().as_deref(), Some(&largest[1..]));
}

/// That the space is used up must still be noted. The map is the last bound: at it the whole group is taken back.
#[test]
fn the_quota_does_not_hold_for_notes_and_the_map_does() {
    let store = Store::with(settings().with_quota_bytes(1).with_map_bytes_max(8 << 20));
    let mut group = store.begin_group().unwrap();
    let refused = group.txn(|txn| txn.put(b"k", b"v", PutOptions::default()));
    assert!(matches!(refused, Err(MvccError::NoSpace { .. })));
    set(&mut group, "alarm", "no space");
    group.commit().unwrap();
    let mut group = store.begin_group().unwrap();
    let value = vec![b'v'; NOTE_VALUE_BYTES_MAX];
    let full = (0..20_u8).find_map(|number| group.txn(|txn| txn.set_note(&[number], &value)).err());
    assert!(matches!(full, Some(MvccError::NoSpace { .. })));
    assert!(group.commit().is_err());
    assert_eq!(told(store.notes(b"")), ["alarm=no space"]);
}

/// A store that was written before there were notes has no table for them. It is made when the store is opened.
#[test]
fn a_store_without_the_table_opens() {
    let mut older = Store::new();
    older.run("put a 1\ngrant 7 60\nput b 2 lease=7\ndel a\ncompact 3");
    older.close();
    let dir = tempfile::tempdir().unwrap();
    copy_tables(older.path(), dir.path(), &["log", "meta", "lease"]);
    let report = watchful_mvcc::check(dir.path()).unwrap();
    assert!(report.is_ok() && report.notes == 0, "{report:?}");
    for round in 0..2 {
        let (mvcc, _) = Mvcc::open(dir.path(), &settings()).unwrap();
        assert_eq!((mvcc.current_revision(), mvcc.compact_revision()), (4, 3));
        assert_eq!(mvcc.lease_keys(7).unwrap(), [b"b"]);
        assert_eq!(told(mvcc.notes(b"")).len(), round);
        let mut group = mvcc.begin_group().unwrap();
        set(&mut group, "now there is", "one");
        group.commit().unwrap();
    }
}

/// Makes a data file with these tables of another, and no others.
fn copy_tables(from: &std::path::Path, to: &std::path::Path, tables: &[&'static str]) {
    let [from, to] = [from, to].map(|dir| Backend::open(dir, &BackendSettings::default(), tables).unwrap());
    let (read, mut write) = (from.read().unwrap(), to.write().unwrap());
    for name in tables {
        for row in read.range(from.table(name).unwrap(), ..).unwrap() {
            let (key, value) = row.unwrap();
            write.put(to.table(name).unwrap(), key, value).unwrap();
        }
    }
    write.commit().unwrap();
}

/// The bytes that the format's description promises.
#[test]
fn the_bytes_of_a_note() {
    let mut store = Store::new();
    commit(&store, |txn| txn.set_note(b"alarm/1", b"nospace"));
    store.close();
    let tables = ["log", "meta", "lease", "note"];
    let backend = Backend::open(store.path(), &BackendSettings::default(), &tables).unwrap();
    let txn = backend.read().unwrap();
    let row = txn.get(backend.table("note").unwrap(), b"alarm/1").unwrap();
    assert_eq!(row, Some(&b"\x8c\x3c\x1a\x2anospace"[..]));
}

/// A note whose bytes have changed is told as damage, by a read, by the check and by an open, and never given out. With one bit in
/// the name of the note that says that names and passwords are asked for, a server started without a word and asked nobody.
#[test]
fn a_damaged_note_is_told() {
    let mut store = Store::new();
    commit(&store, |txn| txn.set_note(b"the name", b"a value that is easily found"));
    let good = fs::read(store.data_file()).unwrap();
    let file = fs::File::options().write(true).open(store.data_file()).unwrap();
    for (wanted, at) in [(&b"easily "[..], 0), (b"the name", 2), (b"the name", 7)] {
        let places: Vec<_> = (0..good.len()).filter(|place| good[*place..].starts_with(wanted)).collect();
        assert!(!places.is_empty());
        for place in &places {
            file.write_all_at(&[good[place + at] ^ 1], (place + at) as u64).unwrap();
        }
        if wanted != b"the name" {
            assert!(matches!(store.note(b"the name"), Err(MvccError::DamagedStore { .. })));
        }
        assert!(matches!(store.notes(b""), Err(MvccError::DamagedStore { .. })));
        store.close();
        assert!(!watchful_mvcc::check(store.path()).unwrap().is_ok());
        let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
        assert!(matches!(error, MvccError::DamagedStore { .. }), "{error:?}");
        fs::write(store.data_file(), &good).unwrap();
        store.reopen();
    }
}

/// A backup has the notes, and what is restored from it.
#[test]
fn notes_are_part_of_a_backup() {
    let store = Store::new();
    commit(&store, |txn| txn.set_note(b"a", b"1"));
    let dir = tempfile::tempdir().unwrap();
    let (backup, restored) = (dir.path().join("backup"), dir.path().join("restored"));
    store.backup(&backup).unwrap();
    watchful_mvcc::restore_backup(&backup, &restored).unwrap();
    let (mvcc, _) = Mvcc::open(&restored, &settings()).unwrap();
    assert_eq!(told(mvcc.notes(b"")), ["a=1"]);
    let plan = watchful_mvcc::LoadPlan { compact_revision: None, current_revision: 1 };
    assert!(matches!(mvcc.loader(plan), Err(MvccError::NotEmpty)));
}
