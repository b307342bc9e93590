//! Read views: which revisions can be read, the rules of ranges, and reads that compaction overtakes.

use std::sync::atomic::{AtomicBool, Ordering};

use watchful_mvcc::{MvccError, PutOptions, RangeOptions, SortOrder, SortTarget};
use watchful_revision::{KeyRange, RecordKind};

use crate::support::Store;

#[test]
fn a_view_shows_any_kept_revision() {
    let store = Store::new();
    store.run("put a 1\nput b 1\nput a 2\ndel b");
    store.compact(3);
    assert!(matches!(store.view(Some(2)), Err(MvccError::Compacted { compact_revision: 3 })));
    assert_eq!(store.all_at(3), ["a=1", "b=1"]);
    assert_eq!(store.all_at(4), ["a=2", "b=1"]);
    assert_eq!(store.all_at(5), ["a=2"]);
    assert!(matches!(store.view(Some(6)), Err(MvccError::FutureRevision { current_revision: 5 })));
    assert_eq!(store.view(None).unwrap().revision(), 5);
    assert_eq!(store.view(Some(0)).unwrap().revision(), 5);
}

/// A view is a value at one revision: what is written later does not change it.
#[test]
fn a_view_does_not_change() {
    let store = Store::new();
    store.run("put a 1");
    let view = store.view(None).unwrap();
    store.run("put a 2\nput b 2\ndel a");
    assert_eq!(view.get(b"a").unwrap().unwrap().value(), b"1");
    assert_eq!(view.count(&KeyRange::everything()).unwrap(), 1);
}

fn keys(store: &Store, range: &KeyRange, options: RangeOptions) -> (Vec<String>, u64, bool) {
    let answer = store.view(None).unwrap().range(range, &options).unwrap();
    let keys = answer.records.iter().map(|record| record.key().escape_ascii().to_string()).collect();
    (keys, answer.count, answer.more)
}

#[test]
fn count_ignores_the_limit_and_the_filters() {
    let store = Store::new();
    store.run("put a 1\nput b 1\nput c 1\nput d 1");
    let all = KeyRange::everything();
    let options = RangeOptions { limit: 2, min_mod_revision: 3, ..RangeOptions::default() };
    assert_eq!(keys(&store, &all, options), (vec!["b".into(), "c".into()], 4, true));
    let options = RangeOptions { limit: 3, min_mod_revision: 3, ..RangeOptions::default() };
    assert_eq!(keys(&store, &all, options), (vec!["b".into(), "c".into(), "d".into()], 4, false));
    let options = RangeOptions { count_only: true, limit: 1, ..RangeOptions::default() };
    assert_eq!(keys(&store, &all, options), (vec![], 4, false));
}

/// Found by the model: a turn stopped reading when it had as many rows as the limit needs, although a filter by create
/// revision, which looks into the rows, was going to drop some.
#[test]
fn a_filter_by_create_revision_fills_the_limit() {
    let store = Store::new();
    store.run("put c 1\nput d 1\nput a 1\nput b 1\nput e 1");
    let options = RangeOptions { limit: 1, max_create_revision: 3, ..RangeOptions::default() };
    assert_eq!(keys(&store, &KeyRange::everything(), options), (vec!["c".into()], 5, true));
}

/// etcd's rule: with no order and another target, the limit cuts in key order, but for one record more, and then the
/// rest is sorted. With a filter by revision (found by the model) the whole range is sorted.
#[test]
fn without_an_order_the_limit_cuts_first() {
    let store = Store::new();
    store.run("put d 1\nput c 1\nput b 1\nput a 1");
    let all = KeyRange::everything();
    let by_mod = RangeOptions { target: SortTarget::Mod, limit: 2, ..RangeOptions::default() };
    assert_eq!(keys(&store, &all, by_mod).0, ["c", "b"]);
    let sorted = RangeOptions { order: SortOrder::Ascend, ..by_mod };
    assert_eq!(keys(&store, &all, sorted).0, ["d", "c"]);
    let filtered = RangeOptions { min_create_revision: 1, ..by_mod };
    assert_eq!(keys(&store, &all, filtered).0, ["d", "c"]);
}

#[test]
fn going_down_takes_the_last_keys() {
    let store = Store::new();
    for number in 0..1000 {
        store.run(&format!("put key{number:03} v"));
    }
    let options = RangeOptions { order: SortOrder::Descend, limit: 2, ..RangeOptions::default() };
    let found = keys(&store, &KeyRange::between("key100", "key900").unwrap(), options);
    assert_eq!(found, (vec!["key899".into(), "key898".into()], 800, true));
}

/// Records without values are records all the same: they say everything else and have a checksum of their own.
#[test]
fn keys_only_leaves_the_values_out() {
    let store = Store::new();
    store.run("grant 7 60\nput a value lease=7\nput a other lease=7");
    for target in [SortTarget::Key, SortTarget::Value] {
        let options = RangeOptions { keys_only: true, target, ..RangeOptions::default() };
        let answer = store.view(None).unwrap().range(&KeyRange::key("a"), &options).unwrap();
        let record = &answer.records[0];
        assert_eq!((record.key(), record.value()), (&b"a"[..], &b""[..]));
        assert_eq!((record.version(), record.create_revision(), record.mod_revision()), (2, 2, 3));
        assert_eq!((record.lease(), record.kind()), (7, RecordKind::Put));
    }
}

/// A scan gives back turns that are bounded in bytes, and all of the range.
#[test]
fn a_scan_goes_in_turns() {
    let store = Store::new();
    let value = vec![b'v'; 100_000];
    let mut group = store.begin_group().unwrap();
    for number in 0..50_u8 {
        group.txn(|txn| txn.put(&[number], &value, PutOptions::default())).unwrap();
    }
    group.commit().unwrap();
    let turns: Vec<_> =
        store.view(None).unwrap().scan(&KeyRange::everything()).collect::<Result<_, _>>().unwrap();
    let lens: Vec<_> = turns.iter().map(Vec::len).collect();
    assert!(lens.iter().all(|len| *len <= 11), "{lens:?}");
    assert_eq!(lens.iter().sum::<usize>(), 50);
}

/// Every call of a view that compaction has passed says so, also in the middle of a scan.
#[test]
fn a_view_that_compaction_has_passed_ends() {
    let store = Store::new();
    for number in 0..600 {
        store.run(&format!("put key{number:03} v"));
    }
    let view = store.view(Some(601)).unwrap();
    let mut scan = view.scan(&KeyRange::everything());
    assert_eq!(scan.next().unwrap().unwrap().len(), 256);
    store.run("del key*\nput a 1");
    store.compact(store.current_revision());
    let compact_revision = 603;
    assert!(
        matches!(scan.next(), Some(Err(MvccError::Compacted { compact_revision: r })) if r == compact_revision)
    );
    assert!(scan.next().is_none());
    assert!(matches!(view.get(b"key000"), Err(MvccError::Compacted { .. })));
    assert!(matches!(view.count(&KeyRange::everything()), Err(MvccError::Compacted { .. })));
}

/// Readers at old revisions race with a writer that compacts behind them. Each read answers everything that was there,
/// or `Compacted`; never an error of another kind, and never too few keys.
#[test]
#[expect(clippy::disallowed_methods, reason = "the race is the test")]
fn a_read_that_compaction_overtakes_says_so() {
    const KEYS: u32 = 700;
    let store = Store::new();
    let write_all = |round: u32| {
        let mut group = store.begin_group().unwrap();
        group
            .txn(|txn| -> Result<(), MvccError> {
                for number in 0..KEYS {
                    txn.put(&number.to_be_bytes(), &round.to_be_bytes(), PutOptions::default())?;
                }
                Ok(())
            })
            .unwrap();
        group.commit().unwrap();
    };
    write_all(0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut whole, mut overtaken) = (0, 0);
            // The reader makes sure that it has seen both, so the writer goes on until it has.
            while whole == 0 || overtaken == 0 {
                let view = store.view(None).unwrap();
                loop {
                    match view.range(&KeyRange::everything(), &RangeOptions::default()) {
                        Ok(answer) => {
                            assert_eq!(answer.records.len(), KEYS as usize);
                            let first = answer.records[0].value();
                            assert!(answer.records.iter().all(|record| record.value() == first));
                            whole += 1;
                        }
                        Err(MvccError::Compacted { compact_revision }) => {
                            assert!(compact_revision > view.revision());
                            overtaken += 1;
                            break;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            is_over.store(true, Ordering::Release);
        });
        for round in 1.. {
            write_all(round);
            store.compact(store.current_revision());
            if is_over.load(Ordering::Acquire) || reader.is_finished() {
                break;
            }
        }
    });
}
