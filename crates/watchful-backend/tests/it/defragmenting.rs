//! The data file is exchanged for a smaller one while others read and write: nobody sees it, and whatever breaks it off
//! leaves a whole store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use watchful_backend::{Backend, BackendError, Durability, check_file};

use crate::{TABLES, append, data_file, entries, key, open, small};

/// The file beside the data file that is to take its place.
fn smaller(dir: &Path) -> PathBuf {
    dir.join("data.mdb.smaller")
}

/// Many rows, of which a tenth is left.
fn fill_and_thin_out(backend: &Backend, log: watchful_backend::Table) {
    for number in 0..200 {
        append(backend, log, number, 3000);
    }
    let mut txn = backend.write().unwrap();
    for number in (0..200).filter(|number| number % 10 != 0) {
        txn.delete(log, &key(number)).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn the_file_is_smaller_and_the_same() {
    for durability in [Durability::Synced, Durability::Relaxed, Durability::Unsynced] {
        let dir = tempfile::tempdir().unwrap();
        let backend = Backend::open(dir.path(), &small().with_durability(durability), &TABLES).unwrap();
        let log = backend.table("log").unwrap();
        fill_and_thin_out(&backend, log);
        let (before, rows) = (backend.stats(), entries(&backend, log));
        let done = backend.defragment().unwrap();
        let after = backend.stats();
        assert_eq!((done.bytes_before, done.bytes_after), (before.file_bytes, after.file_bytes));
        assert!(after.file_bytes < before.file_bytes / 4, "{done:?}");
        assert_eq!(after.file_bytes, fs::metadata(data_file(dir.path())).unwrap().len());
        assert!(after.used_bytes <= before.used_bytes && after.used_bytes <= after.file_bytes);
        assert_eq!((after.map_bytes, after.readers, after.poisoned), (before.map_bytes, 0, false));
        assert_eq!(entries(&backend, log), rows);
        append(&backend, log, 1000, 10);
        assert!(!smaller(dir.path()).exists());
        let before = backend.stats().file_bytes;
        assert_eq!(backend.defragment().unwrap().bytes_before, before);
        drop(backend);
        let report = check_file(&data_file(dir.path())).unwrap();
        assert!(report.is_ok(), "{report:?}");
        let (backend, log) = open(dir.path());
        assert_eq!(entries(&backend, log).len(), rows.len() + 1);
    }
}

/// Each commit moves every row on by one: a reader that saw two commits, or an older one than before, would tell.
#[test]
fn readers_and_writers_go_on_meanwhile() {
    const ROWS: u32 = 50;
    let dir = tempfile::tempdir().unwrap();
    let settings = small().with_durability(Durability::Unsynced);
    let backend = Backend::open(dir.path(), &settings, &TABLES).unwrap();
    let log = backend.table("log").unwrap();
    let write = |round: u32| {
        let mut txn = backend.write().unwrap();
        for number in 0..ROWS {
            txn.put(log, &key(number), &round.to_be_bytes()).unwrap();
        }
        txn.commit().unwrap();
    };
    let newest = || {
        let txn = backend.read().unwrap();
        let rows: Vec<_> = txn.range(log, ..).unwrap().map(|row| row.unwrap().1.to_vec()).collect();
        assert!(rows.len() == ROWS as usize && rows.iter().all(|row| *row == rows[0]), "commits are mixed");
        u32::from_be_bytes(rows[0][..].try_into().unwrap())
    };
    write(1);
    let (written, is_over) = (AtomicU32::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        let _over = SetOnDrop(&is_over);
        scope.spawn(|| {
            for round in 2.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                write(round);
                written.store(round, Ordering::SeqCst);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let acknowledged = written.load(Ordering::SeqCst);
                    assert!(newest() >= acknowledged, "what was acknowledged cannot be read");
                }
            });
        }
        for _ in 0..30 {
            let before = written.load(Ordering::SeqCst);
            backend.defragment().unwrap();
            while written.load(Ordering::SeqCst) < before + 3 {
                thread::yield_now();
            }
        }
    });
    assert_eq!(newest(), written.load(Ordering::SeqCst));
    drop(backend);
    assert!(check_file(&data_file(dir.path())).unwrap().is_ok());
}

/// Ends the other threads' loops, also when this one panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A thread that reads inside a read is held up at the door for a moment, and not for ever.
#[test]
fn a_read_inside_a_read_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let outer = backend.read().unwrap();
    thread::scope(|scope| {
        let defragmenting = scope.spawn(|| backend.defragment());
        while !smaller(dir.path()).exists() {
            thread::yield_now();
        }
        for _ in 0..20 {
            let inner = backend.read().unwrap();
            assert_eq!(inner.len(log).unwrap(), outer.len(log).unwrap());
        }
        drop(outer);
        assert!(defragmenting.join().unwrap().is_ok());
    });
    assert_eq!(entries(&backend, log).len(), 20);
}

/// Who never ends a read keeps it from being done, and hears nothing of it.
#[test]
fn a_read_that_does_not_end_is_told_and_nothing_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let before = backend.stats();
    let reader = backend.read().unwrap();
    let error = backend.defragment().unwrap_err();
    assert!(matches!(error, BackendError::Busy { .. }), "{error}");
    assert_eq!(reader.len(log).unwrap(), 20);
    assert_eq!(backend.stats().file_bytes, before.file_bytes);
    assert!(!smaller(dir.path()).exists());
    append(&backend, log, 1000, 10);
    drop(reader);
    assert!(backend.defragment().unwrap().bytes_after < before.file_bytes / 4);
    assert_eq!(entries(&backend, log).len(), 21);
}

/// A copy is a long read: the two wait for each other.
#[test]
fn copies_and_defragmentations_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(&dir.path().join("store"));
    fill_and_thin_out(&backend, log);
    thread::scope(|scope| {
        for number in 0..8 {
            let (backend, to) = (&backend, dir.path().join(format!("copy-{number}")));
            scope.spawn(move || backend.copy_compact(&to).unwrap());
            scope.spawn(move || backend.defragment().unwrap());
        }
    });
    for number in 0..8 {
        assert!(check_file(&dir.path().join(format!("copy-{number}"))).unwrap().is_ok());
    }
    assert_eq!(entries(&backend, log).len(), 20);
}

/// Killed before the copy takes the file's name: half a copy, or a whole one, is left beside the file, and goes.
#[test]
fn what_a_broken_off_one_leaves_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    backend.copy_compact(&smaller(dir.path())).unwrap();
    let whole = fs::read(smaller(dir.path())).unwrap();
    append(&backend, log, 1000, 10);
    let rows = entries(&backend, log);
    drop(backend);
    for left in [&whole[..], &whole[..whole.len() / 2], b"", b"not a page"] {
        fs::write(smaller(dir.path()), left).unwrap();
        let (backend, log) = open(dir.path());
        assert_eq!(entries(&backend, log), rows);
        assert!(!smaller(dir.path()).exists());
    }
}

/// What reads everything out may take longer than a defragmentation would wait for a reader; and while that waits, others
/// write.
#[test]
fn a_long_read_and_a_defragmentation_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let rows = entries(&backend, log).len() as u64;
    let long = backend.read_long().unwrap();
    thread::scope(|scope| {
        let defragmenting = scope.spawn(|| backend.defragment());
        (1000..1200).for_each(|number| append(&backend, log, number, 10));
        assert_eq!(long.len(log).unwrap(), rows, "a view does not change");
        drop(long);
        defragmenting.join().unwrap().unwrap();
    });
    assert_eq!(backend.read_long().unwrap().len(log).unwrap(), rows + 200);
}

/// Killed right after: the file under the name is the copy, and it is whole.
#[test]
fn a_copy_that_has_just_got_the_name_is_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let rows = entries(&backend, log);
    backend.copy_compact(&smaller(dir.path())).unwrap();
    drop(backend);
    fs::rename(smaller(dir.path()), data_file(dir.path())).unwrap();
    let (backend, log) = open(dir.path());
    assert_eq!(entries(&backend, log), rows);
    append(&backend, log, 1000, 10);
}

/// The copy is gone when it should take the file's place: the old file is opened again, and all goes on.
#[test]
fn a_copy_that_cannot_take_the_place_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let (rows, file_bytes) = (entries(&backend, log), backend.stats().file_bytes);
    let reader = backend.read().unwrap();
    thread::scope(|scope| {
        let defragmenting = scope.spawn(|| backend.defragment());
        // The reader holds up the exchange until the copy is gone, whether that is half written then or whole.
        while fs::remove_file(smaller(dir.path())).is_err() {
            thread::yield_now();
        }
        drop(reader);
        let error = defragmenting.join().unwrap().unwrap_err();
        assert!(matches!(error, BackendError::Io { .. }), "{error}");
    });
    assert_eq!(entries(&backend, log), rows);
    assert_eq!(backend.stats().file_bytes, file_bytes);
    append(&backend, log, 1000, 10);
    assert!(backend.defragment().unwrap().bytes_after < file_bytes / 4);
}

/// The file cannot be opened again: everything is refused with a sentence, and nothing is lost.
#[test]
fn a_file_that_cannot_be_opened_again_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    fill_and_thin_out(&backend, log);
    let rows = entries(&backend, log);
    // LMDB has its table of readers open, and cannot open a folder in its place.
    let lock = dir.path().join("lock.mdb");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let error = backend.defragment().unwrap_err();
    assert!(matches!(error, BackendError::Lost { .. }), "{error}");
    assert!(matches!(backend.read(), Err(BackendError::Lost { .. })));
    assert!(matches!(backend.write().map(drop), Err(BackendError::Lost { .. })));
    assert!(matches!(backend.sync(), Err(BackendError::Poisoned | BackendError::Lost { .. })));
    assert!(backend.copy_compact(&dir.path().join("copy")).is_err());
    assert!(backend.defragment().is_err());
    assert!(backend.stats().poisoned);
    drop(backend);
    fs::remove_dir(&lock).unwrap();
    let (backend, log) = open(dir.path());
    assert_eq!(entries(&backend, log), rows);
    append(&backend, log, 1000, 10);
}
