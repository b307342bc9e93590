//! Writing: revisions, versions, what a transaction sees of itself, and what is refused.

use watchful_mvcc::{
    Change, Compare, CompareResult, CompareTarget, Deleted, MvccError, OpResponse, PutOptions, RangeOptions,
    RequestOp, TxnRequest,
};
use watchful_revision::{KeyRange, Record, RecordKind, Revision};

use crate::support::{Store, rows_at};

/// An empty store is at revision 1 and holds nothing; the first write is 2.
#[test]
fn the_first_write_is_revision_2() {
    let store = Store::new();
    assert_eq!((store.current_revision(), store.compact_revision()), (1, 0));
    assert!(rows_at(&store, 1).is_empty());
    store.run("put a 1");
    assert_eq!(store.current_revision(), 2);
}

#[test]
fn version_counts_from_create_to_delete() {
    let store = Store::new();
    store.run("put a 1\nput a 2\ndel a\nput a 3");
    let shown = |revision| {
        let record = store.view(Some(revision)).unwrap().get(b"a").unwrap();
        record.map(|record| (record.create_revision(), record.mod_revision(), record.version()))
    };
    assert_eq!(shown(2), Some((2, 2, 1)));
    assert_eq!(shown(3), Some((2, 3, 2)));
    assert_eq!(shown(4), None);
    assert_eq!(shown(5), Some((5, 5, 1)));
}

#[test]
fn a_transaction_that_changes_nothing_takes_no_revision() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    let deleted = group.txn(|txn| txn.delete_range(&KeyRange::everything(), false)).unwrap();
    assert_eq!((deleted.revision, deleted.value), (None, Deleted::default()));
    let read = group.txn(|txn| txn.range(&KeyRange::everything(), &RangeOptions::default())).unwrap();
    assert_eq!(read.revision, None);
    let put = group.txn(|txn| txn.put(b"a", b"1", PutOptions::default())).unwrap();
    assert_eq!(put.revision, Some(2));
    assert_eq!(group.commit().unwrap().len(), 1);
}

/// Every change is an event of its own, in `sub` order, and each tells the row before it.
#[test]
fn one_transaction_may_change_a_key_more_than_once() {
    let store = Store::new();
    store.run("put a 0");
    let mut group = store.begin_group().unwrap();
    let outcome = group.txn(|txn| -> Result<Vec<Option<Record>>, MvccError> {
        let prev_kv = PutOptions { prev_kv: true, ..PutOptions::default() };
        let first = txn.put(b"a", b"1", prev_kv)?;
        let second = txn.put(b"a", b"2", prev_kv)?;
        assert_eq!(txn.get(b"a")?.unwrap().value(), b"2");
        txn.delete_range(&KeyRange::key("a"), false)?;
        assert_eq!(txn.get(b"a")?, None);
        let third = txn.put(b"a", b"3", prev_kv)?;
        Ok(vec![first, second, third])
    });
    let prev: Vec<_> =
        outcome.unwrap().value.into_iter().map(|prev| prev.map(|prev| prev.value().to_vec())).collect();
    assert_eq!(prev, [Some(b"0".to_vec()), Some(b"1".to_vec()), None]);
    let batches = group.commit().unwrap();
    let rows: Vec<_> =
        batches[0].rows.iter().map(|row| (row.record.revision(), row.record.kind(), row.prev)).collect();
    let put = RecordKind::Put;
    assert_eq!(
        rows,
        [
            (Revision::new(3, 0), put, Some(Revision::new(2, 0))),
            (Revision::new(3, 1), put, Some(Revision::new(3, 0))),
            (Revision::new(3, 2), RecordKind::Tombstone, Some(Revision::new(3, 1))),
            (Revision::new(3, 3), put, None),
        ]
    );
    assert_eq!(store.all_at(3), ["a=3"]);
    assert_eq!(store.view(None).unwrap().get(b"a").unwrap().unwrap().version(), 1);
}

/// The batch's records share the one buffer that was written.
#[test]
fn a_batch_shares_one_buffer() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    group
        .txn(|txn| {
            txn.put(b"a", b"1", PutOptions::default())?;
            txn.put(b"b", b"2", PutOptions::default())
        })
        .unwrap();
    let batches = group.commit().unwrap();
    let addresses = batches[0].bytes.as_ptr_range();
    for row in &batches[0].rows {
        assert!(addresses.contains(&row.record.bytes().as_ptr()));
    }
    assert_eq!(batches[0].bytes.len(), batches[0].rows.iter().map(|row| row.record.encoded_len()).sum());
}

/// A transaction that fails leaves nothing behind: no change, no revision, no lease; those around it are committed.
#[test]
fn a_transaction_that_fails_is_refused_alone() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.put(b"a", b"1", PutOptions::default())).unwrap();
    let failed = group.txn(|txn| -> Result<(), MvccError> {
        txn.put(b"a", b"2", PutOptions::default())?;
        txn.put(b"b", b"2", PutOptions::default())?;
        txn.lease_grant(7, 60)?;
        Err(MvccError::KeyNotFound)
    });
    assert!(matches!(failed, Err(MvccError::KeyNotFound)));
    group
        .txn(|txn| -> Result<(), MvccError> {
            assert_eq!(txn.revision(), 3);
            assert!(!txn.lease_exists(7));
            assert_eq!(txn.get(b"a")?.unwrap().value(), b"1");
            assert_eq!(txn.range(&KeyRange::everything(), &RangeOptions::default())?.count, 1);
            txn.put(b"c", b"3", PutOptions::default())?;
            Ok(())
        })
        .unwrap();
    let revisions: Vec<_> = group.commit().unwrap().iter().map(|batch| batch.revision).collect();
    assert_eq!(revisions, [2, 3]);
    assert_eq!(store.all_at(3), ["a=1", "c=3"]);
    assert!(store.leases().is_empty());
}

/// Undo belongs to `Drop`: a panic in a transaction takes it back too, and the group goes on.
#[test]
fn a_transaction_that_panics_is_taken_back() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = group.txn(|txn| -> Result<(), MvccError> {
            txn.put(b"a", b"1", PutOptions::default())?;
            panic!("as a caller's closure may");
        });
    }));
    assert!(panicked.is_err());
    group.txn(|txn| txn.put(b"b", b"1", PutOptions::default())).unwrap();
    group.commit().unwrap();
    assert_eq!(store.all_at(2), ["b=1"]);
}

#[test]
fn a_group_that_is_dropped_leaves_no_trace() {
    let mut store = Store::new();
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.put(b"a", b"1", PutOptions::default())).unwrap();
    group.txn(|txn| txn.lease_grant(7, 60)).unwrap();
    group.schedule_compaction(2).unwrap();
    drop(group);
    for _ in 0..2 {
        assert_eq!((store.current_revision(), store.compact_revision()), (1, 0));
        assert!(store.leases().is_empty());
        store.reopen();
    }
}

#[test]
fn what_cannot_be_put_is_refused() {
    let store = Store::new();
    let refuse = |key: &[u8], value: &[u8], options: PutOptions| {
        let mut group = store.begin_group().unwrap();
        let refused = group.txn(|txn| txn.put(key, value, options)).unwrap_err();
        assert_eq!(group.commit().unwrap(), []);
        format!("{refused:?}")
    };
    let options = PutOptions::default();
    assert_eq!(refuse(b"", b"1", options), "EmptyKey");
    assert_eq!(refuse(b"a", b"1", PutOptions { lease: 7, ..options }), "LeaseNotFound { id: 7 }");
    assert_eq!(refuse(b"a", b"", PutOptions { ignore_value: true, ..options }), "KeyNotFound");
    assert_eq!(refuse(b"a", b"1", PutOptions { ignore_lease: true, ..options }), "KeyNotFound");
    assert_eq!(refuse(b"a", b"1", PutOptions { ignore_value: true, ..options }), "ValueProvided");
    assert_eq!(refuse(b"a", b"1", PutOptions { ignore_lease: true, lease: 7, ..options }), "LeaseProvided");
    assert!(refuse(&vec![b'a'; (16 << 20) + 1], b"", options).starts_with("TooLarge"));
}

#[test]
fn a_put_may_keep_the_value_or_the_lease() {
    let store = Store::new();
    store.run("grant 7 60\nput a 1 lease=7\nput a 2 ignore_lease\nput a ignore_value");
    let record = |revision| store.view(Some(revision)).unwrap().get(b"a").unwrap().unwrap();
    assert_eq!((record(3).value(), record(3).lease()), (&b"2"[..], 7));
    assert_eq!((record(4).value(), record(4).lease()), (&b"2"[..], 0));
}

/// One tombstone a key, in key order.
#[test]
fn a_delete_range_deletes_in_key_order() {
    let store = Store::new();
    store.run("txn { put b 1; put c 1; put a 1 }");
    let mut group = store.begin_group().unwrap();
    let deleted = group.txn(|txn| txn.delete_range(&KeyRange::prefix(""), true)).unwrap().value;
    assert_eq!(deleted.count, 3);
    let batches = group.commit().unwrap();
    let keys: Vec<_> = batches[0].rows.iter().map(|row| row.record.key().to_vec()).collect();
    assert_eq!(keys, [b"a", b"b", b"c"]);
    let prev: Vec<_> = batches[0].rows.iter().map(|row| row.prev.unwrap()).collect();
    assert_eq!(prev, [Revision::new(2, 2), Revision::new(2, 0), Revision::new(2, 1)]);
}

/// A delete of a range that spans many turns, part of it changed by the transaction itself.
#[test]
fn a_large_range_is_seen_with_the_own_changes_over_it() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    let key = |number: u32| number.to_be_bytes();
    group
        .txn(|txn| -> Result<(), MvccError> {
            for number in (0..2000).step_by(2) {
                txn.put(&key(number), b"", PutOptions::default())?;
            }
            Ok(())
        })
        .unwrap();
    group.commit().unwrap();
    let mut group = store.begin_group().unwrap();
    let outcome = group.txn(|txn| -> Result<(u64, u64), MvccError> {
        for number in (1..2000).step_by(2) {
            txn.put(&key(number), b"", PutOptions::default())?;
        }
        txn.delete_range(&KeyRange::between(key(100), key(300)).unwrap(), false)?;
        let limited = RangeOptions { limit: 3, ..RangeOptions::default() };
        let answer = txn.range(&KeyRange::from_key(key(99)), &limited)?;
        let keys: Vec<_> = answer.records.iter().map(|record| record.key().to_vec()).collect();
        assert_eq!(keys, [key(99), key(300), key(301)]);
        assert!(answer.more);
        Ok((answer.count, txn.delete_range(&KeyRange::everything(), false)?.count))
    });
    assert_eq!(outcome.unwrap().value, (1701, 1800));
    group.commit().unwrap();
    assert_eq!(store.view(None).unwrap().count(&KeyRange::everything()).unwrap(), 0);
}

/// As in etcd, the compares of a nested transaction see the store as it was before the outer one.
#[test]
fn nested_compares_are_worked_out_first() {
    let store = Store::new();
    let is_absent = Compare {
        range: Some(KeyRange::key("a")),
        target: CompareTarget::Version(0),
        result: CompareResult::Equal,
    };
    let put = |value: &'static str| RequestOp::Put {
        key: "a".into(),
        value: value.into(),
        options: PutOptions::default(),
    };
    let nested =
        TxnRequest { compares: vec![is_absent.clone()], then: vec![put("then")], or_else: vec![put("else")] };
    let request = TxnRequest {
        compares: vec![is_absent],
        then: vec![put("first"), RequestOp::Txn(nested)],
        or_else: vec![],
    };
    let mut group = store.begin_group().unwrap();
    let response = group.execute(&request).unwrap().value;
    assert!(matches!(&response.responses[1], OpResponse::Txn(nested) if nested.succeeded));
    group.commit().unwrap();
    assert_eq!(store.all_at(2), ["a=then"]);
}

/// A pair of keys that holds no key is legal in a request, and its answer is empty.
#[test]
fn requests_may_name_no_key() {
    let store = Store::new();
    store.run("put a 1");
    let request = TxnRequest {
        compares: vec![Compare { range: None, target: CompareTarget::Mod(0), result: CompareResult::Equal }],
        then: vec![
            RequestOp::Range { range: None, revision: 0, options: RangeOptions::default() },
            RequestOp::DeleteRange { range: None, prev_kv: true },
        ],
        or_else: vec![],
    };
    let mut group = store.begin_group().unwrap();
    let outcome = group.execute(&request).unwrap();
    assert!(outcome.value.succeeded && outcome.revision.is_none());
    let value =
        Compare { range: None, target: CompareTarget::Value("".into()), result: CompareResult::Equal };
    assert!(!group.txn(|txn| txn.compare(&value)).unwrap().value);
}

/// A transaction's read at a revision of its own group sees that revision, although it is not committed yet.
#[test]
fn a_read_at_a_revision_of_the_same_group() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    for value in [b"1", b"2", b"3"] {
        group.txn(|txn| txn.put(b"a", value, PutOptions::default())).unwrap();
    }
    let everything = (KeyRange::everything(), RangeOptions::default());
    let read =
        |txn: &mut watchful_mvcc::Txn<'_, '_>, revision| txn.range_at(revision, &everything.0, &everything.1);
    let at_3 = group.txn(|txn| read(txn, 3)).unwrap().value;
    assert_eq!(at_3.records[0].value(), b"2");
    let refused = group.txn(|txn| read(txn, 5));
    assert!(matches!(refused, Err(MvccError::FutureRevision { current_revision: 4 })));
}

#[test]
fn a_follower_takes_only_the_next_revision() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    let put = [Change::Put { key: b"a", value: b"1", lease: 0 }];
    for given in [1, 3] {
        let refused = group.apply_at(given, &put);
        assert!(matches!(refused, Err(MvccError::NotNext { next: 2, .. })), "{refused:?}");
    }
    group.apply_at(2, &put).unwrap();
    assert!(matches!(group.apply_at(2, &put), Err(MvccError::NotNext { next: 3, .. })));
    let delete = [Change::Put { key: b"b", value: b"2", lease: 0 }, Change::Delete { key: b"c" }];
    assert!(matches!(group.apply_at(3, &delete), Err(MvccError::Diverged { given: 3 })));
    assert!(matches!(group.apply_at(3, &[]), Err(MvccError::Diverged { given: 3 })));
    group.apply_at(3, &[Change::Delete { key: b"a" }]).unwrap();
    assert_eq!(group.commit().unwrap().len(), 2);
    assert!(store.all_at(3).is_empty());
}
