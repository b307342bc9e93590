//! P6: what one more watcher of a key costs: from the call of the put until the last watcher has checked its event.
//!
//! Each watch has a receiver of its own, which takes the event and checks its revision, key, value and its own count.
//! Peer: a broadcast channel with a receiver for each watcher; it neither stores what it sends nor hands it to another
//! thread. Where it is built in, sled stands beside it.

use std::time::Instant;

use watchful::{Batch, Durability, KeyRange, Store, StreamItem, WatchOptions, WatchStream};
use watchful_peers::{Broadcast, Message};

#[cfg(not(feature = "peers"))]
use super::support::not_built_in;
use super::support::{nanos_each, open, register};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{number_in, value_of};
use crate::report::{Goal, Row};
use crate::rounds::in_turn;

pub(super) const KEY: &[u8] = b"/bench/one/key";
pub(super) const VALUE_LEN: usize = 64;

/// One watcher's own end.
#[derive(Clone, Default)]
pub(super) struct Receiver {
    taken: u64,
}

impl Receiver {
    pub(super) fn take(&mut self, expected: &Expected, revision: u64, key: &[u8], value: &[u8]) -> Outcome {
        let right = revision == expected.revision
            && key == KEY
            && number_in(value) == Some(expected.number)
            && self.taken + 1 == expected.number;
        self.taken += 1;
        if right { Ok(()) } else { Err(format!("revision {revision} is not what was put").into()) }
    }
}

pub(super) struct Expected {
    pub(super) revision: u64,
    /// The number of the put, from 1.
    pub(super) number: u64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let counts: &[usize] = gear.scale.pick(&[100, 1000, 10_000, 100_000, 1_000_000], &[100, 10_000, 100_000]);
    let one = counts.iter().map(|watchers| case(*watchers, 1));
    let ten = counts.iter().map(|watchers| case(*watchers, 10));
    let rows = one.chain(ten).collect::<Outcome<Vec<_>>>()?;
    beside_sled(rows, gear)
}

#[cfg(feature = "peers")]
fn beside_sled(mut rows: Vec<Row>, gear: &Gear) -> Outcome<Vec<Row>> {
    rows.extend(super::fan_out_sled::rows(gear)?);
    Ok(rows)
}

#[cfg(not(feature = "peers"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail where sled is built in")]
fn beside_sled(rows: Vec<Row>, _: &Gear) -> Outcome<Vec<Row>> {
    not_built_in("P6", "sled");
    Ok(rows)
}

fn case(watchers: usize, streams: usize) -> Outcome<Row> {
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let mut ours = Ours::new(&store, watchers, streams)?;
    let mut peer =
        Peer { broadcast: Broadcast::new(watchers), receivers: vec![Receiver::default(); watchers], puts: 0 };
    // Enough puts a round for a steady figure, and few enough for a million watchers.
    let puts = (2_000_000 / watchers).clamp(3, 2000);
    let (ours, peer) = in_turn(|| ours.round(puts), || peer.round(puts))?;
    let name = format!("{watchers} watchers of one key, {streams} streams");
    Ok(Row::new("P6", name, "ns a watcher", ours).with_peer("broadcast", peer).with_goal(Goal::AtMost(200.0)))
}

pub(super) struct Ours<'s> {
    store: &'s Store,
    streams: Vec<(WatchStream, Vec<Receiver>)>,
    puts: u64,
}

impl<'s> Ours<'s> {
    pub(super) fn new(store: &'s Store, watchers: usize, streams: usize) -> Outcome<Self> {
        let options = WatchOptions::new(KeyRange::key(KEY));
        let stream = || {
            let mut stream = store.watch_stream(None)?;
            register(&mut stream, std::iter::repeat_n(options.clone(), watchers / streams))?;
            Ok((stream, vec![Receiver::default(); watchers / streams]))
        };
        let streams = (0..streams).map(|_| stream()).collect::<Outcome<_>>()?;
        Ok(Self { store, streams, puts: 0 })
    }

    pub(super) fn round(&mut self, puts: usize) -> Outcome<f64> {
        let watchers: usize = self.streams.iter().map(|(_, receivers)| receivers.len()).sum();
        let begun = Instant::now();
        for _ in 0..puts {
            self.puts += 1;
            let committed = self.store.put(KEY, value_of(self.puts, VALUE_LEN)).wait()?;
            let expected = Expected { revision: committed.revision, number: self.puts };
            for (stream, receivers) in &mut self.streams {
                drain(stream, receivers, &expected)?;
            }
        }
        Ok(nanos_each(begun, puts * watchers))
    }
}

/// Takes what comes on the stream until every receiver has had its event.
fn drain(stream: &mut WatchStream, receivers: &mut [Receiver], expected: &Expected) -> Outcome {
    let mut left = receivers.len();
    while left > 0 {
        let Some(StreamItem::Events { batch, watches }) = stream.wait_next() else {
            return Err("events were to come".into());
        };
        for watch in watches.iter() {
            let receiver = receivers.get_mut(usize::try_from(watch)?).ok_or("nobody has that watch id")?;
            take(receiver, &batch, expected)?;
            left -= 1;
        }
    }
    Ok(())
}

fn take(receiver: &mut Receiver, batch: &Batch, expected: &Expected) -> Outcome {
    let [event] = batch.events() else { return Err("one event was to come".into()) };
    receiver.take(expected, event.revision().main, event.key(), event.value())
}

struct Peer {
    broadcast: Broadcast,
    receivers: Vec<Receiver>,
    puts: u64,
}

impl Peer {
    fn round(&mut self, puts: usize) -> Outcome<f64> {
        let begun = Instant::now();
        for _ in 0..puts {
            self.puts += 1;
            let expected = Expected { revision: self.puts, number: self.puts };
            let message =
                Message { revision: self.puts, key: KEY.to_vec(), value: value_of(self.puts, VALUE_LEN) };
            self.broadcast.deliver(message, |number, message| {
                self.receivers[number].take(&expected, message.revision, &message.key, &message.value)
            })?;
        }
        Ok(nanos_each(begun, puts * self.receivers.len()))
    }
}
