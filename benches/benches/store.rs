//! P1, P4, P8 and what P14 weighs being built, with criterion: one put unsynced, a range of 100 keys, the cancelling of
//! synced watchers, and an opening, which builds the key index. Sizes are small, so that all of it takes few minutes.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use watchful::{
    Durability, Error, KeyRange, RangeOptions, Settings, Store, StreamItem, Txn, WatchId, WatchOptions,
};
use watchful_benches::{KEYS_SEED, key_of};
use watchful_testkit::SplitMix64;

const KEYS: u64 = 100_000;
const KEY_LEN: usize = 64;
const A_TRANSACTION: u64 = 1000;
const WATCHERS: u64 = 10_000;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written")
}

fn open(dir: &Path) -> Store {
    let settings = Settings::default().with_durability(Durability::Unsynced);
    Store::open(dir, settings).expect("a folder of our own can be opened")
}

/// Puts each key once more.
fn fill(store: &Store, value_len: usize) {
    for first in (0..KEYS).step_by(1000) {
        let put = move |txn: &mut Txn<'_, '_, '_>| {
            (first..first + A_TRANSACTION)
                .try_for_each(|number| txn.put(key_of(number, KEY_LEN), vec![b'v'; value_len]))?;
            Ok::<_, Error>(())
        };
        store.transact(put).wait().expect("there is room");
    }
}

fn put(criterion: &mut Criterion) {
    let folder = folder();
    let (store, mut number) = (open(folder.path()), 0);
    criterion.bench_function("put, unsynced", |bencher| {
        bencher.iter_batched_ref(
            || {
                number += 1;
                key_of(number, KEY_LEN)
            },
            |key| store.put(key, [b'v'; 64]).wait().expect("there is room"),
            BatchSize::SmallInput,
        );
    });
}

fn range(criterion: &mut Criterion) {
    let folder = folder();
    let store = open(folder.path());
    fill(&store, 256);
    let mut rng = SplitMix64::new(KEYS_SEED);
    criterion.bench_function("range of 100", |bencher| {
        bencher.iter_batched_ref(
            || {
                let first = rng.below(KEYS - 100);
                KeyRange::between(key_of(first, KEY_LEN), key_of(first + 100, KEY_LEN)).expect("it has keys")
            },
            |range| {
                let found = store.range(range, &RangeOptions::default()).expect("it can be read");
                assert_eq!(found.records.len(), 100);
                found
            },
            BatchSize::SmallInput,
        );
    });
}

fn cancel(criterion: &mut Criterion) {
    let folder = folder();
    let store = open(folder.path());
    let mut group = criterion.benchmark_group("watchers");
    group.throughput(Throughput::Elements(WATCHERS)).sample_size(20);
    group.bench_function("cancel", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| cancel_all(&store)).sum());
    });
    group.finish();
}

/// How long it takes to cancel so many watchers of one stream, without what it takes to make them.
fn cancel_all(store: &Store) -> Duration {
    let mut stream = store.watch_stream(None).expect("the store is open");
    let ids: Vec<WatchId> = (0..WATCHERS)
        .map(|number| {
            let options = WatchOptions::new(KeyRange::key(key_of(number, KEY_LEN)));
            let id = stream.control().watch(&options).expect("it has a range");
            assert!(matches!(stream.wait_next(), Some(StreamItem::Created { .. })));
            id
        })
        .collect();
    let begun = Instant::now();
    ids.iter().for_each(|id| stream.control().cancel(*id));
    for _ in ids {
        assert!(matches!(stream.wait_next(), Some(StreamItem::Ended { .. })));
    }
    begun.elapsed()
}

fn build(criterion: &mut Criterion) {
    let folder = folder();
    let mut group = criterion.benchmark_group("open, which builds the key index");
    group.throughput(Throughput::Elements(KEYS)).sample_size(20);
    for revisions in [1, 10] {
        let store = open(folder.path());
        let written = store.stats().mvcc.versions / KEYS;
        (written..revisions).for_each(|_| fill(&store, 32));
        drop(store);
        group.bench_function(format!("{KEYS} keys × {revisions}"), |bencher| {
            bencher.iter(|| {
                let store = open(folder.path());
                assert_eq!(store.stats().mvcc.versions, KEYS * revisions);
                // Closed here, as a folder is opened once at a time.
                drop(store);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, put, range, cancel, build);
criterion_main!(benches);
