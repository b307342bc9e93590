//! W1: what a watcher far behind costs the writers, in latency, in reading and in memory.
//!
//! First the highest rate of puts is measured, with 64 callers, synced. Then puts arrive at half of it, each timed from when
//! it was due. Rounds without and with a laggard take turns; in one with, somebody is behind all the time. One that is five
//! million behind takes more than a round: it goes on in the next.

use std::thread;
use std::time::{Duration, Instant};

use watchful::Durability;

use super::arrivals::Puts;
use super::behind::{CaughtUp, Laggards};
use super::support::{figure, fill_revisions, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::memory::{LiveBytes, Memory, highest_while, mib};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
/// What lies five million behind is to fit a small disk too.
const HISTORY_VALUE_LEN: usize = 64;
const CALLERS: u64 = 64;
const MEMORY_EVERY: Duration = Duration::from_millis(20);

struct Bench {
    puts: Puts,
    window: Duration,
    live_bytes: LiveBytes,
}

/// What one round showed.
struct Round {
    p50: f64,
    p99: f64,
    /// How far memory rose above what it was at the round's beginning.
    memory_risen: f64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let behind: &[u64] = gear.scale.pick(&[1000, 20_000, 100_000, 500_000, 5_000_000], &[1000, 50_000]);
    let (longest, folder) = (behind.iter().copied().max().unwrap_or_default(), folder()?);
    let history = open(folder.path(), Durability::Unsynced)?;
    fill_revisions(&history, longest + 1000, KEYS, KEY_LEN, HISTORY_VALUE_LEN)?;
    drop(history);
    let bench = Bench {
        puts: Puts::new(open(folder.path(), Durability::Synced)?, KEYS, KEY_LEN, VALUE_LEN)?,
        window: Duration::from_millis(gear.scale.pick(2500, 80)),
        live_bytes: gear.live_bytes,
    };
    let rate = bench.puts.highest_rate(CALLERS, bench.window)? / 2.0;
    behind.iter().map(|behind| bench.case(*behind, rate)).collect()
}

impl Bench {
    fn case(&self, behind: u64, rate: f64) -> Outcome<Row> {
        let mut laggards = Laggards::new(&self.puts.store, behind);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(self.round(rate, None)?);
            with.push(self.round(rate, Some(&mut laggards))?);
        }
        Ok(row(behind, rate, &without, &with, &laggards.finish()?))
    }

    fn round(&self, rate: f64, laggards: Option<&mut Laggards<'_>>) -> Outcome<Round> {
        let anonymous = || Memory::now(self.live_bytes).anonymous;
        let (before, until) = (anonymous(), Instant::now() + self.window);
        let (latencies, highest) = highest_while(MEMORY_EVERY, anonymous, || {
            thread::scope(|scope| {
                let laggards = laggards.map(|laggards| scope.spawn(move || laggards.run_until(until)));
                let latencies = self.puts.arrive(rate, |passed| passed > self.window);
                let laggards = laggards.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join);
                laggards.map_err(|_| "the laggard panicked")??;
                latencies
            })
        })?;
        Ok(Round {
            p50: latencies.micros(0.5),
            p99: latencies.micros(0.99),
            memory_risen: mib(highest.saturating_sub(before)),
        })
    }
}

fn row(behind: u64, rate: f64, without: &[Round], with: &[Round], caught_up: &CaughtUp) -> Row {
    Row::new("W1", format!("put p99, a laggard {behind} behind"), "µs", series(with, |round| round.p99))
        .with_peer("without", series(without, |round| round.p99))
        .with_goal(Goal::TimesPeer(1.2))
        .with("puts/s", rate)
        .with("p50 with", series(with, |round| round.p50).median())
        .with("p50 without", series(without, |round| round.p50).median())
        .with("laggards in all", figure(caught_up.laggards))
        .with("revisions read each", caught_up.read_each)
        .with("read of each given", caught_up.read_of_given)
        .with("MiB risen with", series(with, |round| round.memory_risen).median())
        .with("MiB risen without", series(without, |round| round.memory_risen).median())
}

fn series(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Series {
    Series(rounds.iter().map(of).collect())
}
