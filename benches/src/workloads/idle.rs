//! P9: what an idle watcher weighs: a million on one stream, each with a key or a prefix of its own.
//!
//! The figure is what the allocator handed out and did not get back; what the system counts as resident is told beside
//! it. The key's own bytes, 24 a watcher, are part of it. One round: what is allocated does not vary.

use watchful::{Durability, KeyRange, WatchOptions};

use super::support::{figure, open, register};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::key_of;
use crate::memory::Memory;
use crate::report::{Goal, Row};
use crate::rounds::Series;

const KEY_LEN: usize = 24;

pub(crate) fn keys(gear: &Gear) -> Outcome<Vec<Row>> {
    run(gear, "keys", |number| KeyRange::key(key_of(number, KEY_LEN)))
}

pub(crate) fn prefixes(gear: &Gear) -> Outcome<Vec<Row>> {
    run(gear, "prefixes", |number| KeyRange::prefix(key_of(number, KEY_LEN)))
}

fn run(gear: &Gear, what: &str, range: impl Fn(u64) -> KeyRange) -> Outcome<Vec<Row>> {
    let watchers = gear.scale.pick(1_000_000, 100_000);
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let mut stream = store.watch_stream(None)?;
    let before = Memory::now(gear.live_bytes);
    register(&mut stream, (0..watchers).map(|number| WatchOptions::new(range(number))))?;
    let after = Memory::now(gear.live_bytes);
    let each = |after: u64, before: u64| figure(after.saturating_sub(before)) / figure(watchers);
    let resident = each(after.anonymous, before.anonymous);
    let live = match (after.live, before.live) {
        (Some(after), Some(before)) => each(after as u64, before as u64),
        _ => return Err("nobody counts allocations in this build".into()),
    };
    let row = Row::new("P9", format!("{watchers} idle, distinct {what}"), "B a watcher", Series(vec![live]));
    Ok(vec![row.with_goal(Goal::AtMost(256.0)).with("resident B a watcher", resident)])
}
