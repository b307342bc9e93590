//! S1 to S3: what keys cost: memory, the time of an open, a put and a get among them.

use std::time::Instant;

use watchful::{Durability, Store};
use watchful_testkit::SplitMix64;

use super::{Law, SOME};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::report::Row;
use crate::rounds::Series;
use crate::workloads::support::{figure, fill, micros_each, open as open_store};

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 64;

/// Puts and gets a round.
const OPERATIONS: u64 = 5000;

fn sizes(gear: &Gear) -> &'static [u64] {
    gear.scale.pick(&[10_000, 100_000, 1_000_000], &[1000, 10_000, 100_000])
}

/// S1: bytes in memory of keys with one version, and of a second version of each.
pub(crate) fn memory(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = |case| Law { workload: "S1", case, unit: "B each", expected: 0.0, tolerance: 0.1 };
    let (mut keys, mut versions) = (Vec::new(), Vec::new());
    for size in sizes(gear) {
        let (key, version) = weigh(gear, *size)?;
        keys.push((*size, Series(vec![key])));
        versions.push((*size, Series(vec![version])));
    }
    let keys = law("# keys of 64 bytes, in memory").rows(&keys);
    Ok([keys, law("a second version of # keys, in memory").rows(&versions)].concat())
}

/// Bytes a key, and bytes a second version, of so many.
fn weigh(gear: &Gear, keys: u64) -> Outcome<(f64, f64)> {
    let folder = folder()?;
    let store = open_store(folder.path(), Durability::Unsynced)?;
    let empty = live(gear)?;
    fill(&store, 0, keys, KEY_LEN, VALUE_LEN)?;
    let once = live(gear)?;
    fill(&store, 0, keys, KEY_LEN, VALUE_LEN)?;
    Ok(((once - empty) / figure(keys), (live(gear)? - once) / figure(keys)))
}

/// What is allocated now.
fn live(gear: &Gear) -> Outcome<f64> {
    Ok(figure((gear.live_bytes)().ok_or("nobody counts allocations in this build")? as u64))
}

/// S2: how long an open takes, a key. The pages are in the system's cache.
pub(crate) fn open(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = Law {
        workload: "S2",
        case: "open # keys of one version",
        unit: "ms",
        expected: 1.0,
        tolerance: 0.15,
    };
    let filled = |keys: &u64| {
        let folder = folder()?;
        fill(&open_store(folder.path(), Durability::Unsynced)?, 0, *keys, KEY_LEN, VALUE_LEN)?;
        Ok((*keys, folder))
    };
    let mut folders = sizes(gear).iter().map(filled).collect::<Outcome<Vec<_>>>()?;
    law.measure(&mut folders, SOME, |keys, folder| {
        let begun = Instant::now();
        let store = open_store(folder.path(), Durability::Unsynced)?;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        let found = store.stats().mvcc.keys;
        if found == keys { Ok(millis) } else { Err(format!("{found} of {keys} keys were found").into()) }
    })
}

/// S3: what a put and a get cost among so many keys, one caller, unsynced.
pub(crate) fn access(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = |case| Law { workload: "S3", case, unit: "µs", expected: 0.0, tolerance: 0.35 };
    let filled = |keys: &u64| {
        let folder = folder()?;
        let store = open_store(folder.path(), Durability::Unsynced)?;
        fill(&store, 0, *keys, KEY_LEN, VALUE_LEN)?;
        // The store goes before its folder.
        Ok((*keys, (store, folder, SplitMix64::new(KEYS_SEED))))
    };
    let mut stores = sizes(gear).iter().map(filled).collect::<Outcome<Vec<_>>>()?;
    let gets =
        law("get among # keys").measure(&mut stores, SOME, |keys, (store, _, rng)| gets(store, keys, rng))?;
    let puts =
        law("put among # keys").measure(&mut stores, SOME, |keys, (store, _, rng)| puts(store, keys, rng))?;
    Ok([puts, gets].concat())
}

fn puts(store: &Store, keys: u64, rng: &mut SplitMix64) -> Outcome<f64> {
    let begun = Instant::now();
    for number in 0..OPERATIONS {
        store.put(key_of(any_below(rng, keys), KEY_LEN), value_of(number, VALUE_LEN)).wait()?;
    }
    Ok(micros_each(begun, usize::try_from(OPERATIONS)?))
}

fn gets(store: &Store, keys: u64, rng: &mut SplitMix64) -> Outcome<f64> {
    let begun = Instant::now();
    for _ in 0..OPERATIONS {
        let number = any_below(rng, keys);
        let found = store.get(key_of(number, KEY_LEN))?;
        if found.is_none_or(|record| record.value() != value_of(number, VALUE_LEN)) {
            return Err(format!("key {number} was not found as it was put").into());
        }
    }
    Ok(micros_each(begun, usize::try_from(OPERATIONS)?))
}
