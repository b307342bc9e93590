//! kill -9 while several threads write, compact, defragment, and grant and revoke leases: what was acknowledged is there
//! afterwards, whatever the durability; what was not is there whole or not at all; and no revision is given out twice.
//!
//! Two sources are compared. The child tells each acknowledged write by its revision, writer and number; what a write does
//! follows from its writer and number alone. The store tells by its history: each write begins with a put that names its
//! writer and number. From both the parent builds the model, over many crashes of one store.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;
use watchful::{Durability, Error, KeyRange, LeaseId, ResumeToken, Settings, Store, WatchOptions};
use watchful_testkit::{Model, Op, SplitMix64, WatchSpec, checkers};

use super::child::{self, Working};
use crate::support::{Receiver, block_on, request, rows_at, settings};

const NAME: &str = "open::kill::what_was_acknowledged_survives_kill_9";
const ROUNDS: u64 = 9;
const WRITERS: u64 = 4;
const TTL_SECONDS: i64 = 1000;

/// What both processes derive everything from.
fn seed_of(seed: u64, round: u64) -> u64 {
    SplitMix64::new(seed.wrapping_add(round)).next_u64()
}

fn settings_of(seed: u64) -> Settings {
    let durability =
        *SplitMix64::new(seed).pick(&[Durability::Synced, Durability::Relaxed, Durability::Unsynced]);
    settings().with_durability(durability).with_compaction_slice_rows(2)
}

/// The lease that a writer grants before it writes.
fn lease_of(seed: u64, writer: u64) -> LeaseId {
    i64::try_from(seed % (1 << 40) * WRITERS + writer + 1).unwrap()
}

fn writer_key(writer: u64) -> String {
    format!("a-writer/{writer}")
}

/// What a writer writes: first its own name and number.
fn ops(seed: u64, writer: u64, number: u64) -> Vec<Op> {
    let mut rng = SplitMix64::new(seed ^ (writer << 48) ^ number);
    let mut ops = vec![Op::put(writer_key(writer), number.to_string())];
    for _ in 0..rng.below(6) {
        let key = format!("key/{:02}", rng.below(12));
        let len_max = if rng.chance(20) { 20_000 } else { 100 };
        let value = vec![b'v'; usize::try_from(rng.below(len_max)).unwrap()];
        ops.push(match rng.below(8) {
            0 => Op::delete(key),
            1 => Op::DeleteRange(KeyRange::between("key/03", "key/07").unwrap()),
            2 => Op::put_with_lease(key, value, lease_of(seed, writer)),
            _ => Op::put(key, value),
        });
    }
    ops
}

// The child.

/// Tells acknowledged writes, and knows up to which revision all were told.
struct Teller {
    told: Mutex<BTreeMap<u64, ()>>,
    all_told: AtomicU64,
}

impl Teller {
    fn tell(&self, revision: u64, writer: u64, number: u64) {
        let mut told = self.told.lock();
        child::tell(&format!("wrote {revision} {writer} {number}"));
        told.insert(revision, ());
        let mut all_told = self.all_told.load(Ordering::SeqCst);
        while told.remove(&(all_told + 1)).is_some() {
            all_told += 1;
        }
        self.all_told.store(all_told, Ordering::SeqCst);
    }
}

fn write_until_killed(folder: &Path, seed: u64) {
    let store = Store::open(folder, settings_of(seed)).unwrap();
    for lease in store.leases().into_iter().step_by(2) {
        let revoked = store.lease_revoke(lease).wait().unwrap();
        child::tell(&format!("revoked {lease} {}", revoked.revision));
    }
    let teller = Teller { told: Mutex::default(), all_told: AtomicU64::new(store.current_revision()) };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, teller) = (&store, &teller);
            scope.spawn(move || write(store, teller, seed, writer));
        }
        // In half of the children the data file is exchanged all the while, so the kill often comes in the middle of it.
        while seed.is_multiple_of(2) {
            store.defragment().unwrap();
        }
    });
}

fn write(store: &Store, teller: &Teller, seed: u64, writer: u64) {
    let lease = store.lease_grant(lease_of(seed, writer), TTL_SECONDS).wait().unwrap();
    child::tell(&format!("granted {lease}"));
    for number in 0.. {
        let write = store.execute(request(&ops(seed, writer, number)));
        let done = if writer.is_multiple_of(2) { write.wait() } else { block_on(write) };
        teller.tell(done.unwrap().revision, writer, number);
        if writer == 0 && number % 16 == 15 {
            // Never what was not told yet: below the compact revision, only what was told tells of it.
            let revision = teller.all_told.load(Ordering::SeqCst);
            match store.compact(revision).wait() {
                Ok(()) => child::tell(&format!("compacted {revision}")),
                Err(Error::Compacted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

// The parent.

/// What one child told before it was killed.
#[derive(Default)]
struct Told {
    /// By revision: the writer, and its number.
    wrote: BTreeMap<u64, (u64, u64)>,
    granted: Vec<LeaseId>,
    /// And the newest revision then.
    revoked: Vec<(LeaseId, u64)>,
    compacted: u64,
}

impl Told {
    /// Lets a child work for a while, and kills it.
    fn of_child(folder: &Path, seed: u64, writes: u64) -> Self {
        let mut child = Working::spawn(NAME, folder, seed);
        let mut told = Self::default();
        while (told.wrote.len() as u64) < writes {
            told.hear(&child.told());
        }
        child.kill().iter().for_each(|line| told.hear(line));
        told
    }

    fn hear(&mut self, line: &str) {
        let (what, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let lease = || i64::try_from(numbers[0]).unwrap();
        match (what, &numbers[..]) {
            ("wrote", &[revision, writer, number]) => {
                assert_eq!(self.wrote.insert(revision, (writer, number)), None, "{line}: given out twice");
            }
            ("granted", [_]) => self.granted.push(lease()),
            ("revoked", [_, revision]) => self.revoked.push((lease(), *revision)),
            ("compacted", [revision]) => self.compacted = *revision,
            _ => panic!("{line}"),
        }
    }

    fn newest(&self) -> u64 {
        let revoked = self.revoked.iter().map(|(_, revision)| *revision).max();
        self.wrote.keys().next_back().copied().max(revoked).unwrap_or(0)
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some((folder, seed)) = child::task() {
        return write_until_killed(&folder, seed);
    }
    let seed = std::env::var("WATCHFUL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    println!("WATCHFUL_SEED={seed}");
    let mut rng = SplitMix64::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut model, mut readings, mut token) = (Model::new(), Vec::new(), None);
    for round in 0..ROUNDS {
        let seed = seed_of(seed, round);
        let writes = if rng.chance(4) { rng.below(3) } else { 20 + rng.below(400) };
        let told = Told::of_child(dir.path(), seed, writes);
        let copies = if dir.path().join("data.mdb.smaller").exists() { "a" } else { "no" };
        let store = Store::open(dir.path(), settings_of(rng.next_u64())).unwrap();
        let (told_to, found) = (told.newest(), store.current_revision());
        println!("round {round}: told {told_to}, found {found}, {copies} copy that was broken off");
        grow(&mut model, &store, &told, seed);
        token = Some(check_same(&store, &mut model, &told, token));
        readings.push(store.current_revision());
    }
    checkers::revision_never_goes_back(readings).unwrap();
}

/// Applies what the child did, as far as it is there.
fn grow(model: &mut Model, store: &Store, told: &Told, seed: u64) {
    grow_leases(model, store, told, seed);
    let current = store.current_revision();
    let first = model.current_revision() + 1;
    let found = find_writes(store, first.max(store.compact_revision()));
    let mut next_numbers = vec![0; usize::try_from(WRITERS).unwrap()];
    for revision in first..=current {
        let (told, found) = (told.wrote.get(&revision), found.get(&revision));
        let (writer, number) = *found.or(told).unwrap_or_else(|| panic!("revision {revision} was lost"));
        assert!(told.is_none_or(|told| *told == (writer, number)), "revision {revision} is of another write");
        let next = &mut next_numbers[usize::try_from(writer).unwrap()];
        assert_eq!(number, *next, "writer {writer} at revision {revision}: a write before this one was lost");
        *next += 1;
        assert_eq!(model.apply(&ops(seed, writer, number)).unwrap().revision, Some(revision));
    }
}

/// Leases are granted before their writer writes, and revoked before anybody does: so the order among them is known.
fn grow_leases(model: &mut Model, store: &Store, told: &Told, seed: u64) {
    let kept = store.leases();
    let before: Vec<LeaseId> = model.leases().map(|(lease, _)| lease).collect();
    for lease in before.iter().step_by(2).filter(|lease| !kept.contains(lease)) {
        model.lease_revoke(*lease).unwrap();
    }
    for (lease, revision) in &told.revoked {
        assert!(before.contains(lease) && !kept.contains(lease), "the end of lease {lease} was lost");
        assert!(*revision <= store.current_revision());
    }
    for lease in &told.granted {
        assert!(kept.contains(lease), "lease {lease} was lost");
    }
    for lease in kept.into_iter().filter(|lease| !before.contains(lease)) {
        assert!((0..WRITERS).any(|writer| lease_of(seed, writer) == lease), "nobody granted {lease}");
        model.lease_grant(lease, TTL_SECONDS).unwrap();
    }
}

/// The writes that the store's history tells of, by revision.
fn find_writes(store: &Store, first: u64) -> BTreeMap<u64, (u64, u64)> {
    if first > store.current_revision() {
        return BTreeMap::new();
    }
    let mut seen = Receiver::open(store, WatchSpec::new(KeyRange::everything(), first));
    seen.read_to(store.current_revision());
    let writer = |key: &[u8]| (0..WRITERS).find(|writer| writer_key(*writer).as_bytes() == key);
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
    let writes = seen.observed.events().filter(|event| event.revision().sub == 0);
    writes
        .filter_map(|event| Some((event.revision().main, (writer(event.key())?, number(event.value())))))
        .collect()
}

/// Promises 5, 10, 12 and 20, and that leases survive with their keys. Answers with a token to resume from next time.
fn check_same(store: &Store, model: &mut Model, told: &Told, token: Option<ResumeToken>) -> ResumeToken {
    let (current, compacted) = (store.current_revision(), store.compact_revision());
    checkers::durable(model, told.newest().max(1), current, &rows_at(store, current)).unwrap();
    assert!(told.compacted <= compacted, "a compaction was lost");
    if compacted > model.compact_revision() {
        model.compact(compacted).unwrap();
    }
    for revision in compacted.max(1)..=current {
        checkers::survives_compaction(model, revision, &rows_at(store, revision)).unwrap();
    }
    for (id, ttl) in model.leases() {
        let lease = store.lease(id).unwrap();
        assert_eq!(
            (lease.ttl_seconds, lease.keys),
            (ttl, model.attached_keys(id).iter().map(|key| key.to_vec()).collect())
        );
    }
    let mut oldest =
        Receiver::open(store, WatchSpec::new(KeyRange::everything(), compacted.max(1)).with_prev_kv());
    oldest.read_to(current);
    oldest.check(model);
    if let Some(token) = token.filter(|token| token.next_revision() <= current) {
        check_resumed(store, model, token);
    }
    oldest.watch.resume_token()
}

/// A watch from before the crash goes on, since the epoch is the same whatever the durability; or is told that compaction was faster.
fn check_resumed(store: &Store, model: &Model, token: ResumeToken) {
    let everything = KeyRange::everything();
    let watch = store.watch(&WatchOptions::new(everything.clone()).resume(token)).unwrap();
    let spec = WatchSpec::new(everything, watch.next_revision());
    let mut resumed = Receiver::new(watch, spec);
    resumed.read_to(model.current_revision());
    resumed.check(model);
}
