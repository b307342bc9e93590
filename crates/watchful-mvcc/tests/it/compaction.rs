//! Compaction: what it keeps, what it costs, and what a crash in the middle of it leaves.

use watchful_mvcc::{Mvcc, MvccError, PutOptions};
use watchful_revision::{RecordKind, Revision};

use crate::support::{Store, rows_at};

fn schedule(mvcc: &Mvcc, revision: u64) -> Result<(), MvccError> {
    let mut group = mvcc.begin_group()?;
    group.schedule_compaction(revision)?;
    group.commit()?;
    Ok(())
}

fn slice(mvcc: &Mvcc, rows_max: usize) -> (usize, bool) {
    let mut group = mvcc.begin_group().unwrap();
    let slice = group.compact_slice(rows_max).unwrap();
    group.commit().unwrap();
    (slice.rows, slice.is_done)
}

#[test]
fn which_revisions_can_be_compacted() {
    let store = Store::new();
    schedule(&store, 0).unwrap();
    assert!(matches!(schedule(&store, 0), Err(MvccError::Compacted { compact_revision: 0 })));
    schedule(&store, 1).unwrap();
    assert!(matches!(schedule(&store, 1), Err(MvccError::Compacted { compact_revision: 1 })));
    assert!(matches!(schedule(&store, 2), Err(MvccError::FutureRevision { current_revision: 1 })));
    store.run("put a 1\nput a 2");
    schedule(&store, 3).unwrap();
    assert!(matches!(schedule(&store, 2), Err(MvccError::Compacted { compact_revision: 3 })));
}

/// It is enforced with the commit, before a row is deleted, and it is durable.
#[test]
fn it_is_enforced_at_once() {
    let mut store = Store::new();
    store.run("put a 1\nput a 2\nput a 3");
    let mut group = store.begin_group().unwrap();
    group.schedule_compaction(3).unwrap();
    // A slice of the same group does nothing for it yet: its readers could not know why a row is gone.
    assert_eq!(group.compact_slice(100).unwrap().rows, 0);
    assert_eq!(store.compact_revision(), 0);
    group.commit().unwrap();
    assert!(matches!(store.view(Some(2)), Err(MvccError::Compacted { .. })));
    assert!(store.compaction_pending());
    assert!(store.reopen().compaction_pending);
    assert_eq!(store.compact_revision(), 3);
    assert_eq!(slice(&store, 100), (1, true));
    assert!(!store.compaction_pending());
    assert!(!store.reopen().compaction_pending);
}

/// etcd 22376: a key deleted and made again in one revision survives a compaction at that revision, over a reopening
/// and the next compaction too.
#[test]
fn a_key_made_again_in_its_revision_survives() {
    let mut store = Store::new();
    store.run("put a 1\ntxn { del a; put a 2 }\nput b 1");
    store.compact(3);
    assert_eq!(store.all_at(3), ["a=2"]);
    store.reopen();
    assert_eq!(store.all_at(3), ["a=2"]);
    store.compact(4);
    store.reopen();
    assert_eq!(store.all_at(4), ["a=2", "b=1"]);
    assert_eq!(store.stats().versions, 2, "the tombstone is gone");
}

/// etcd 17780: the newest record is a tombstone, and everything is compacted. The revision must not go back.
#[test]
fn the_revision_never_goes_back() {
    let mut store = Store::new();
    store.run("put a 1\ndel a");
    store.compact(3);
    for _ in 0..2 {
        assert_eq!((store.current_revision(), store.compact_revision()), (3, 3));
        assert!(rows_at(&store, 3).is_empty());
        store.reopen();
    }
    store.run("put a 2");
    assert_eq!(store.current_revision(), 4);
}

/// Every row at the compact revision stays, and goes with the next compaction.
#[test]
fn rows_at_the_compact_revision_stay() {
    let store = Store::new();
    store.run("put a 1\ntxn { put a 2; put a 3; del b }\nput a 4");
    assert_eq!(store.compact(3), 1);
    assert!(store.read_row(Revision::new(3, 0)).unwrap().is_some());
    assert_eq!(store.compact(4), 2);
    assert!(store.read_row(Revision::new(3, 1)).unwrap().is_none());
    assert_eq!(store.stats().versions, 1);
}

/// etcd 9506, 21284: compaction reads what is superseded, and not the keys that are alive.
#[test]
fn it_costs_what_was_superseded() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    group
        .txn(|txn| -> Result<(), MvccError> {
            for number in 0..10_000_u32 {
                txn.put(&number.to_be_bytes(), b"v", PutOptions::default())?;
            }
            Ok(())
        })
        .unwrap();
    group.commit().unwrap();
    store.run("put a 1\nput a 2\nput a 3\ndel a\nput b 1");
    assert_eq!(store.stats().superseded, 4);
    assert_eq!(store.compact(store.current_revision()), 4);
    assert_eq!(store.stats().compaction_rows_read, 4);
    assert_eq!((store.stats().keys, store.stats().superseded), (10_001, 0));
}

/// Broken off after any slice of any size, over a reopening, with writes in between: no dead key comes back, nothing
/// alive goes, and the list that is made anew is the rest of the one before.
#[test]
fn broken_off_anywhere_it_goes_on() {
    for rows_before in 0..12 {
        let mut store = Store::new();
        store.run(
            "put a 1\nput b 1\nput a 2\ndel a\nput a 3\ndel b\ntxn { put a 4; put a 5; del a }\nput c 1",
        );
        schedule(&store, 9).unwrap();
        let (rows, _) = slice(&store, rows_before);
        let superseded = store.stats().superseded;
        store.reopen();
        assert_eq!(store.stats().superseded, superseded);
        assert_eq!(store.all_at(9), ["c=1"]);
        store.run("put b 2");
        let (rest, is_done) = slice(&store, usize::MAX);
        assert!(is_done);
        assert_eq!(rows + rest, 9, "everything but c and the new b");
        assert_eq!(store.all_at(10), ["b=2", "c=1"]);
        store.reopen();
        assert_eq!(store.all_at(10), ["b=2", "c=1"]);
    }
}

/// A slice in a group that is dropped has deleted nothing, and the next one begins where it began.
#[test]
fn a_slice_that_is_dropped_is_done_again() {
    let store = Store::new();
    store.run("put a 1\nput a 2\nput a 3");
    schedule(&store, 4).unwrap();
    let mut group = store.begin_group().unwrap();
    assert_eq!(group.compact_slice(1).unwrap().rows, 1);
    drop(group);
    assert_eq!(store.stats().superseded, 2);
    let mut group = store.begin_group().unwrap();
    assert_eq!(group.compact_slice(1).unwrap(), watchful_mvcc::Slice { rows: 1, is_done: false });
    assert_eq!(group.compact_slice(1).unwrap(), watchful_mvcc::Slice { rows: 1, is_done: true });
    group.txn(|txn| txn.put(b"b", b"1", PutOptions::default())).unwrap();
    assert_eq!(group.commit().unwrap().len(), 1);
    assert_eq!(store.all_at(5), ["a=3", "b=1"]);
    assert_eq!((store.stats().superseded, store.stats().versions), (0, 2));
}

/// A hot key: a long history goes from its old end, and what is left of it can be read.
#[test]
fn a_long_history_is_cut_at_its_old_end() {
    let mut store = Store::new();
    let mut group = store.begin_group().unwrap();
    for number in 0..5000_u32 {
        group.txn(|txn| txn.put(b"hot", &number.to_be_bytes(), PutOptions::default())).unwrap();
    }
    group.commit().unwrap();
    assert_eq!(store.compact(4000), 3998);
    for _ in 0..2 {
        for revision in [4000_u64, 4500, 5001] {
            let record = store.view(Some(revision)).unwrap().get(b"hot").unwrap().unwrap();
            assert_eq!((record.mod_revision(), record.version()), (revision, revision - 1));
            assert_eq!(record.kind(), RecordKind::Put);
        }
        store.reopen();
    }
}
