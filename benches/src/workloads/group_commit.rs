//! P2: what a synced put costs with more and more callers, over a million keys.
//!
//! Ceiling and peer: LMDB alone, one thread, groups of exactly as many rows as there are callers. The groups of ours form
//! by themselves: whoever leads takes all that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use watchful::{Durability, Store};
use watchful_peers::{Lmdb, Storage};
use watchful_testkit::SplitMix64;

use super::log::Log;
use super::support::{figure, fill, micros_each, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::report::{Goal, Row};
use crate::rounds::in_turn;

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
    (Callers::Tasks(128), true),
    (Callers::Tasks(1024), true),
    // No goal speaks of it: it shows what threads cost beside tasks.
    (Callers::Threads(128), false),
];

struct Bench {
    store: Store,
    lmdb: Lmdb,
    log: Log,
    runtime: Runtime,
    keys: u64,
    time: Duration,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let (our_folder, peer_folder) = (folder()?, folder()?);
    let mut bench = Bench {
        store: open(our_folder.path(), Durability::Synced)?,
        lmdb: Lmdb::open(peer_folder.path(), watchful_peers::Durability::Synced)?,
        log: Log::new(),
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?,
        keys: gear.scale.pick(1_000_000, 100_000),
        time: Duration::from_millis(gear.scale.pick(3000, 600)),
    };
    fill(&bench.store, 0, bench.keys, KEY_LEN, VALUE_LEN)?;
    let rows = bench
        .log
        .rows((0..bench.keys).map(|number| (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))))?;
    rows.chunks(1000).try_for_each(|group| bench.lmdb.append(group))?;
    CASES.iter().map(|(callers, has_goal)| bench.case(*callers, *has_goal)).collect()
}

impl Bench {
    fn case(&mut self, callers: Callers, has_goal: bool) -> Outcome<Row> {
        let Self { store, lmdb, log, runtime, keys, time } = self;
        let before = store.stats();
        let ours = || match callers {
            Callers::Threads(count) => threads(store, count, *keys, *time),
            Callers::Tasks(count) => runtime.block_on(tasks(store, count, *keys, *time)),
        };
        let (ours, peer) = in_turn(ours, || groups(lmdb, log, callers.count(), *keys, *time))?;
        let after = store.stats();
        let transactions = figure(after.commit_transactions - before.commit_transactions);
        let groups = figure(after.commit_groups - before.commit_groups);
        let puts_a_second = 1e6 / ours.median();
        let row = Row::new("P2", callers.name(), "µs a put", ours)
            .with_peer("LMDB", peer)
            .with("puts/s", puts_a_second)
            .with("mean group", transactions / groups);
        Ok(if has_goal { row.with_goal(Goal::TimesPeer(1.3)) } else { row })
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

fn pair(rng: &mut SplitMix64, keys: u64) -> (Vec<u8>, Vec<u8>) {
    let number = any_below(rng, keys);
    (key_of(number, KEY_LEN), value_of(number, VALUE_LEN))
}

/// Each caller's own random choices.
fn rng(caller: usize) -> SplitMix64 {
    SplitMix64::new(KEYS_SEED + caller as u64)
}

fn threads(store: &Store, count: usize, keys: u64, time: Duration) -> Outcome<f64> {
    let (begun, puts) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        let caller = |caller| {
            let puts = &puts;
            scope.spawn(move || -> Outcome {
                let mut rng = rng(caller);
                while begun.elapsed() < time {
                    let (key, value) = pair(&mut rng, keys);
                    store.put(key, value).wait()?;
                    puts.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let callers: Vec<_> = (0..count).map(caller).collect();
        callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| "a caller panicked")?)
    })?;
    Ok(micros_each(begun, usize::try_from(puts.into_inner())?))
}

async fn tasks(store: &Store, count: usize, keys: u64, time: Duration) -> Outcome<f64> {
    let (begun, puts) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let caller = |caller| {
        let (store, puts) = (store.clone(), Arc::clone(&puts));
        tokio::spawn(async move {
            let mut rng = rng(caller);
            while begun.elapsed() < time {
                let (key, value) = pair(&mut rng, keys);
                store.put(key, value).await?;
                puts.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, watchful::Error>(())
        })
    };
    let callers: Vec<_> = (0..count).map(caller).collect();
    for caller in callers {
        caller.await??;
    }
    Ok(micros_each(begun, usize::try_from(puts.load(Ordering::Relaxed))?))
}

/// LMDB alone: rows are made between the groups and not timed.
fn groups(lmdb: &Lmdb, log: &mut Log, group: usize, keys: u64, time: Duration) -> Outcome<f64> {
    let mut rng = rng(0);
    let (mut spent, mut puts) = (0.0, 0.0);
    while spent < time.as_secs_f64() * 1e6 {
        let rows = log.rows((0..group * 8).map(|_| pair(&mut rng, keys)))?;
        let begun = Instant::now();
        rows.chunks(group).try_for_each(|group| lmdb.append(group))?;
        let each = micros_each(begun, rows.len());
        spent += each * figure(rows.len() as u64);
        puts += figure(rows.len() as u64);
    }
    Ok(spent / puts)
}
