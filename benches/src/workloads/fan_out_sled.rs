//! P6 beside sled: the same put to the same number of subscribers of its prefix, each with its own check.
//!
//! sled hands each subscriber its event on the thread that puts, and keeps a place in each queue before the put.

use std::time::Instant;

use watchful::Durability;
use watchful_peers::Sled;

use super::fan_out::{Expected, KEY, Ours, Receiver, VALUE_LEN};
use super::support::{nanos_each, open};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::value_of;
use crate::report::Row;
use crate::rounds::in_turn;

struct Peer {
    sled: Sled,
    receivers: Vec<Receiver>,
    puts: u64,
}

pub(crate) fn rows(gear: &Gear) -> Outcome<Vec<Row>> {
    let counts: &[usize] = gear.scale.pick(&[100, 1000, 10_000], &[100, 1000]);
    counts.iter().map(|watchers| case(*watchers)).collect()
}

fn case(watchers: usize) -> Outcome<Row> {
    let (our_folder, peer_folder) = (folder()?, folder()?);
    let store = open(our_folder.path(), Durability::Unsynced)?;
    let mut ours = Ours::new(&store, watchers, 1)?;
    let sled = Sled::open(peer_folder.path(), KEY, watchers)?;
    let mut peer = Peer { sled, receivers: vec![Receiver::default(); watchers], puts: 0 };
    let puts = (200_000 / watchers).clamp(10, 1000);
    let (ours, peer) = in_turn(|| ours.round(puts), || peer.round(puts))?;
    let name = format!("{watchers} watchers of one key, beside sled");
    Ok(Row::new("P6", name, "ns a watcher", ours).with_peer("sled", peer))
}

impl Peer {
    fn round(&mut self, puts: usize) -> Outcome<f64> {
        let begun = Instant::now();
        for _ in 0..puts {
            self.puts += 1;
            // sled counts no revisions: the number of the put stands for one.
            let expected = Expected { revision: self.puts, number: self.puts };
            let receivers = &mut self.receivers;
            self.sled.deliver(KEY, &value_of(self.puts, VALUE_LEN), |number, key, value| {
                receivers[number].take(&expected, expected.revision, key, value)
            })?;
        }
        Ok(nanos_each(begun, puts * self.receivers.len()))
    }
}
