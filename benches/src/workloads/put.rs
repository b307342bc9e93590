//! P1: what a put costs one blocking caller, unsynced.
//!
//! Ceiling and peer: LMDB alone, the same rows, one a commit. 64-byte keys, all different, 64-byte values. redb and fjall
//! do the same, for the scale: redb keeps such a commit in the process's memory, fjall hands it to the system.

use std::cell::RefCell;
use std::time::Instant;

use watchful::{Durability, Store};
use watchful_peers::{Row as Pair, Storage};

use super::log::Log;
use super::storage::{LMDB, Peers, check_kept};
use super::support::{figure, micros_each, open, thread_nanos};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{key_of, number_in, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Round, Series, all_in_turn};

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 64;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let puts = gear.scale.pick(100_000, 5000);
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let peers = Peers::open("P1", watchful_peers::Durability::Unsynced)?;
    let (our_core, lmdb_core) = (RefCell::default(), RefCell::default());
    let mut sides: Vec<Round<'_>> = vec![ours(&store, puts, &our_core)];
    sides.extend(peers.iter().map(|peer| theirs(peer, puts, &lmdb_core)));
    let series = all_in_turn(sides)?;
    let new = |what: &str, ours| {
        Row::new("P1", format!("put, one blocking caller, unsynced{what}"), "µs a put", ours)
    };
    peers.rows(series, new, |row| {
        row.with_goal(Goal::TimesPeer(2.0))
            .with_goal(Goal::AtMost(8.0))
            .with("ours on a core", our_core.borrow().median())
            .with("LMDB on a core", lmdb_core.borrow().median())
    })
}

fn ours<'a>(store: &'a Store, puts: u64, on_core: &'a RefCell<Series>) -> Round<'a> {
    let mut next = 0;
    Box::new(move || {
        let pairs = pairs(&mut next, puts);
        let (begun, core) = (Instant::now(), thread_nanos());
        for (key, value) in &pairs {
            store.put(key, value).wait()?;
        }
        let each = micros_each(begun, pairs.len());
        on_core.borrow_mut().0.push((thread_nanos() - core) / 1e3 / figure(puts));
        let (last, kept) = (store.get(key_of(next - 1, KEY_LEN))?, store.stats().mvcc.keys);
        let last = last.as_ref().and_then(|last| number_in(last.value()));
        if (last, kept) == (Some(next - 1), next) {
            Ok(each)
        } else {
            Err(format!("of {next} puts {kept} were kept, and {last:?} as the last").into())
        }
    })
}

fn theirs<'a>(peer: &'a dyn Storage, puts: u64, lmdb_core: &'a RefCell<Series>) -> Round<'a> {
    let (mut log, mut next) = (Log::new(), 0);
    Box::new(move || {
        let rows = log.rows(pairs(&mut next, puts).into_iter())?;
        let (begun, core) = (Instant::now(), thread_nanos());
        rows.chunks(1).try_for_each(|row| peer.append(row))?;
        let each = micros_each(begun, rows.len());
        if peer.name() == LMDB {
            lmdb_core.borrow_mut().0.push((thread_nanos() - core) / 1e3 / figure(puts));
        }
        rows.last().map_or(Ok(()), |last| check_kept(peer, last))?;
        Ok(each)
    })
}

/// The next so many keys and values.
fn pairs(next: &mut u64, count: u64) -> Vec<Pair> {
    let first = *next;
    *next += count;
    (first..*next).map(|number| (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))).collect()
}
