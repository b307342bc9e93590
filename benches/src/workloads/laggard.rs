//! W1: what a watcher far behind costs the writers, in latency, in reading and in memory.
//!
//! First the highest rate of puts is measured, with 64 callers, synced. Then puts arrive at half of it, at times that are
//! fixed beforehand, and each is timed from the moment it was due, so that a store which stalls cannot hide the puts
//! that had to wait. Rounds with and without a laggard take turns. Through the whole round somebody is D revisions behind:
//! as soon as one laggard has caught up the next begins. The testkit's checker looks at all it is given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use watchful::{Durability, KeyRange, Store, Update, WatchOptions};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::{Batch, Observation, SplitMix64, WatchSpec};

use super::support::{figure, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::memory::{LiveBytes, Memory};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
const CALLERS: usize = 64;
const MEMORY_EVERY: Duration = Duration::from_millis(20);

struct Bench {
    store: Store,
    runtime: Runtime,
    window: Duration,
    live_bytes: LiveBytes,
}

/// What one round showed.
struct Round {
    p50: f64,
    p99: f64,
    laggards: u64,
    revisions_read: u64,
    /// How far memory rose above what it was at the round's beginning.
    memory_risen: f64,
}

/// Histories that are caught up with.
struct Laggards {
    behind: u64,
    until: Instant,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let behind: &[u64] = gear.scale.pick(&[1000, 20_000, 100_000, 500_000], &[1000, 50_000]);
    let (longest, folder) = (behind.iter().copied().max().unwrap_or_default(), folder()?);
    fill_history(&open(folder.path(), Durability::Unsynced)?, longest)?;
    let bench = Bench {
        store: open(folder.path(), Durability::Synced)?,
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?,
        window: Duration::from_millis(gear.scale.pick(4000, 1500)),
        live_bytes: gear.live_bytes,
    };
    let rate = bench.highest_rate()?;
    behind.iter().map(|behind| bench.case(*behind, rate)).collect()
}

/// One revision a put, so many of them and some more.
fn fill_history(store: &Store, revisions: u64) -> Outcome {
    for number in 0..revisions + 1000 {
        store.put(key_of(number % KEYS, KEY_LEN), value_of(number, VALUE_LEN)).wait()?;
    }
    Ok(())
}

impl Bench {
    /// Puts a second, with so many callers that each wait for their own.
    fn highest_rate(&self) -> Outcome<f64> {
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS as u64)
            .map(|caller| self.runtime.spawn(call(self.store.clone(), caller, begun + self.window)))
            .collect();
        let mut puts = 0;
        for caller in callers {
            puts += self.runtime.block_on(caller)??;
        }
        Ok(figure(puts) / begun.elapsed().as_secs_f64())
    }

    fn case(&self, behind: u64, rate: f64) -> Outcome<Row> {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(self.round(rate / 2.0, None)?);
            with.push(self.round(rate / 2.0, Some(behind))?);
        }
        let read_each = median(&with, |round| figure(round.revisions_read) / figure(round.laggards.max(1)));
        Ok(Row::new(
            "W1",
            format!("put p99, a laggard {behind} behind"),
            "µs",
            series(&with, |round| round.p99),
        )
        .with_peer("without", series(&without, |round| round.p99))
        .with_goal(Goal::TimesPeer(1.2))
        .with("puts/s", rate / 2.0)
        .with("p50 with", median(&with, |round| round.p50))
        .with("p50 without", median(&without, |round| round.p50))
        .with("laggards a round", median(&with, |round| figure(round.laggards)))
        .with("revisions read each", read_each)
        .with("of D", read_each / figure(behind))
        .with("MiB risen with", median(&with, |round| round.memory_risen / f64::from(1 << 20)))
        .with("MiB risen without", median(&without, |round| round.memory_risen / f64::from(1 << 20))))
    }

    fn round(&self, rate: f64, behind: Option<u64>) -> Outcome<Round> {
        let (before, read_before) = (Memory::now(self.live_bytes), self.store.stats().history_revisions);
        let (begun, over) = (Instant::now(), AtomicBool::new(false));
        let (latencies, laggards, highest) = thread::scope(|scope| {
            let memory = scope.spawn(|| highest_memory(&over, self.live_bytes));
            let laggards = behind.map(|behind| Laggards { behind, until: begun + self.window });
            let laggards = laggards.map(|laggards| scope.spawn(move || laggards.run(&self.store)));
            let latencies = self.arrivals(begun, rate);
            let laggards = laggards.map_or(Ok(Ok(0)), |laggards| laggards.join());
            over.store(true, Ordering::Relaxed);
            (latencies, laggards, memory.join())
        });
        let (latencies, highest) = (latencies?, highest.map_err(|_| "the look at memory panicked")?);
        Ok(Round {
            p50: micros(&latencies, 0.5),
            p99: micros(&latencies, 0.99),
            laggards: laggards.map_err(|_| "the laggard panicked")??,
            revisions_read: self.store.stats().history_revisions - read_before,
            memory_risen: figure(highest.saturating_sub(before.anonymous)),
        })
    }

    /// Puts that come at fixed times, whatever became of those before.
    fn arrivals(&self, begun: Instant, rate: f64) -> Outcome<Histogram<u64>> {
        let latencies = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 60_000_000_000, 3)?));
        let (waiting, all_done) = mpsc::channel::<Outcome>();
        let (mut rng, mut at) = (SplitMix64::new(KEYS_SEED), 0.0);
        while at < self.window.as_secs_f64() {
            let due = begun + Duration::from_secs_f64(at);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let write = self.store.put(key_of(any_below(&mut rng, KEYS), KEY_LEN), value_of(0, VALUE_LEN));
            let (latencies, waiting) = (Arc::clone(&latencies), waiting.clone());
            self.runtime.spawn(async move {
                let written = write.await.map(drop).map_err(Into::into);
                note(&latencies, due.elapsed());
                // Whoever waits for the answers goes on to the last.
                let _ = waiting.send(written);
            });
            at += 1.0 / rate;
        }
        drop(waiting);
        all_done.iter().collect::<Outcome>()?;
        let latencies = latencies.lock().map_err(|_| "a put panicked")?;
        Ok(latencies.clone())
    }
}

async fn call(store: Store, caller: u64, until: Instant) -> Result<u64, watchful::Error> {
    let (mut rng, mut puts) = (SplitMix64::new(KEYS_SEED + caller), 0);
    while Instant::now() < until {
        store.put(key_of(any_below(&mut rng, KEYS), KEY_LEN), value_of(puts, VALUE_LEN)).await?;
        puts += 1;
    }
    Ok(puts)
}

impl Laggards {
    /// One after the other, until the time is over. Returns how many.
    fn run(&self, store: &Store) -> Outcome<u64> {
        let mut count = 0;
        while Instant::now() < self.until {
            self.catch_up(store)?;
            count += 1;
        }
        Ok(count)
    }

    /// From so far behind up to what was the newest revision at the beginning.
    fn catch_up(&self, store: &Store) -> Outcome {
        let newest = store.current_revision();
        let start = newest + 1 - self.behind;
        let range = KeyRange::prefix("/bench/");
        let mut watch = store.watch(&WatchOptions::new(range.clone()).start_at(start))?;
        let mut checker = WatchChecker::new(WatchSpec::new(range, start));
        checker.observe(&Observation::Created)?;
        while checker.next_revision() <= newest {
            match watch.wait_next() {
                Some(Ok(update)) => checker.observe(&observation(&update))?,
                Some(Err(over)) => return Err(over.into()),
                None => return Err("the watch is over".into()),
            }
        }
        Ok(())
    }
}

fn observation(update: &Update) -> Observation {
    match update {
        Update::Progress { revision } => Observation::Progress { revision: *revision },
        Update::Events(batch) => Observation::Batch(Batch {
            first_revision: batch.first_revision(),
            last_revision: batch.last_revision(),
            events: batch.events().to_vec(),
            fragment: batch.is_fragment(),
            conflated: batch.is_conflated(),
        }),
    }
}

/// The most that was resident and of no file, until it is over.
fn highest_memory(over: &AtomicBool, live_bytes: LiveBytes) -> u64 {
    let mut highest = 0;
    while !over.load(Ordering::Relaxed) {
        highest = highest.max(Memory::now(live_bytes).anonymous);
        thread::sleep(MEMORY_EVERY);
    }
    highest
}

fn note(latencies: &Mutex<Histogram<u64>>, latency: Duration) {
    if let Ok(mut latencies) = latencies.lock() {
        latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }
}

fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    figure(latencies.value_at_quantile(quantile)) / 1e3
}

fn series(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Series {
    Series(rounds.iter().map(of).collect())
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    series(rounds, of).median()
}
