//! P2: what a synced put costs with more and more callers, over a million keys, and how long each caller waits.
//!
//! Ceiling and peer: LMDB alone, one thread, groups of exactly as many rows as there are callers; redb and fjall do the
//! same, for the scale. The groups of ours form by themselves: whoever leads takes all that waits. The rows for 1, 16, 128
//! and 1,024 callers are the curve of latency against group size.

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use watchful::{Durability, Store};
use watchful_peers::Storage;
use watchful_testkit::SplitMix64;

use super::log::Log;
use super::storage::{Peers, check_kept};
use super::support::{figure, fill, micros_each, open, runtime};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Round, Series, all_in_turn};

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 256;

/// Who puts.
#[derive(Clone, Copy)]
enum Callers {
    Threads(usize),
    Tasks(usize),
}

const CASES: &[(Callers, bool)] = &[
    (Callers::Threads(1), true),
    (Callers::Tasks(16), true),
    (Callers::Tasks(128), true),
    (Callers::Tasks(1024), true),
    // No goal speaks of it: it shows what threads cost beside tasks.
    (Callers::Threads(128), false),
];

struct Bench {
    store: Store,
    peers: Peers,
    /// One for each peer.
    logs: Vec<RefCell<Log>>,
    runtime: Runtime,
    keys: u64,
    time: Duration,
    peer_time: Duration,
}

/// Quantiles of how long each caller waited, in milliseconds: one figure a round.
#[derive(Default)]
struct Waits {
    p50: Series,
    p99: Series,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let folder = folder()?;
    let peers = Peers::open("P2", watchful_peers::Durability::Synced)?;
    let bench = Bench {
        store: open(folder.path(), Durability::Synced)?,
        logs: peers.iter().map(|_| RefCell::new(Log::new())).collect(),
        peers,
        runtime: runtime()?,
        keys: gear.scale.pick(1_000_000, 10_000),
        time: Duration::from_millis(gear.scale.pick(2000, 50)),
        peer_time: Duration::from_millis(gear.scale.pick(1000, 25)),
    };
    bench.fill()?;
    let rows = CASES.iter().map(|(callers, has_goal)| bench.case(*callers, *has_goal));
    Ok(rows.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
}

impl Bench {
    fn fill(&self) -> Outcome {
        fill(&self.store, 0, self.keys, KEY_LEN, VALUE_LEN)?;
        let pairs = (0..self.keys).map(|number| (key_of(number, KEY_LEN), value_of(number, VALUE_LEN)));
        let mut log = Log::new();
        self.peers.fill(&log.rows(pairs)?)?;
        self.logs.iter().for_each(|each| *each.borrow_mut() = log.clone());
        Ok(())
    }

    fn case(&self, callers: Callers, has_goal: bool) -> Outcome<Vec<Row>> {
        let (before, waits) = (self.store.stats(), RefCell::default());
        let mut sides: Vec<Round<'_>> = vec![self.ours(callers, &waits)];
        let peers = self.peers.iter().zip(&self.logs);
        sides.extend(peers.map(|(peer, log)| self.theirs(peer, log, callers.count())));
        let series = all_in_turn(sides)?;
        let (after, waits) = (self.store.stats(), waits.into_inner());
        let transactions = figure(after.commit_transactions - before.commit_transactions);
        let mean_group = transactions / figure(after.commit_groups - before.commit_groups);
        let new = |what: &str, ours| Row::new("P2", format!("{}{what}", callers.name()), "µs a put", ours);
        let puts_a_second = series.first().map_or(f64::NAN, |ours| 1e6 / ours.median());
        self.peers.rows(series, new, |row| {
            let row = row
                .with("puts/s", puts_a_second)
                .with("mean group", mean_group)
                .with("p50 ms a caller", waits.p50.median())
                .with("p99 ms a caller", waits.p99.median());
            if has_goal { row.with_goal(Goal::TimesPeer(1.3)) } else { row }
        })
    }

    fn ours<'a>(&'a self, callers: Callers, waits: &'a RefCell<Waits>) -> Round<'a> {
        Box::new(move || {
            let (before, begun) = (self.store.current_revision(), Instant::now());
            let mut waited = match callers {
                Callers::Threads(count) => self.threads(count)?,
                Callers::Tasks(count) => self.runtime.block_on(self.tasks(count))?,
            };
            let each = micros_each(begun, waited.len());
            let done = self.store.current_revision() - before;
            if done != waited.len() as u64 {
                return Err(format!("{} puts were answered, and {done} done", waited.len()).into());
            }
            waited.sort_unstable();
            let mut waits = waits.borrow_mut();
            waits.p50.0.push(quantile(&waited, 50));
            waits.p99.0.push(quantile(&waited, 99));
            Ok(each)
        })
    }

    fn threads(&self, count: usize) -> Outcome<Vec<Duration>> {
        let until = Instant::now() + self.time;
        let caller = |caller| Caller::new(&self.store, caller, self.keys, until);
        thread::scope(|scope| {
            let callers = (0..count).map(caller).map(|caller| scope.spawn(|| caller.puts_waiting()));
            let callers: Vec<_> = callers.collect();
            let waited = callers.into_iter().map(|caller| caller.join().map_err(|_| "a caller panicked")?);
            Ok(waited.collect::<Outcome<Vec<_>>>()?.concat())
        })
    }

    async fn tasks(&self, count: usize) -> Outcome<Vec<Duration>> {
        let until = Instant::now() + self.time;
        let caller = |number| tokio::spawn(Caller::new(&self.store, number, self.keys, until).puts());
        let callers: Vec<_> = (0..count).map(caller).collect();
        let mut waited = Vec::new();
        for caller in callers {
            waited.extend(caller.await??);
        }
        Ok(waited)
    }

    /// Rows are made between the groups and not timed.
    fn theirs<'a>(&'a self, peer: &'a dyn Storage, log: &'a RefCell<Log>, group: usize) -> Round<'a> {
        let mut rng = rng(0);
        Box::new(move || {
            let (mut spent, mut puts) = (Duration::ZERO, 0);
            while spent < self.peer_time {
                let rows = log.borrow_mut().rows((0..group * 8).map(|_| pair(&mut rng, self.keys)))?;
                let begun = Instant::now();
                rows.chunks(group).try_for_each(|group| peer.append(group))?;
                spent += begun.elapsed();
                puts += rows.len();
                rows.last().map_or(Ok(()), |last| check_kept(peer, last))?;
            }
            Ok(spent.as_secs_f64() * 1e6 / figure(puts as u64))
        })
    }
}

impl Callers {
    fn count(self) -> usize {
        match self {
            Self::Threads(count) | Self::Tasks(count) => count,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Threads(count) => format!("put, synced, {count} blocking"),
            Self::Tasks(count) => format!("put, synced, {count} tasks"),
        }
    }
}

/// One who puts again and again until the time is over. It is given how long it waited for each.
struct Caller {
    store: Store,
    rng: SplitMix64,
    keys: u64,
    until: Instant,
    waited: Vec<Duration>,
}

impl Caller {
    fn new(store: &Store, number: usize, keys: u64, until: Instant) -> Self {
        Self { store: store.clone(), rng: rng(number), keys, until, waited: Vec::new() }
    }

    fn puts_waiting(mut self) -> Outcome<Vec<Duration>> {
        while Instant::now() < self.until {
            let (key, value) = pair(&mut self.rng, self.keys);
            let begun = Instant::now();
            self.store.put(key, value).wait()?;
            self.waited.push(begun.elapsed());
        }
        Ok(self.waited)
    }

    async fn puts(mut self) -> Outcome<Vec<Duration>> {
        while Instant::now() < self.until {
            let (key, value) = pair(&mut self.rng, self.keys);
            let begun = Instant::now();
            self.store.put(key, value).await?;
            self.waited.push(begun.elapsed());
        }
        Ok(self.waited)
    }
}

fn pair(rng: &mut SplitMix64, keys: u64) -> (Vec<u8>, Vec<u8>) {
    let number = any_below(rng, keys);
    (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))
}

/// Each caller's own random choices.
fn rng(caller: usize) -> SplitMix64 {
    SplitMix64::new(KEYS_SEED + caller as u64)
}

/// Of times in order, in milliseconds.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_times_that_were_waited() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!((quantile(&times, 50), quantile(&times, 99)), (101.0, 199.0));
        assert_eq!(quantile(&times[..1], 99), 1.0);
        assert!(quantile(&[], 50).is_nan());
    }
}
