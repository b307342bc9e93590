//! W9: what the record before each event (`prev_kv`) costs a watcher, with 1, 100 and 1,000 of them.
//!
//! As P6: from the call of the put until the last watcher of the key has counted its event. Peer: the same without the
//! record before. It is looked up once an event, however many ask for it, so what it costs is shared by all of them.

use std::time::Instant;

use watchful::{Durability, KeyRange, Store};

use super::support::{DRIVER, figure, nanos_each, open, thread_nanos_of};
use super::watched::{Crowd, Given};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{number_in, value_of};
use crate::report::{Goal, Row};
use crate::rounds::{Series, in_turn};

const KEY: &[u8] = b"/bench/one/key";
const VALUE_LEN: usize = 256;

/// The watchers of one key, and who puts it.
struct Side<'s> {
    store: &'s Store,
    crowd: Crowd,
    watchers: usize,
    puts: u64,
    prev_kv: bool,
    /// What the store's own thread needed for each put, in microseconds.
    driver: Series,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let puts = gear.scale.pick(5000, 500);
    [1, 100, 1000].into_iter().map(|watchers| case(watchers, puts)).collect()
}

fn case(watchers: usize, puts: usize) -> Outcome<Row> {
    let (with_folder, without_folder) = (folder()?, folder()?);
    let with = open(with_folder.path(), Durability::Unsynced)?;
    let without = open(without_folder.path(), Durability::Unsynced)?;
    let mut with = Side::new(&with, watchers, true)?;
    let mut without = Side::new(&without, watchers, false)?;
    let (ours, peer) = in_turn(|| with.round(puts), || without.round(puts))?;
    Ok(Row::new("W9", format!("{watchers} watchers with prev_kv"), "ns a watcher", ours)
        .with_peer("without", peer)
        .with_goal(Goal::TimesPeer(1.1))
        .with("driver µs a put with", with.driver.median())
        .with("driver µs a put without", without.driver.median()))
}

impl<'s> Side<'s> {
    fn new(store: &'s Store, watchers: usize, prev_kv: bool) -> Outcome<Self> {
        // The first put has nothing before it.
        store.put(KEY, value_of(0, VALUE_LEN)).wait()?;
        let next = store.current_revision() + 1;
        let crowd = Crowd::open_with(store, &KeyRange::key(KEY), vec![next; watchers], prev_kv)?;
        Ok(Self { store, crowd, watchers, puts: 0, prev_kv, driver: Series::default() })
    }

    fn round(&mut self, puts: usize) -> Outcome<f64> {
        let (begun, driver) = (Instant::now(), thread_nanos_of(DRIVER));
        for _ in 0..puts {
            self.puts += 1;
            let committed = self.store.put(KEY, value_of(self.puts, VALUE_LEN)).wait()?;
            while self.crowd.next_revision() <= committed.revision {
                if let Some(given) = self.crowd.wait_next()? {
                    self.check(&given)?;
                }
            }
        }
        self.driver.0.push((thread_nanos_of(DRIVER) - driver) / 1e3 / figure(puts as u64));
        Ok(nanos_each(begun, puts * self.watchers))
    }

    /// The value is the one of the newest put, and the one before it is of the put before, where it was asked for.
    fn check(&self, given: &Given) -> Outcome {
        let [event] = given.batch.events() else { return Err("one event was to come".into()) };
        let prev = event.prev().map(|prev| number_in(prev.value()));
        let expected = self.prev_kv.then_some(Some(self.puts - 1));
        if number_in(event.value()) == Some(self.puts) && prev == expected {
            return Ok(());
        }
        Err(format!("of put {} there came {event:?}", self.puts).into())
    }
}
