//! P13 with criterion: who watches this key, among so many keys, prefixes and ranges.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use watchful_benches::{KEYS_SEED, key_of};
use watchful_revision::KeyRange;
use watchful_testkit::SplitMix64;
use watchful_watcher_index::{GroupId, WatcherIndex};

const KEY_LEN: usize = 24;

fn range(shape: &str, number: u32) -> KeyRange {
    let key = key_of(u64::from(number), KEY_LEN);
    match shape {
        "keys" => KeyRange::key(key),
        "prefixes" => KeyRange::prefix(key),
        _ => KeyRange::between(&key, [&key, &b"~"[..]].concat()).unwrap_or_else(|_| KeyRange::key(&key)),
    }
}

fn stab(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stab");
    for (shape, count) in ["keys", "prefixes", "ranges"]
        .into_iter()
        .flat_map(|shape| [(shape, 1000), (shape, 100_000), (shape, 1_000_000)])
    {
        let index = WatcherIndex::new();
        for number in 0..count {
            index.insert(&range(shape, number), GroupId(number));
        }
        let (mut rng, mut found) = (SplitMix64::new(KEYS_SEED), Vec::new());
        group.bench_function(BenchmarkId::new(shape, count), |bencher| {
            bencher.iter_batched_ref(
                || key_of(rng.next_u64() % u64::from(count), KEY_LEN),
                |key| {
                    found.clear();
                    index.stab(black_box(key), &mut found);
                    found.len()
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, stab);
criterion_main!(benches);
