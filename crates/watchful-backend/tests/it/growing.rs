//! The data file is longer than what is in it, so that commits need not wait for it to grow. Nobody may notice: not who
//! opens it, checks it, copies it, or counts what is in use.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use watchful_backend::{Backend, BackendError, CommitError, Durability, check_file};

use crate::{TABLES, append, data_file, entries, key, open, small};

const PAGE: usize = 4096;

/// Commits of one row, enough for the file to grow again and again.
fn fill(backend: &Backend, rows: std::ops::Range<u32>) {
    let log = backend.table("log").unwrap();
    rows.for_each(|number| append(backend, log, number, 1000));
}

fn open_with(dir: &Path, durability: Durability) -> Backend {
    Backend::open(dir, &small().with_durability(durability), &TABLES).unwrap()
}

fn file_bytes(dir: &Path) -> u64 {
    fs::metadata(data_file(dir)).unwrap().len()
}

/// How many bytes the newest commit spans.
fn spanned_bytes(dir: &Path) -> u64 {
    let report = check_file(&data_file(dir)).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    report.pages * u64::from(report.page_bytes)
}

#[test]
fn zeros_are_ahead_and_nobody_counts_them() {
    let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backends =
        [open_with(with.path(), Durability::Synced), open_with(without.path(), Durability::Unsynced)];
    backends.iter().for_each(|backend| fill(backend, 0..300));
    let [used, unsynced_used] = [backends[0].used_bytes(), backends[1].used_bytes()];
    let copies = [with.path().join("copy"), without.path().join("copy")];
    let copied: Vec<u64> =
        backends.iter().zip(&copies).map(|(backend, copy)| backend.copy_compact(copy).unwrap()).collect();
    drop(backends);
    assert!(file_bytes(with.path()) > spanned_bytes(with.path()), "there should be zeros");
    assert!(file_bytes(with.path()) <= spanned_bytes(with.path()) + (512 << 10), "and not more than so many");
    assert_eq!(file_bytes(without.path()), spanned_bytes(without.path()), "here nobody waits for the disk");
    assert_eq!((used, copied[0]), (unsynced_used, copied[1]));
    assert_eq!(spanned_bytes(with.path()), spanned_bytes(without.path()));
    assert_eq!(fs::read(&copies[0]).unwrap().len() as u64, copied[0]);
}

/// What is there already was not counted: commits of a hundred kilobytes left up to 766 KiB of zeros.
#[test]
fn there_are_not_more_of_them_where_commits_are_large() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    for number in 0..40 {
        append(&backend, log, number, 100_000);
        let zeros = file_bytes(dir.path()).saturating_sub(spanned_bytes(dir.path()));
        assert!(zeros <= 512 << 10, "{zeros} after {number}");
    }
}

/// They were once written to whatever file had the name. A store whose folder was moved wrote them into the one that was
/// put in its place, where they could have met what its own LMDB was writing.
#[test]
fn another_file_in_the_files_place_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let (place, moved) = (parent.path().join("place"), parent.path().join("moved"));
    let backend = open(&place).0;
    fs::rename(&place, &moved).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(data_file(&place), [1; PAGE]).unwrap();
    fill(&backend, 0..100);
    drop(backend);
    assert_eq!(fs::read(data_file(&place)).unwrap(), [1; PAGE]);
    assert!(file_bytes(&moved) > spanned_bytes(&moved), "there should be zeros");
    let (backend, log) = open(&moved);
    assert_eq!(entries(&backend, log).len(), 100);
}

#[test]
fn the_map_bounds_them_and_takes_as_many_rows() {
    let filled = |durability| {
        let dir = tempfile::tempdir().unwrap();
        let settings = small().with_map_bytes(1 << 20).with_durability(durability);
        let backend = Backend::open(dir.path(), &settings, &TABLES).unwrap();
        let log = backend.table("log").unwrap();
        let refused = (0u32..).find(|number| {
            let mut txn = backend.write().unwrap();
            match txn.append(log, &key(*number), &[1; 1000]).map(|()| txn.commit()) {
                Ok(Ok(())) => false,
                Ok(Err(CommitError::NoSpace { .. })) | Err(BackendError::NoSpace { .. }) => true,
                other => panic!("{other:?}"),
            }
        });
        assert!(file_bytes(dir.path()) <= 1 << 20);
        refused
    };
    assert_eq!(filled(Durability::Synced), filled(Durability::Unsynced));
}

#[test]
fn the_file_may_be_cut_among_the_zeros_and_nowhere_before() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()).0, 0..300);
    let (spanned, whole) = (spanned_bytes(dir.path()), file_bytes(dir.path()));
    let cut =
        |len| fs::File::options().write(true).open(data_file(dir.path())).unwrap().set_len(len).unwrap();
    for len in [whole - 1, (spanned + whole) / 2, spanned + 1, spanned] {
        cut(len);
        let (backend, log) = open(dir.path());
        assert_eq!(entries(&backend, log).len(), 300, "cut at {len}");
    }
    // The last pages of the last commit may be free ones; those of half the file are not.
    cut(spanned / 2);
    let refused = Backend::open(dir.path(), &small(), &TABLES);
    assert!(matches!(refused, Err(BackendError::CutShort { .. })), "{refused:?}");
}

/// Set in a child that is to write until it is ended.
const CHILD_FOLDER: &str = "WATCHFUL_TEST_GROWING_FOLDER";

#[test]
fn a_killed_writer_leaves_a_whole_store() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let backend = open(folder.as_ref()).0;
        fill(&backend, 0..200);
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "growing::a_killed_writer_leaves_a_whole_store"])
        .env(CHILD_FOLDER, dir.path())
        .output()
        .unwrap();
    assert!(child.status.code().is_none(), "it should have aborted: {child:?}");
    assert!(file_bytes(dir.path()) > spanned_bytes(dir.path()), "there should be zeros");
    let (backend, log) = open(dir.path());
    assert_eq!(entries(&backend, log).len(), 200);
    fill(&backend, 200..400);
    drop(backend);
    assert!(file_bytes(dir.path()) <= spanned_bytes(dir.path()) + (512 << 10), "old zeros are used up first");
    let (backend, log) = open(dir.path());
    assert_eq!(entries(&backend, log).len(), 400);
}

/// A power failure in the middle of a commit: any of its pages may be on the disk and any not, some of them where zeros
/// were, and the page that makes it valid is not.
#[test]
fn a_commit_torn_among_the_zeros_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let mut seen_growth = 0;
    for rows in (1..80).step_by(2) {
        append(&backend, log, rows - 1, 1000);
        let before = fs::read(data_file(dir.path())).unwrap();
        append(&backend, log, rows, 9000);
        let after = fs::read(data_file(dir.path())).unwrap();
        seen_growth += u32::from(tear(&before, &after, rows));
    }
    assert!(seen_growth > 5, "pages should have been written over zeros: {seen_growth}");
}

/// Opens what is on the disk when some of the pages that `after` has changed are there. Tells whether one of them was
/// zeros before.
fn tear(before: &[u8], after: &[u8], rows: u32) -> bool {
    let page =
        |bytes: &[u8], number: usize| bytes.get(number * PAGE..(number + 1) * PAGE).map(<[u8]>::to_vec);
    let changed: BTreeSet<usize> =
        (2..after.len() / PAGE).filter(|number| page(before, *number) != page(after, *number)).collect();
    assert!(changed.len() >= 3, "{changed:?}");
    for choice in 0..4 {
        let mut torn = before.to_vec();
        torn.resize(if choice % 2 == 0 { after.len() } else { before.len() }, 0);
        for number in changed.iter().filter(|number| (*number * 7 + rows as usize) % 4 != choice) {
            if let (Some(there), Some(written)) =
                (torn.get_mut(number * PAGE..(number + 1) * PAGE), page(after, *number))
            {
                there.copy_from_slice(&written);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(data_file(dir.path()), &torn).unwrap();
        assert!(check_file(&data_file(dir.path())).unwrap().is_ok());
        let (backend, log) = open(dir.path());
        assert_eq!(entries(&backend, log).len(), usize::try_from(rows).unwrap());
        append(&backend, log, 9999, 10);
    }
    changed
        .iter()
        .any(|number| page(before, *number).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)))
}
