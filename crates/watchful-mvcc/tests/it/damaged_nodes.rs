//! One bit in what a page says of its nodes, which has no checksum: a name, how many there are, a key, what one leads to.

#![allow(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]

use watchful_mvcc::{LostRevisions, Mvcc, MvccError, check};
use watchful_revision::Revision;

use crate::salvage::{PAGE_BYTES, damage, flip, is_branch, keys, last_revision, long, places, put, save};
use crate::support::{Store, rows_at};

/// A store with changes, a lease and a note.
fn store() -> Store {
    let store = Store::new();
    store.run("put a 1");
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.lease_grant(7, 60)).unwrap();
    group.txn(|txn| txn.set_note(b"x/0", b"1")).unwrap();
    group.txn(|txn| txn.set_note(b"x/1", b"1")).unwrap();
    group.commit().unwrap();
    // The commit before has less, so it is not taken in the place of the newest one.
    store.run("put b 1");
    store
}

/// The place of a page's number of nodes, which is the end of their list.
fn lower(bytes: &mut [u8], page: usize) -> &mut [u8; 2] {
    bytes[page * PAGE_BYTES + 12..].first_chunk_mut().unwrap()
}

fn less_by_a_node(bytes: &mut [u8], page: usize) {
    let lower = lower(bytes, page);
    *lower = (u16::from_ne_bytes(*lower) - 2).to_ne_bytes();
}

/// With one bit in the name of the log, a server started with a new and empty one: all keys were gone without a word, and revisions
/// were given out again. With one in that of the notes, users, roles and alarms were gone. The check told of a table too many,
/// and what was saved had nothing of that table and was called whole.
#[test]
fn a_table_that_lost_its_name_is_not_made_anew_and_is_saved() {
    for name in ["log", "meta", "lease", "note"] {
        let mut store = store();
        let owed = keys(&store, 3);
        damage(&mut store, |bytes| flip(bytes, name.as_bytes(), name.len() - 1));
        let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
        assert!(matches!(&error, MvccError::DamagedStore { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("has no `{name}`")), "{error}");
        assert!(!check(store.path()).unwrap().is_ok(), "{name}");
        let (_dir, saved, report) = save(&store);
        assert!(report.remarks.iter().any(|remark| remark.contains("none that a store has")), "{report:?}");
        assert_eq!((keys(&saved, 3), report.leases, report.notes), (owed, 1, 2), "{name}: {report:?}");
        assert!(report.lost.is_empty(), "{name}: {report:?}");
    }
}

/// A list of tables that says too few leaves out the last one, and the notes on it were not missed.
#[test]
fn a_list_of_tables_that_is_too_short_is_told() {
    let mut store = store();
    damage(&mut store, |bytes| {
        let number_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let newest = if number_at(PAGE_BYTES + 144) > number_at(144) { PAGE_BYTES } else { 0 };
        let list = usize::try_from(number_at(newest + 128)).unwrap();
        less_by_a_node(bytes, list);
        for place in places(bytes, b"x/0") {
            bytes[place / PAGE_BYTES * PAGE_BYTES..][..PAGE_BYTES].fill(0);
        }
    });
    assert!(Mvcc::open(store.path(), &store.settings).is_err());
    let (_dir, saved, report) = save(&store);
    assert_eq!((keys(&saved, 3).len(), report.notes), (2, 0));
    assert!(report.remarks.iter().any(|remark| remark.contains("notes are lost")), "{report:?}");
}

/// A leaf that says that it has one node less has lost its last one. Of the newest revision half was gone, all keys were doubtful
/// for that, and all revisions but that one were told as lost.
#[test]
fn a_leaf_that_says_too_few_has_lost_its_end() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput c 1\ntxn { put a 2; put b 2 }");
    damage(&mut store, |bytes| {
        let leaves = 2..bytes.len() / PAGE_BYTES;
        let newest = leaves.max_by_key(|page| last_revision(&bytes[page * PAGE_BYTES..][..PAGE_BYTES]));
        less_by_a_node(bytes, newest.unwrap());
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 4), ["a=1", "b=1", "c=1"]);
    assert_eq!((saved.current_revision(), report.doubtful_keys), (4, 0), "{report:?}");
    assert_eq!(report.lost, [LostRevisions { first: 5, last: None }]);
}

/// A branch that says too few leaves out its last leaf, with the newest changes. They are all there, and were given up.
#[test]
fn what_a_branch_that_says_too_few_leaves_out_is_found() {
    let mut store = long();
    let newest = keys(&store, 44);
    damage(&mut store, |bytes| {
        let branches: Vec<_> = (2..bytes.len() / PAGE_BYTES)
            .filter(|page| is_branch(&bytes[page * PAGE_BYTES..][..PAGE_BYTES]))
            .collect();
        assert!(!branches.is_empty());
        branches.into_iter().for_each(|page| less_by_a_node(bytes, page));
    });
    assert!(!check(store.path()).unwrap().is_ok());
    let (_dir, saved, report) = save(&store);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(keys(&saved, 44), newest);
}

/// The number of the page where a value begins took that page for the value, whatever it was: leases, notes and what the store
/// keeps about itself were lost with one record.
#[test]
fn a_value_that_is_sought_elsewhere_takes_nothing_along() {
    let mut good = store();
    put(&good, b"large", &[7; 10_000]);
    put(&good, b"last", b"1");
    good.close();
    let row = [&12_u16.to_ne_bytes()[..], &Revision::start_of(4).to_bytes()].concat();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let is_node = |page: &usize| matches!(bytes[page * PAGE_BYTES + 10], 1 | 2);
    let pages: Vec<_> = (2..bytes.len() / PAGE_BYTES).filter(is_node).collect();
    assert!(pages.len() > 4, "{pages:?}");
    for page in pages {
        let mut store = Store::new();
        damage(&mut store, |file| {
            file.clone_from(&bytes);
            for place in places(file, &row) {
                file[place + row.len()..][..8].copy_from_slice(&(page as u64).to_ne_bytes());
            }
        });
        let (_dir, saved, report) = save(&store);
        assert_eq!(report.lost, [LostRevisions { first: 4, last: Some(4) }], "page {page}: {report:?}");
        assert_eq!((report.leases, report.notes, &report.remarks[..]), (1, 2, &[][..]), "page {page}");
        assert_eq!(rows_at(&saved, 5).len(), 3);
    }
}

/// A note whose name became that of another was not told as lost, and the other one was, which is saved.
#[test]
fn a_note_with_the_name_of_another_is_told() {
    let mut store = store();
    damage(&mut store, |bytes| flip(bytes, b"x/1", 2));
    let (_dir, _saved, report) = save(&store);
    assert_eq!(report.notes, 1);
    assert!(report.remarks.iter().any(|remark| remark.starts_with("notes are lost")), "{report:?}");
}

/// Where compaction leaves gaps, a damaged revision may be any. It was believed: another revision than that of the change that is
/// gone was told as lost.
#[test]
fn a_damaged_revision_is_not_believed() {
    let mut store = Store::new();
    store.run("put a 1\nput x 1\nput x 2\nput b 1\nput c 1");
    store.compact(6);
    let row = |revision| [&12_u16.to_ne_bytes()[..], &Revision::start_of(revision).to_bytes()].concat();
    damage(&mut store, |bytes| {
        for place in places(bytes, &row(4)) {
            bytes[place..place + 14].copy_from_slice(&row(3));
        }
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 6), ["a=1", "b=1", "c=1"]);
    let is_told = |lost: &LostRevisions| lost.first <= 4 && lost.last.is_none_or(|last| last >= 4);
    assert!(report.lost.iter().any(is_told), "{report:?}");
}
