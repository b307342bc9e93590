//! Reading the log: what a chunk holds, where it ends, and what it refuses.

use watchful_mvcc::{HistoryChunk, HistoryLimits, MvccError, PutOptions, Want};
use watchful_revision::{RecordKind, Revision};

use crate::support::{Store, read_all};

fn take_all(store: &Store, from: Revision, limits: HistoryLimits) -> HistoryChunk {
    let take = &mut |row: &watchful_mvcc::RowView<'_>| Want::Take { charge_bytes: row.encoded_len() };
    store.read_history(from, u64::MAX, &limits, take).unwrap()
}

fn told(chunk: HistoryChunk) -> Vec<String> {
    let rows = chunk.into_rows(Into::into);
    rows.map(|row| format!("{} {}", row.record.revision(), row.record.key().escape_ascii())).collect()
}

#[test]
fn a_chunk_reads_up_to_the_end_it_is_given() {
    let store = Store::new();
    store.run("put a 1\nput b 1\nput c 1");
    let skip = &mut |_: &watchful_mvcc::RowView<'_>| Want::Skip;
    let limits = HistoryLimits::default();
    let chunk = store.read_history(Revision::start_of(2), 3, &limits, skip).unwrap();
    assert_eq!((chunk.next, chunk.rows_read, chunk.revisions_read), (Revision::start_of(4), 2, 2));
    assert_eq!(chunk.rows(), 0);
    // Never past the current revision, whatever is asked for; and nothing where nothing is.
    assert_eq!(take_all(&store, Revision::start_of(2), limits).next, Revision::start_of(5));
    let beyond = take_all(&store, Revision::start_of(9), limits);
    assert_eq!((beyond.next, beyond.rows_read), (Revision::start_of(9), 0));
}

#[test]
fn a_chunk_ends_at_its_bytes_and_always_takes_one_row() {
    let store = Store::new();
    store.run("put a 1\nput b 1\nput c 1");
    let one = take_all(&store, Revision::start_of(2), HistoryLimits::default().with_bytes_max(1));
    assert_eq!(one.next, Revision::start_of(3));
    assert_eq!(told(one), ["2.0 a"]);
    let charge = &mut |_: &watchful_mvcc::RowView<'_>| Want::Take { charge_bytes: 100 };
    let limits = HistoryLimits::default().with_bytes_max(200);
    let two = store.read_history(Revision::start_of(2), 9, &limits, charge).unwrap();
    assert_eq!(told(two), ["2.0 a", "3.0 b"]);
}

#[test]
fn a_chunk_ends_at_its_revisions() {
    let store = Store::new();
    store.run("txn { put a 1; put b 1 }\nput c 1\nput d 1");
    let chunk = take_all(&store, Revision::start_of(1), HistoryLimits::default().with_revisions_max(2));
    assert_eq!((chunk.next, chunk.revisions_read, chunk.rows_read), (Revision::start_of(4), 2, 3));
}

/// One huge revision is read in parts, in order and whole.
#[test]
fn a_chunk_may_end_inside_a_revision() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    group
        .txn(|txn| -> Result<(), MvccError> {
            for number in 0..500_u32 {
                txn.put(&number.to_be_bytes(), b"v", PutOptions::default())?;
            }
            Ok(())
        })
        .unwrap();
    group.commit().unwrap();
    for limits in [HistoryLimits::default().with_bytes_max(1000), HistoryLimits::default().with_rows_max(7)] {
        let chunk = take_all(&store, Revision::start_of(2), limits);
        assert_eq!(chunk.next, Revision::new(2, u32::try_from(chunk.rows_read).unwrap()));
        let rows = read_all(&store, 2, &limits).unwrap();
        let subs: Vec<_> = rows.iter().map(|row| row.record.revision().sub).collect();
        assert_eq!(subs, (0..500).collect::<Vec<_>>());
    }
}

/// The row before is the one right before the change, by `sub`, and none where the key was created.
#[test]
fn rows_may_be_taken_with_those_before_them() {
    let store = Store::new();
    store.run("put a 1\ntxn { put a 2; put a 3; del a; put a 4 }");
    let rows = read_all(&store, 2, &HistoryLimits::default()).unwrap();
    let prev: Vec<_> = rows.iter().map(|row| row.prev.as_ref().map(|prev| prev.value().to_vec())).collect();
    assert_eq!(prev, [None, Some(b"1".to_vec()), Some(b"2".to_vec()), Some(b"3".to_vec()), None]);
    assert_eq!(store.prev_row(b"a", Revision::new(3, 1)), Some(Revision::new(3, 0)));
    assert_eq!(store.prev_row(b"a", Revision::new(3, 3)), None);
    assert_eq!(store.prev_row(b"b", Revision::new(3, 3)), None);
}

#[test]
fn rows_are_read_one_by_one() {
    let store = Store::new();
    store.run("put a 1\nput a 2");
    let revisions = [Revision::start_of(3), Revision::new(3, 1), Revision::start_of(2)];
    let values: Vec<_> = store
        .read_rows(&revisions)
        .unwrap()
        .into_iter()
        .map(|record| record.map(|record| record.value().to_vec()))
        .collect();
    assert_eq!(values, [Some(b"2".to_vec()), None, Some(b"1".to_vec())]);
    assert!(store.is_superseded(b"a", Revision::start_of(2), 3));
    assert!(!store.is_superseded(b"a", Revision::start_of(2), 2));
    assert!(!store.is_superseded(b"a", Revision::start_of(3), 3));
}

/// etcd 19179: a watch from the compact revision must see everything at it, tombstones too; below it, nothing.
#[test]
fn history_from_the_compact_revision_is_whole() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\ntxn { del a; put b 2 }\nput c 1");
    for _ in 0..2 {
        if store.compact_revision() == 0 {
            store.compact(4);
        }
        let rows = read_all(&store, 4, &HistoryLimits::default()).unwrap();
        let kinds: Vec<_> = rows.iter().map(|row| (row.record.key().to_vec(), row.record.kind())).collect();
        let put = RecordKind::Put;
        let expected = [(b"a".to_vec(), RecordKind::Tombstone), (b"b".to_vec(), put), (b"c".to_vec(), put)];
        assert_eq!(kinds, expected);
        let refused = read_all(&store, 3, &HistoryLimits::default());
        assert!(matches!(refused, Err(MvccError::Compacted { compact_revision: 4 })));
        store.reopen();
    }
}
