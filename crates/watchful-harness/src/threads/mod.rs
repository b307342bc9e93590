//! All promises at once, under load: writers of both kinds, watchers of every kind, compactions, leases and reopenings,
//! with all checkers.
//!
//! Two sources are compared. The writers keep their own log of what was acknowledged, and the model is built from it in
//! order of revision: so every answer is checked against the state it must have seen. Then everything that any watcher
//! saw is checked against that model.
//!
//! Threads meet as they like, so a seed decides what is done, and not quite in which order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use watchful::{
    Error, KeyRange, LeaseId, ManualClock, Store, StreamItem, Update, WatchOptions, WatcherStanding,
};
use watchful_testkit::{Model, Op, RangeAnswer, SplitMix64, checkers};

use crate::{
    PATIENCE, Twin, answered, check_budgets, check_nothing_is_left, defragment, eventually, everything,
    narrow, rows_at, settings,
};

mod watchers;

mod writers;

/// What may go wrong by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// Nothing: any error is a failure.
    #[default]
    None,
    /// Commits that are taken back, and history that cannot be read, now and then: that is told, and nothing else
    /// comes of it. No lease is let expire, since nobody knows when one of whose end was taken back ends.
    Told,
}

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Revisions that were written.
    pub revisions: u64,
    /// Watches that were made and checked.
    pub watches: u64,
    /// Events that they saw.
    pub events: u64,
    /// Copies that were made, and are what the store was.
    pub backups: u64,
    /// Errors that were told.
    pub errors: u64,
}

/// What the threads of one round share.
struct Round {
    store: Store,
    faults: Faults,
    errors: AtomicU64,
    /// Copies that were made.
    backups: Mutex<Vec<PathBuf>>,
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
    /// How many of them are over, and their outboxes gone or emptied of them.
    over: AtomicUsize,
}

/// How many watches are on one outbox at once.
const ON_A_STREAM_MAX: usize = 25;

/// A put of 1,500 bytes and the record before it.
const LARGEST_EVENT_BYTES: usize = 4 << 10;

/// That a watch came, and went.
const SLOTS_BYTES: usize = 2 * StreamItem::CONTROL_BYTES;

/// Ends everybody's loop, also when somebody panics: a failure must not become a hang.
struct Over<'r>(&'r Round);

impl Round {
    /// Notes an error that was to be expected; panics with any other.
    fn told(&self, error: &Error) {
        let expected = self.faults == Faults::Told && matches!(error, Error::Other(_));
        assert!(expected, "{error}");
        self.errors.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.last_revision.fetch_max(1, Ordering::SeqCst);
        self.0.sampled.store(true, Ordering::SeqCst);
        if thread::panicking() {
            // Some wait for what may never come.
            self.0.store.close();
        }
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

/// Opens a store `rounds` times over, each time for writers and watchers of every kind, and checks everything.
pub fn run(seed: u64, rounds: u64, faults: Faults) -> Done {
    let mut done = Done::default();
    let mut rng = SplitMix64::new(seed);
    let clock = ManualClock::default();
    let mut twin = Twin::with(narrow().with_clock(clock.clone()));
    let (mut compacted, mut readings) = (0, vec![1]);
    let first = rng.below(2);
    for round in 0..rounds {
        twin.settings =
            if (first + round).is_multiple_of(2) { narrow() } else { settings() }.with_clock(clock.clone());
        twin.reopen();
        readings.push(twin.current_revision());
        compacted = run_round(&mut twin, (&clock, faults), compacted, round, (&mut rng, &mut done));
        if faults == Faults::None {
            check_wakes(&mut twin);
        }
        readings.push(twin.current_revision());
        if faults == Faults::None {
            check_deaf(&mut twin);
        }
        twin.close();
    }
    checkers::revision_never_goes_back(readings).unwrap();
    let report = watchful::check(twin.path()).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    assert_eq!(report.current_revision, twin.model.current_revision());
    done.revisions = report.current_revision;
    done
}

/// Runs a round and checks it. Returns how far the store is compacted.
fn run_round(
    twin: &mut Twin,
    (clock, faults): (&ManualClock, Faults),
    compacted: u64,
    round: u64,
    (rng, done): (&mut SplitMix64, &mut Done),
) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let shared = Round {
        store: Store::clone(twin),
        faults,
        errors: AtomicU64::new(0),
        backups: Mutex::default(),
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
        over: AtomicUsize::new(0),
    };
    let seen = thread::scope(|scope| {
        let _over = Over(&shared);
        let watchers = watchers::spawn(scope, &shared, rng);
        scope.spawn(|| sample_budgets(&shared, &twin.settings));
        scope.spawn(|| defragment_now_and_then(&shared));
        scope.spawn(|| back_up_now_and_then(&shared, folder.path()));
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
    assert!(seen.len() > 40);
    done.watches += seen.len() as u64;
    done.events += seen.iter().map(|seen| seen.events()).sum::<u64>();
    done.errors += shared.errors.load(Ordering::SeqCst);
    // What was seen holds buffers, so it goes before the gauges are looked at.
    seen.into_iter().for_each(|seen| seen.check(&shared.store, &model));
    check_store(&shared.store, &model, rng);
    for backup in shared.backups.lock().iter() {
        check_backup(backup, &model);
        done.backups += 1;
    }
    compacted
}

/// When nothing else happens, a commit alone brings its events to those who wait for them: no wake is lost.
fn check_wakes(twin: &mut Twin) {
    for write in 0..3 {
        let current = twin.current_revision();
        let mut watch = twin.watch(&WatchOptions::new(everything())).unwrap();
        watch.ask_progress(current);
        let update = watch.wait_next_for(PATIENCE).expect("progress was owed");
        assert_eq!(update, Some(Ok(Update::Progress { revision: current })));
        // The driver looks for a moment whether there is more. Only once it sleeps it has to be woken.
        thread::sleep(Duration::from_millis(20));
        let written = twin.put("a/wake", write.to_string()).wait().unwrap();
        twin.model.apply(&[Op::put("a/wake", write.to_string())]).unwrap();
        let asked = Instant::now();
        let update = watch.wait_next_for(PATIENCE).expect("an event was owed, and did not come");
        // It looks once more when its time is over, and finds what it was not woken for.
        assert!(asked.elapsed() < PATIENCE / 2, "an event came, and nobody was woken");
        let Some(Ok(Update::Events(batch))) = update else { panic!("{update:?}") };
        assert_eq!(batch.last_revision(), written.revision);
    }
}

/// Promise 19, counted by hand: a watch that never reads holds no more than its outbox and one row beyond it, or one batch,
/// when the store goes. Closes the store.
fn check_deaf(twin: &mut Twin) {
    let oldest = twin.compact_revision().max(1);
    let mut deaf = twin.watch(&WatchOptions::new(everything()).start_at(oldest)).unwrap();
    eventually("a deaf watch to be given all that fits", || {
        let status = answered(deaf.status())?;
        matches!(status.standing, WatcherStanding::Synced | WatcherStanding::Blocked).then_some(())
    });
    let outbox = twin.settings.outbox_bytes_max.max(2 * twin.settings.chunk_bytes_max);
    // What is read takes its first row along, however large.
    let bytes_max = outbox + LARGEST_EVENT_BYTES;
    twin.close();
    let batches: Vec<_> = deaf
        .updates()
        .filter_map(|update| if let Ok(Update::Events(batch)) = update { Some(batch) } else { None })
        .collect();
    let bytes: usize = batches.iter().map(|batch| batch.charge_bytes()).sum();
    assert!(batches.len() <= 1 || bytes <= bytes_max, "{bytes} bytes waited for a deaf watch");
}

/// The file is exchanged under everybody's feet, each time some more was written.
fn defragment_now_and_then(round: &Round) {
    const WRITES: u64 = 20;
    while round.last_revision.load(Ordering::SeqCst) == 0 {
        let next = round.store.current_revision() + WRITES;
        defragment(&round.store).unwrap();
        while round.store.current_revision() < next && round.last_revision.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Copies are made under everybody's feet, too.
fn back_up_now_and_then(round: &Round, folder: &Path) {
    const WRITES: u64 = 150;
    const COPIES: usize = 4;
    for copy in 0..COPIES {
        let next = round.store.current_revision() + WRITES;
        let file = folder.join(copy.to_string());
        round.store.backup(&file).unwrap();
        round.backups.lock().push(file);
        while round.store.current_revision() < next && round.last_revision.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        if round.last_revision.load(Ordering::SeqCst) > 0 {
            return;
        }
    }
}

/// A copy is the store at the revision that it names.
fn check_backup(file: &Path, model: &Model) {
    let folder = file.with_extension("restored");
    watchful::restore(file, &folder).unwrap();
    let copy = Store::open(&folder, settings()).unwrap();
    for revision in [copy.compact_revision().max(1), copy.current_revision()] {
        checkers::survives_compaction(model, revision, &rows_at(&copy, revision)).unwrap();
    }
}

/// Promise 19, all the while.
fn sample_budgets(round: &Round, settings: &watchful::Settings) {
    while !round.sampled.load(Ordering::SeqCst) {
        // Beside its bound, an outbox may hold what has a slot that is always free (a watch came, and went), and one row for
        // each of its groups, however large: an empty outbox takes anything. What the receivers of many watches took last is
        // counted until they are given something again.
        let over = round.over.load(Ordering::SeqCst);
        let outbox = settings.outbox_bytes_max.max(2 * settings.chunk_bytes_max);
        check_budgets(&round.store, settings, |found| {
            let watches = round.watched.load(Ordering::SeqCst) - over;
            let taken = watchers::SHARED_STREAMS * ON_A_STREAM_MAX * SLOTS_BYTES;
            found.streams * outbox + watches * (LARGEST_EVENT_BYTES + SLOTS_BYTES) + taken
        });
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
