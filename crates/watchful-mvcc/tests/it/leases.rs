//! Leases: which there are, which keys hang on them, and what happens to those.

use watchful_mvcc::{MvccError, PutOptions};
use watchful_revision::KeyRange;

use crate::support::Store;

fn on(lease: i64) -> PutOptions {
    PutOptions { lease, ..PutOptions::default() }
}

#[test]
fn revoking_deletes_every_key_in_order_in_one_revision() {
    let store = Store::new();
    store.run("grant 7 60\nput c 1 lease=7\nput a 1 lease=7\nput b 1\nput d 1 lease=7");
    let mut group = store.begin_group().unwrap();
    let outcome = group.txn(|txn| txn.lease_revoke(7)).unwrap();
    assert_eq!((outcome.revision, outcome.value), (Some(6), 3));
    let batches = group.commit().unwrap();
    let keys: Vec<_> = batches[0].rows.iter().map(|row| row.record.key().to_vec()).collect();
    assert_eq!(keys, [b"a", b"c", b"d"]);
    assert_eq!(store.all_at(6), ["b=1"]);
    assert_eq!(store.lease(7), None);
}

#[test]
fn a_lease_without_keys_is_revoked_without_a_revision() {
    let mut store = Store::new();
    store.run("grant 7 60");
    let mut group = store.begin_group().unwrap();
    assert_eq!(group.txn(|txn| txn.lease_revoke(7)).unwrap().revision, None);
    assert_eq!(group.commit().unwrap(), []);
    store.reopen();
    assert!(store.leases().is_empty());
}

#[test]
fn what_cannot_be_done_to_a_lease_is_refused() {
    let store = Store::new();
    store.run("grant 7 60");
    let mut group = store.begin_group().unwrap();
    assert!(matches!(group.txn(|txn| txn.lease_grant(7, 1)), Err(MvccError::LeaseExists { id: 7 })));
    assert!(matches!(group.txn(|txn| txn.lease_grant(0, 1)), Err(MvccError::LeaseIdMissing)));
    assert!(matches!(group.txn(|txn| txn.lease_revoke(8)), Err(MvccError::LeaseNotFound { id: 8 })));
}

/// A put hangs its key on the lease it names and takes it off the one before; so does a delete.
#[test]
fn a_key_hangs_on_one_lease() {
    let mut store = Store::new();
    store.run("grant 7 60\ngrant 8 -1\nput a 1 lease=7\nput b 1 lease=7\nput c 1 lease=7");
    store.run("put a 2 lease=8\nput b 2\ndel c");
    for _ in 0..2 {
        assert_eq!(store.lease_keys(7).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(store.lease_keys(8).unwrap(), [b"a"]);
        assert_eq!([store.lease_of(b"a"), store.lease_of(b"b"), store.lease_of(b"c")], [8, 0, 0]);
        assert_eq!((store.lease(8).unwrap().ttl_seconds, store.lease(8).unwrap().keys), (-1, 1));
        store.reopen();
    }
    assert_eq!(store.lease_keys(9), None);
}

/// Granted, used, revoked, granted again and used again in one group: what is left is what the last ones did.
#[test]
fn a_lease_may_come_and_go_within_a_group() {
    let mut store = Store::new();
    store.run("grant 5 10\nput old 1 lease=5");
    let mut group = store.begin_group().unwrap();
    group
        .txn(|txn| -> Result<(), MvccError> {
            txn.put(b"k", b"1", on(5))?;
            assert_eq!(txn.lease_revoke(5)?, 2);
            assert!(txn.put(b"k", b"2", on(5)).is_err());
            txn.lease_grant(5, 20)?;
            txn.put(b"k", b"3", on(5))?;
            Ok(())
        })
        .unwrap();
    group.txn(|txn| txn.lease_grant(6, 30)).unwrap();
    group.txn(|txn| txn.put(b"gone", b"1", on(6))).unwrap();
    assert_eq!(group.txn(|txn| txn.lease_revoke(6)).unwrap().value, 1);
    group.commit().unwrap();
    for _ in 0..2 {
        let leases: Vec<_> = store.leases().iter().map(|lease| (lease.id, lease.ttl_seconds)).collect();
        assert_eq!(leases, [(5, 20)]);
        assert_eq!(store.lease_keys(5).unwrap(), [b"k"]);
        assert_eq!(store.lease_of(b"old"), 0);
        assert_eq!(store.all_at(store.current_revision()), ["k=3"]);
        store.reopen();
    }
}

/// A transaction that fails gives its lease changes back, one before it keeps its own.
#[test]
fn a_failed_transaction_revokes_nothing() {
    let store = Store::new();
    store.run("grant 7 60\nput a 1 lease=7");
    let mut group = store.begin_group().unwrap();
    let failed = group.txn(|txn| -> Result<(), MvccError> {
        txn.lease_revoke(7)?;
        assert_eq!(txn.lease_of(b"a"), 0);
        Err(MvccError::KeyNotFound)
    });
    assert!(failed.is_err());
    let attached = group.txn(|txn| -> Result<_, MvccError> {
        txn.delete_range(&KeyRange::key("b"), false)?;
        Ok((txn.lease_exists(7), txn.lease_of(b"a")))
    });
    assert_eq!(attached.unwrap().value, (true, 7));
    group.commit().unwrap();
    assert_eq!(store.lease_keys(7).unwrap(), [b"a"]);
}
