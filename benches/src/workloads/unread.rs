//! What becomes of a watcher that does not read, while many events come: W10 with the peers' ways of it.
//!
//! One watcher; events of 4 KiB; then it reads what there is. Ours has a bounded outbox, and reads the rest from the disk.
//! Peers: a broadcast channel, which lets go of the oldest messages and says how many; and sled, where the one who puts waits
//! for the one who does not read. sled's writer is given up when it has done nothing for a second.

use std::time::Duration;

use watchful::{Durability, Settings};
use watchful_peers::Unread;

use super::support::{figure, open};
use super::watched::CheckedWatch;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
#[cfg(feature = "peers")]
use crate::keys::all_keys;
use crate::keys::{key_of, value_of};
use crate::memory::mib;
use crate::report::{Goal, Row};
use crate::rounds::Series;

const KEYS: u64 = 100;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 4096;

/// As many as sled keeps for a subscriber.
const KEPT: usize = 1024;

/// How long anybody may wait for an event.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What became of the events of one watcher.
struct Outcomes {
    put: u64,
    received: u64,
    told_lost: u64,
    /// While it did not read.
    mib_risen: f64,
}

pub(crate) fn rows(gear: &Gear) -> Outcome<Vec<Row>> {
    let events = gear.scale.pick(50_000, 5000);
    let (ours, broadcast) = (ours(gear, events)?, broadcast(gear, events)?);
    let name = |what: &str| format!("{what} of {events} while one watcher does not read");
    let received = Row::new("W10", name("events it has in the end"), "events", once(ours.received))
        .with_peer("broadcast", once(broadcast.received))
        .with_goal(Goal::AtLeast(figure(events)))
        .with("MiB more allocated", ours.mib_risen)
        .with("MiB more allocated of broadcast", broadcast.mib_risen)
        .with("told to be lost by broadcast", figure(broadcast.told_lost));
    let put =
        Row::new("W10", name("puts done"), "puts", once(ours.put)).with_goal(Goal::AtLeast(figure(events)));
    Ok(vec![received, beside_sled(put, gear, events)?])
}

fn once(count: u64) -> Series {
    Series(vec![figure(count)])
}

/// Not what is resident: where ten times as much was let go of before, what is allocated anew does not show there.
fn allocated(gear: &Gear) -> Option<u64> {
    Some((gear.live_bytes)()? as u64)
}

/// No number where nobody counts allocations.
fn mib_since(before: Option<u64>, gear: &Gear) -> f64 {
    allocated(gear).zip(before).map_or(f64::NAN, |(now, before)| mib(now.saturating_sub(before)))
}

fn ours(gear: &Gear, events: u64) -> Outcome<Outcomes> {
    let folder = folder()?;
    let store = open(folder.path(), Durability::Unsynced)?;
    let before = allocated(gear);
    let start = store.current_revision() + 1;
    let mut watch = CheckedWatch::open(&store, start)?;
    for number in 0..events {
        store.put(key_of(number % KEYS, KEY_LEN), value_of(number, VALUE_LEN)).wait()?;
    }
    let mib_risen = mib_since(before, gear);
    let queued = watch.queued_bytes()?;
    if queued > Settings::default().outbox_bytes_max {
        return Err(format!("{queued} bytes are queued").into());
    }
    let mut received = 0;
    while watch.next_revision() <= store.current_revision() {
        let came = watch.take_for(SILENCE_MAX)?.ok_or("nothing comes any more")?;
        received += came as u64;
    }
    Ok(Outcomes { put: events, received, told_lost: 0, mib_risen })
}

fn broadcast(gear: &Gear, events: u64) -> Outcome<Outcomes> {
    let before = allocated(gear);
    let mut unread = Unread::new(KEPT);
    (0..events).try_for_each(|_| unread.send(vec![b'v'; VALUE_LEN]))?;
    let mib_risen = mib_since(before, gear);
    let had = unread.drain();
    Ok(Outcomes { put: events, received: had.received, told_lost: had.told_lost, mib_risen })
}

#[cfg(not(feature = "peers"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail where sled is built in")]
fn beside_sled(row: Row, _: &Gear, _: u64) -> Outcome<Row> {
    super::support::not_built_in("W10", "sled");
    Ok(row)
}

#[cfg(feature = "peers")]
fn beside_sled(row: Row, gear: &Gear, events: u64) -> Outcome<Row> {
    let sled = of_sled::outcomes(gear, events)?;
    Ok(row
        .with_peer("sled", once(sled.put))
        .with("events received of sled, the writer going on", figure(sled.received))
        .with("MiB more allocated of sled", sled.mib_risen))
}

#[cfg(feature = "peers")]
mod of_sled {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use watchful_peers::Sled;

    use super::{
        Gear, KEY_LEN, KEYS, Outcome, Outcomes, VALUE_LEN, all_keys, allocated, folder, key_of, mib_since,
        value_of,
    };

    /// When somebody who does nothing counts as standing still.
    const STILL: std::time::Duration = std::time::Duration::from_secs(1);

    /// What is done until the writer stands still, and what the watcher has once it has read everything.
    pub(super) fn outcomes(gear: &Gear, events: u64) -> Outcome<Outcomes> {
        let (folder, done) = (folder()?, Arc::new(AtomicU64::new(0)));
        let before = allocated(gear);
        let mut sled = Sled::open(folder.path(), all_keys().start(), 1)?;
        let (put, counts) = (sled.putter(), Arc::clone(&done));
        let putter = thread::spawn(move || -> Outcome {
            for number in 0..events {
                put(&key_of(number % KEYS, KEY_LEN), &value_of(number, VALUE_LEN))
                    .map_err(|e| e.to_string())?;
                counts.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let put = wait_until_still(&done, events);
        let mib_risen = mib_since(before, gear);
        let received = sled.drain(STILL);
        putter.join().map_err(|_| "whoever puts into sled panicked")??;
        Ok(Outcomes { put, received, told_lost: 0, mib_risen })
    }

    fn wait_until_still(done: &AtomicU64, events: u64) -> u64 {
        loop {
            let before = done.load(Ordering::Relaxed);
            thread::sleep(STILL);
            let now = done.load(Ordering::Relaxed);
            if now == events || now == before && now > 0 {
                return now;
            }
        }
    }
}
