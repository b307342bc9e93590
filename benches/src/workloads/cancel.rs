//! P8: what it costs to cancel a million synced watchers in random order.
//!
//! All are on one stream; once each on a key of its own, once all on one key, as etcd's own benchmark has them. The time is
//! from the first cancel to the last word that a watch has ended; each must end once, and the gauges must say that
//! nothing is left.

use std::time::Instant;

use watchful::{Durability, End, KeyRange, Store, StreamItem, WatchId, WatchOptions, WatchStream};
use watchful_testkit::SplitMix64;

use super::support::{nanos_each, open, register, shuffled};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, key_of};
use crate::report::{Goal, Row};
use crate::rounds::alone;

const KEY_LEN: usize = 24;

/// What says that a watch has ended lies in the outbox until it is taken: so many at a time.
const PORTION: usize = 1000;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let watchers = gear.scale.pick(1_000_000, 20_000);
    let own_keys = case(watchers, "keys of their own", |number| KeyRange::key(key_of(number, KEY_LEN)));
    let one_key = case(watchers, "one key", |_| KeyRange::key(key_of(0, KEY_LEN)));
    Ok(vec![own_keys?, one_key?])
}

fn case(watchers: u64, what: &str, range: impl Fn(u64) -> KeyRange) -> Outcome<Row> {
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    store.put(key_of(0, KEY_LEN), b"").wait()?;
    let mut rng = SplitMix64::new(KEYS_SEED);
    let series = alone(|| {
        let mut stream = store.watch_stream(None)?;
        register(&mut stream, (0..watchers).map(|number| WatchOptions::new(range(number))))?;
        expect_watches(&store, watchers)?;
        // The ids that a stream gives out are 0 and up.
        let order = shuffled(watchers, &mut rng)?;
        let begun = Instant::now();
        cancel(&mut stream, &order)?;
        let each = nanos_each(begun, order.len());
        expect_watches(&store, 0)?;
        Ok(each)
    })?;
    let name = format!("cancel {watchers} watchers of {what}, in random order");
    Ok(Row::new("P8", name, "ns each", series).with_goal(Goal::AtMost(300.0)))
}

/// Each ends by itself, in the order in which they were cancelled.
fn cancel(stream: &mut WatchStream, order: &[u64]) -> Outcome {
    for portion in order.chunks(PORTION) {
        for number in portion {
            stream.control().cancel(WatchId::try_from(*number)?);
        }
        for number in portion {
            let expected = WatchId::try_from(*number)?;
            match stream.wait_next() {
                Some(StreamItem::Ended { watches, end: End::Cancelled }) if watches.iter().eq([expected]) => {
                }
                other => return Err(format!("{expected} was to end, and there came {other:?}").into()),
            }
        }
    }
    Ok(())
}

/// All of them synced, and no others.
fn expect_watches(store: &Store, expected: u64) -> Outcome {
    let gauges = store.watch_gauges().wait()?;
    let found = (gauges.watches as u64, gauges.standings.synced as u64);
    let is_all_gone = expected > 0 || (gauges.groups, gauges.members, gauges.indexed_ranges) == (0, 0, 0);
    if found == (expected, expected) && is_all_gone {
        Ok(())
    } else {
        Err(format!("{expected} watches were to be there, synced, and there are {gauges:?}").into())
    }
}
