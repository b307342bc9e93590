//! P1: what a put costs one blocking caller, unsynced.
//!
//! Ceiling and peer: LMDB alone, the same rows, one a commit. 64-byte keys, all different, 64-byte values.

use std::time::Instant;

use watchful::Durability;
use watchful_peers::{Lmdb, Storage};

use super::log::Log;
use super::support::{figure, micros_each, open, thread_nanos};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{key_of, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Series, in_turn};

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 64;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let puts = gear.scale.pick(200_000, 20_000);
    let (our_folder, peer_folder) = (folder()?, folder()?);
    let store = open(our_folder.path(), Durability::Unsynced)?;
    let lmdb = Lmdb::open(peer_folder.path(), watchful_peers::Durability::Unsynced)?;
    let mut log = Log::new();
    let (mut our_next, mut peer_next) = (0, 0);
    let (mut our_core, mut peer_core) = (Series::default(), Series::default());
    let ours = || {
        let pairs = pairs(&mut our_next, puts);
        let (begun, core) = (Instant::now(), thread_nanos());
        for (key, value) in &pairs {
            store.put(key, value).wait()?;
        }
        let each = micros_each(begun, pairs.len());
        our_core.0.push((thread_nanos() - core) / 1e3 / figure(puts));
        Ok(each)
    };
    let peer = || {
        let rows = log.rows(pairs(&mut peer_next, puts).into_iter())?;
        let (begun, core) = (Instant::now(), thread_nanos());
        rows.chunks(1).try_for_each(|row| lmdb.append(row))?;
        let each = micros_each(begun, rows.len());
        peer_core.0.push((thread_nanos() - core) / 1e3 / figure(puts));
        Ok(each)
    };
    let (ours, peer) = in_turn(ours, peer)?;
    let row = Row::new("P1", "put, one blocking caller, unsynced", "µs a put", ours)
        .with_peer("LMDB", peer)
        .with_goal(Goal::TimesPeer(2.0))
        .with_goal(Goal::AtMost(8.0))
        .with("ours on a core", our_core.median())
        .with("LMDB on a core", peer_core.median());
    Ok(vec![row])
}

/// The next so many keys and values.
fn pairs(next: &mut u64, count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let first = *next;
    *next += count;
    (first..*next).map(|number| (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))).collect()
}
