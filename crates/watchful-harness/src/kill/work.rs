//! The child: it works until it is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use watchful::{
    Clock, Durability, Error, EventKind, KeyRange, LeaseId, ManualClock, Settings, Store, Update,
    WatchOptions,
};
use watchful_testkit::{Observation, SplitMix64, WatchSpec, checkers::WatchChecker};

use super::plan::{self, LEASER, WRITERS};
use crate::child::{self, tell};
use crate::{block_on, defragment, observation, request, settings};

/// What a child does in `folder` until it is killed. All of it follows from the seed, but for who comes first.
pub fn work(folder: &Path, seed: u64) {
    child::begin();
    let clock = ManualClock::default();
    let store = Store::open(folder.join("store"), settings_of(seed, clock.clone())).unwrap();
    end_some(&store);
    let teller = Teller { told: Mutex::default(), all_told: AtomicU64::new(store.current_revision()) };
    let next = store.current_revision() + 1;
    let backups = folder.join("backups");
    thread::scope(|scope| {
        let (store, teller, clock) = (&store, &teller, &clock);
        scope.spawn(move || watch(store, teller, next));
        for writer in 0..WRITERS {
            scope.spawn(move || write(store, teller, seed, writer));
        }
        scope.spawn(move || lease(store, teller, seed, clock));
        for copy in 0.. {
            match seed % 4 {
                // So the kill often comes in the middle of it.
                0 | 1 => drop(defragment(store).unwrap()),
                2 => {
                    let name = format!("copy-{copy}");
                    store.backup(backups.join(&name)).unwrap();
                    tell(&format!("backup {name}"));
                }
                _ => break,
            }
        }
    });
}

fn settings_of(seed: u64, clock: impl Clock) -> Settings {
    let durability =
        *SplitMix64::new(seed).pick(&[Durability::Synced, Durability::Relaxed, Durability::Unsynced]);
    settings().with_durability(durability).with_compaction_slice_rows(2).with_clock(clock)
}

/// Revokes some of what the children before it have left.
fn end_some(store: &Store) {
    for lease in store.leases().into_iter().step_by(2) {
        tell(&format!("ending {lease}"));
        let revoked = store.lease_revoke(lease).wait().unwrap();
        if revoked.changed {
            tell(&format!("ended {lease} {}", revoked.revision));
        }
    }
}

/// Tells acknowledged writes and the ends of leases, and knows up to which revision all were told.
struct Teller {
    told: Mutex<BTreeMap<u64, ()>>,
    all_told: AtomicU64,
}

impl Teller {
    fn tell(&self, revision: u64, line: &str) {
        let mut told = self.told.lock();
        tell(line);
        told.insert(revision, ());
        let mut all_told = self.all_told.load(Ordering::SeqCst);
        while told.remove(&(all_told + 1)).is_some() {
            all_told += 1;
        }
        self.all_told.store(all_told, Ordering::SeqCst);
    }
}

fn write(store: &Store, teller: &Teller, seed: u64, writer: u64) {
    let lease = store.lease_grant(plan::long_lease(seed, writer), plan::LONG_SECONDS).wait().unwrap();
    tell(&format!("granted {lease}"));
    for number in 0.. {
        write_one(store, teller, seed, writer, number);
        if writer == 0 && number % 16 == 15 {
            compact(store, teller);
        }
    }
}

fn write_one(store: &Store, teller: &Teller, seed: u64, writer: u64, number: u64) {
    let write = store.execute(request(&plan::ops(seed, writer, number)));
    let done = if writer.is_multiple_of(2) { write.wait() } else { block_on(write) };
    let revision = done.unwrap().revision;
    assert!(store.current_revision() >= revision, "it was acknowledged before it was visible");
    teller.tell(revision, &format!("wrote {revision} {writer} {number}"));
}

fn compact(store: &Store, teller: &Teller) {
    // Never what was not told yet: below the compact revision, only what was told tells of it.
    let revision = teller.all_told.load(Ordering::SeqCst);
    match store.compact(revision).wait() {
        Ok(()) => tell(&format!("compacted {revision}")),
        Err(Error::Compacted { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Grants leases that end soon, keeps some alive, revokes some, and lets the time of the others run out.
fn lease(store: &Store, teller: &Teller, seed: u64, clock: &ManualClock) {
    let mut rng = SplitMix64::new(seed);
    let mut may_end: Vec<LeaseId> = Vec::new();
    for number in 0.. {
        let lease = store.lease_grant(plan::short_lease(seed, number), plan::SHORT_SECONDS).wait().unwrap();
        tell(&format!("granted {lease}"));
        write_one(store, teller, seed, LEASER, number);
        if rng.chance(4) {
            tell(&format!("ending {lease}"));
            store.lease_revoke(lease).wait().unwrap();
        }
        if rng.chance(4) {
            let short =
                store.leases().into_iter().filter(|lease| plan::ttl_of(*lease) == plan::SHORT_SECONDS);
            for lease in short {
                if rng.chance(2) {
                    may_end.push(lease);
                    tell(&format!("ending {lease}"));
                } else if store.lease_keep_alive(lease).is_err() {
                    assert!(may_end.contains(&lease), "lease {lease} ended before its time");
                }
            }
            clock.advance(Duration::from_secs(plan::SHORT_SECONDS.unsigned_abs() - 1));
        }
    }
}

/// Watches everything, and tells how far it is, and which leases have ended.
fn watch(store: &Store, teller: &Teller, next: u64) {
    let everything = KeyRange::everything();
    let mut checker = WatchChecker::new(WatchSpec::new(everything.clone(), next));
    checker.observe(&Observation::Created).unwrap();
    let mut watch = store.watch(&WatchOptions::new(everything).start_at(next)).unwrap();
    while let Some(update) = watch.wait_next() {
        if let Ok(Update::Events(batch)) = &update {
            let ended = batch.events().iter().filter(|event| event.kind() == EventKind::Delete);
            for event in ended {
                if let Some(lease) = plan::lease_of_key(event.key()) {
                    let revision = event.revision().main;
                    teller.tell(revision, &format!("ended {lease} {revision}"));
                }
            }
        }
        checker.observe(&observation(update).expect("the store is not closed")).unwrap();
        tell(&format!("seen {} {}", watch.next_revision() - 1, watch.resume_token()));
    }
}
