//! W2: ten thousand laggards that start anywhere in a million revisions; and W3: ten thousand that start together.
//!
//! What counts is how often history is read for all of them. Each watches everything, so it is owed every revision from its
//! start on, and counts them; in W3 each looks at every event itself, as otherwise there would be nothing to time but one
//! look at a batch. In the end all of them have to be synced.

use std::time::Instant;

use tokio::runtime::Runtime;
use watchful::{Durability, Store};
use watchful_testkit::SplitMix64;

use super::support::{figure, fill_revisions, open, runtime};
use super::watched::{Crowd, Given, Looked};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, all_keys, any_below};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 64;

/// The revision of the first event.
const FIRST: u64 = 2;

/// What one crowd may be behind another, and the testkit does not look into a batch again for it.
const LOOKED_BYTES: usize = 8 << 20;

/// Who shares an outbox.
#[derive(Clone, Copy)]
enum Outboxes {
    Shared(usize),
    Own,
}

struct Bench {
    store: Store,
    runtime: Runtime,
    watches: usize,
}

/// What the rounds showed.
#[derive(Default)]
struct Rounds {
    times_read: Series,
    deliveries: Series,
    seconds: Series,
}

/// W2.
pub(crate) fn anywhere(gear: &Gear) -> Outcome<Vec<Row>> {
    let (folder, revisions) = (folder()?, gear.scale.pick(1_000_000, 20_000));
    let bench = Bench::open(folder.path(), revisions, gear)?;
    let mut rng = SplitMix64::new(KEYS_SEED);
    let starts: Vec<u64> = (0..bench.watches).map(|_| FIRST + any_below(&mut rng, revisions)).collect();
    // Once: how often history is read hardly varies.
    let row = |(watches, streams): (usize, usize)| {
        let starts = &starts[..watches];
        let rounds = bench.rounds(1, starts, Outboxes::Shared(streams), revisions, false)?;
        let name = format!("{watches} start anywhere in {revisions} revisions, streams: {streams}");
        Ok(Row::new("W2", name, "times the history", rounds.times_read)
            .with_goal(Goal::AtMost(3.0))
            .with("s until all are synced", rounds.seconds.median())
            .with("deliveries/s", rounds.deliveries.median()))
    };
    [(bench.watches, 1), (bench.watches, 10)].into_iter().map(row).collect()
}

/// W3.
pub(crate) fn together(gear: &Gear) -> Outcome<Vec<Row>> {
    let (folder, revisions) = (folder()?, gear.scale.pick(100_000, 5000));
    let bench = Bench::open(folder.path(), revisions, gear)?;
    let starts = vec![FIRST; bench.watches];
    let mut rows = Vec::new();
    for (outboxes, how) in [
        (Outboxes::Shared(1), "one stream"),
        (Outboxes::Shared(10), "10 streams"),
        (Outboxes::Own, "an outbox each"),
    ] {
        let rounds = bench.rounds(ROUNDS, &starts, outboxes, revisions, true)?;
        rows.extend(bench.rows(how, matches!(outboxes, Outboxes::Shared(_)), rounds));
    }
    Ok(rows)
}

impl Bench {
    fn open(dir: &std::path::Path, revisions: u64, gear: &Gear) -> Outcome<Self> {
        let store = open(dir, Durability::Unsynced)?;
        fill_revisions(&store, revisions, KEYS, KEY_LEN, VALUE_LEN)?;
        Ok(Self { store, runtime: runtime()?, watches: gear.scale.pick(10_000, 1000) })
    }

    fn rows(&self, how: &str, has_goal: bool, rounds: Rounds) -> [Row; 2] {
        let name = format!("{} start together, {how}", self.watches);
        let read = Row::new("W3", name.clone(), "times the history", rounds.times_read);
        let rate = Row::new("W3", name, "deliveries/s", rounds.deliveries);
        if !has_goal {
            return [read, rate];
        }
        // A chunk more than once: those that were registered while the first was read.
        [read.with_goal(Goal::AtMost(1.1)), rate.with_goal(Goal::AtLeast(10e6))]
    }

    fn rounds(
        &self,
        count: usize,
        starts: &[u64],
        outboxes: Outboxes,
        revisions: u64,
        each_looks: bool,
    ) -> Outcome<Rounds> {
        let newest = self.store.current_revision();
        let owed: u64 = starts.iter().map(|start| newest + 1 - start).sum();
        let mut rounds = Rounds::default();
        for _ in 0..count {
            let (before, begun) = (self.store.stats().history_revisions, Instant::now());
            self.round(starts, outboxes, newest, each_looks)?;
            let seconds = begun.elapsed().as_secs_f64();
            let read = self.store.stats().history_revisions - before;
            rounds.times_read.0.push(figure(read) / figure(revisions));
            rounds.deliveries.0.push(figure(owed) / seconds);
            rounds.seconds.0.push(seconds);
        }
        Ok(rounds)
    }

    fn round(&self, starts: &[u64], outboxes: Outboxes, newest: u64, each_looks: bool) -> Outcome {
        let a_stream = match outboxes {
            Outboxes::Shared(streams) => starts.len() / streams,
            Outboxes::Own => 1,
        };
        let (range, looked) = (all_keys(), Looked::keeping(LOOKED_BYTES));
        let mut followers = Vec::new();
        for starts in starts.chunks(a_stream) {
            let crowd = Crowd::open(&self.store, &range, starts.to_vec())?.sharing(&looked);
            followers.push(self.runtime.spawn(follow(crowd, newest, each_looks)));
        }
        let crowds: Vec<Crowd> = self.runtime.block_on(async {
            let mut crowds = Vec::new();
            for follower in followers {
                crowds.push(follower.await??);
            }
            Outcome::Ok(crowds)
        })?;
        let synced = self.store.watch_gauges().wait()?.standings.synced;
        drop(crowds);
        if synced == starts.len() { Ok(()) } else { Err(format!("only {synced} are synced").into()) }
    }
}

/// Takes everything up to the revision `newest`.
async fn follow(mut crowd: Crowd, newest: u64, each_looks: bool) -> Outcome<Crowd> {
    while crowd.next_revision() <= newest {
        let given = crowd.take_next().await?;
        if let Some(given) = given.filter(|_| each_looks) {
            (0..given.watches).try_for_each(|_| look(&given))?;
        }
    }
    Ok(crowd)
}

/// One watcher's look at each event: one of each revision.
fn look(given: &Given) -> Outcome {
    let events = std::hint::black_box(given.batch.events());
    match (given.batch.first_revision()..).zip(events).find(|(next, event)| event.revision().main != *next) {
        Some((next, event)) => Err(format!("{next} was to come, and there came {}", event.revision()).into()),
        None => Ok(()),
    }
}
