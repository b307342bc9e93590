//! Out of one store and into another: everything that was there is there, and of a load that fails nothing is.

use std::path::Path;

use watchful_mvcc::{Export, LoadPlan, LoadRow, Loader, Mvcc, MvccError, check, load_store};
use watchful_revision::{Put, RecordKind, RecordRef, Revision};

use crate::support::{Store, rows_at, settings};

/// A store with all that a store can hold, compacted, and with the compaction not begun.
fn full_store() -> Store {
    let store = Store::new();
    store.run(
        "grant 7 60\ngrant 8 100\nput a 1\nput b 1 lease=7\nput a 2\ntxn { del a; put a 3; put c 1 lease=8 }",
    );
    store.run("del b\nput b 2 lease=7\nrevoke 8");
    let mut group = store.begin_group().unwrap();
    let noted = group.txn(|txn| {
        txn.set_note(b"alarm/1", b"")?;
        txn.set_note(b"auth/user/root", b"it")?;
        txn.set_note(b"auth/user/rose", b"her")
    });
    noted.unwrap();
    group.schedule_compaction(4).unwrap();
    group.commit().unwrap();
    store
}

fn row<'a>(record: &RecordRef<'a>) -> LoadRow<'a> {
    let fields = record.key_value().unwrap();
    match record.kind() {
        RecordKind::Tombstone => LoadRow::Tombstone { key: fields.key },
        RecordKind::Put => LoadRow::Put(fields.into()),
    }
}

fn copy(export: &Export<'_>, loader: &mut Loader<'_>) -> Result<(), MvccError> {
    for record in export.rows()? {
        let record = record?;
        loader.row(record.revision(), &row(&record))?;
    }
    for lease in export.leases()? {
        let (id, ttl_seconds) = lease?;
        loader.lease(id, ttl_seconds)?;
    }
    for note in export.notes(b"")? {
        let (name, value) = note?;
        loader.note(&name, &value)?;
    }
    Ok(())
}

fn plan_of(export: &Export<'_>) -> LoadPlan {
    let (compact_revision, current_revision) = (export.compact_revision(), export.current_revision());
    LoadPlan { compact_revision, current_revision }
}

fn names(export: &Export<'_>, prefix: &[u8]) -> Vec<String> {
    let notes = export.notes(prefix).unwrap();
    notes.map(|note| String::from_utf8(note.unwrap().0.to_vec()).unwrap()).collect()
}

#[test]
fn what_is_exported_and_loaded_is_the_same_store() {
    let from = full_store();
    let export = from.export().unwrap();
    assert_eq!((export.current_revision(), export.compact_revision()), (8, Some(4)));
    assert_eq!(export.compacted_revision(), None, "nothing was deleted yet");
    assert_eq!(names(&export, b"auth/user/"), ["auth/user/root", "auth/user/rose"]);
    assert_eq!(export.note(b"auth/user/root").unwrap().as_deref(), Some(&b"it"[..]));

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("made");
    load_store(&dir, &settings(), plan_of(&export), 9, |loader| copy(&export, loader)).unwrap();
    let (to, report) = Mvcc::open(&dir, &settings()).unwrap();
    assert!(report.compaction_pending && !report.unclean, "{report:?}");
    assert_eq!((to.current_revision(), to.compact_revision(), to.epoch()), (8, 4, 9));
    assert_ne!(to.store_id(), from.store_id());
    for revision in 4..=8 {
        assert_eq!(rows_at(&to, revision), rows_at(&from, revision));
    }
    assert_eq!((to.leases(), to.lease_keys(7)), (from.leases(), from.lease_keys(7)));
    assert_eq!(to.notes(b"").unwrap(), from.notes(b"").unwrap());
    assert_eq!(to.hash(0).unwrap(), from.hash(0).unwrap());
    drop(to);
    assert!(check(&dir).unwrap().is_ok());
}

/// An export stands still while the store goes on.
#[test]
fn an_export_is_of_one_moment() {
    let store = full_store();
    let export = store.export().unwrap();
    let rows = export.rows().unwrap().count();
    store.run("put z 1\ngrant 9 60");
    store.compact(9);
    assert_eq!((export.current_revision(), export.rows().unwrap().count()), (8, rows));
    assert_eq!(export.leases().unwrap().count(), 1);
    let after = store.export().unwrap();
    assert_eq!((after.current_revision(), after.compacted_revision()), (9, Some(9)));
    assert!(after.rows().unwrap().count() < rows);
}

#[test]
fn an_empty_store_is_exported_and_loaded() {
    let from = Store::new();
    let export = from.export().unwrap();
    assert_eq!(
        (export.current_revision(), export.compact_revision(), export.rows().unwrap().count()),
        (1, None, 0)
    );
    let dir = tempfile::tempdir().unwrap();
    load_store(dir.path(), &settings(), plan_of(&export), 2, |loader| copy(&export, loader)).unwrap();
    let (to, _) = Mvcc::open(dir.path(), &settings()).unwrap();
    assert_eq!((to.current_revision(), to.epoch()), (1, 2));
}

/// History names leases that are over; a key that hangs on one hangs on none.
#[test]
fn a_row_may_name_a_lease_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let plan = LoadPlan { compact_revision: None, current_revision: 2 };
    load_store(dir.path(), &settings(), plan, 2, |loader| {
        let put = Put { key: b"a", value: b"", create_revision: 2, version: 1, lease: 8 };
        loader.row(Revision::new(2, 0), &LoadRow::Put(put))
    })
    .unwrap();
    let (mvcc, _) = Mvcc::open(dir.path(), &settings()).unwrap();
    assert_eq!((mvcc.lease_of(b"a"), mvcc.leases().len()), (0, 0));
    assert_eq!(mvcc.view(None).unwrap().get(b"a").unwrap().unwrap().lease(), 8);
}

fn check_no_store(dir: &Path) {
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_load_that_fails_leaves_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("made");
    let plan = LoadPlan { compact_revision: None, current_revision: 3 };
    let row = LoadRow::Put(Put { key: b"a", value: b"", create_revision: 2, version: 1, lease: 0 });
    let incomplete = load_store(&dir, &settings(), plan, 2, |loader| loader.row(Revision::new(2, 0), &row));
    assert!(matches!(incomplete, Err(MvccError::LoadRefused { .. })), "{incomplete:?}");
    check_no_store(&dir);
    let refused = load_store(&dir, &settings(), plan, 2, |_| Err(MvccError::NotEmpty));
    assert!(matches!(refused, Err(MvccError::NotEmpty)));
    check_no_store(&dir);
    std::fs::write(dir.join("something"), "").unwrap();
    let taken = load_store(&dir, &settings(), plan, 2, |_| Ok::<_, MvccError>(()));
    assert!(matches!(taken, Err(MvccError::TargetExists { .. })));
    assert!(dir.join("something").exists());
}
