//! P3 and P4: what a get costs among a million keys, and a range of 100 keys.
//!
//! Ceiling and peer: LMDB alone, with the key and the value as its row, one read transaction a read; redb and fjall do the
//! same, for the scale. Ours looks the key up in the key index and reads its record in the log: two look-ups for their one.
//! Keys of 64 bytes, values of 256, at random; each value is looked at. etcd took 24 µs a get and 95 µs a range on the
//! same kind of machine: the goals of 3 and 15 µs are less than an eighth and a sixth of that.

use std::time::Instant;

use tempfile::TempDir;
use watchful::{Durability, KeyRange, RangeOptions, Store};
use watchful_peers::{Row as Pair, Storage};
use watchful_testkit::SplitMix64;

use super::storage::Peers;
use super::support::{fill, micros_each, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, number_in, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Round, all_in_turn};

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 256;
/// How many keys a range holds.
const RANGE: u64 = 100;

pub(crate) fn gets(gear: &Gear) -> Outcome<Vec<Row>> {
    let bench = Bench::new(gear, "P3", gear.scale.pick(200_000, 20_000))?;
    let ours = bench.round(|number| {
        let record = bench.store.get(key_of(number, KEY_LEN))?.ok_or("a key is not there")?;
        expect(number, record.value())
    });
    let theirs = |peer: &'_ dyn Storage, number| {
        let mut shown = 0;
        peer.get(&key_of(number, KEY_LEN), &mut |value| {
            shown += 1;
            expect(number, value)
        })?;
        expect_count(shown, 1)
    };
    bench.rows(ours, theirs, "get", 3.0)
}

pub(crate) fn ranges(gear: &Gear) -> Outcome<Vec<Row>> {
    let bench = Bench::new(gear, "P4", gear.scale.pick(20_000, 2000))?;
    let ours = bench.round(|first| {
        let range = KeyRange::between(key_of(first, KEY_LEN), key_of(first + RANGE, KEY_LEN))?;
        let found = bench.store.range(&range, &RangeOptions::default())?.records;
        expect_count(found.len() as u64, RANGE)?;
        (first..).zip(&found).try_for_each(|(number, record)| expect(number, record.value()))
    });
    let theirs = |peer: &'_ dyn Storage, first| {
        let mut next = first;
        peer.range(&key_of(first, KEY_LEN), usize::try_from(RANGE)?, &mut |_, value| {
            next += 1;
            expect(next - 1, value)
        })?;
        expect_count(next - first, RANGE)
    };
    bench.rows(ours, theirs, "range of 100", 15.0)
}

struct Bench {
    workload: &'static str,
    store: Store,
    peers: Peers,
    keys: u64,
    reads: usize,
    _folder: TempDir,
}

impl Bench {
    fn new(gear: &Gear, workload: &'static str, reads: usize) -> Outcome<Self> {
        let keys = gear.scale.pick(1_000_000, 50_000);
        let folder = folder()?;
        let store = open(folder.path(), Durability::Unsynced)?;
        fill(&store, 0, keys, KEY_LEN, VALUE_LEN)?;
        let peers = Peers::open(workload, watchful_peers::Durability::Unsynced)?;
        let pairs: Vec<Pair> =
            (0..keys).map(|number| (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))).collect();
        peers.fill(&pairs)?;
        Ok(Self { workload, store, peers, keys, reads, _folder: folder })
    }

    /// Reads at random places, each with room for a range behind it: the same for each side and in each round.
    fn round<'a>(&self, read: impl Fn(u64) -> Outcome + 'a) -> Round<'a> {
        let (reads, below) = (self.reads, self.keys - RANGE);
        let mut rng = SplitMix64::new(KEYS_SEED);
        Box::new(move || {
            let begun = Instant::now();
            (0..reads).try_for_each(|_| read(any_below(&mut rng, below)))?;
            Ok(micros_each(begun, reads))
        })
    }

    fn rows<'a>(
        &'a self,
        ours: Round<'a>,
        theirs: impl Fn(&dyn Storage, u64) -> Outcome + Copy + 'a,
        what: &str,
        micros_max: f64,
    ) -> Outcome<Vec<Row>> {
        let mut sides = vec![ours];
        sides.extend(self.peers.iter().map(|peer| self.round(move |number| theirs(peer, number))));
        let series = all_in_turn(sides)?;
        let new = |more: &str, ours| {
            Row::new(self.workload, format!("{what} among {} keys{more}", self.keys), "µs", ours)
        };
        self.peers.rows(series, new, |row| row.with_goal(Goal::AtMost(micros_max)))
    }
}

/// Whether this is the value of key number `number`.
fn expect(number: u64, value: &[u8]) -> Outcome {
    let right = number_in(value) == Some(number) && value.len() == VALUE_LEN;
    if right { Ok(()) } else { Err(format!("key {number} has the value {value:?}").into()) }
}

fn expect_count(found: u64, expected: u64) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{found} were found, and not {expected}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_keys_value_and_a_short_one_are_refused() {
        expect(7, &value_of(7, VALUE_LEN)).unwrap();
        assert!(expect(7, &value_of(8, VALUE_LEN)).is_err());
        assert!(expect(7, &value_of(7, 8)).is_err());
        assert!(expect_count(99, 100).is_err());
    }
}
