//! Files that are not what they were.

use std::fs;

use watchful::{End, Error, KeyRange, Store, Update, WatchOptions};

use super::check_says;
use crate::support::{PATIENCE, Twin};

const SCRIPT: &str = "grant 7 60
    put a first-value
    put b second-value lease=7
    txn { put c third-value; del a }
    put d last-value
    compact 3";

/// Opens a store after `change` was made to its data file. It must be refused in these words, twice in the same way; and
/// with the old bytes put back, everything is there.
fn check_refused(change: impl FnOnce(&mut Vec<u8>), says: &[&str]) -> Error {
    let mut twin = Twin::of(SCRIPT);
    twin.close();
    let whole = fs::read(twin.data_file()).unwrap();
    let mut bytes = whole.clone();
    change(&mut bytes);
    fs::write(twin.data_file(), &bytes).unwrap();
    let open = || Store::open(twin.path(), twin.settings.clone()).unwrap_err();
    let errors = [open(), open()];
    assert_eq!(errors[0].to_string(), errors[1].to_string());
    check_says(&errors[0], says);
    assert!(fs::read(twin.data_file()).unwrap() == bytes, "a refusal changed the file");
    let report = watchful::check(twin.path());
    assert!(report.is_err() || !report.unwrap().is_ok(), "the check finds nothing");
    fs::write(twin.data_file(), whole).unwrap();
    twin.reopen();
    twin.check();
    twin.run("put e 5");
    twin.check();
    let [error, _] = errors;
    error
}

/// Where some bytes are in others, everywhere: LMDB leaves old copies of pages behind.
fn places(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let found: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    assert!(!found.is_empty(), "{wanted:?} is not in the file");
    found
}

/// Changes the last byte of every copy of `wanted`.
fn flip(bytes: &mut [u8], wanted: &[u8]) {
    for place in places(bytes, wanted) {
        bytes[place + wanted.len() - 1] ^= 1;
    }
}

#[test]
fn a_damaged_record_is_refused_by_its_revision() {
    check_refused(|bytes| flip(bytes, b"second-value"), &["damaged", "3.0", "restore it from a backup"]);
    check_refused(|bytes| flip(bytes, b"last-value"), &["damaged", "5.0", "restore it from a backup"]);
}

#[test]
fn a_file_that_was_cut_short_is_refused_and_not_mapped() {
    for keep in [0, 100, 4096, 8192, 9000] {
        check_refused(|bytes| bytes.truncate(keep), &["data.mdb", "cut short", "restore it from a backup"]);
    }
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let foreign = |bytes: &mut Vec<u8>| *bytes = b"SQLite format 3\0".repeat(4096);
    check_refused(foreign, &["data.mdb", "is not a store that this program can open"]);
    check_refused(|bytes| bytes.fill(0), &["data.mdb", "is not a store that this program can open"]);
}

#[test]
fn a_store_of_another_format_is_refused_by_its_number() {
    let other = |bytes: &mut Vec<u8>| {
        for place in places(bytes, b"format\0\0\0\x02") {
            bytes[place + 9] = 9;
        }
    };
    let error = check_refused(other, &["format 9", "reads 2", "use the version that wrote it"]);
    assert!(matches!(error, Error::FormatVersion { found: 9, supported: 2 }), "{error:?}");
}

/// A data file that vanished is a loss, and no new store: revisions would begin again at 1, and every watcher's token
/// would lie.
#[test]
fn a_data_file_that_vanished_is_not_made_anew() {
    let mut twin = Twin::of(SCRIPT);
    twin.close();
    let aside = twin.path().join("aside");
    fs::rename(twin.data_file(), &aside).unwrap();
    let error = Store::open(twin.path(), twin.settings.clone()).unwrap_err();
    check_says(&error, &["data.mdb", "is gone", "remove the whole folder"]);
    assert!(!twin.data_file().exists());
    fs::rename(&aside, twin.data_file()).unwrap();
    twin.reopen();
    twin.check();
}

/// etcd's users lost events without a word (17529). A record that goes bad under an open store is told by its revision
/// to whoever reads it, and ends the watch that is owed it: never a gap. Everybody else goes on.
#[test]
fn a_record_that_goes_bad_under_an_open_store_is_told_and_leaves_no_gap() {
    let mut twin = Twin::of("put a first-value\nput b second-value\nput c third-value");
    // The file is changed in place, so the store's map of it shows the change.
    let mut bytes = fs::read(twin.data_file()).unwrap();
    flip(&mut bytes, b"second-value");
    rewrite(&twin, &bytes);
    check_says(&twin.get("b").unwrap_err(), &["damaged", "3.0", "restore it from a backup"]);
    assert_eq!(twin.get("c").unwrap().unwrap().value(), b"third-value");

    let open = |range| twin.watch(&WatchOptions::new(range).start_at(1)).unwrap();
    let mut watch = open(KeyRange::everything());
    let (mut next, end) = (
        2,
        loop {
            match watch.wait_next_for(PATIENCE).unwrap().unwrap() {
                Ok(Update::Events(batch)) => assert!(batch.last_revision() < 3, "{batch:?}"),
                Ok(Update::Progress { revision }) => assert!(revision < 3),
                Err(end) => break end,
            }
        },
    );
    assert!(matches!(end, End::Unreadable { .. }), "{end}");
    assert!(end.to_string().contains("3.0"), "{end}");
    assert!(watch.next_revision() <= 3);

    flip(&mut bytes, b"second-valud");
    rewrite(&twin, &bytes);
    let mut again = open(KeyRange::everything());
    while next <= 4 {
        let Ok(Update::Events(batch)) = again.wait_next_for(PATIENCE).unwrap().unwrap() else { continue };
        assert_eq!(batch.first_revision().max(2), next);
        next = batch.last_revision() + 1;
    }
    twin.run("put b 5");
    twin.check();
}

fn rewrite(twin: &Twin, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(twin.data_file()).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}
