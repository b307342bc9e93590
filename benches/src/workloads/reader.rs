//! P5: what somebody who reads a range of 100,000 keys all the time costs those who put.
//!
//! First the highest rate is measured, with 128 writers, synced. Then puts arrive at half of it ([`super::arrivals`]);
//! rounds with and without the reader take turns. The reader looks at what it gets: every key, in order, and none newer than the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use watchful::{Durability, RangeOptions, Store};

use super::arrivals::{Latencies, Puts};
use super::support::{figure, fill, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{all_keys, key_of};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
const WRITERS: u64 = 128;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let (keys, folder) = (gear.scale.pick(100_000, 20_000), folder()?);
    let window = Duration::from_millis(gear.scale.pick(4000, 150));
    fill(&open(folder.path(), Durability::Unsynced)?, 0, keys, KEY_LEN, VALUE_LEN)?;
    let puts = Puts::new(open(folder.path(), Durability::Synced)?, keys, KEY_LEN, VALUE_LEN)?;
    let rate = puts.highest_rate(WRITERS, window)? / 2.0;
    let (mut without, mut with, mut ranges) = (Vec::new(), Vec::new(), Series::default());
    for _ in 0..ROUNDS {
        without.push(puts.arrive(rate, |passed| passed > window)?);
        let (latencies, read) = beside_reader(&puts, rate, window)?;
        with.push(latencies);
        ranges.0.push(figure(read));
    }
    let series = |rounds: &[Latencies], quantile| Latencies::micros_each(rounds, quantile);
    let p50 = |rounds| series(rounds, 0.5).median();
    let row = Row::new("P5", format!("put p99, somebody ranges over {keys} keys"), "µs", series(&with, 0.99))
        .with_peer("without", series(&without, 0.99))
        .with_goal(Goal::TimesPeer(1.2))
        .with("puts/s", rate)
        .with("p50 with", p50(&with))
        .with("p50 without", p50(&without))
        .with("ranges a round", ranges.median());
    Ok(vec![row])
}

/// The puts' latencies, and how many ranges were read meanwhile.
fn beside_reader(puts: &Puts, rate: f64, window: Duration) -> Outcome<(Latencies, u64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&puts.store, puts.keys, &over));
        let latencies = puts.arrive(rate, |passed| passed > window);
        over.store(true, Ordering::Relaxed);
        let read = reader.join().map_err(|_| "the reader panicked")??;
        Ok((latencies?, read))
    })
}

fn read_until(store: &Store, keys: u64, over: &AtomicBool) -> Outcome<u64> {
    let (range, options) = (all_keys(), RangeOptions::default());
    let mut read = 0;
    while !over.load(Ordering::Relaxed) {
        let (before, found) = (store.current_revision(), store.range(&range, &options)?);
        let after = store.current_revision();
        let newest = found.records.iter().map(|record| record.mod_revision()).max();
        let is_whole = found.records.len() as u64 == keys
            && (0..).zip(&found.records).all(|(number, record)| record.key() == key_of(number, KEY_LEN));
        if !is_whole || newest.is_none_or(|newest| newest > after) {
            return Err(format!("{} keys of {keys} were read, from {before}", found.records.len()).into());
        }
        read += 1;
    }
    Ok(read)
}
