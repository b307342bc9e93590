//! P10: how long it takes to open a store of a million keys with 1, 10 and 20 revisions of each.
//!
//! The file's pages are in the system's cache, as after a restart of the program; a cold disk adds its own time. The
//! store was closed cleanly. There is no peer in this run yet.

use std::time::Instant;

use watchful::Durability;

use super::support::{figure, fill_by, micros_each, open, thread_nanos};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::rounds::{Series, alone};

const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 32;

/// Puts of one transaction: large ones, so that twenty million do not take longer than what is measured.
const A_TRANSACTION: u64 = 20_000;

/// How many revisions each key has, and the goal in microseconds a key.
const CASES: &[(u64, f64)] = &[(1, 0.8), (10, 2.5), (20, 4.0)];

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let keys: u64 = gear.scale.pick(1_000_000, 100_000);
    let folder = folder()?;
    let (mut written, mut rows) = (0, Vec::new());
    for (revisions, goal) in CASES {
        let store = open(folder.path(), Durability::Unsynced)?;
        while written < *revisions {
            fill_by(A_TRANSACTION, &store, 0..keys, KEY_LEN, VALUE_LEN)?;
            written += 1;
        }
        drop(store);
        let mut on_core = Series::default();
        let series = alone(|| {
            let (begun, core) = (Instant::now(), thread_nanos());
            let store = open(folder.path(), Durability::Unsynced)?;
            let each = micros_each(begun, usize::try_from(keys)?);
            on_core.0.push((thread_nanos() - core) / 1e3 / figure(keys));
            let found = store.stats().mvcc;
            if (found.keys, found.versions) != (keys, keys * revisions) {
                return Err(format!("{} keys, {} versions were found", found.keys, found.versions).into());
            }
            Ok(each)
        })?;
        let seconds = series.median() * figure(keys) / 1e6;
        let row = Row::new("P10", format!("open, {keys} keys × {revisions}"), "µs a key", series);
        rows.push(
            row.with_goal(Goal::AtMost(*goal))
                .with("seconds in all", seconds)
                .with("of it on a core", on_core.median()),
        );
    }
    Ok(rows)
}
