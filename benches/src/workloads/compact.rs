//! P11: how long a compaction of 1,000 superseded rows takes, among a million keys and among ten thousand.
//!
//! From the call until every superseded row is deleted and that is on the disk, while nobody else writes. The case with
//! few keys takes turns with the one with many: what a compaction costs must not depend on what is alive. How many rows it
//! read is looked at: those it deletes, and no other.

use std::time::Instant;

use tempfile::TempDir;
use watchful::{Durability, Error, Store};
use watchful_testkit::SplitMix64;

use super::support::{fill, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, key_of, value_of};
use crate::report::{Goal, Row};
use crate::rounds::in_turn;

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 256;
const SUPERSEDED: u64 = 1000;
const FEW: u64 = 10_000;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let keys = gear.scale.pick(1_000_000, 100_000);
    let (mut many, mut few) = (Side::new(keys)?, Side::new(FEW)?);
    let (ours, peer) = in_turn(|| many.round(), || few.round())?;
    let name = format!("compact, {keys} live keys, {SUPERSEDED} superseded");
    let row = Row::new("P11", name, "ms", ours).with_peer("10,000 live keys", peer);
    Ok(vec![row.with_goal(Goal::AtMost(20.0)).with("rows read", super::support::figure(SUPERSEDED))])
}

struct Side {
    store: Store,
    keys: u64,
    rng: SplitMix64,
    _folder: TempDir,
}

impl Side {
    fn new(keys: u64) -> Outcome<Self> {
        let folder = folder()?;
        fill(&open(folder.path(), Durability::Unsynced)?, 0, keys, KEY_LEN, VALUE_LEN)?;
        let store = open(folder.path(), Durability::Synced)?;
        Ok(Self { store, keys, rng: SplitMix64::new(KEYS_SEED), _folder: folder })
    }

    /// In milliseconds.
    fn round(&mut self) -> Outcome<f64> {
        let revision = self.supersede()?;
        let before = self.store.stats().mvcc;
        let begun = Instant::now();
        self.store.compact(revision).wait()?;
        self.store.compacted().wait()?;
        let took = begun.elapsed();
        let after = self.store.stats().mvcc;
        let read = after.compaction_rows_read - before.compaction_rows_read;
        if (before.superseded, after.superseded, read) != (SUPERSEDED, 0, SUPERSEDED) {
            return Err(format!("{SUPERSEDED} were to go: before {before:?}, after {after:?}").into());
        }
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Puts so many keys again, all different and far apart, in one transaction each hundred; returns the newest revision.
    fn supersede(&mut self) -> Outcome<u64> {
        let (stride, offset) = (self.keys / SUPERSEDED, self.rng.below(self.keys / SUPERSEDED));
        for first in (0..SUPERSEDED).step_by(100) {
            let put = move |txn: &mut watchful::Txn<'_, '_, '_>| {
                (first..first + 100).try_for_each(|at| {
                    txn.put(key_of(at * stride + offset, KEY_LEN), value_of(at, VALUE_LEN))
                })?;
                Ok::<_, Error>(())
            };
            self.store.transact(put).wait()?;
        }
        Ok(self.store.current_revision())
    }
}
