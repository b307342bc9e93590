//! P14: what a key of 64 bytes weighs in the key index, and each further version of it.
//!
//! The figures are what the allocator handed out and did not get back; LMDB allocates in C and is not counted. The list of
//! superseded rows is not the key index's: it is taken off, as the store tells it, and shown beside. An index that has
//! grown put by put, in random order, keeps room free that one built at an open does not: both are shown. One round: what
//! is allocated does not vary.

use tempfile::TempDir;
use watchful::{Durability, Error, Store};
use watchful_testkit::SplitMix64;

use super::support::{figure, open, shuffled};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, key_of};
use crate::memory::LiveBytes;
use crate::report::{Goal, Row};
use crate::rounds::Series;

const KEY_LEN: usize = 64;

/// The goals: what a key may weigh beside its own bytes, and what a further version of it may weigh.
const KEY_BYTES_MAX: u64 = 64;
pub(super) const VERSION_BYTES_MAX: u64 = 16;

/// How many versions a key has in the second half.
const VERSIONS: u64 = 11;

/// Puts of one transaction, and of one revision. Few, as the writer keeps the room of its largest, which is in the figure:
/// ten thousand weighed 70 B a key where there were 50,000 keys.
const A_TRANSACTION: usize = 500;

/// What a store had allocated at one moment.
#[derive(Clone, Copy)]
struct Weight {
    live: f64,
    superseded: f64,
    /// What the index says of itself.
    told: f64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let keys: u64 = gear.scale.pick(1_000_000, 50_000);
    let mut bench = Bench {
        order: shuffled(keys, &mut SplitMix64::new(KEYS_SEED))?,
        folder: folder()?,
        live_bytes: gear.live_bytes,
    };
    let empty = bench.weigh(&open(bench.folder.path(), Durability::Unsynced)?)?;
    let (first_put, first_opened) = bench.put_and_open(1, keys)?;
    let (last_put, last_opened) = bench.put_and_open(VERSIONS - 1, keys)?;
    Ok(vec![
        of_keys("put in random order", keys, empty, first_put),
        of_keys("as opened", keys, empty, first_opened),
        of_versions("as put", keys, first_put, last_put),
        of_versions("as opened", keys, first_opened, last_opened),
    ])
}

struct Bench {
    order: Vec<u64>,
    folder: TempDir,
    live_bytes: LiveBytes,
}

impl Bench {
    /// Puts every key so many times; the weight then, and after a close and an open.
    fn put_and_open(&mut self, times: u64, keys: u64) -> Outcome<(Weight, Weight)> {
        let store = open(self.folder.path(), Durability::Unsynced)?;
        let versions = store.stats().mvcc.versions + times * keys;
        for _ in 0..times {
            for numbers in self.order.chunks(A_TRANSACTION) {
                let numbers = numbers.to_vec();
                let put = move |txn: &mut watchful::Txn<'_, '_, '_>| {
                    numbers.iter().try_for_each(|number| txn.put(key_of(*number, KEY_LEN), b"value"))?;
                    Ok::<_, Error>(())
                };
                store.transact(put).wait()?;
            }
        }
        let put = self.weigh_full(&store, keys, versions)?;
        drop(store);
        let store = open(self.folder.path(), Durability::Unsynced)?;
        Ok((put, self.weigh_full(&store, keys, versions)?))
    }

    fn weigh_full(&self, store: &Store, keys: u64, versions: u64) -> Outcome<Weight> {
        let found = store.stats().mvcc;
        if (found.keys, found.versions) != (keys, versions) {
            return Err(
                format!("{keys} keys and {versions} versions were put, and there are {found:?}").into()
            );
        }
        self.weigh(store)
    }

    fn weigh(&self, store: &Store) -> Outcome<Weight> {
        let live = (self.live_bytes)().ok_or("nobody counts allocations in this build")?;
        let told = store.stats().mvcc;
        Ok(Weight {
            live: figure(live as u64),
            superseded: figure(told.superseded_bytes),
            told: figure(told.index_bytes),
        })
    }
}

fn of_keys(how: &str, keys: u64, before: Weight, after: Weight) -> Row {
    let case = format!("{keys} keys of {KEY_LEN} bytes, {how}");
    row(case, "B a key", before, after, keys).with_goal(Goal::AtMost(figure(KEY_BYTES_MAX + KEY_LEN as u64)))
}

fn of_versions(how: &str, keys: u64, before: Weight, after: Weight) -> Row {
    let versions = keys * (VERSIONS - 1);
    let case = format!("{} more versions of each of {keys} keys, {how}", VERSIONS - 1);
    row(case, "B a version", before, after, versions).with_goal(Goal::AtMost(figure(VERSION_BYTES_MAX)))
}

fn row(case: String, unit: &'static str, before: Weight, after: Weight, count: u64) -> Row {
    let each = |of: fn(Weight) -> f64| (of(after) - of(before)) / figure(count);
    let index = each(|weight| weight.live - weight.superseded);
    Row::new("P14", case, unit, Series(vec![index]))
        .with("as the index tells", each(|weight| weight.told))
        .with("superseded rows", each(|weight| weight.superseded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_weighs_is_without_the_list_of_superseded_rows() {
        let weight = |live, superseded| Weight { live, superseded, told: live };
        let row = of_versions("as put", 10, weight(1000.0, 0.0), weight(3000.0, 500.0)).to_json();
        assert_eq!((row["ours_median"].as_f64(), row["met"].as_bool()), (Some(15.0), Some(true)));
    }
}
