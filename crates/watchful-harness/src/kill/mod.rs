//! kill -9 while several threads write, compact, exchange the data file, copy it, grant leases, keep them alive and let them
//! end: what was acknowledged, or seen on a watch, is there afterwards, whatever the durability; what was not is there whole
//! or not at all; no revision is given out twice; watches go on; and no lease is lost, or ends before its time.
//!
//! Two sources are compared. The child tells each acknowledged write by its revision, writer and number; what a write does
//! follows from its writer and number alone. The store tells by its history: each write begins with a put that names its
//! writer and number. From both the parent builds the model, over many crashes of one store.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use watchful::{Durability, KeyRange, LeaseId, ManualClock, ResumeToken, Settings, Store, WatchOptions};
use watchful_testkit::{Model, Op, SplitMix64, WatchSpec, checkers};

use crate::broken_off::rows_left;
use crate::child::{Place, Program};
use crate::{Receiver, answered, eventually, rows_at, settings};
use told::Told;

mod plan;

mod told;

mod work;

pub use work::work;

/// When a child is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Once it has told of so many writes, or at once where it is 0; and then when it happens.
    Writes(u64),
    /// So long after it was started, wherever it is then.
    After(Duration),
    /// Where the product comes to this place; after some hundred writes, where it does not.
    At(Place),
}

impl Moment {
    /// Any, but for a place of the product.
    pub fn any(rng: &mut SplitMix64) -> Self {
        match rng.below(8) {
            0 => Self::Writes(rng.below(3)),
            1 | 2 => Self::After(Duration::from_micros(rng.below(40_000))),
            _ => Self::Writes(5 + rng.below(120)),
        }
    }
}

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Children that were killed.
    pub kills: u64,
    /// Of them, those that came to the place they were to die at.
    pub died_there: u64,
    /// Writes that the store kept.
    pub writes: u64,
    /// Writes that the store kept and nobody had been told of.
    pub untold: u64,
    /// Compactions that were killed before all they leave behind was deleted.
    pub compactions: u64,
    /// Exchanges of the data file that were killed half-way.
    pub exchanges: u64,
    /// Leases whose time ran out, or that were revoked.
    pub leases_ended: u64,
    /// Watches that went on from what they had.
    pub resumed: u64,
    /// Copies that were made, and are what the store was.
    pub backups: u64,
}

/// One store in `folder`, and as many children as there are moments, one after the other. Each works until its moment comes;
/// then everything is checked. At the end the time of all leases is let run out.
pub fn round(program: Program, folder: &Path, seed: u64, moments: impl Iterator<Item = Moment>) -> Done {
    let mut trial = Trial::new(folder, seed);
    for (number, moment) in moments.enumerate() {
        trial.kill_one(program, number as u64, moment);
    }
    checkers::revision_never_goes_back(std::mem::take(&mut trial.readings)).unwrap();
    trial.end_all_leases();
    trial.done
}

struct Trial {
    folder: PathBuf,
    backups: PathBuf,
    seed: u64,
    rng: SplitMix64,
    model: Model,
    readings: Vec<u64>,
    token: Option<ResumeToken>,
    /// What the file held before it was opened, where that was looked at.
    rows: Option<u64>,
    done: Done,
}

impl Trial {
    fn new(folder: &Path, seed: u64) -> Self {
        Self {
            folder: folder.join("store"),
            backups: folder.join("backups"),
            seed,
            rng: SplitMix64::new(seed),
            model: Model::new(),
            readings: Vec::new(),
            token: None,
            rows: None,
            done: Done::default(),
        }
    }

    fn kill_one(&mut self, program: Program, number: u64, moment: Moment) {
        let seed = SplitMix64::new(self.seed.wrapping_add(number)).next_u64();
        let _ = std::fs::remove_dir_all(&self.backups);
        std::fs::create_dir_all(&self.backups).unwrap();
        let told = Told::of_child(program, self.folder.parent().unwrap(), seed, moment);
        self.done.kills += 1;
        self.done.died_there += u64::from(told.died_there);
        let broken_off = self.folder.join("data.mdb.smaller").exists();
        self.done.exchanges += u64::from(broken_off);
        if self.folder.exists() && self.rng.chance(4) {
            self.check_file();
        }
        let clock = ManualClock::default();
        let durability = *self.rng.pick(&[Durability::Synced, Durability::Relaxed, Durability::Unsynced]);
        let store = Store::open(&self.folder, opened_by_parent(durability, &clock)).unwrap();
        self.grow(&store, &told, seed);
        self.check(&store, &told);
        self.check_backup(&told);
        self.readings.push(store.current_revision());
    }

    /// The file is sound where the child was killed, unless it was before there was one.
    fn check_file(&mut self) {
        match watchful::check(&self.folder) {
            Ok(report) => {
                assert!(report.is_ok(), "{:?}", report.problems);
                self.rows = Some(report.rows);
            }
            Err(error) => assert!(!self.folder.join("data.mdb").exists(), "{error}"),
        }
    }

    /// Applies what the child did, as far as it is there.
    fn grow(&mut self, store: &Store, told: &Told, seed: u64) {
        let model = &mut self.model;
        let (first, current) = (model.current_revision() + 1, store.current_revision());
        let known = model.leases().map(|(lease, _)| lease).collect::<Vec<_>>();
        let kept = store.leases();
        for lease in &told.granted {
            assert!(
                kept.contains(lease) || told.ending.contains(lease),
                "lease {lease} was lost, or ended early"
            );
        }
        let new = kept.iter().chain(&told.granted).filter(|lease| !known.contains(lease));
        let mut new: Vec<LeaseId> = new.copied().collect();
        new.sort_unstable();
        new.dedup();
        for lease in new {
            assert!(plan::is_of(seed, lease), "nobody granted {lease}");
            model.lease_grant(lease, plan::ttl_of(lease)).unwrap();
        }
        let found = told::find(store, first.max(store.compact_revision()));
        let mut next_numbers = vec![0_u64; usize::try_from(plan::WRITERS + 1).unwrap()];
        for revision in first..=current {
            self.done.writes += 1;
            let write = told.wrote.get(&revision);
            let applied = match (write.or(found.writes.get(&revision)), told.ended.get(&revision)) {
                (Some(&(writer, number)), None) => {
                    self.done.untold += u64::from(write.is_none());
                    let there = found.writes.get(&revision).is_none_or(|there| *there == (writer, number));
                    assert!(there, "revision {revision} is of another write");
                    let next = &mut next_numbers[usize::try_from(writer).unwrap()];
                    assert!(
                        number == *next,
                        "writer {writer}, revision {revision}: a write before this one was lost"
                    );
                    *next += 1;
                    model.apply(&plan::ops(seed, writer, number)).unwrap()
                }
                (None, Some(&lease)) => {
                    self.done.leases_ended += 1;
                    model.lease_revoke(lease).unwrap()
                }
                (None, None) => {
                    self.done.leases_ended += 1;
                    let keys = found.deletes.get(&revision);
                    let keys = keys.unwrap_or_else(|| panic!("revision {revision} was lost"));
                    let ended = told.ending.iter().find(|lease| model.attached_keys(**lease) == *keys);
                    let ended = ended
                        .unwrap_or_else(|| panic!("revision {revision}: no lease was to end with {keys:?}"));
                    model.lease_revoke(*ended).unwrap()
                }
                (Some(_), Some(_)) => panic!("revision {revision} was given out twice"),
            };
            assert_eq!(applied.revision, Some(revision));
        }
        // Without keys the end of a lease takes no revision.
        let gone: Vec<LeaseId> =
            model.leases().map(|(lease, _)| lease).filter(|lease| !kept.contains(lease)).collect();
        for lease in gone {
            assert!(told.ending.contains(&lease), "lease {lease} was lost, or ended early");
            assert_eq!(
                model.lease_revoke(lease).unwrap().revision,
                None,
                "lease {lease} is gone, its keys are not"
            );
        }
    }

    /// Promises 5, 10, 12 and 20, and that leases survive with their keys and have their full time again.
    fn check(&mut self, store: &Store, told: &Told) {
        let (model, current, compacted) =
            (&mut self.model, store.current_revision(), store.compact_revision());
        checkers::durable(model, told.newest().max(1), current, &rows_at(store, current)).unwrap();
        assert!(told.compacted <= compacted, "a compaction was lost");
        assert!(told.seen <= current, "revision {} was seen on a watch, and is not there", told.seen);
        if compacted > model.compact_revision() {
            model.compact(compacted).unwrap();
        }
        // Otherwise the next child goes on with it.
        let rows_left = rows_left(model);
        self.done.compactions += u64::from(self.rows.take().is_some_and(|rows| rows > rows_left));
        if self.rng.chance(2) {
            eventually("the compaction to end", || {
                let rows = store.stats().mvcc.versions;
                assert!(rows >= rows_left, "{rows} rows are left of {rows_left}");
                (rows == rows_left).then_some(())
            });
            answered(store.compacted());
        }
        for revision in compacted.max(1)..=current {
            checkers::survives_compaction(model, revision, &rows_at(store, revision)).unwrap();
        }
        for (id, ttl) in model.leases() {
            let lease = store.lease(id).unwrap_or_else(|error| panic!("lease {id}: {error}"));
            let keys: Vec<Vec<u8>> = model.attached_keys(id).iter().map(|key| key.to_vec()).collect();
            assert_eq!((lease.ttl_seconds, lease.keys), (ttl, keys), "lease {id}");
            assert_eq!(lease.remaining, seconds(ttl), "lease {id} has not its full time");
        }
        let everything = WatchSpec::new(KeyRange::everything(), compacted.max(1)).with_prev_kv();
        let mut oldest = Receiver::open(store, everything);
        oldest.read_to(current);
        oldest.check(model);
        // From what the child's own watch had last, or the parent's.
        let token = told.token.as_ref().map(|token| token.parse().unwrap()).or(self.token.take());
        if let Some(token) = token.filter(|token: &ResumeToken| token.next_revision() <= current) {
            check_resumed(store, model, token);
            self.done.resumed += 1;
        }
        self.token = Some(oldest.watch.resume_token());
    }

    /// A copy that was made is the store at some revision.
    fn check_backup(&mut self, told: &Told) {
        let Some(backup) = &told.backup else { return };
        let folder = self.backups.join("restored");
        watchful::restore(self.backups.join(backup), &folder).unwrap();
        let copy = Store::open(&folder, settings()).unwrap();
        let (current, compacted) = (copy.current_revision(), copy.compact_revision());
        for revision in [current, compacted.max(1)] {
            checkers::survives_compaction(&self.model, revision, &rows_at(&copy, revision)).unwrap();
        }
        self.done.backups += 1;
    }

    /// Leases end when their time is over, and not before; each with its keys, in one revision.
    fn end_all_leases(&mut self) {
        let clock = ManualClock::default();
        let store = Store::open(&self.folder, opened_by_parent(Durability::Unsynced, &clock)).unwrap();
        let mut passed = 0;
        for ttl in [plan::SHORT_SECONDS, plan::LONG_SECONDS] {
            clock.advance(seconds(ttl - 1 - passed));
            self.put(&store);
            let expected: Vec<LeaseId> = self.model.leases().map(|(lease, _)| lease).collect();
            assert_eq!(store.leases(), expected, "a second before {ttl}");
            clock.advance(seconds(1));
            passed = ttl;
            // The time of all is over at once, and they end by id.
            for lease in expected.into_iter().filter(|lease| plan::ttl_of(*lease) == ttl) {
                self.model.lease_revoke(lease).unwrap();
                self.done.leases_ended += 1;
            }
            let left: Vec<LeaseId> = self.model.leases().map(|(lease, _)| lease).collect();
            // The list of leases is a moment ahead of the revision.
            let current = self.model.current_revision();
            let is_over = || store.leases() == left && store.current_revision() == current;
            eventually("the leases to end", || is_over().then_some(()));
            checkers::durable(&self.model, self.model.current_revision(), current, &rows_at(&store, current))
                .unwrap();
        }
    }

    /// A write in line behind whatever came due before it.
    fn put(&mut self, store: &Store) {
        let done = store.put("barrier", "").wait().unwrap();
        let applied = self.model.apply(&[Op::put("barrier", "")]).unwrap();
        assert_eq!(applied.revision, Some(done.revision));
    }
}

fn opened_by_parent(durability: Durability, clock: &ManualClock) -> Settings {
    settings().with_durability(durability).with_compaction_slice_rows(2).with_clock(clock.clone())
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// A watch from before the crash goes on, since the epoch is the same whatever the durability; or is told that compaction
/// was faster.
fn check_resumed(store: &Store, model: &Model, token: ResumeToken) {
    let everything = KeyRange::everything();
    let watch = store.watch(&WatchOptions::new(everything.clone()).resume(token)).unwrap();
    let spec = WatchSpec::new(everything, watch.next_revision());
    let mut resumed = Receiver::new(watch, spec);
    resumed.read_to(model.current_revision());
    resumed.check(model);
}

/// Waits for a moment that has nothing to do with what the child is at: that is what is wanted of it.
fn let_pass(time: Duration) {
    thread::sleep(time);
}
