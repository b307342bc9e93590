//! Hashes: the same for the same history, and the same as etcd's.

use watchful_mvcc::{MvccError, PutOptions};
use watchful_revision::KeyRange;

use crate::support::Store;

fn hash(store: &Store, revision: u64) -> u32 {
    store.hash(revision).unwrap().hash
}

/// Two rows by hand: the word `key`, then each row's key and message as etcd stores them.
#[test]
fn a_hash_that_can_be_worked_out_by_hand() {
    let store = Store::new();
    assert_eq!(hash(&store, 0), crc32c::crc32c(b"key"));
    store.run("put a 1\ndel a");
    let put = b"key\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0\
        \x0a\x01a\x10\x02\x18\x02\x20\x01\x2a\x011";
    assert_eq!(hash(&store, 2), crc32c::crc32c(put));
    let tombstone = b"\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\0t\x0a\x01a";
    assert_eq!(hash(&store, 3), crc32c::crc32c(&[&put[..], tombstone].concat()));
    let found = store.hash(0).unwrap();
    assert_eq!((found.hash, found.revision, found.compact_revision), (hash(&store, 3), 3, 0));
}

/// What etcd 3.4.23 answered to `HashKV` when the same was done to it (2026-11-26), at each revision that it would tell.
#[test]
fn etcd_has_the_same_hashes() {
    let store = Store::new();
    store.run("put a 1\nput b 2\nput a 3");
    let mut group = store.begin_group().unwrap();
    let several = group.txn(|txn| -> Result<(), MvccError> {
        txn.put(b"c", b"4", PutOptions::default())?;
        txn.put(b"d", b"", PutOptions::default())?;
        txn.delete_range(&KeyRange::key("b"), false)?;
        Ok(())
    });
    assert_eq!(several.unwrap().revision, Some(5));
    group.commit().unwrap();
    store.run(&format!("grant 7 100000\nput big {} lease=7\ndel a\nput a 8\nput c 9", "v".repeat(300)));
    let before_compaction = [
        1_084_519_789,
        2_587_454_935,
        1_827_592_406,
        2_069_675_932,
        404_820_899,
        1_320_052_163,
        2_066_719_460,
        1_646_485_846,
        1_456_751_496,
    ];
    for (revision, expected) in (1..).zip(before_compaction) {
        assert_eq!(hash(&store, revision), expected, "at {revision}");
    }
    compact_checking(&store, 6, &[(7, 3_318_067_866), (8, 2_496_471_352), (9, 4_143_633_680)]);
    compact_checking(&store, 8, &[(9, 225_153_478)]);
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.delete_range(&KeyRange::everything(), false)).unwrap();
    group.commit().unwrap();
    assert_eq!((hash(&store, 9), hash(&store, 10)), (225_153_478, 3_163_747_453));
    // Nothing is left at 10, where etcd counts what compaction has kept.
    compact_checking(&store, 9, &[(10, 1_500_809_620)]);
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.put(b"z", b"", PutOptions::default())).unwrap();
    group.commit().unwrap();
    assert_eq!((hash(&store, 10), hash(&store, 11)), (1_500_809_620, 3_312_668_286));
    compact_checking(&store, 10, &[(11, 1_026_730_784)]);
}

/// Compacts a row at a time. The hashes are these from the commit that schedules it to the one that finishes it.
fn compact_checking(store: &Store, revision: u64, expected: &[(u64, u32)]) {
    let at_compact_revision = |store: &Store| store.hash(revision).unwrap();
    store.run(&format!("compact {revision}"));
    let first = at_compact_revision(store);
    loop {
        for (at, expected) in expected {
            let found = store.hash(*at).unwrap();
            assert_eq!((found.hash, found.compact_revision), (*expected, revision), "at {at}");
        }
        assert_eq!(at_compact_revision(store), first);
        if !store.compaction_pending() {
            return;
        }
        let mut group = store.begin_group().unwrap();
        group.compact_slice(1).unwrap();
        group.commit().unwrap();
    }
}

#[test]
fn a_hash_is_of_a_revision_that_can_be_read() {
    let store = Store::new();
    store.run("put a 1\nput a 2\nput a 3\ncompact 3");
    assert!(matches!(store.hash(2), Err(MvccError::Compacted { compact_revision: 3 })));
    assert!(matches!(store.hash(5), Err(MvccError::FutureRevision { current_revision: 4 })));
    assert_eq!(store.hash(0).unwrap(), store.hash(4).unwrap());
}

/// More rows than one turn reads, and another order of slices, and a reopening: the same hash.
#[test]
fn a_long_history_has_one_hash() {
    let mut stores = [Store::new(), Store::new()];
    for store in &stores {
        for round in 0..5_u32 {
            let mut group = store.begin_group().unwrap();
            for key in 0..5000_u32 {
                let value = round.to_be_bytes();
                group.txn(|txn| txn.put(&key.to_be_bytes(), &value, PutOptions::default())).unwrap();
            }
            group.commit().unwrap();
        }
    }
    let current = stores[0].current_revision();
    assert_eq!(stores[0].hash(0).unwrap(), stores[1].hash(0).unwrap());
    stores[0].compact(10_000);
    stores[0].compact(current - 100);
    stores[1].run(&format!("compact {}", current - 100));
    let [first, second] = [0, 1].map(|store: usize| stores[store].hash(0).unwrap());
    assert_eq!(first, second);
    assert_eq!(first.compact_revision, current - 100);
    stores[1].reopen();
    assert_eq!(stores[1].hash(0).unwrap(), first);
}

/// The hash of everything is that of a copy too, and changes with a lease and a note.
#[test]
fn everything_has_a_hash() {
    let mut store = Store::new();
    store.run("put a 1");
    let mut seen = vec![store.hash_all().unwrap()];
    store.run("grant 7 60");
    seen.push(store.hash_all().unwrap());
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.set_note(b"a", b"1")).unwrap();
    group.commit().unwrap();
    seen.push(store.hash_all().unwrap());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let before = store.hash_all().unwrap();
    store.reopen();
    assert_eq!(store.hash_all().unwrap(), before);
}
