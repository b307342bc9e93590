//! Calls that fail: a full disk, writes and syncs that are refused, once or for ever, at any call there is.
//!
//! A round is some cases, each with a store of its own. The whole store is written to, by one caller and by several at
//! once, and at some call a fault begins. Then every answer is held against what the store promises: what was acknowledged
//! is there, what was refused is not, what is unknown is there whole or not at all, and after such an answer nothing more
//! is written; reads go on; a watch gets what was acknowledged and nothing else. At last the store is opened again, and at
//! any moment since the fault the power may fail as well.

use std::path::{Path, PathBuf};

use watchful::{
    Durability, End, Error, KeyRange, LeaseId, RangeOptions, Settings, Store, Update, Watch, WatchOptions,
};
use watchful_harness::request;
use watchful_testkit::{Filters, Model, Op, Row, SplitMix64, checkers};

use super::images::Loss;
use super::judge::{self, Depth, Expected, Rises};
use super::platter::{Image, Platter};
use super::power::{describe, make_folder, scratch};
use super::tape::{Call, Change, Fault, How, Running};
use super::together::write_together;
use super::work::{self, State};
use crate::tally::Tally;
use crate::trials::{Outcome, Round};

const CASES: u64 = 8;

/// A lease is granted once in a case, under this id and the next ones.
const LEASE: LeaseId = 1;

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    for _ in 0..CASES {
        let seed = round.rng.next_u64();
        let scratch = scratch()?;
        let disk = make_folder(&scratch.path().join("disk"))?;
        let tape = Running::start(&disk)?;
        let mut case = Case::new(&tape, &disk, seed);
        let ran = case.run(round.tally).and_then(|()| case.judge(scratch.path(), round.tally));
        if let Err(error) = ran {
            let lines: String = tape
                .changes()
                .iter()
                .enumerate()
                .map(|(at, change)| format!("{at} {}\n", describe(change)))
                .collect();
            std::fs::write(round.dir.join("tape.txt"), lines)?;
            return Err(format!("case {seed}, {:?}, {:?}: {error}", case.durability, case.fault).into());
        }
        round.tally.add("cases", 1);
    }
    Ok(())
}

/// What a power failure may leave from some moment on: one of the states `first` to `last`.
#[derive(Clone, Copy, Debug)]
struct Bound {
    first: usize,
    last: usize,
    acknowledged: usize,
    epoch: u64,
    may_be_damaged: bool,
    is_made: bool,
}

struct Case<'t> {
    tape: &'t Running,
    disk: PathBuf,
    rng: SplitMix64,
    durability: Durability,
    fault: Fault,
    /// Whether the fault may still be met.
    is_faulty: bool,
    store: Option<Store>,
    /// And the first revision that it is still owed.
    watch: Option<(Watch, u64)>,
    states: Vec<State>,
    bounds: Vec<Bound>,
    next_lease: LeaseId,
    /// What the store said of itself: it writes no more.
    is_unknown: bool,
    /// It cannot even be read before it is opened again.
    is_lost: bool,
}

/// What one write has come to.
enum Answer {
    Done,
    Refused,
    Unknown,
}

/// What a write was to do.
enum Wanted {
    Ops(Vec<Op>),
    Compaction(u64),
    Lease(LeaseId),
}

impl Wanted {
    fn apply(&self, state: &mut State) -> Outcome {
        match self {
            Self::Ops(ops) => state.model.apply(ops).map(drop)?,
            Self::Compaction(revision) => state.model.compact(*revision)?,
            Self::Lease(id) => state.model.lease_grant(*id, 60)?,
        }
        Ok(())
    }
}

/// Writes that have no answer yet: their bound, and the state before them.
struct Begun {
    bound: usize,
    now: usize,
}

impl<'t> Case<'t> {
    fn new(tape: &'t Running, disk: &Path, seed: u64) -> Self {
        let mut rng = SplitMix64::new(seed);
        let durability =
            *rng.pick(&[Durability::Synced, Durability::Synced, Durability::Relaxed, Durability::Unsynced]);
        let start = Bound {
            first: 0,
            last: 0,
            acknowledged: 0,
            epoch: 1,
            may_be_damaged: durability == Durability::Unsynced,
            is_made: false,
        };
        Self {
            tape,
            disk: disk.to_owned(),
            durability,
            fault: fault(&mut rng),
            rng,
            is_faulty: false,
            store: None,
            watch: None,
            states: vec![State::default()],
            bounds: vec![start],
            next_lease: LEASE,
            is_unknown: false,
            is_lost: false,
        }
    }

    fn folder(&self) -> PathBuf {
        self.disk.join("store")
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open while steps are taken")
    }

    fn bound(&self) -> Bound {
        self.bounds[self.bounds.len() - 1]
    }

    fn model(&self) -> &Model {
        &self.states[self.bound().acknowledged].model
    }

    /// From this moment on this is what may be there.
    fn tell(&mut self, bound: Bound) {
        self.tape.say(self.bounds.len() as u64);
        self.bounds.push(bound);
    }

    fn set_fault(&mut self, fault: Option<Fault>) {
        self.tape.set_fault(fault);
        self.is_faulty = fault.is_some();
    }

    fn run(&mut self, tally: &mut Tally) -> Outcome {
        self.tape.say(0);
        let faulty_from = self.rng.below(4);
        if faulty_from == 0 {
            self.set_fault(Some(self.fault));
        }
        self.open()?;
        for step in 1..4 + self.rng.below(8) {
            if step == faulty_from {
                self.set_fault(Some(self.fault));
            }
            self.step(tally)?;
        }
        tally.add("faults met", u64::from(self.tape.hits() > 0));
        tally.add("outcomes unknown", u64::from(self.is_unknown));
        if self.rng.chance(2) {
            self.check_goes_on()?;
        }
        self.close()?;
        self.set_fault(None);
        self.open()?;
        for _ in 0..self.rng.below(4) {
            self.step(tally)?;
        }
        self.close()
    }

    fn close(&mut self) -> Outcome {
        self.check_reads()?;
        self.check_watch()?;
        self.store = None;
        Ok(())
    }

    /// Opens the store; where a fault keeps it from opening, the fault is healed and it must open.
    fn open(&mut self) -> Outcome {
        let settings = Settings::default()
            .with_durability(self.durability)
            .with_quota_bytes(16 << 20)
            .with_compaction_slice_rows(2);
        let opened = match Store::open(self.folder(), settings.clone()) {
            Err(_) if self.is_faulty && self.tape.hits() > 0 => {
                self.set_fault(None);
                Store::open(self.folder(), settings)
            }
            opened => opened,
        };
        let store = opened.map_err(|error| format!("it does not open: {error}"))?;
        let bound = self.bound();
        let (first, last) = (bound.acknowledged, bound.last);
        let found = judge::find_by(&self.states, first, last, |state| compare(&store, state))?;
        (self.is_unknown, self.is_lost) = (false, false);
        self.states.push(self.states[found].clone());
        let now = self.states.len() - 1;
        self.watch = Some(begin_watch(&store)?);
        self.tell(Bound {
            first: now,
            last: now,
            acknowledged: now,
            epoch: store.epoch(),
            may_be_damaged: self.durability == Durability::Unsynced,
            is_made: true,
        });
        self.store = Some(store);
        Ok(())
    }

    fn step(&mut self, tally: &mut Tally) -> Outcome {
        if self.is_unknown {
            return self.check_refused();
        }
        match self.rng.below(16) {
            0 => self.defragment(),
            1 => self.sync(),
            2 => self.compact(),
            3 => self.grant(),
            4..=7 => {
                let callers = 2 + self.rng.below(3);
                tally.add("groups of callers", 1);
                self.write(callers)
            }
            _ => self.write(1),
        }
    }

    fn defragment(&mut self) -> Outcome {
        match self.store().defragment() {
            Ok(_) => self.is_on_disk(),
            Err(error) => {
                self.check_may_fail(&error)?;
                self.is_lost |= error.to_string().contains("could not be opened again");
                self.is_unknown |= self.is_lost;
                Ok(())
            }
        }
    }

    fn sync(&mut self) -> Outcome {
        match self.store().sync() {
            Ok(()) => self.is_on_disk(),
            Err(error) => {
                self.check_may_fail(&error)?;
                self.is_unknown = true;
                Ok(())
            }
        }
    }

    /// Whatever the durability.
    fn is_on_disk(&mut self) -> Outcome {
        let bound = self.bound();
        self.tell(Bound { first: bound.acknowledged, ..bound });
        Ok(())
    }

    fn check_may_fail(&self, error: &Error) -> Outcome {
        let may_fail = self.is_faulty && self.tape.hits() > 0 || self.is_lost;
        if may_fail { Ok(()) } else { Err(format!("it failed though nothing had: {error}").into()) }
    }

    fn compact(&mut self) -> Outcome {
        let (first, last) = (self.model().compact_revision() + 1, self.model().current_revision());
        if first >= last {
            return self.write(1);
        }
        let revision = first + self.rng.below(last - first + 1);
        self.one(Wanted::Compaction(revision), |store| store.compact(revision).wait())
    }

    fn grant(&mut self) -> Outcome {
        let id = self.next_lease;
        self.next_lease += 1;
        self.one(Wanted::Lease(id), |store| store.lease_grant(id, 60).wait().map(drop))
    }

    /// A change by one caller.
    fn one(&mut self, wanted: Wanted, work: impl FnOnce(&Store) -> Result<(), Error>) -> Outcome {
        let begun = self.begin();
        let answer = work(self.store());
        let answer = self.answer(answer)?;
        self.settle(begun, vec![(wanted, answer)])
    }

    /// So many transactions at once, each by a caller of its own.
    fn write(&mut self, callers: u64) -> Outcome {
        let leases: Vec<LeaseId> = self.model().leases().map(|(id, _)| id).collect();
        let mut wanted = Vec::new();
        for _ in 0..callers {
            let mut ops = work::ops(&mut self.rng, &leases);
            ops.push(Op::put("last", self.rng.below(1 << 30).to_string()));
            wanted.push(ops);
        }
        let begun = self.begin();
        let answers = write_together(self.store(), wanted.iter().map(|ops| request(ops)).collect())?;
        let mut settled = Vec::new();
        for (ops, answer) in wanted.into_iter().zip(answers) {
            settled.push((Wanted::Ops(ops), self.answer(answer)?));
        }
        self.settle(begun, settled)
    }

    /// Writes are begun. What they may lead to is known when they are answered.
    fn begin(&mut self) -> Begun {
        let bound = self.bound();
        let first = self.states.len();
        self.states.extend_from_within(bound.first..=bound.acknowledged);
        let now = self.states.len() - 1;
        self.tell(Bound { first, last: now, acknowledged: now, ..bound });
        Begun { bound: self.bounds.len() - 1, now }
    }

    fn answer(&self, answer: Result<(), Error>) -> Outcome<Answer> {
        match answer {
            Ok(()) => Ok(Answer::Done),
            Err(error) => {
                self.check_may_fail(&error)?;
                Ok(if matches!(error, Error::OutcomeUnknown) { Answer::Unknown } else { Answer::Refused })
            }
        }
    }

    /// The writes that were begun have these answers: what was refused is not there, and what is unknown is there after
    /// everything that was acknowledged, or not at all.
    fn settle(&mut self, begun: Begun, answers: Vec<(Wanted, Answer)>) -> Outcome {
        let Begun { bound, now } = begun;
        let mut done = now;
        for (wanted, answer) in answers {
            match answer {
                Answer::Refused => continue,
                Answer::Done if self.is_unknown => {
                    return Err("it wrote after an outcome that is unknown".into());
                }
                Answer::Done => done += 1,
                Answer::Unknown => self.is_unknown = true,
            }
            let mut state = self.states[self.states.len() - 1].clone();
            wanted.apply(&mut state)?;
            self.states.push(state);
        }
        let last = self.states.len() - 1;
        self.bounds[bound].last = last;
        let first = match self.durability {
            Durability::Synced => done,
            // What was committed before the last commit is on the disk.
            Durability::Relaxed | Durability::Unsynced if done > now => now,
            Durability::Relaxed | Durability::Unsynced => self.bounds[bound].first,
        };
        self.tell(Bound { first, last, acknowledged: done, ..self.bounds[bound] });
        Ok(())
    }

    /// After an outcome that is unknown every write is refused, as one whose outcome is unknown.
    fn check_refused(&mut self) -> Outcome {
        match self.store().put("refused", "1").wait() {
            Err(Error::OutcomeUnknown) => Ok(()),
            Err(_) if self.is_lost => Ok(()),
            other => Err(format!("after an outcome that is unknown a write got {other:?}").into()),
        }
    }

    /// With the fault healed, what was refused for want of room is no reason to refuse more; what is unknown is.
    fn check_goes_on(&mut self) -> Outcome {
        self.set_fault(None);
        if self.is_unknown {
            return self.check_refused();
        }
        let begun = self.begin();
        let answer = match self.store().put("probe", "1").wait() {
            Ok(_) => Answer::Done,
            // A slice of compaction, which nobody waits for, may have met the fault.
            Err(Error::OutcomeUnknown) if self.tape.hits() > 0 => Answer::Unknown,
            Err(error) => return Err(format!("it does not go on: {error}").into()),
        };
        self.settle(begun, vec![(Wanted::Ops(vec![Op::put("probe", "1")]), answer)])
    }

    /// Reads go on: the store shows what was acknowledged, and nothing that is not known.
    fn check_reads(&self) -> Outcome {
        if self.is_lost {
            return Ok(());
        }
        compare(self.store(), &self.states[self.bound().acknowledged])
            .map_err(|error| format!("while it is open: {error}").into())
    }

    /// A watch got what was acknowledged, and nothing else; or compaction has overtaken it.
    fn check_watch(&mut self) -> Outcome {
        let Some((mut watch, first)) = self.watch.take().filter(|_| !self.is_lost) else { return Ok(()) };
        let model = self.model();
        let last = model.current_revision();
        if last < first {
            return Ok(());
        }
        watch.ask_progress(last);
        let mut seen = Vec::new();
        let read_to = loop {
            match watch.wait_next() {
                Some(Ok(Update::Events(batch))) => seen.extend(batch.events().to_vec()),
                Some(Ok(Update::Progress { revision })) if revision >= last => break last,
                Some(Ok(Update::Progress { .. })) => {}
                Some(Err(End::Compacted { compact_revision }))
                    if compact_revision <= model.compact_revision()
                        && watch.next_revision() < compact_revision =>
                {
                    break watch.next_revision() - 1;
                }
                other => return Err(format!("a watch from {first} on got {other:?}").into()),
            }
        };
        let owed = model.events(&[KeyRange::everything()], Filters::default(), first, read_to);
        let is_same =
            owed.len() == seen.len() && owed.iter().zip(&seen).all(|(owed, seen)| owed.is_told_by(seen));
        if is_same { Ok(()) } else { Err(format!("a watch got {seen:?}, and not {owed:?}").into()) }
    }

    /// The power fails too: at moments of the tape, most of them after the fault.
    fn judge(&mut self, scratch: &Path, tally: &mut Tally) -> Outcome {
        let mut platter = Platter::new();
        platter.bind(&self.disk)?;
        let mut bound = self.bounds[0];
        let failed_at = self.tape.failed_at().unwrap_or(usize::MAX);
        for (at, change) in self.tape.changes().iter().enumerate() {
            platter.play(change);
            if let Change::Said(said) = change {
                bound = self.bounds[usize::try_from(*said)?];
            }
            let has_failed = at >= failed_at;
            if let Change::Said(_) = change
                && has_failed
                && self.is_doubted()
            {
                self.open_image(scratch, &platter.evicted(), bound, &this_boot()?, tally).map_err(
                    |error| format!("after change {at}, forgetting what could not be forced: {error}"),
                )?;
            }
            if !self.rng.chance(if has_failed { 3 } else { 12 }) {
                continue;
            }
            let loose = platter.loose();
            for loss in Loss::some(&loose, &mut self.rng) {
                let image = loss.image(&platter, &loose, 0);
                self.open_image(scratch, &image, bound, "after the power failure", tally).map_err(
                    |error| format!("after change {at}, where a power failure keeps {loss:?}: {error}"),
                )?;
            }
        }
        Ok(())
    }

    /// Whether a store that has told of an outcome that is unknown could write down as well that the machine is in doubt.
    fn is_doubted(&self) -> bool {
        !self.fault.for_ever && matches!(self.fault.call, Some(Call::Sync | Call::WriteThrough))
    }

    fn open_image(
        &mut self,
        scratch: &Path,
        image: &Image,
        bound: Bound,
        boot: &str,
        tally: &mut Tally,
    ) -> Outcome {
        let folder = scratch.join("image");
        image.write(&folder)?;
        let expected = Expected {
            states: &self.states,
            lost: &[],
            first: bound.first,
            last: bound.last,
            acknowledged: bound.acknowledged,
            epoch: bound.epoch,
            rises: if self.durability == Durability::Synced { Rises::MustNot } else { Rises::May },
            may_be_damaged: bound.may_be_damaged,
            is_made: bound.is_made,
        };
        let depth = Depth { offline: self.rng.chance(4), goes_on: self.rng.chance(8), watched: false };
        let settings = work::settings(self.durability, 0).with_boot_id(Some(boot.to_owned()));
        judge::judge(&folder.join("store"), &settings, &expected, depth)?;
        tally.add("images", 1);
        Ok(())
    }
}

/// As the store itself finds it.
fn this_boot() -> Outcome<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Some fault, at some call.
fn fault(rng: &mut SplitMix64) -> Fault {
    let calls = [
        None,
        Some(Call::Write),
        Some(Call::WriteThrough),
        Some(Call::WriteThrough),
        Some(Call::Sync),
        Some(Call::Sync),
        Some(Call::SyncFolder),
        Some(Call::Name),
    ];
    let hows = [
        How::Refuses(libc::EIO),
        How::Refuses(libc::ENOSPC),
        How::Loses(libc::EIO),
        How::Loses(libc::ENOSPC),
        How::StopsShort,
    ];
    let after_max = *rng.pick(&[2, 6, 20]);
    Fault {
        call: *rng.pick(&calls),
        after: rng.below(after_max),
        how: *rng.pick(&hows),
        for_ever: rng.chance(3),
    }
}

/// Everything that the whole store tells, beside what the layer below is asked for later.
fn compare(store: &Store, state: &State) -> Outcome {
    let model = &state.model;
    let found = (store.current_revision(), store.compact_revision(), store.leases());
    let owed: (_, _, Vec<LeaseId>) =
        (model.current_revision(), model.compact_revision(), model.leases().map(|(id, _)| id).collect());
    if found != owed {
        return Err(format!("revision, compact revision and leases are {found:?}, and not {owed:?}").into());
    }
    let records = store.range(&KeyRange::everything(), &RangeOptions::default())?.records;
    let rows: Vec<Row> = records.iter().map(Row::from).collect();
    Ok(checkers::durable(model, model.current_revision(), store.current_revision(), &rows)?)
}

fn begin_watch(store: &Store) -> Outcome<(Watch, u64)> {
    let first = store.current_revision() + 1;
    Ok((store.watch(&WatchOptions::new(KeyRange::everything()).start_at(first))?, first))
}
