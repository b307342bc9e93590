//! W10: what a thousand slow watchers of 100 KB values make the process weigh.
//!
//! Each has an outbox of its own, starts somewhere in the history, so that few hold the same buffers, and takes one batch now
//! and then, while values of 100 KB are put. What is resident and of no file is looked at all the time. It may be at most a
//! tenth above what it was without watchers and what the settings allow: an outbox for each, the shared buffers, the queue
//! between writer and watchers, and what the engine keeps of it. In the end each reads as fast as it can, and has to have
//! everything; the testkit checks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use watchful::{Durability, Settings, Store};
use watchful_testkit::SplitMix64;

use super::arrivals::Puts;
use super::support::{RECENT_BYTES_MAX, fill_revisions, open};
use super::unread;
use super::watched::CheckedWatch;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below};
use crate::memory::{LiveBytes, Memory, highest_while, mib};
use crate::report::{Goal, Row};
use crate::rounds::Series;

const KEYS: u64 = 100;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 100_000;
const PUTS_A_SECOND: f64 = 100.0;
/// How long each waits between two batches.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Bench {
    puts: Puts,
    watchers: usize,
    window: Duration,
    live_bytes: LiveBytes,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let (folder, revisions) = (folder()?, gear.scale.pick(4000, 200));
    let history = open(folder.path(), Durability::Unsynced)?;
    fill_revisions(&history, revisions, KEYS, KEY_LEN, VALUE_LEN)?;
    drop(history);
    let bench = Bench {
        puts: Puts::new(open(folder.path(), Durability::Unsynced)?, KEYS, KEY_LEN, VALUE_LEN)?,
        watchers: gear.scale.pick(1000, 50),
        window: Duration::from_millis(gear.scale.pick(10_000, 1000)),
        live_bytes: gear.live_bytes,
    };
    let mut rows = vec![bench.row(revisions)?];
    rows.extend(unread::rows(gear)?);
    Ok(rows)
}

impl Bench {
    fn row(&self, revisions: u64) -> Outcome<Row> {
        let anonymous = || Memory::now(self.live_bytes).anonymous;
        let baseline = anonymous();
        let (seconds, highest) = highest_while(LOOK_EVERY, anonymous, || self.watch(revisions))?;
        let settings = Settings::default();
        let outboxes = self.watchers * settings.outbox_bytes_max;
        let budgets =
            outboxes + settings.shared_bytes_max + settings.publish_queue_bytes_max + RECENT_BYTES_MAX;
        let allowed = mib(budgets as u64 + baseline) * 1.1;
        let name = format!("{} slow watchers of 100 KB values", self.watchers);
        Ok(Row::new("W10", name, "MiB resident", Series(vec![mib(highest)]))
            .with_goal(Goal::AtMost(allowed))
            .with("MiB without", mib(baseline))
            .with("MiB of budgets", mib(budgets as u64))
            .with("s until the last has all", seconds))
    }

    /// Returns how long it took them to have everything, once nothing was put any more.
    fn watch(&self, revisions: u64) -> Outcome<f64> {
        let Puts { store, runtime, .. } = &self.puts;
        let (mut rng, hurry) = (SplitMix64::new(KEYS_SEED), Arc::new(AtomicBool::new(false)));
        let mut followers = Vec::new();
        for _ in 0..self.watchers {
            let start = 2 + any_below(&mut rng, revisions);
            let watch = CheckedWatch::open(store, start)?;
            followers.push(runtime.spawn(follow(watch, store.clone(), Arc::clone(&hurry))));
        }
        self.puts.arrive(PUTS_A_SECOND, |passed| passed > self.window)?;
        let begun = Instant::now();
        hurry.store(true, Ordering::Release);
        followers.into_iter().try_for_each(|follower| runtime.block_on(follower)?)?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// Takes a batch now and then, and everything once there is a hurry: nothing is put any more then.
async fn follow(mut watch: CheckedWatch, store: Store, hurry: Arc<AtomicBool>) -> Outcome {
    while !hurry.load(Ordering::Acquire) {
        tokio::time::sleep(PAUSE).await;
        if watch.next_revision() <= store.current_revision() {
            watch.take_next().await?;
        }
    }
    while watch.next_revision() <= store.current_revision() {
        watch.take_next().await?;
    }
    Ok(())
}
