//! Space: the quota, and what lies behind it.

use watchful_mvcc::{CommitFailure, MvccError, PutOptions};
use watchful_revision::KeyRange;

use crate::support::{Store, settings};

fn put(store: &Store, key: &[u8], value: &[u8]) -> Result<(), MvccError> {
    let mut group = store.begin_group()?;
    group.txn(|txn| txn.put(key, value, PutOptions::default()))?;
    group.commit()?;
    Ok(())
}

/// Past the quota puts and new leases are refused; deletes, revokes and compaction go on and make room again.
#[test]
fn past_the_quota_only_what_makes_room_goes_on() {
    let store = Store::with(settings().with_quota_bytes(1 << 20));
    store.run("grant 7 60\nput leased 1 lease=7");
    let value = vec![b'v'; 10_000];
    let refused = (0..1000_u32).find_map(|number| put(&store, &number.to_be_bytes(), &value).err()).unwrap();
    let MvccError::NoSpace { used_bytes, quota_bytes } = refused else { panic!("{refused}") };
    assert!(used_bytes >= quota_bytes && quota_bytes == 1 << 20);

    let mut group = store.begin_group().unwrap();
    assert!(matches!(group.txn(|txn| txn.lease_grant(8, 60)), Err(MvccError::NoSpace { .. })));
    assert_eq!(group.txn(|txn| txn.lease_revoke(7)).unwrap().value, 1);
    assert!(group.txn(|txn| txn.delete_range(&KeyRange::everything(), false)).unwrap().value.count > 50);
    group.commit().unwrap();
    assert!(store.view(None).is_ok());
    store.compact(store.current_revision());
    assert!(store.used_bytes() < 1 << 20);
    put(&store, b"a", &value).unwrap();
}

/// Room that compaction made is given back to the disk, and what is left is the same.
#[test]
fn a_defragmented_store_is_smaller_and_the_same() {
    let mut store = Store::with(settings().with_quota_bytes(2 << 20));
    store.run("grant 7 60\nput leased 1 lease=7");
    let value = vec![b'v'; 10_000];
    while put(&store, &store.current_revision().to_be_bytes(), &value).is_ok() {}
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.set_note(b"alarm", b"no space")).unwrap();
    group.txn(|txn| txn.delete_range(&KeyRange::prefix("\0"), false)).unwrap();
    group.commit().unwrap();
    store.compact(store.current_revision());
    let (before, hash, kept) =
        (store.stats(), store.hash(0).unwrap(), store.all_at(store.current_revision()));
    let done = store.defragment().unwrap();
    let after = store.stats();
    assert_eq!((done.bytes_before, done.bytes_after), (before.file_bytes, after.file_bytes));
    assert!(after.file_bytes < before.file_bytes / 4, "{done:?}");
    assert!(after.used_bytes <= before.used_bytes && after.used_bytes <= after.file_bytes);
    put(&store, b"a", &value).unwrap();
    store.run("del a");
    for _ in 0..2 {
        assert_eq!(store.hash(hash.revision).unwrap(), hash);
        assert_eq!(store.all_at(store.current_revision()), kept);
        assert_eq!(store.note(b"alarm").unwrap().as_deref(), Some(&b"no space"[..]));
        assert_eq!(store.lease_keys(7).unwrap(), [b"leased"]);
        store.reopen();
    }
    while put(&store, &store.current_revision().to_be_bytes(), &value).is_ok() {}
    assert!(store.used_bytes() >= 2 << 20, "the quota counts on");
}

/// One group cannot grow past the quota either, however large it is.
#[test]
fn a_group_counts_its_own_bytes() {
    let store = Store::with(settings().with_quota_bytes(1 << 20));
    let mut group = store.begin_group().unwrap();
    let value = vec![b'v'; 100_000];
    let refused = (0..100_u32).find(|number| {
        group.txn(|txn| txn.put(&number.to_be_bytes(), &value, PutOptions::default())).is_err()
    });
    assert!((9..=11).contains(&refused.unwrap()), "{refused:?}");
    assert_eq!(group.commit().unwrap().len(), refused.unwrap() as usize);
}

/// A full map fails the group whole: every later call says so, nothing of it happened, and a smaller one goes through.
#[test]
fn a_full_map_takes_the_group_back_whole() {
    let mut store = Store::with(settings().with_quota_bytes(1 << 30).with_map_bytes_max(8 << 20));
    store.run("put a 1\ngrant 7 60");
    let value = vec![b'v'; 1 << 20];
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.put(b"b", b"small", PutOptions::default())).unwrap();
    let failed = (0..20_u8)
        .find_map(|number| group.txn(|txn| txn.put(&[number], &value, PutOptions::default())).err());
    assert!(matches!(failed, Some(MvccError::NoSpace { .. })));
    assert!(group.is_failed());
    assert!(matches!(group.txn(|txn| txn.lease_revoke(7)), Err(MvccError::NoSpace { .. })));
    assert!(matches!(group.commit(), Err(CommitFailure::NoSpace { .. })));
    for _ in 0..2 {
        assert_eq!(store.all_at(store.current_revision()), ["a=1"]);
        assert!(store.lease(7).is_some());
        store.reopen();
    }
    put(&store, b"b", b"small").unwrap();
    assert_eq!(store.current_revision(), 3);
}

/// What cannot be counted in a record's length is refused, and the group goes on. (A value of 4 GiB is not made here;
/// the key's bound stands for it.)
#[test]
fn what_is_too_large_is_refused_alone() {
    let store = Store::new();
    let mut group = store.begin_group().unwrap();
    let key = vec![b'k'; (16 << 20) + 1];
    let refused = group.txn(|txn| txn.put(&key, b"", PutOptions::default()));
    assert!(matches!(refused, Err(MvccError::TooLarge { .. })));
    group.txn(|txn| txn.put(&key[1..], b"", PutOptions::default())).unwrap();
    group.commit().unwrap();
    assert_eq!(store.view(None).unwrap().count(&KeyRange::prefix("k")).unwrap(), 1);
}
