//! S4 to S6: what watchers cost: memory, finding them, and telling them.

use std::time::Instant;

use watchful::{Durability, KeyRange, Store, StreamItem, WatchOptions, WatchStream};
use watchful_testkit::SplitMix64;
use watchful_watcher_index::{GroupId, WatcherIndex};

use super::{Law, ONCE, SOME, without_state};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of, number_in, value_of};
use crate::report::Row;
use crate::workloads::support::{figure, nanos_each, open, register};

const KEY_LEN: usize = 24;
const VALUE_LEN: usize = 64;
const KEY: &[u8] = b"/bench/one/key";

/// Questions a round.
const ASKED: usize = 100_000;

fn sizes(gear: &Gear) -> &'static [u64] {
    gear.scale.pick(&[10_000, 100_000, 1_000_000], &[1000, 10_000, 100_000])
}

/// S4: bytes in memory of an idle watcher, among so many.
pub(crate) fn weight(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = |case| Law { workload: "S4", case, unit: "B a watcher", expected: 0.0, tolerance: 0.1 };
    let live = || (gear.live_bytes)().ok_or("nobody counts allocations in this build");
    let weigh = |watchers: u64, range: fn(u64) -> KeyRange| {
        let folder = folder()?;
        let store = open(folder.path(), Durability::Unsynced)?;
        let mut stream = store.watch_stream(None)?;
        let before = live()?;
        register(&mut stream, (0..watchers).map(|number| WatchOptions::new(range(number))))?;
        Ok(figure(live()?.saturating_sub(before) as u64) / figure(watchers))
    };
    let keys =
        law("# idle watchers of keys").measure(&mut without_state(sizes(gear)), ONCE, |watchers, ()| {
            weigh(watchers, |number| KeyRange::key(key_of(number, KEY_LEN)))
        })?;
    let prefixes = law("# idle watchers of prefixes").measure(
        &mut without_state(sizes(gear)),
        ONCE,
        |watchers, ()| weigh(watchers, |number| KeyRange::prefix(key_of(number, KEY_LEN))),
    )?;
    Ok([keys, prefixes].concat())
}

/// S5: who watches this key, among so many.
pub(crate) fn stab(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = |case| Law { workload: "S5", case, unit: "ns", expected: 0.0, tolerance: 0.4 };
    let keys = law("stab among # keys").measure(&mut indexes(gear, key)?, SOME, ask)?;
    let prefixes = law("stab among # prefixes").measure(&mut indexes(gear, prefix)?, SOME, ask)?;
    let ranges = law("stab among # ranges").measure(&mut indexes(gear, between)?, SOME, ask)?;
    Ok([keys, prefixes, ranges].concat())
}

/// An index of so many ranges, and the keys that are asked for, with who watches each.
type Index = (WatcherIndex, Vec<(u32, Vec<u8>)>);

fn indexes(gear: &Gear, range: fn(u64) -> KeyRange) -> Outcome<Vec<(u64, Index)>> {
    let index = |count: &u64| {
        let index = WatcherIndex::new();
        for number in 0..*count {
            index.insert(&range(number), GroupId(u32::try_from(number)?));
        }
        let mut rng = SplitMix64::new(KEYS_SEED);
        let any = (0..ASKED).map(|_| any_below(&mut rng, *count));
        let asked = any.map(|number| Ok((u32::try_from(number)?, range(number).start().to_vec())));
        Ok((*count, (index, asked.collect::<Outcome<_>>()?)))
    };
    sizes(gear).iter().map(index).collect()
}

fn ask(_: u64, (index, asked): &mut Index) -> Outcome<f64> {
    let (begun, mut found) = (Instant::now(), Vec::new());
    for (number, key) in asked.iter() {
        found.clear();
        index.stab(key, &mut found);
        if found != [GroupId(*number)] {
            return Err(format!("{found:?} were found, and not {number}").into());
        }
    }
    Ok(nanos_each(begun, asked.len()))
}

fn key(number: u64) -> KeyRange {
    KeyRange::key(format!("/bench/{number:09}"))
}

fn prefix(number: u64) -> KeyRange {
    KeyRange::prefix(format!("/bench/{number:09}/"))
}

fn between(number: u64) -> KeyRange {
    let (start, end) = (format!("/bench/{number:09}"), format!("/bench/{number:09}~"));
    KeyRange::between(&start, &end).unwrap_or_else(|_| KeyRange::key(start))
}

/// S6: from a put until the last of so many watchers of its key has been counted in.
pub(crate) fn fan_out(gear: &Gear) -> Outcome<Vec<Row>> {
    let law = Law {
        workload: "S6",
        case: "one put to # watchers of its key",
        unit: "µs",
        expected: 1.0,
        tolerance: 0.1,
    };
    let watched = |watchers: &u64| {
        let folder = folder()?;
        let store = open(folder.path(), Durability::Unsynced)?;
        let mut stream = store.watch_stream(None)?;
        let options = WatchOptions::new(KeyRange::key(KEY));
        register(&mut stream, std::iter::repeat_n(options, usize::try_from(*watchers)?))?;
        let told = vec![0; usize::try_from(*watchers)?];
        Ok((*watchers, (Watched { stream, told, puts: 0, store }, folder)))
    };
    let mut stores = sizes(gear).iter().map(watched).collect::<Outcome<Vec<_>>>()?;
    law.measure(&mut stores, SOME, |watchers, (watched, _)| {
        let (begun, count) = (Instant::now(), (1_000_000 / watchers).clamp(3, 100));
        for _ in 0..count {
            watched.put()?;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / figure(count))
    })
}

/// A store and a stream of watchers of its one key.
struct Watched {
    stream: WatchStream,
    /// The number of the put that each watcher was told last.
    told: Vec<u64>,
    puts: u64,
    store: Store,
}

impl Watched {
    /// Puts, and tells each watcher, which looks whether it was told the put before.
    fn put(&mut self) -> Outcome {
        self.puts += 1;
        let revision = self.store.put(KEY, value_of(self.puts, VALUE_LEN)).wait()?.revision;
        let mut left = self.told.len();
        while left > 0 {
            let Some(StreamItem::Events { batch, watches }) = self.stream.wait_next() else {
                return Err("events were to come".into());
            };
            let [event] = batch.events() else { return Err("one event was to come".into()) };
            if event.revision().main != revision || number_in(event.value()) != Some(self.puts) {
                return Err(format!("put {} was to come, and there came {event:?}", self.puts).into());
            }
            for watch in watches.iter() {
                let told = self.told.get_mut(usize::try_from(watch)?).ok_or("nobody has that watch id")?;
                if *told + 1 != self.puts {
                    return Err(format!("watch {watch} was told put {told} last").into());
                }
                *told = self.puts;
                left -= 1;
            }
        }
        Ok(())
    }
}
