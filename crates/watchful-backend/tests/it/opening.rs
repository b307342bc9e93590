//! What is opened is a whole store of ours that nobody else has open; everything else is refused, and never mapped.

use std::fs;
use std::path::Path;
use std::process::Command;

use watchful_backend::{Backend, BackendError, check_file};

use crate::{TABLES, append, data_file, entries, key, open, small};

fn open_error(dir: &Path) -> BackendError {
    Backend::open(dir, &small(), &TABLES).expect_err("it should be refused")
}

/// A closed store with values of many sizes.
fn closed_store(dir: &Path) {
    let (backend, log) = open(dir);
    for number in 0..60 {
        append(&backend, log, number, usize::try_from(number).unwrap() * 150);
    }
}

#[test]
fn a_second_open_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let clone = backend.clone();
    let reader = backend.read().unwrap();
    for last_holder in [Box::new(backend) as Box<dyn std::any::Any>, Box::new(clone), Box::new(reader)] {
        let error = open_error(dir.path());
        assert!(matches!(&error, BackendError::AlreadyOpen { path } if path == dir.path()), "{error}");
        drop(last_holder);
    }
    append(&open(dir.path()).0, log, 1, 1);
}

/// Set in a child that is to try a folder.
const CHILD_FOLDER: &str = "WATCHFUL_TEST_FOLDER";

#[test]
fn another_process_is_refused() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let refused = matches!(open_error(folder.as_ref()), BackendError::AlreadyOpen { .. });
        std::process::exit(if refused { 42 } else { 1 });
    }
    let dir = tempfile::tempdir().unwrap();
    let (_backend, _) = open(dir.path());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::another_process_is_refused"])
        .env(CHILD_FOLDER, dir.path())
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(42), "{}", String::from_utf8_lossy(&child.stdout));
}

/// A store that was closed was once refused as open, now and then: a process that another thread was just starting had
/// inherited the lock.
#[test]
fn starting_processes_do_not_hold_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let children = scope.spawn(|| (0..50).for_each(|_| drop(Command::new("true").output())));
        while !children.is_finished() {
            drop(open(dir.path()));
        }
    });
}

#[test]
fn what_is_no_folder_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(matches!(open_error(&path), BackendError::NotAFolder { .. }), "{}", open_error(&path));
    }
    let nested = dir.path().join("a/b/c");
    open(&nested);
    assert!(data_file(&nested).exists());
}

#[test]
fn what_cannot_be_written_is_told() {
    // Root may write everywhere but where the system itself says no.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("LOCK")).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(&error, BackendError::NotWritable { path, .. } if path.ends_with("LOCK")), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_refused_or_whole() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let whole = entries(&open(dir.path()).0, open(&dir.path().join("other")).1);
    let bytes = fs::read(data_file(dir.path())).unwrap();
    let report = check_file(&data_file(dir.path())).unwrap();
    assert!(report.is_ok() && report.free_pages > 0, "{report:?}");
    let page_bytes = usize::try_from(report.page_bytes).unwrap();
    let mut refused = 0;
    for len in (0..bytes.len()).step_by(page_bytes).flat_map(|len| [len, len + page_bytes / 3]) {
        fs::write(data_file(dir.path()), &bytes[..len]).unwrap();
        match Backend::open(dir.path(), &small(), &TABLES) {
            Ok(backend) => {
                assert_eq!(entries(&backend, backend.table("log").unwrap()), whole, "cut at {len}")
            }
            Err(BackendError::CutShort { file_bytes, needed_bytes, .. }) => {
                assert!(file_bytes == len as u64 && needed_bytes > file_bytes, "cut at {len}");
                refused += 1;
            }
            Err(other) => panic!("cut at {len}: {other}"),
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn free_pages_at_the_end_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    append(&backend, log, 1, 100);
    append(&backend, log, 2, 1_000_000);
    for _ in 0..4 {
        let mut txn = backend.write().unwrap();
        txn.delete(log, &key(2)).unwrap();
        txn.put(log, &key(0), b"again").unwrap();
        txn.commit().unwrap();
    }
    let whole = entries(&backend, log);
    drop(backend);
    let path = data_file(dir.path());
    let report = check_file(&path).unwrap();
    let full = report.pages * u64::from(report.page_bytes);
    fs::File::options().write(true).open(&path).unwrap().set_len(full - 500_000).unwrap();
    let (backend, log) = open(dir.path());
    assert_eq!(entries(&backend, log), whole);
    assert_eq!(fs::metadata(&path).unwrap().len(), full, "the file was made as long as its pages say");
}

#[test]
fn a_data_file_that_vanished_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    fs::remove_file(data_file(dir.path())).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, BackendError::NotAStore { .. }), "{error}");
    assert!(error.to_string().contains("gone"), "{error}");
}

/// Opens a store after `change` was made to its data file's bytes, and expects it to be refused for `reason`.
fn check_refused(change: impl FnOnce(&mut Vec<u8>), reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let mut bytes = fs::read(data_file(dir.path())).unwrap();
    change(&mut bytes);
    fs::write(data_file(dir.path()), bytes).unwrap();
    let error = open_error(dir.path()).to_string();
    assert!(error.contains(reason), "{error:?} should tell {reason:?}");
}

/// Where the two pages that begin a file have their fields, seen from each page's start.
const MAGIC: usize = 16;
const VERSION: usize = 20;
const PAGE_BYTES: usize = 40;
const MAIN_ROOT: usize = 128;
const FREE_ROOT: usize = 80;
const COMMIT: usize = 144;

/// Changes both pages that begin a file.
fn in_metas(change: impl Fn(&mut [u8])) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| {
        let page_bytes = u32::from_ne_bytes(bytes[PAGE_BYTES..][..4].try_into().unwrap());
        let (first, second) = bytes.split_at_mut(page_bytes.try_into().unwrap());
        change(first);
        change(second);
    }
}

#[test]
fn foreign_files_are_refused() {
    check_refused(|bytes| *bytes = b"SQLite format 3\0".repeat(4096), "does not begin as an LMDB file does");
    check_refused(|bytes| *bytes = vec![0; 65536], "does not begin as an LMDB file does");
    check_refused(|bytes| *bytes = b"short".to_vec(), "is cut short");
    check_refused(in_metas(|meta| meta[MAGIC..][..4].reverse()), "other byte order");
    check_refused(in_metas(|meta| meta[VERSION..][..4].copy_from_slice(&2u32.to_ne_bytes())), "format 2");
    check_refused(|bytes| bytes[PAGE_BYTES] = 1, "pages of");
}

#[test]
fn damaged_first_pages_are_refused() {
    check_refused(in_metas(|meta| meta[MAIN_ROOT..][..8].fill(0x11)), "root");
    check_refused(|bytes| bytes[MAGIC] ^= 1, "page 0");
    check_refused(in_metas(|meta| meta[COMMIT] ^= 1), "commit");
    check_refused(|bytes| bytes[COMMIT] ^= 1, "page 0: it says that it is of commit");
}

#[test]
fn a_file_with_other_tables_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Backend::open(dir.path(), &small(), &["theirs"]).unwrap());
    let error = open_error(dir.path());
    assert!(matches!(&error, BackendError::NotAStore { reason, .. } if reason.contains("tables")), "{error}");
    let more = ["theirs", "ours"];
    let backend = Backend::open(dir.path(), &small(), &more).unwrap();
    assert!(backend.table("ours").is_some() && backend.table("log").is_none());
}

#[test]
fn a_damaged_list_of_tables_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let mut bytes = fs::read(data_file(dir.path())).unwrap();
    let page_bytes = usize::try_from(check_file(&data_file(dir.path())).unwrap().page_bytes).unwrap();
    let commit_of =
        |page: usize| u64::from_ne_bytes(bytes[page * page_bytes + COMMIT..][..8].try_into().unwrap());
    let newest = if commit_of(1) > commit_of(0) { page_bytes } else { 0 };
    let root = u64::from_ne_bytes(bytes[newest + MAIN_ROOT..][..8].try_into().unwrap());
    let root = usize::try_from(root).unwrap() * page_bytes;
    bytes[root..root + page_bytes].fill(0);
    fs::write(data_file(dir.path()), bytes).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, BackendError::Damaged { .. }), "{error}");
}

#[test]
fn a_store_that_is_not_trusted_is_checked_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let check_asked = |must_check: bool, is_there: bool| {
        let mut asked = false;
        let opened = Backend::open_checking(dir.path(), &small(), &TABLES, |path| {
            asked = true;
            assert_eq!(path, data_file(dir.path()));
            must_check
        });
        assert_eq!(asked, is_there, "there is nothing to check in a store that is yet to be made");
        opened
    };
    let backend = check_asked(true, false).unwrap();
    // More pages before its last leaf than are looked at in a store that is trusted.
    let mut txn = backend.write().unwrap();
    for number in 0..1500 {
        txn.append(backend.table("log").unwrap(), &key(number), &[1; 3000]).unwrap();
    }
    txn.commit().unwrap();
    drop(backend);
    drop(check_asked(true, true).unwrap());
    zero_a_leaf(dir.path());
    let error = check_asked(true, true).err().unwrap();
    assert!(matches!(&error, BackendError::Damaged { what, .. } if what.contains("more")), "{error}");
    drop(check_asked(false, true).unwrap());
}

/// LMDB does not look at the number that a page says it has. A page of a small table that was exchanged for an older one of
/// it was read as it was then: users and roles of last week, without a word.
#[test]
fn a_damaged_page_of_a_small_table_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    zero_a_leaf(dir.path());
    let error = open_error(dir.path());
    assert!(matches!(error, BackendError::Damaged { .. }), "{error}");
}

/// A store of more pages than are looked at whole in a table.
fn large_store(dir: &Path) {
    let (backend, log) = open(dir);
    let mut txn = backend.write().unwrap();
    for number in 0..1100 {
        txn.append(log, &key(number), &[1; 3000]).unwrap();
    }
    txn.commit().unwrap();
    for number in 1100..1104 {
        append(&backend, log, number, 10_000);
        let mut txn = backend.write().unwrap();
        assert!(txn.delete(log, &key(number)).unwrap());
        txn.commit().unwrap();
    }
}

/// What an open looks at hung on numbers that have no checksum: one that said that the lists of free pages are large kept it from
/// looking at them, and a damaged list hands out pages in use, so that the next write is written over somebody's value.
#[test]
fn damaged_lists_of_free_pages_are_refused_however_many_there_are_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    large_store(dir.path());
    let mut bytes = fs::read(data_file(dir.path())).unwrap();
    let page_bytes = usize::try_from(check_file(&data_file(dir.path())).unwrap().page_bytes).unwrap();
    let number_at = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let newest = usize::from(number_at(&bytes, page_bytes + COMMIT) > number_at(&bytes, COMMIT)) * page_bytes;
    let overflow_pages = newest + FREE_ROOT - 16;
    assert_eq!(number_at(&bytes, overflow_pages), 0);
    bytes[overflow_pages..overflow_pages + 8].copy_from_slice(&1050_u64.to_ne_bytes());
    fs::write(data_file(dir.path()), &bytes).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(&error, BackendError::Damaged { what, .. } if what.contains("should hold")), "{error}");

    // The last number of the newest list is a page in use then: the root of the free pages' own tree.
    let root = usize::try_from(number_at(&bytes, newest + FREE_ROOT)).unwrap();
    let page = root * page_bytes;
    let u16_at =
        |bytes: &[u8], at: usize| usize::from(u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap()));
    let list = page + u16_at(&bytes, page + 16) + 16;
    let last = list + 8 * usize::try_from(number_at(&bytes, list)).unwrap();
    bytes[last..last + 8].copy_from_slice(&(root as u64).to_ne_bytes());
    fs::write(data_file(dir.path()), &bytes).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(&error, BackendError::Damaged { what, .. } if what.contains("free")), "{error}");
}

/// The number of the newest commit, with a bit of it damaged, once made the other commit the newest: what was acknowledged
/// last was gone, and the check found nothing. The one bit that can make two numbers that follow each other of others that do
/// is left: such a file is what a power failure before the last commit leaves.
#[test]
fn a_damaged_number_of_a_commit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let good = fs::read(data_file(dir.path())).unwrap();
    let page_bytes = usize::try_from(check_file(&data_file(dir.path())).unwrap().page_bytes).unwrap();
    for (page, bit) in (0..2).flat_map(|page| (0..64).filter(|bit| *bit != 1).map(move |bit| (page, bit))) {
        let mut bytes = good.clone();
        bytes[page * page_bytes + COMMIT + bit / 8] ^= 1 << (bit % 8);
        fs::write(data_file(dir.path()), bytes).unwrap();
        let error = open_error(dir.path());
        assert!(matches!(error, BackendError::Damaged { .. }), "page {page}, bit {bit}: {error}");
        assert!(!check_file(&data_file(dir.path())).unwrap().is_ok(), "page {page}, bit {bit}");
    }
}

/// A flag of the list of tables that was damaged: the check found nothing, and LMDB failed in it, or took it for another kind
/// of tree.
#[test]
fn a_damaged_kind_of_tree_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let good = fs::read(data_file(dir.path())).unwrap();
    let page_bytes = usize::try_from(check_file(&data_file(dir.path())).unwrap().page_bytes).unwrap();
    for (root, bit) in [FREE_ROOT, MAIN_ROOT].into_iter().flat_map(|root| (0..7).map(move |bit| (root, bit)))
    {
        let mut bytes = good.clone();
        for page in 0..2 {
            bytes[page * page_bytes + root - 36] ^= 1 << bit;
        }
        fs::write(data_file(dir.path()), bytes).unwrap();
        let error = open_error(dir.path());
        assert!(matches!(error, BackendError::Damaged { .. }), "the tree at {root}, bit {bit}: {error}");
        assert!(!check_file(&data_file(dir.path())).unwrap().is_ok(), "the tree at {root}, bit {bit}");
    }
}

/// The number of the last page, with a bit of it damaged, once made an open lengthen the file to terabytes of nothing.
#[test]
fn a_damaged_number_of_the_last_page_does_not_lengthen_the_file() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let mut bytes = fs::read(data_file(dir.path())).unwrap();
    let len = bytes.len();
    let page_bytes = usize::try_from(check_file(&data_file(dir.path())).unwrap().page_bytes).unwrap();
    for page in 0..2 {
        bytes[page * page_bytes + COMMIT - 8 + 3] |= 1;
    }
    fs::write(data_file(dir.path()), bytes).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(&error, BackendError::Damaged { .. }), "{error}");
    assert!(!check_file(&data_file(dir.path())).unwrap().is_ok());
    assert_eq!(fs::metadata(data_file(dir.path())).unwrap().len(), len as u64);
}

/// Zeroes the page that holds the last rows.
fn zero_a_leaf(dir: &Path) {
    let mut bytes = fs::read(data_file(dir)).unwrap();
    let page_bytes = usize::try_from(check_file(&data_file(dir)).unwrap().page_bytes).unwrap();
    let all = check_file(&data_file(dir)).unwrap().tables.first().map_or(0, |table| table.entries);
    let is_bad = |page: &usize| {
        const LEAF: u8 = 2;
        if bytes[page * page_bytes + 10] != LEAF {
            return false;
        }
        let mut damaged = bytes.clone();
        damaged[page * page_bytes..][..page_bytes].fill(0);
        fs::write(data_file(dir), &damaged).unwrap();
        let entries = check_file(&data_file(dir)).unwrap().tables.first().map_or(0, |table| table.entries);
        (1..all).contains(&entries)
    };
    let leaf = (2..bytes.len() / page_bytes).rfind(is_bad).unwrap();
    bytes[leaf * page_bytes..][..page_bytes].fill(0);
    fs::write(data_file(dir), bytes).unwrap();
}

/// A power failure in the first moments of a new store once left a data file that every later start refused: it had its
/// name before its pages were on the disk. What is left of such a beginning now has another name, and is no obstacle.
#[test]
fn a_store_whose_making_was_broken_off_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    for left in [&[0; 8192][..], b"half a page", b""] {
        let dir = dir.path().join(left.len().to_string());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("LOCK"), "").unwrap();
        fs::write(dir.join("data.mdb.new"), left).unwrap();
        let (backend, log) = open(&dir);
        append(&backend, log, 1, 10);
        assert_eq!(entries(&backend, log).len(), 1);
        assert!(!dir.join("data.mdb.new").exists());
    }
}
