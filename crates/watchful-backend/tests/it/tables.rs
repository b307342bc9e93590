//! What goes into a table comes out of it, in order, and nothing of what was not committed.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;
use watchful_backend::{Backend, BackendError, CommitError, Table, check_file};

use crate::{TABLES, append, data_file, entries, key, open, small};

#[test]
fn what_was_committed_is_read_by_later_views_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let before = backend.read().unwrap();
    let mut txn = backend.write().unwrap();
    txn.put(log, b"b", b"2").unwrap();
    txn.put(log, b"a", b"1").unwrap();
    assert_eq!(txn.get(log, b"a").unwrap(), Some(&b"1"[..]), "a transaction reads its own writes");
    txn.commit().unwrap();
    assert_eq!(before.get(log, b"a").unwrap(), None);

    let after = backend.read().unwrap();
    assert_eq!(entries(&backend, log), [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(after.len(log).unwrap(), 2);
    assert!(after.is_empty(backend.table("meta").unwrap()).unwrap());
    assert_eq!(after.first(log).unwrap(), Some((&b"a"[..], &b"1"[..])));
    assert_eq!(after.last(log).unwrap(), Some((&b"b"[..], &b"2"[..])));
    assert!(after.commit() > before.commit());
}

#[test]
fn a_dropped_transaction_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    append(&backend, log, 1, 10);
    let mut txn = backend.write().unwrap();
    txn.put(log, &key(2), b"").unwrap();
    assert!(txn.delete(log, &key(1)).unwrap());
    drop(txn);
    assert_eq!(entries(&backend, log).len(), 1);
    assert_eq!(backend.read().unwrap().get(log, &key(2)).unwrap(), None);
}

#[test]
fn an_append_out_of_order_is_refused_and_the_transaction_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let mut txn = backend.write().unwrap();
    txn.append(log, &key(5), b"five").unwrap();
    for out_of_order in [key(5), key(4)] {
        assert!(matches!(txn.append(log, &out_of_order, b"no"), Err(BackendError::NotLast)));
    }
    txn.append(log, &key(6), b"six").unwrap();
    txn.commit().unwrap();
    let values: Vec<_> = entries(&backend, log).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [b"five".to_vec(), b"six".to_vec()]);
}

#[test]
fn keys_that_cannot_be_stored_are_refused_and_never_there() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let mut txn = backend.write().unwrap();
    txn.put(log, &[7; 511], b"the longest").unwrap();
    for bad in [&[][..], &[7; 512]] {
        assert!(matches!(txn.put(log, bad, b"no"), Err(BackendError::KeyLength { max: 511, .. })));
        assert_eq!(txn.get(log, bad).unwrap(), None);
        assert!(!txn.delete(log, bad).unwrap());
        let from_bad = (Bound::Included(bad), Bound::Unbounded);
        assert_eq!(txn.range(log, from_bad).unwrap().count(), usize::from(bad.is_empty()));
        let before_bad = (Bound::Unbounded, Bound::Excluded(bad));
        assert_eq!(txn.rev_range(log, before_bad).unwrap().count(), usize::from(!bad.is_empty()));
    }
    txn.commit().unwrap();
    assert_eq!(entries(&backend, log).len(), 1);
}

#[test]
fn a_full_map_takes_the_transaction_back_whole_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::open(dir.path(), &small().with_map_bytes(1 << 20), &TABLES).unwrap();
    let log = backend.table("log").unwrap();
    append(&backend, log, 1, 1000);

    let mut txn = backend.write().unwrap();
    let full = (2..).find_map(|number| txn.append(log, &key(number), &[0; 3000]).err()).unwrap();
    assert!(matches!(full, BackendError::NoSpace { map_bytes: 0x10_0000 }), "{full}");
    // Whatever is asked of it afterwards, it tells why it failed.
    assert!(matches!(txn.put(log, b"x", b""), Err(BackendError::NoSpace { .. })));
    assert!(matches!(txn.commit(), Err(CommitError::NoSpace { .. })));

    assert_eq!(entries(&backend, log).len(), 1);
    append(&backend, log, 2, 1000);
    let mut txn = backend.write().unwrap();
    assert_eq!(txn.delete_range(log, ..).unwrap(), 2);
    txn.commit().unwrap();
    assert!(!backend.stats().poisoned);
}

#[test]
fn used_bytes_follow_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let empty = backend.used_bytes();
    for number in 0..100 {
        append(&backend, log, number, 10_000);
    }
    let full = backend.used_bytes();
    // Three pages of 4 KiB a value; a machine with larger pages takes more.
    assert!(full - empty >= 100 * 12 * 1024, "{empty} to {full}");
    assert!(backend.stats().file_bytes >= full);
    let mut txn = backend.write().unwrap();
    txn.delete_range(log, ..).unwrap();
    assert!(txn.used_bytes().unwrap() <= empty);
    txn.commit().unwrap();
    assert!(backend.used_bytes() <= empty);
    assert!(backend.stats().file_bytes >= full, "freed pages are used again, but the file stays");
    drop(backend);
    let (backend, _) = open(dir.path());
    assert!(backend.used_bytes() <= empty, "what is in use is counted at open too");
}

#[test]
fn the_oldest_reader_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    assert_eq!((backend.stats().readers, backend.stats().oldest_reader_lag), (0, 0));
    let oldest = backend.read().unwrap();
    append(&backend, log, 1, 1);
    let twice = [backend.read().unwrap(), backend.read().unwrap()];
    append(&backend, log, 2, 1);
    assert_eq!((backend.stats().readers, backend.stats().oldest_reader_lag), (3, 2));
    drop(oldest);
    assert_eq!((backend.stats().readers, backend.stats().oldest_reader_lag), (2, 1));
    drop(twice);
    assert_eq!((backend.stats().readers, backend.stats().oldest_reader_lag), (0, 0));
}

#[test]
fn readers_are_bounded_and_cross_threads() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::open(dir.path(), &small().with_readers_max(3), &TABLES).unwrap();
    let log = backend.table("log").unwrap();
    append(&backend, log, 1, 1);
    let readers: Vec<_> = (0..3).map(|_| backend.read().unwrap()).collect();
    assert!(matches!(backend.read(), Err(BackendError::ReadersFull { readers_max: 3 })));
    for reader in readers {
        let read = move || reader.get(log, &key(1)).unwrap().map(<[u8]>::to_vec);
        assert_eq!(std::thread::spawn(read).join().unwrap(), Some(vec![1]));
    }
    backend.read().unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16),
    Append(u8, u16),
    Delete(u8),
    DeleteRange(u8, u8),
    Commit,
    Abort,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0..300u16, 1 => 1500..9000u16];
    prop_oneof![
        8 => (any::<u8>(), len.clone()).prop_map(|(key, len)| Step::Put(key, len)),
        4 => (any::<u8>(), len).prop_map(|(key, len)| Step::Append(key, len)),
        4 => any::<u8>().prop_map(Step::Delete),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Step::DeleteRange(from, to)),
        3 => Just(Step::Commit),
        1 => Just(Step::Abort),
        1 => Just(Step::Reopen),
    ]
}

/// Long enough that a hundred of them need a tree of some levels.
fn long_key(number: u8) -> Vec<u8> {
    [&[number][..], &[0xab; 200]].concat()
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Takes the steps on a store and on a map, and compares them after every commit.
fn check_steps(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let settings = small().with_durability(watchful_backend::Durability::Unsynced);
    let mut kept = Model::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let backend = Backend::open(dir.path(), &settings, &TABLES).unwrap();
        let log = backend.table("log").unwrap();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if matches!(first, Step::Reopen) {
                break;
            }
            rest = check_transaction(&backend, log, &mut kept, first, after);
            assert_eq!(entries(&backend, log), kept.clone().into_iter().collect::<Vec<_>>());
        }
        drop(backend);
        let report = check_file(&data_file(dir.path())).unwrap();
        assert!(report.is_ok(), "{report:?}");
        assert_eq!(report.tables[0].entries, kept.len() as u64);
    }
}

/// One transaction; tells the steps after it.
fn check_transaction<'s>(
    backend: &Backend,
    log: Table,
    kept: &mut Model,
    first: &'s Step,
    mut rest: &'s [Step],
) -> &'s [Step] {
    let mut model = kept.clone();
    let mut txn = backend.write().unwrap();
    let mut step = first;
    loop {
        match *step {
            Step::Put(number, len) => {
                let (key, value) = (long_key(number), vec![number; len.into()]);
                txn.put(log, &key, &value).unwrap();
                model.insert(key, value);
            }
            Step::Append(number, len) => {
                let (key, value) = (long_key(number), vec![number; len.into()]);
                let fits = model.last_key_value().is_none_or(|(last, _)| *last < key);
                assert_eq!(txn.append(log, &key, &value).is_ok(), fits);
                if fits {
                    model.insert(key, value);
                }
            }
            Step::Delete(number) => {
                let key = long_key(number);
                assert_eq!(txn.delete(log, &key).unwrap(), model.remove(&key).is_some());
            }
            Step::DeleteRange(from, to) if from <= to => {
                let (from, to) = (long_key(from), long_key(to));
                let bounds = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
                let expected: Vec<_> = model.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
                let found: Vec<_> =
                    txn.range(log, bounds).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
                let reversed: Vec<_> =
                    txn.rev_range(log, bounds).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
                assert_eq!(found, expected);
                assert!(reversed.iter().rev().eq(&expected));
                assert_eq!(txn.delete_range(log, bounds).unwrap(), expected.len() as u64);
                model.retain(|key, _| !expected.contains(key));
            }
            Step::DeleteRange(..) => {}
            Step::Commit => {
                txn.commit().unwrap();
                *kept = model;
                return rest;
            }
            Step::Abort | Step::Reopen => return rest,
        }
        let Some((next, after)) = rest.split_first() else { return rest };
        (step, rest) = (next, after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_is_an_ordered_map(steps in proptest::collection::vec(step(), 1..150)) {
        check_steps(&steps);
    }
}
