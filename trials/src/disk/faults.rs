//! Calls that fail: a full disk, writes and syncs that are refused, once or for ever, at any call there is.
//!
//! A round is some cases, each with a store of its own. The whole store is written to, by one caller and by several at
//! once, and at some call a fault begins. Then every answer is held against what the store promises: what was acknowledged
//! is there, what was refused is not, what is unknown is there whole or not at all, and after such an answer nothing more
//! is written; reads go on; a watch gets what was acknowledged and nothing else. At last the store is opened again, and at
//! any moment since the fault the power may fail as well.

mod power_failures;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use watchful::{
    Durability, Error, KeyRange, LeaseId, RangeOptions, Settings, Store, TxnRequest, Watch, WatchOptions,
};
use watchful_harness::request;
use watchful_testkit::{Model, Op, Row, SplitMix64, checkers};

use super::judge::{self, Told};
use super::power::{describe, make_folder, scratch};
use super::tape::{Call, Fault, How, Running};
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
    told: Option<Told>,
    may_be_damaged: bool,
}

struct Case<'t> {
    tape: &'t Running,
    disk: PathBuf,
    rng: SplitMix64,
    durability: Durability,
    fault: Fault,
    /// So many failed calls have had their consequences.
    over: usize,
    /// Whether a compaction was asked for and may go on, by slices that nobody waits for.
    may_compact: bool,
    store: Option<Store>,
    /// And the first revision that it is still owed.
    watch: Option<(Watch, u64)>,
    states: Vec<State>,
    /// What writes that were refused would have led to: their pages may be in the file, where nothing leads to them.
    refused: Vec<Model>,
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

/// What a change may be answered.
#[derive(Clone, Copy)]
struct Owed {
    may_be_refused: bool,
    may_be_unknown: bool,
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
            told: None,
            may_be_damaged: durability == Durability::Unsynced,
        };
        Self {
            tape,
            disk: disk.to_owned(),
            durability,
            fault: fault(&mut rng),
            rng,
            over: 0,
            may_compact: false,
            store: None,
            watch: None,
            states: vec![State::default()],
            refused: Vec::new(),
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

    fn run(&mut self, tally: &mut Tally) -> Outcome {
        self.tape.say(0);
        let faulty_from = self.rng.below(4);
        if faulty_from == 0 {
            self.tape.set_fault(Some(self.fault));
        }
        self.open()?;
        for step in 1..4 + self.rng.below(8) {
            if step == faulty_from {
                self.tape.set_fault(Some(self.fault));
            }
            self.step(tally)?;
        }
        tally.add("faults met", u64::from(self.tape.hits() > 0));
        tally.add("outcomes unknown", u64::from(self.is_unknown));
        if self.rng.chance(2) {
            self.check_goes_on(tally)?;
        }
        self.close()?;
        self.tape.set_fault(None);
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
        let before = self.tape.hits();
        let opened = match Store::open(self.folder(), settings.clone()) {
            Err(_) if self.tape.hits() > before => {
                self.tape.set_fault(None);
                Store::open(self.folder(), settings)
            }
            opened => opened,
        };
        self.over = self.tape.hits();
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
            told: Some(Told { epoch: store.epoch(), store_id: None }),
            may_be_damaged: self.durability == Durability::Unsynced,
        });
        self.store = Some(store);
        Ok(())
    }

    fn step(&mut self, tally: &mut Tally) -> Outcome {
        if self.is_unknown {
            return self.check_refused(tally);
        }
        match self.rng.below(16) {
            0 => self.defragment(),
            1 => self.sync(),
            2 => self.compact(),
            3 => self.grant(),
            4..=7 => {
                tally.add("groups of callers", 1);
                let callers = 2 + self.rng.below(3);
                self.write(callers)
            }
            _ => self.write(1),
        }
    }

    fn defragment(&mut self) -> Outcome {
        let (before, answer) = (self.tape.hits(), self.store().defragment());
        match answer {
            Ok(_) => {
                self.check_none(before, &[Call::Write, Call::Sync, Call::SyncFolder])?;
                self.is_on_disk()
            }
            Err(error) => {
                let met = self.met();
                self.check_may_fail(&error, !met.is_empty())?;
                self.is_lost = matches!(error, Error::Lost { .. });
                self.is_unknown = self.is_lost || met.contains(&Call::SyncFolder) || is_unknown(&error);
                Ok(())
            }
        }
    }

    fn sync(&mut self) -> Outcome {
        let (before, answer) = (self.tape.hits(), self.store().sync());
        match answer {
            Ok(()) => {
                self.check_none(before, &[Call::Write, Call::Sync])?;
                self.is_on_disk()
            }
            Err(error) => {
                let has_failed = self.met().contains(&Call::Sync);
                self.check_may_fail(&error, has_failed)?;
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

    /// The calls that have failed since those that have had their consequences.
    fn met(&self) -> Vec<Call> {
        self.tape.hits_since(self.over)
    }

    /// A call of the store has come to its end. Unless a slice of compaction, which nobody waits for, may have met them, the
    /// failures so far are no reason for anything that fails later.
    fn is_over(&mut self, has_told: bool) {
        self.may_compact &= !self.store.as_ref().is_some_and(is_compacted);
        if has_told || !self.may_compact {
            self.over = self.tape.hits();
        }
    }

    /// An error has a reason, or a slice of compaction had.
    fn check_may_fail(&mut self, error: &Error, has_reason: bool) -> Outcome {
        let met = self.met();
        let may_fail = has_reason || is_unknown(error) && self.owed(&met).may_be_unknown;
        self.is_over(true);
        if may_fail { Ok(()) } else { Err(format!("it failed, {error}, and these had: {met:?}").into()) }
    }

    /// What went well has met no failure of these kinds.
    fn check_none(&mut self, before: usize, kinds: &[Call]) -> Outcome {
        let mut met = self.tape.hits_since(before);
        // Whoever is told how much was written may write the rest.
        met.retain(|call| *call != Call::Write || self.fault.how != How::StopsShort);
        self.is_over(false);
        if self.may_compact || !met.iter().any(|call| kinds.contains(call)) {
            return Ok(());
        }
        Err(format!("it went well, and these had failed: {met:?}").into())
    }

    /// What a change may be answered where these calls have failed.
    fn owed(&self, met: &[Call]) -> Owed {
        let is_full = matches!(self.fault.how, How::Refuses(libc::ENOSPC) | How::Loses(libc::ENOSPC));
        let mut owed = Owed { may_be_refused: false, may_be_unknown: false };
        for call in met {
            match call {
                // It was taken back; but one of them may have been the last page of the commit, where nobody waits for that.
                Call::Write if is_full => {
                    owed.may_be_refused = true;
                    owed.may_be_unknown |= self.durability != Durability::Synced;
                }
                Call::Write | Call::WriteThrough | Call::Sync => owed.may_be_unknown = true,
                Call::SyncFolder | Call::Cut | Call::Name => {}
            }
        }
        owed
    }

    fn compact(&mut self) -> Outcome {
        let (first, last) = (self.model().compact_revision() + 1, self.model().current_revision());
        if first >= last {
            return self.write(1);
        }
        let revision = first + self.rng.below(last - first + 1);
        self.may_compact = true;
        self.one(Wanted::Compaction(revision), |store| store.compact(revision).wait())
    }

    fn grant(&mut self) -> Outcome {
        let id = self.next_lease;
        self.next_lease += 1;
        self.one(Wanted::Lease(id), |store| store.lease_grant(id, 60).wait().map(drop))
    }

    /// A change by one caller.
    fn one(&mut self, wanted: Wanted, work: impl FnOnce(&Store) -> Result<(), Error>) -> Outcome {
        let (begun, before) = (self.begin(), self.tape.hits());
        let answer = work(self.store());
        let answers = self.answers(before, vec![answer])?;
        self.settle(begun, std::iter::once(wanted).zip(answers).collect())
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
        let (begun, before) = (self.begin(), self.tape.hits());
        let answers = write_together(self.store(), wanted.iter().map(|ops| request(ops)).collect())?;
        let answers = self.answers(before, answers)?;
        self.settle(begun, wanted.into_iter().map(Wanted::Ops).zip(answers).collect())
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

    /// Changes that were asked for when so many calls had failed have been answered, each as the failures since allow.
    fn answers(&mut self, before: usize, answers: Vec<Result<(), Error>>) -> Outcome<Vec<Answer>> {
        let met = self.met();
        let owed = self.owed(&met);
        let mut all = Vec::new();
        for answer in answers {
            all.push(match answer {
                Ok(()) => Answer::Done,
                Err(Error::NoSpace { .. }) if owed.may_be_refused => Answer::Refused,
                Err(Error::OutcomeUnknown) if owed.may_be_unknown => Answer::Unknown,
                Err(error) => {
                    return Err(format!("it failed, {error} ({error:?}), and these had: {met:?}").into());
                }
            });
        }
        if all.iter().all(|answer| matches!(answer, Answer::Done)) {
            self.check_none(before, &[Call::WriteThrough, Call::Sync])?;
        } else {
            self.is_over(true);
        }
        Ok(all)
    }

    /// The writes that were begun have these answers: what was refused is not there, and what is unknown is there after
    /// everything that was acknowledged, or not at all.
    fn settle(&mut self, begun: Begun, answers: Vec<(Wanted, Answer)>) -> Outcome {
        let Begun { bound, now } = begun;
        let mut done = now;
        let mut refused = self.states[now].clone();
        for (wanted, answer) in answers {
            match answer {
                Answer::Refused => {
                    wanted.apply(&mut refused)?;
                    self.refused.push(refused.model.clone());
                    continue;
                }
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

    /// After an outcome that is unknown, whatever would write is refused as something whose outcome is unknown.
    fn check_refused(&mut self, tally: &mut Tally) -> Outcome {
        let (lease, kind) = (self.next_lease, self.rng.below(8));
        let revision = self.model().current_revision();
        let put = || Op::put("refused", "1");
        let store = self.store();
        let (what, answers) = match kind {
            0 => ("a defragmentation", vec![store.defragment().map(drop)]),
            1 => ("a sync", vec![store.sync()]),
            2 => ("a compaction", vec![store.compact(revision).wait()]),
            3 => ("a lease", vec![store.lease_grant(lease, 60).wait().map(drop)]),
            4 | 5 => {
                let requests: Vec<TxnRequest> = (0..3).map(|_| request(&[put()])).collect();
                ("writes together", write_together(store, requests)?)
            }
            _ => ("a write", vec![store.execute(request(&[put()])).wait().map(drop)]),
        };
        tally.add("refused after it", 1);
        for answer in answers {
            match answer {
                Err(Error::OutcomeUnknown) => {}
                Err(Error::Lost { .. }) if self.is_lost => {}
                other => return Err(format!("after an unknown outcome {what} got {other:?}").into()),
            }
        }
        self.is_over(true);
        Ok(())
    }

    /// With the fault healed, what was refused for want of room is no reason to refuse more; what is unknown is.
    fn check_goes_on(&mut self, tally: &mut Tally) -> Outcome {
        self.tape.set_fault(None);
        if self.is_unknown {
            return self.check_refused(tally);
        }
        self.one(Wanted::Ops(vec![Op::put("probe", "1")]), |store| store.put("probe", "1").wait().map(drop))
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
        let Some((watch, first)) = self.watch.take().filter(|_| !self.is_lost) else { return Ok(()) };
        judge::check_watch(watch, first, self.model())
    }
}

/// Whether everything that was compacted is forgotten by now, so that there are no slices any more.
fn is_compacted(store: &Store) -> bool {
    let mut compacted = pin!(store.compacted());
    matches!(compacted.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}

fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown)
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
    let (after_max, call) = (*rng.pick(&[2, 6, 20]), *rng.pick(&calls));
    let hows: Vec<How> = hows.into_iter().filter(|how| how.suits(call)).collect();
    Fault { call, after: rng.below(after_max), how: *rng.pick(&hows), for_ever: rng.chance(3) }
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
