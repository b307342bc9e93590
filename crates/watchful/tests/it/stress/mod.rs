//! All promises at once, under load: writers of both kinds, watchers of every kind, compactions, leases and reopenings,
//! with all checkers.
//!
//! Two sources are compared. The writers keep their own log of what was acknowledged, and the model is built from it in
//! order of revision: so every answer is checked against the state it must have seen. Then everything that any watcher
//! saw is checked against that model.
//!
//! The seed is printed and can be given in `WATCHFUL_SEED`; threads still meet as they like. `WATCHFUL_STRESS_ROUNDS`
//! makes it longer.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use watchful::{KeyRange, LeaseId, ManualClock, Store, StreamItem};
use watchful_testkit::{Model, Op, RangeAnswer, SplitMix64, checkers};

use crate::support::{Twin, check_budgets, check_nothing_is_left, narrow, rows_at, settings};

mod watchers;

mod writers;

/// What the threads of one round share.
struct Round {
    store: Store,
    clock: ManualClock,
    /// Leases that were there when the round began.
    old_leases: Vec<LeaseId>,
    /// Every lease that was granted in this round.
    granted: Mutex<Vec<LeaseId>>,
    /// Leases that puts may name.
    leases: Mutex<Vec<LeaseId>>,
    /// Leases whose time was let run out.
    expired: Mutex<Vec<LeaseId>>,
    log: Mutex<Vec<Logged>>,
    compacted: AtomicU64,
    /// The last revision of the round, once the writers are done; 0 before.
    last_revision: AtomicU64,
    sampled: AtomicBool,
    /// How many watches were ever made.
    watched: AtomicUsize,
}

/// A put of 1,500 bytes and the record before it.
const LARGEST_EVENT_BYTES: usize = 4 << 10;

/// Ends everybody's loop, also when somebody panics: a failure must not become a hang.
struct Over<'r>(&'r Round);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.last_revision.fetch_max(1, Ordering::SeqCst);
        self.0.sampled.store(true, Ordering::SeqCst);
    }
}

/// What a writer was told.
enum Logged {
    Changed {
        revision: u64,
        ops: Vec<Op>,
        results: Vec<watchful_testkit::OpResult>,
    },
    /// A read inside a transaction, and the newest revision it could see.
    Read {
        seen: u64,
        range: KeyRange,
        answer: RangeAnswer,
    },
    Revoked {
        revision: Option<u64>,
        lease: LeaseId,
    },
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_promise_holds_under_load() {
    let seed = number("WATCHFUL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    let rounds = number("WATCHFUL_STRESS_ROUNDS").unwrap_or(2);
    println!("WATCHFUL_SEED={seed}");
    let mut rng = SplitMix64::new(seed);
    let clock = ManualClock::default();
    let mut twin = Twin::with(narrow().with_clock(clock.clone()));
    let (mut compacted, mut readings) = (0, vec![1]);
    for round in 0..rounds {
        twin.settings = if round % 2 == 0 { narrow() } else { settings() }.with_clock(clock.clone());
        twin.reopen();
        readings.push(twin.current_revision());
        compacted = run_round(&mut twin, &clock, compacted, round, &mut rng);
        readings.push(twin.current_revision());
    }
    checkers::revision_never_goes_back(readings).unwrap();
    twin.close();
    let report = watchful::check(twin.path()).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    assert_eq!(report.current_revision, twin.model.current_revision());
}

/// Runs a round and checks it. Returns how far the store is compacted.
fn run_round(twin: &mut Twin, clock: &ManualClock, compacted: u64, round: u64, rng: &mut SplitMix64) -> u64 {
    let shared = Round {
        store: Store::clone(twin),
        clock: clock.clone(),
        old_leases: twin.model.leases().map(|(lease, _)| lease).collect(),
        granted: Mutex::default(),
        leases: Mutex::default(),
        expired: Mutex::default(),
        log: Mutex::default(),
        compacted: AtomicU64::new(compacted),
        last_revision: AtomicU64::new(0),
        sampled: AtomicBool::new(false),
        watched: AtomicUsize::new(0),
    };
    let seen = thread::scope(|scope| {
        let _over = Over(&shared);
        let watchers = watchers::spawn(scope, &shared, rng);
        scope.spawn(|| sample_budgets(&shared, &twin.settings));
        scope.spawn(|| defragment_now_and_then(&shared));
        writers::run(&shared, round, rng);
        shared.last_revision.store(shared.store.current_revision(), Ordering::SeqCst);
        let seen: Vec<_> = watchers.into_iter().flat_map(|watcher| watcher.join().unwrap()).collect();
        seen
    });
    grow(&mut twin.model, &shared);
    let compacted = shared.compacted.load(Ordering::SeqCst);
    let mut model = twin.model.clone();
    if compacted > 0 {
        model.compact(compacted).unwrap();
    }
    println!("round {round}: revision {}, compacted {compacted}", model.current_revision());
    assert!(seen.len() > 40);
    // What was seen holds buffers, so it goes before the gauges are looked at.
    seen.into_iter().for_each(|seen| seen.check(&shared.store, &model));
    check_store(&shared.store, &model, rng);
    compacted
}

/// The file is exchanged under everybody's feet, each time some more was written.
fn defragment_now_and_then(round: &Round) {
    const WRITES: u64 = 20;
    while round.last_revision.load(Ordering::SeqCst) == 0 {
        let next = round.store.current_revision() + WRITES;
        round.store.defragment().unwrap();
        while round.store.current_revision() < next && round.last_revision.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Promise 19, all the while.
fn sample_budgets(round: &Round, settings: &watchful::Settings) {
    while !round.sampled.load(Ordering::SeqCst) {
        // Beside its bound, an outbox may hold what has a slot that is always free (a watch came, went, has progress), and
        // one row for each of its groups, however large: an empty outbox takes anything.
        let excess =
            round.watched.load(Ordering::SeqCst) * (LARGEST_EVENT_BYTES + 4 * StreamItem::CONTROL_BYTES);
        let outbox = settings.outbox_bytes_max.max(2 * settings.chunk_bytes_max);
        check_budgets(&round.store, settings, |found| found.streams * outbox + excess);
        thread::yield_now();
    }
}

/// Applies what was acknowledged, in order of revision, and compares each answer.
fn grow(model: &mut Model, round: &Round) {
    for lease in &*round.granted.lock() {
        model.lease_grant(*lease, writers::TTL_SECONDS).unwrap();
    }
    let mut changes = BTreeMap::new();
    let mut reads = Vec::new();
    let expired = std::mem::take(&mut *round.expired.lock());
    for logged in std::mem::take(&mut *round.log.lock()) {
        match logged {
            Logged::Read { seen, range, answer } => reads.push((seen, range, answer)),
            Logged::Changed { revision, .. } | Logged::Revoked { revision: Some(revision), .. } => {
                assert!(
                    changes.insert(revision, logged).is_none(),
                    "revision {revision} was given out twice"
                );
            }
            Logged::Revoked { revision: None, .. } => {}
        }
    }
    for revision in model.current_revision() + 1..=round.store.current_revision() {
        let applied = match changes.remove(&revision) {
            Some(Logged::Changed { ops, results, .. }) => {
                let applied = model.apply(&ops).unwrap();
                assert_eq!(applied.results, results, "revision {revision}: {ops:?}");
                applied
            }
            Some(Logged::Revoked { lease, .. }) => model.lease_revoke(lease).unwrap(),
            Some(Logged::Read { .. }) => unreachable!("a read takes no revision"),
            None => expire(model, revision, &expired),
        };
        assert_eq!(applied.revision, Some(revision));
    }
    assert!(changes.is_empty(), "acknowledged and not there: {:?}", changes.keys());
    for (seen, range, answer) in reads {
        assert_eq!(model.range_at(&range, &Default::default(), seen).unwrap(), answer, "{range} at {seen}");
    }
}

/// Nobody wrote this revision: it must be the end of a lease whose time had run out. Those that were granted first end
/// first, and one without keys takes no revision.
fn expire(model: &mut Model, revision: u64, expired: &[LeaseId]) -> watchful_testkit::Applied {
    let due = expired.iter().copied().filter(|lease| !model.attached_keys(*lease).is_empty()).min();
    let lease = due.unwrap_or_else(|| panic!("revision {revision}: nobody wrote it, and no lease ended"));
    model.lease_revoke(lease).unwrap()
}

/// Promises 11 and 16, and that what can be read is the model's.
fn check_store(store: &Store, model: &Model, rng: &mut SplitMix64) {
    check_nothing_is_left(store);
    let oldest = model.compact_revision().max(1);
    let mut revisions = vec![oldest, model.current_revision()];
    revisions.extend((0..40).map(|_| oldest + rng.below(model.current_revision() - oldest + 1)));
    for revision in revisions {
        checkers::survives_compaction(model, revision, &rows_at(store, revision)).unwrap();
    }
}

/// How long a thread looks at one thing before it looks whether the round is over.
const TURN: Duration = Duration::from_millis(2);
