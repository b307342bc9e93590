//! P7: how fast watchers catch up over kept history: 1, 100 and 10,000 of them, over 100,000 events of 256 bytes.
//!
//! Each has an outbox of its own and is a task of its own, and looks at every event: no gap, no repeat. The time is from
//! the first registration to the last event. There is no peer in this run yet.

use std::time::Instant;

use tokio::runtime::Runtime;
use watchful::{Durability, Store, StreamItem, Update, Watch, WatchOptions};

use super::support::{figure, open, runtime};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{all_keys, key_of, number_in, value_of};
use crate::report::{Goal, Row};
use crate::rounds::alone;

const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
const KEYS: u64 = 10_000;

/// The revision of the first event.
const FIRST: u64 = 2;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let events: u64 = gear.scale.pick(100_000, 20_000);
    let many: usize = gear.scale.pick(10_000, 1000);
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    for number in 0..events {
        store.put(key_of(number % KEYS, KEY_LEN), value_of(number, VALUE_LEN)).wait()?;
    }
    let bench = Bench { store, runtime: runtime()?, events };
    let own = |watchers, goal| bench.row(watchers, "an outbox each", goal, || bench.own_outboxes(watchers));
    let shared = bench.row(many, "one stream", 10e6, || bench.one_stream(many));
    Ok(vec![own(1, 2e6)?, own(100, 10e6)?, own(many, 10e6)?, shared?])
}

struct Bench {
    store: Store,
    runtime: Runtime,
    events: u64,
}

impl Bench {
    fn row(&self, watchers: usize, how: &str, goal: f64, mut round: impl FnMut() -> Outcome) -> Outcome<Row> {
        let before = self.store.stats().history_revisions;
        let mut rounds = 0;
        let series = alone(|| {
            rounds += 1;
            let begun = Instant::now();
            round()?;
            Ok(figure(self.events * watchers as u64) / begun.elapsed().as_secs_f64())
        })?;
        let read = figure(self.store.stats().history_revisions - before) / figure(rounds * self.events);
        let row = Row::new("P7", format!("{watchers} catch up, {how}"), "events/s", series);
        Ok(row.with_goal(Goal::AtLeast(goal)).with("times the history was read", read))
    }

    fn options(&self) -> WatchOptions {
        WatchOptions::new(all_keys()).start_at(FIRST)
    }

    fn own_outboxes(&self, watchers: usize) -> Outcome {
        let end = FIRST + self.events;
        self.runtime.block_on(async {
            let mut tasks = Vec::with_capacity(watchers);
            for _ in 0..watchers {
                tasks.push(tokio::spawn(follow(self.store.watch(&self.options())?, end)));
            }
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    fn one_stream(&self, watchers: usize) -> Outcome {
        let end = FIRST + self.events;
        let mut stream = self.store.watch_stream(None)?;
        for _ in 0..watchers {
            stream.control().watch(&self.options())?;
        }
        let (mut receivers, mut left) = (vec![Receiver { next: FIRST }; watchers], watchers);
        while left > 0 {
            let (batch, watches) = match stream.wait_next() {
                Some(StreamItem::Created { .. } | StreamItem::Progress { .. }) => continue,
                Some(StreamItem::Events { batch, watches }) => (batch, watches),
                other => return Err(format!("events were to come, and not {other:?}").into()),
            };
            for watch in watches.iter() {
                let receiver =
                    receivers.get_mut(usize::try_from(watch)?).ok_or("nobody has that watch id")?;
                receiver.take(batch.events())?;
                left -= usize::from(receiver.next == end);
            }
        }
        Ok(())
    }
}

/// Takes everything up to the revision before `end`.
async fn follow(mut watch: Watch, end: u64) -> Outcome {
    let mut receiver = Receiver { next: FIRST };
    while receiver.next < end {
        match watch.next().await {
            Some(Ok(Update::Events(batch))) => receiver.take(batch.events())?,
            Some(Ok(Update::Progress { .. })) => {}
            Some(Err(over)) => return Err(over.into()),
            None => return Err("the watch is over".into()),
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Receiver {
    next: u64,
}

impl Receiver {
    /// Event number n, from 0, has revision n + 2 and its number in its value.
    fn take(&mut self, events: &[watchful::Event]) -> Outcome {
        for event in events {
            let revision = event.revision().main;
            if revision != self.next || number_in(event.value()) != Some(revision - FIRST) {
                return Err(format!("{} was to come, and there came {revision}", self.next).into());
            }
            self.next += 1;
        }
        Ok(())
    }
}
