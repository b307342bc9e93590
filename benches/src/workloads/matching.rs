//! W5: who is to be told of a put, among a hundred thousand watchers of single keys and ten thousand of nested prefixes.
//!
//! A thousand trees of prefixes, ten deep; a hundred keys at the end of each. So each put concerns eleven: who watches its
//! key, and who watches one of the ten prefixes above it. First the watcher index is asked alone, as the driver asks it; then
//! a store has all those watchers on ten streams, and the testkit checks what each is given.

use std::time::Instant;

use watchful::{Durability, KeyRange, Store, StreamItem, WatchOptions, WatchStream};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::{SplitMix64, WatchSpec};
use watchful_watcher_index::{GroupId, WatcherIndex};

use super::support::{DRIVER, figure, nanos_each, open, register, thread_nanos, thread_nanos_of};
use super::watched::observation;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Series, alone};

const DEPTH: u32 = 10;
const STREAMS: usize = 10;
const VALUE_LEN: usize = 64;

/// Trees of prefixes, and keys at their ends.
#[derive(Clone, Copy)]
struct Forest {
    trees: u32,
    keys: u32,
}

impl Forest {
    /// The prefix `depth` levels deep (from 1) of a tree.
    fn prefix(tree: u32, depth: u32) -> String {
        (1..=depth).fold(format!("/bench/{tree:04}/"), |prefix, level| format!("{prefix}{level:02}/"))
    }

    fn key(self, number: u32) -> String {
        format!("{}{number:06}", Self::prefix(number % self.trees, DEPTH))
    }

    /// What is watched: keys first, then each tree's prefixes.
    fn ranges(self) -> impl Iterator<Item = KeyRange> {
        let keys = (0..self.keys).map(move |number| KeyRange::key(self.key(number)));
        let prefixes = (0..self.trees)
            .flat_map(|tree| (1..=DEPTH).map(move |depth| KeyRange::prefix(Self::prefix(tree, depth))));
        keys.chain(prefixes)
    }

    /// Who watches the key of that number, by their places in `ranges`.
    fn watchers_of(self, number: u32) -> Vec<u32> {
        let first = self.keys + number % self.trees * DEPTH;
        std::iter::once(number).chain(first..first + DEPTH).collect()
    }
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let forest = Forest { trees: gear.scale.pick(1000, 100), keys: gear.scale.pick(100_000, 10_000) };
    Ok(vec![index_alone(forest)?, in_a_store(forest, gear.scale.pick(20_000, 1000))?])
}

fn index_alone(forest: Forest) -> Outcome<Row> {
    const ASKED: usize = 200_000;
    let index = WatcherIndex::new();
    for (group, range) in (0..).zip(forest.ranges()) {
        index.insert(&range, GroupId(group));
    }
    let mut rng = SplitMix64::new(KEYS_SEED);
    let asked: Vec<String> = (0..ASKED)
        .map(|_| Ok(forest.key(u32::try_from(any_below(&mut rng, u64::from(forest.keys)))?)))
        .collect::<Outcome<_>>()?;
    let mut found = Vec::new();
    check_index(forest, &index)?;
    let mut on_core = Series::default();
    let series = alone(|| {
        let (begun, core) = (Instant::now(), thread_nanos());
        for key in &asked {
            found.clear();
            index.stab(key.as_bytes(), &mut found);
            if found.len() != 1 + DEPTH as usize {
                return Err(format!("{} watch {key}", found.len()).into());
            }
        }
        on_core.0.push((thread_nanos() - core) / 1e3 / figure(ASKED as u64));
        Ok(nanos_each(begun, ASKED) / 1e3)
    })?;
    let name = format!("match among {} keys and {} nested prefixes", forest.keys, forest.trees * DEPTH);
    Ok(Row::new("W5", name, "µs an event", series)
        .with_goal(Goal::AtMost(2.0))
        .with("of it on a core", on_core.median()))
}

/// That exactly the right ones are found, for some keys.
fn check_index(forest: Forest, index: &WatcherIndex) -> Outcome {
    for number in (0..forest.keys).step_by(97) {
        let mut found = Vec::new();
        index.stab(forest.key(number).as_bytes(), &mut found);
        found.sort_unstable();
        if found != forest.watchers_of(number).into_iter().map(GroupId).collect::<Vec<_>>() {
            return Err(format!("{found:?} were found for key {number}").into());
        }
    }
    Ok(())
}

/// The watchers on their streams, each with a checker of its own.
struct Watchers {
    streams: Vec<(WatchStream, Vec<WatchChecker>)>,
    /// By stream: deliveries that have not been taken.
    owed: Vec<u64>,
}

fn in_a_store(forest: Forest, puts: u32) -> Outcome<Row> {
    const TOGETHER: u32 = 100;
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let mut watchers = Watchers::new(&store, forest)?;
    let (mut rng, mut wall) = (SplitMix64::new(KEYS_SEED), Series::default());
    let driver = alone(|| {
        let (begun, driver) = (Instant::now(), thread_nanos_of(DRIVER));
        for first in (0..puts).step_by(TOGETHER as usize) {
            for put in first..first + TOGETHER {
                let number = u32::try_from(any_below(&mut rng, u64::from(forest.keys)))?;
                store.put(forest.key(number), value_of(u64::from(put), VALUE_LEN)).wait()?;
                watchers.owe(forest, number);
            }
            watchers.take_all()?;
        }
        wall.0.push(nanos_each(begun, puts as usize) / 1e3);
        Ok((thread_nanos_of(DRIVER) - driver) / 1e3 / f64::from(puts))
    })?;
    let name = format!("the same in a store, {} deliveries each", DEPTH + 1);
    Ok(Row::new("W5", name, "driver µs an event", driver)
        .with("µs an event with put and checks", wall.median())
        .with("watchers", figure(u64::from(forest.keys + forest.trees * DEPTH))))
}

impl Watchers {
    /// Watcher number n is on stream n mod 10.
    fn new(store: &Store, forest: Forest) -> Outcome<Self> {
        let start = store.current_revision() + 1;
        let mut streams = Vec::new();
        for stream_number in 0..STREAMS {
            let mut stream = store.watch_stream(None)?;
            let own = || forest.ranges().skip(stream_number).step_by(STREAMS);
            register(&mut stream, own().map(WatchOptions::new))?;
            streams
                .push((stream, own().map(|range| WatchChecker::new(WatchSpec::new(range, start))).collect()));
        }
        Ok(Self { streams, owed: vec![0; STREAMS] })
    }

    /// A put of that key is on its way.
    fn owe(&mut self, forest: Forest, number: u32) {
        forest.watchers_of(number).into_iter().for_each(|watcher| self.owed[watcher as usize % STREAMS] += 1);
    }

    /// Takes everything that is owed.
    fn take_all(&mut self) -> Outcome {
        for ((stream, checkers), owed) in self.streams.iter_mut().zip(&mut self.owed) {
            while *owed > 0 {
                let Some(StreamItem::Events { batch, watches }) = stream.wait_next() else {
                    return Err("events were to come".into());
                };
                let seen = observation(&batch);
                for watch in watches.iter() {
                    let checker =
                        checkers.get_mut(usize::try_from(watch)?).ok_or("nobody has that watch id")?;
                    checker.observe(&seen)?;
                }
                let given = (batch.events().len() * watches.len()) as u64;
                *owed = owed.checked_sub(given).ok_or("more came than was put")?;
            }
        }
        Ok(())
    }
}
