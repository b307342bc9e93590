//! S7, S9 and S10: what history costs: to read it again, to forget it, and on the disk.

use std::thread;
use std::time::{Duration, Instant};

use watchful::{Durability, KeyRange, Store, Update, WatchOptions};

use super::{Law, ONCE, SOME, without_state};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{key_of, number_in, value_of};
use crate::report::Row;
use crate::workloads::support::{figure, fill, open};

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;

/// The revision of the first event.
const FIRST: u64 = 2;

const LOOK_AGAIN_AFTER: Duration = Duration::from_micros(100);
const COMPACTED_WITHIN: Duration = Duration::from_secs(60);

/// S7: one watcher catches up over so many revisions, and no more are read.
pub(crate) fn catch_up(gear: &Gear) -> Outcome<Vec<Row>> {
    let sizes: &[u64] = gear.scale.pick(&[10_000, 100_000, 1_000_000], &[1000, 10_000, 100_000]);
    let law = Law {
        workload: "S7",
        case: "one watcher catches up over # events",
        unit: "ms",
        expected: 1.0,
        tolerance: 0.15,
    };
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let longest = sizes.iter().copied().max().unwrap_or_default();
    for number in 0..longest {
        store.put(key_of(number % KEYS, KEY_LEN), value_of(number, VALUE_LEN)).wait()?;
    }
    law.measure(&mut without_state(sizes), SOME, |behind, ()| {
        let read_before = store.stats().history_revisions;
        let begun = Instant::now();
        follow(&store, longest - behind, longest)?;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        let read = store.stats().history_revisions - read_before;
        if read == behind {
            Ok(millis)
        } else {
            Err(format!("{read} revisions were read for {behind}").into())
        }
    })
}

/// Takes events number `from` up to `to`, each once and in order.
fn follow(store: &Store, from: u64, to: u64) -> Outcome {
    let mut watch = store.watch(&WatchOptions::new(KeyRange::prefix("/bench/")).start_at(FIRST + from))?;
    let mut next = from;
    while next < to {
        match watch.wait_next() {
            Some(Ok(Update::Events(batch))) => {
                for event in batch.events() {
                    if number_in(event.value()) != Some(next) {
                        return Err(format!("event {next} was to come, and there came {event:?}").into());
                    }
                    next += 1;
                }
            }
            Some(Ok(Update::Progress { .. })) => {}
            Some(Err(over)) => return Err(over.into()),
            None => return Err("the watch is over".into()),
        }
    }
    Ok(())
}

/// S9: a compaction against what it removes, and against what lives on.
pub(crate) fn compaction(gear: &Gear) -> Outcome<Vec<Row>> {
    let live: &[u64] = gear.scale.pick(&[10_000, 100_000, 1_000_000], &[2000, 20_000, 200_000]);
    let superseded: &[u64] = gear.scale.pick(&[1000, 10_000, 100_000], &[500, 5000, 50_000]);
    let law = |case, expected, tolerance| Law { workload: "S9", case, unit: "ms", expected, tolerance };
    let most = superseded.iter().copied().max().unwrap_or_default();
    let few = superseded.iter().copied().min().unwrap_or_default();
    let removed = {
        let folder = folder()?;
        let store = filled(folder.path(), most)?;
        let law = law("compact # superseded", 1.0, 0.1);
        law.measure(&mut without_state(superseded), SOME, |count, ()| supersede_and_compact(&store, count))?
    };
    let filled = |keys: &u64| {
        let folder = folder()?;
        Ok((*keys, (filled(folder.path(), *keys)?, folder)))
    };
    let mut stores = live.iter().map(filled).collect::<Outcome<Vec<_>>>()?;
    let law = law("compact a few among # live keys", 0.0, 0.25);
    let kept = law.measure(&mut stores, SOME, |_, (store, _)| supersede_and_compact(store, few))?;
    Ok([removed, kept].concat())
}

fn filled(dir: &std::path::Path, keys: u64) -> Outcome<Store> {
    let store = open(dir, Durability::Unsynced)?;
    fill(&store, 0, keys, KEY_LEN, VALUE_LEN)?;
    Ok(store)
}

/// Milliseconds from the call until the last superseded row is gone.
fn supersede_and_compact(store: &Store, count: u64) -> Outcome<f64> {
    fill(store, 0, count, KEY_LEN, VALUE_LEN)?;
    let revision = store.current_revision();
    let begun = Instant::now();
    store.compact(revision).wait()?;
    while store.stats().mvcc.superseded > 0 {
        if begun.elapsed() > COMPACTED_WITHIN {
            return Err(format!("{:?} after {COMPACTED_WITHIN:?}", store.stats().mvcc).into());
        }
        thread::sleep(LOOK_AGAIN_AFTER);
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// S10: bytes of the pages in use, for each of so many records.
pub(crate) fn file(gear: &Gear) -> Outcome<Vec<Row>> {
    let sizes: &[u64] = gear.scale.pick(&[10_000, 100_000, 1_000_000], &[1000, 10_000, 100_000]);
    let law = Law {
        workload: "S10",
        case: "# records of 32 + 256 bytes, on disk",
        unit: "B a record",
        expected: 0.0,
        tolerance: 0.05,
    };
    law.measure(&mut without_state(sizes), ONCE, |records, ()| {
        let folder = folder()?;
        let store = filled(folder.path(), records)?;
        let stats = store.stats().mvcc;
        if stats.versions != records {
            return Err(format!("{} of {records} records are there", stats.versions).into());
        }
        Ok(figure(stats.used_bytes) / figure(records))
    })
}
