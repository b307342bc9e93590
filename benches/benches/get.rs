//! P3 with criterion: get, among a million keys.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use watchful::{Durability, Error, Settings, Store};
use watchful_benches::{KEYS_SEED, key_of};
use watchful_testkit::SplitMix64;

const KEYS: u64 = 1_000_000;
const KEY_LEN: usize = 64;
const A_TRANSACTION: u64 = 1000;

fn filled(dir: &std::path::Path) -> Result<Store, Error> {
    let store = Store::open(dir, Settings::default().with_durability(Durability::Unsynced))?;
    for first in (0..KEYS).step_by(1000) {
        let put = move |txn: &mut watchful::Txn<'_, '_, '_>| {
            (first..first + A_TRANSACTION)
                .try_for_each(|number| txn.put(key_of(number, KEY_LEN), [b'v'; 256]))
        };
        store.transact(put).wait()?;
    }
    Ok(store)
}

fn get(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
    let store = filled(dir.path()).expect("a new store can be filled");
    let mut rng = SplitMix64::new(KEYS_SEED);
    criterion.bench_function("get among 1,000,000", |bencher| {
        bencher.iter_batched_ref(
            || key_of(rng.next_u64() % KEYS, KEY_LEN),
            |key| store.get(key).expect("it can be read").expect("it is there"),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, get);
criterion_main!(benches);
