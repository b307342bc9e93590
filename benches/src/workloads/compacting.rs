//! P12: what a compaction of a million superseded rows costs those who put meanwhile.
//!
//! First the highest rate is measured, with 128 writers, synced. Then puts arrive at half of it ([`super::arrivals`]);
//! rounds without a compaction and rounds beside one take turns. Every key is put again before each compaction, and
//! the round beside it ends with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use watchful::Durability;

use super::arrivals::{Latencies, Puts};
use super::support::{figure, fill, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 64;
const WRITERS: u64 = 128;

/// What one round beside a compaction showed.
struct Compacting {
    latencies: Latencies,
    /// Rows that were deleted while puts arrived, and for how many seconds.
    deleted: u64,
    seconds: f64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let (keys, folder) = (gear.scale.pick(1_000_000, 20_000), folder()?);
    let window = Duration::from_millis(gear.scale.pick(4000, 150));
    fill(&open(folder.path(), Durability::Unsynced)?, 0, keys, KEY_LEN, VALUE_LEN)?;
    let puts = Puts::new(open(folder.path(), Durability::Synced)?, keys, KEY_LEN, VALUE_LEN)?;
    let rate = puts.highest_rate(WRITERS, window)? / 2.0;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fill(&puts.store, 0, keys, KEY_LEN, VALUE_LEN)?;
        without.push(puts.arrive(rate, |passed| passed > window)?);
        with.push(beside_compaction(&puts, rate, window)?);
    }
    Ok(vec![row(keys, rate, &without, &with)])
}

fn row(keys: u64, rate: f64, without: &[Latencies], with: &[Compacting]) -> Row {
    let of_without = |quantile| Latencies::micros_each(without, quantile);
    let of_with = |quantile| Latencies::micros_each(with.iter().map(|round| &round.latencies), quantile);
    let median = |of: fn(&Compacting) -> f64| with.iter().map(of).collect::<Series>().median();
    Row::new("P12", format!("put p99 during a compaction of {keys} superseded"), "µs", of_with(0.99))
        .with_peer("without", of_without(0.99))
        .with_goal(Goal::TimesPeer(1.5))
        .with("puts/s", rate)
        .with("p50 with", of_with(0.5).median())
        .with("p50 without", of_without(0.5).median())
        .with("rows deleted a round", median(|round| figure(round.deleted)))
        .with("seconds a round", median(|round| round.seconds))
        .with("puts a round", median(|round| figure(round.latencies.count())))
}

/// Puts arrive as long as the compaction lasts, and no longer than the window; then the rest is waited for.
fn beside_compaction(puts: &Puts, rate: f64, window: Duration) -> Outcome<Compacting> {
    let (store, finished) = (&puts.store, AtomicBool::new(false));
    let before = store.stats().mvcc;
    store.compact(before.current_revision).wait()?;
    let begun = Instant::now();
    let (latencies, deleted, seconds) = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let compacted = store.compacted().wait();
            finished.store(true, Ordering::Relaxed);
            compacted
        });
        let is_over = |passed| passed > window || finished.load(Ordering::Relaxed);
        let latencies = puts.arrive(rate, is_over)?;
        let (seconds, during) = (begun.elapsed().as_secs_f64(), store.stats().mvcc.compaction_rows_read);
        waiting.join().map_err(|_| "who waits for the compaction panicked")??;
        Outcome::Ok((latencies, during - before.compaction_rows_read, seconds))
    })?;
    let after = store.stats().mvcc;
    if after.compaction_rows_read - before.compaction_rows_read != before.superseded {
        return Err(format!("{} rows were to go: {after:?}", before.superseded).into());
    }
    Ok(Compacting { latencies, deleted, seconds })
}
