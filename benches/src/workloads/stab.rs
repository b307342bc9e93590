//! P13: who watches this key, among up to a million watchers of keys, of prefixes, of ranges.
//!
//! Each key that is asked for is watched by exactly one. The watcher index is asked alone, as the driver asks it. There is
//! no peer in this run yet; `cargo bench -p watchful-benches --bench stab` asks with criterion, where all prefixes are of one
//! length.

use std::time::Instant;

use watchful_revision::KeyRange;
use watchful_testkit::SplitMix64;
use watchful_watcher_index::{GroupId, WatcherIndex};

use super::support::{figure, nanos_each, thread_nanos};
use crate::Outcome;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below};
use crate::report::{Goal, Row};
use crate::rounds::{Series, alone};

/// What is watched: its name, how a range is made of a number, and the goal at a million, in nanoseconds.
type Shape = (&'static str, fn(u32) -> KeyRange, f64);

const SHAPES: &[Shape] = &[("keys", key, 500.0), ("prefixes", prefix, 600.0), ("ranges", between, 3000.0)];

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let counts: &[u32] = gear.scale.pick(&[1000, 100_000, 1_000_000], &[1000, 100_000]);
    let cases = counts.iter().flat_map(|count| SHAPES.iter().map(move |shape| (*count, shape)));
    cases.map(|(count, (name, range, goal))| case(count, name, *range, *goal)).collect()
}

fn case(count: u32, name: &str, range: fn(u32) -> KeyRange, goal: f64) -> Outcome<Row> {
    let index = WatcherIndex::new();
    for number in 0..count {
        index.insert(&range(number), GroupId(number));
    }
    let mut rng = SplitMix64::new(KEYS_SEED);
    let asked: Vec<(u32, Vec<u8>)> = (0..200_000)
        .map(|_| any_below(&mut rng, u64::from(count)))
        .map(|number| Ok((u32::try_from(number)?, range(u32::try_from(number)?).start().to_vec())))
        .collect::<Outcome<_>>()?;
    let mut found = Vec::new();
    let mut on_core = Series::default();
    let series = alone(|| {
        let (begun, core) = (Instant::now(), thread_nanos());
        for (number, key) in &asked {
            found.clear();
            index.stab(key, &mut found);
            if found != [GroupId(*number)] {
                return Err(format!("{found:?} were found, and not {number}").into());
            }
        }
        let each = nanos_each(begun, asked.len());
        on_core.0.push((thread_nanos() - core) / figure(asked.len() as u64));
        Ok(each)
    })?;
    Ok(Row::new("P13", format!("stab among {count} {name}"), "ns", series)
        .with_goal(Goal::AtMost(goal))
        .with("of it on a core", on_core.median()))
}

fn key(number: u32) -> KeyRange {
    KeyRange::key(format!("/bench/{number:09}"))
}

/// Of eight lengths, as the table of prefixes asks for each length in use.
fn prefix(number: u32) -> KeyRange {
    let width = 9 + (number % 8) as usize;
    KeyRange::prefix(format!("/bench/{number:0width$}/"))
}

fn between(number: u32) -> KeyRange {
    let (start, end) = (format!("/bench/{number:09}"), format!("/bench/{number:09}~"));
    KeyRange::between(&start, &end).unwrap_or_else(|_| KeyRange::key(start))
}
