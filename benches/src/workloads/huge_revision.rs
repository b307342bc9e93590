//! W6: one revision of a hundred thousand events: delivered whole, in marked fragments, with bounded memory.
//!
//! The keys are there already. One transaction puts all of them anew, some 40 MB, while watchers with an outbox each wait
//! for it. What is allocated is looked at from the moment the transaction is done until the last watcher has the last event,
//! and held against what it was just before the transaction. What may be held is an outbox for each watcher, two chunks
//! that are being read, the queue between writer and watchers, and what the engine keeps of it; the versions' own part of
//! the index is told beside it. The testkit checks what each is given.

use std::time::{Duration, Instant};

use watchful::{Durability, Error, Revision, Settings, Store};

use super::index::VERSION_BYTES_MAX;
use super::support::{RECENT_BYTES_MAX, figure, fill, open, runtime};
use super::watched::Crowd;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{all_keys, key_of, value_of};
use crate::memory::{LiveBytes, Memory, highest_while, mib};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEY_LEN: usize = 64;
const VALUE_LEN: usize = 256;
const LOOK_EVERY: Duration = Duration::from_micros(500);

struct Bench {
    store: Store,
    events: u64,
    live_bytes: LiveBytes,
}

/// What one round showed.
struct Round {
    mib_risen: f64,
    seconds: f64,
    batches: f64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let bench = Bench { store, events: gear.scale.pick(100_000, 20_000), live_bytes: gear.live_bytes };
    fill(&bench.store, 0, bench.events, KEY_LEN, VALUE_LEN)?;
    [1, 10].into_iter().map(|watchers| bench.case(watchers)).collect()
}

impl Bench {
    fn case(&self, watchers: usize) -> Outcome<Row> {
        let rounds = (0..ROUNDS).map(|_| self.round(watchers)).collect::<Outcome<Vec<_>>>()?;
        let series = |of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Series>();
        let settings = Settings::default();
        let budget = watchers * settings.outbox_bytes_max
            + 2 * settings.chunk_bytes_max
            + settings.publish_queue_bytes_max
            + RECENT_BYTES_MAX;
        let index = self.events * VERSION_BYTES_MAX;
        let name = format!("one revision of {} events to {watchers} watchers", self.events);
        Ok(Row::new("W6", name, "MiB risen", series(|round| round.mib_risen))
            .with_goal(Goal::AtMost(mib(budget as u64 + index)))
            .with("MiB of it for the index", mib(index))
            .with("ms until all have it", series(|round| round.seconds).median() * 1e3)
            .with("batches each", series(|round| round.batches).median()))
    }

    fn round(&self, watchers: usize) -> Outcome<Round> {
        let (runtime, events) = (runtime()?, self.events);
        let next = self.store.current_revision() + 1;
        let followers: Vec<_> = (0..watchers)
            .map(|_| Crowd::open(&self.store, &all_keys(), vec![next]))
            .map(|crowd| Ok(runtime.spawn(follow(crowd?, events))))
            .collect::<Outcome<_>>()?;
        // Until they are registered.
        self.store.watch_gauges().wait()?;
        let allocated = || Memory::now(self.live_bytes).live.unwrap_or_default() as u64;
        let before = allocated();
        if before == 0 {
            return Err("nobody counts allocations in this build".into());
        }
        self.put_all()?;
        let begun = Instant::now();
        let (batches, highest) = highest_while(LOOK_EVERY, allocated, || {
            followers.into_iter().try_fold(0, |sum, follower| Ok(sum + runtime.block_on(follower)??))
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let mib_risen = mib(highest.saturating_sub(before));
        Ok(Round { mib_risen, seconds, batches: figure(batches) / figure(watchers as u64) })
    }

    fn put_all(&self) -> Outcome {
        let events = self.events;
        let put_all = self.store.transact(move |txn| {
            (0..events)
                .try_for_each(|number| txn.put(key_of(number, KEY_LEN), value_of(number, VALUE_LEN)))?;
            Ok::<_, Error>(())
        });
        put_all.wait()?;
        Ok(())
    }
}

/// Takes so many events of one revision, one after the other, and its end. Returns in how many batches they came.
async fn follow(mut crowd: Crowd, events: u64) -> Outcome<u64> {
    let (revision, mut next_sub, mut batches) = (crowd.next_revision(), 0, 0);
    while crowd.next_revision() <= revision {
        let Some(given) = crowd.take_next().await? else { continue };
        for event in given.batch.events() {
            if event.revision() != Revision::new(revision, next_sub) {
                return Err(format!("{next_sub} was to come, and there came {}", event.revision()).into());
            }
            next_sub += 1;
        }
        batches += 1;
    }
    if u64::from(next_sub) == events { Ok(batches) } else { Err(format!("only {next_sub} came").into()) }
}
