//! A copy is one commit, whole, whatever is written meanwhile, and never takes another file's place.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use watchful_backend::{Backend, BackendError, check_file};

use crate::{append, data_file, entries, key, open};

#[test]
fn a_copy_is_a_smaller_store() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(&dir.path().join("store"));
    for number in 0..200 {
        append(&backend, log, number, 3000);
    }
    let mut txn = backend.write().unwrap();
    for number in (0..200).filter(|number| number % 10 != 0) {
        txn.delete(log, &key(number)).unwrap();
    }
    txn.commit().unwrap();

    let to = dir.path().join("restored");
    fs::create_dir(&to).unwrap();
    let bytes = backend.copy_compact(&data_file(&to)).unwrap();
    assert_eq!(bytes, fs::metadata(data_file(&to)).unwrap().len());
    assert!(bytes < backend.stats().file_bytes / 4);
    let report = check_file(&data_file(&to)).unwrap();
    assert!(report.is_ok() && report.free_pages == 0, "{report:?}");
    let (copy, log_of_copy) = open(&to);
    assert_eq!(entries(&copy, log_of_copy), entries(&backend, log));
    append(&copy, log_of_copy, 1000, 10);
}

#[test]
fn a_copy_to_what_exists_is_refused_and_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, _) = open(&dir.path().join("store"));
    let to = dir.path().join("copy");
    fs::write(&to, "precious").unwrap();
    assert!(matches!(backend.copy_compact(&to), Err(BackendError::TargetExists { .. })));
    assert_eq!(fs::read_to_string(&to).unwrap(), "precious");
    let nowhere = dir.path().join("no/such/folder/copy");
    assert!(matches!(backend.copy_compact(&nowhere), Err(BackendError::NotWritable { .. })));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing else is left behind: {left:?}");
}

#[test]
fn a_copy_during_writes_is_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(&dir.path().join("store"));
    let copied = AtomicBool::new(false);
    // Each commit moves every row on by one, so a copy that mixes two commits has rows that differ.
    let write = |round: u8| {
        let mut txn = backend.write().unwrap();
        for number in 0..500 {
            txn.put(log, &key(number), &[round; 2500]).unwrap();
        }
        txn.commit().unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0u8;
            while !copied.load(Ordering::Relaxed) {
                round = round.wrapping_add(1);
                write(round);
            }
        });
        for copy in 0..5 {
            check_one_commit(&backend, &dir.path().join(format!("copy-{copy}")));
        }
        copied.store(true, Ordering::Relaxed);
    });
}

fn check_one_commit(backend: &Backend, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    backend.copy_compact(&data_file(to)).unwrap();
    assert!(check_file(&data_file(to)).unwrap().is_ok());
    let (copy, log) = open(to);
    let rows = entries(&copy, log);
    assert_eq!(rows.len(), 500);
    assert!(rows.iter().all(|(_, value)| *value == rows[0].1), "the copy mixes commits");
}
