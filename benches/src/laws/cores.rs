//! S11: what a second core gives: the same work with all its threads on one core, and on two.
//!
//! A thread hands its set of cores on to those it starts, so the store and the callers' runtime are opened after the set was
//! chosen.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{Builder, Runtime};
use watchful::{Durability, KeyRange, Store, Update, Watch, WatchOptions};
use watchful_testkit::SplitMix64;

use super::SOME;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::report::Row;
use crate::rounds::Series;
use crate::workloads::support::{figure, fill, open};

const KEYS: u64 = 100_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
const WRITERS: u64 = 128;
const WATCHERS: u64 = 10;

/// One thing to do: how many a second.
type Work = fn(&Bench) -> Outcome<f64>;

const WORK: &[(&str, Work)] = &[
    ("puts/s, synced, 128 callers", Bench::puts),
    ("gets/s, 2 callers", Bench::gets),
    ("events/s, 10 watchers catch up", Bench::catch_up),
];

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let all = sched_getaffinity(None)?;
    if all.count() < 2 {
        return Err("there is only one core: what a second one gives cannot be measured".into());
    }
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    fill(&store, 0, KEYS, KEY_LEN, VALUE_LEN)?;
    let filled = store.current_revision();
    drop(store);
    let window = Duration::from_millis(gear.scale.pick(1000, 150));
    let mut rates = vec![[Series::default(), Series::default()]; WORK.len()];
    for _ in 0..SOME {
        for (cores, place) in [(1, 0), (2, 1)] {
            sched_setaffinity(None, &first(&all, cores))?;
            let bench = Bench::open(folder.path(), window, filled)?;
            for ((_, work), rates) in WORK.iter().zip(&mut rates) {
                rates[place].0.push(work(&bench)?);
            }
        }
    }
    let rows = WORK.iter().zip(rates).map(|((what, _), [one, two])| {
        let (unit, how) = what.split_once(", ").unwrap_or((what, ""));
        Row::new("S11", format!("2 cores: {how}"), unit, two).with_peer("1 core", one)
    });
    Ok(rows.collect())
}

/// The first so many of these cores.
fn first(all: &CpuSet, count: usize) -> CpuSet {
    let mut some = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).take(count).for_each(|core| some.set(core));
    some
}

struct Bench {
    store: Store,
    runtime: Runtime,
    window: Duration,
    /// What is caught up with: the same events each time, whatever was put since.
    filled: u64,
}

impl Bench {
    fn open(dir: &Path, window: Duration, filled: u64) -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
        Ok(Self { store: open(dir, Durability::Synced)?, runtime, window, filled })
    }

    fn puts(&self) -> Outcome<f64> {
        let writer = |number| put_until(self.store.clone(), number, Instant::now() + self.window);
        self.all((0..WRITERS).map(writer))
    }

    fn gets(&self) -> Outcome<f64> {
        let reader = |number| {
            let (store, until) = (self.store.clone(), Instant::now() + self.window);
            async move { get_until(&store, number, until) }
        };
        self.all((0..2).map(reader))
    }

    fn catch_up(&self) -> Outcome<f64> {
        let options = WatchOptions::new(KeyRange::prefix("/bench/")).start_at(2);
        let watches = (0..WATCHERS).map(|_| self.store.watch(&options));
        let watches = watches.collect::<Result<Vec<_>, _>>()?;
        self.all(watches.into_iter().map(|watch| take_until(watch, self.filled)))
    }

    /// What all of them did, a second.
    fn all<F>(&self, work: impl Iterator<Item = F>) -> Outcome<f64>
    where
        F: Future<Output = Outcome<u64>> + Send + 'static,
    {
        let begun = Instant::now();
        let tasks: Vec<_> = work.map(|work| self.runtime.spawn(work)).collect();
        let mut done = 0;
        for task in tasks {
            done += self.runtime.block_on(task)??;
        }
        Ok(figure(done) / begun.elapsed().as_secs_f64())
    }
}

async fn put_until(store: Store, number: u64, until: Instant) -> Outcome<u64> {
    let (mut rng, mut puts) = (SplitMix64::new(KEYS_SEED + number), 0);
    while Instant::now() < until {
        store.put(key_of(any_below(&mut rng, KEYS), KEY_LEN), value_of(puts, VALUE_LEN)).await?;
        puts += 1;
    }
    Ok(puts)
}

fn get_until(store: &Store, number: u64, until: Instant) -> Outcome<u64> {
    let (mut rng, mut gets) = (SplitMix64::new(KEYS_SEED + number), 0);
    while Instant::now() < until {
        let number = any_below(&mut rng, KEYS);
        if store.get(key_of(number, KEY_LEN))?.is_none() {
            return Err(format!("key {number} was not found").into());
        }
        gets += 1;
    }
    Ok(gets)
}

/// Every event up to that revision. Returns how many.
async fn take_until(mut watch: Watch, newest: u64) -> Outcome<u64> {
    let (mut count, mut last) = (0, 0);
    while last < newest {
        match watch.next().await {
            Some(Ok(Update::Events(batch))) => {
                let is_next = batch.first_revision() == last + 1 || last == 0;
                if !is_next {
                    return Err(format!("there is a gap after revision {last}").into());
                }
                count += batch.events().len() as u64;
                last = batch.last_revision();
            }
            Some(Ok(Update::Progress { .. })) => {}
            Some(Err(over)) => return Err(over.into()),
            None => return Err("the watch is over".into()),
        }
    }
    Ok(count)
}
