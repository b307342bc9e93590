//! What is done to a store while its disk is watched: a script by chance, one step after the other, with the model beside
//! it, and every moment at which something was begun or acknowledged said on the tape.

use std::path::{Path, PathBuf};

use watchful_mvcc::{Durability, Group, Mvcc, MvccError, MvccSettings, PutOptions};
use watchful_revision::{KeyRange, LeaseId};
use watchful_testkit::{Model, Op, SplitMix64};

use super::judge::{self, Told};
use super::tape::Running;
use crate::trials::Outcome;

/// The name of the one note that is set.
pub(crate) const NOTE: &[u8] = b"alarm";

/// What a store holds between two commits.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) note: Option<u64>,
}

impl State {
    /// Whether nothing was written from one to the other of two states of one story, or what was written was undone.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let numbers = |state: &Self| (state.model.current_revision(), state.model.compact_revision());
        numbers(self) == numbers(other)
            && self.note == other.note
            && self.model.leases().eq(other.model.leases())
    }
}

/// One step that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Which state it began in, and which it led to.
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The store is opened; before that, closed where it was open.
    Open,
    /// A group that was committed.
    Commit,
    /// Everything so far is on the disk, whatever the durability.
    Settle,
    /// Nothing was written.
    Nothing,
}

impl Kind {
    /// Whether everything is on the disk when it was acknowledged, whatever the durability.
    pub(crate) fn settles(self) -> bool {
        matches!(self, Self::Open | Self::Settle)
    }
}

/// What is said on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Begun(usize),
    Acknowledged(usize),
}

impl Said {
    fn number(self) -> u64 {
        match self {
            Self::Begun(step) => step as u64 * 2,
            Self::Acknowledged(step) => step as u64 * 2 + 1,
        }
    }

    pub(crate) fn of(number: u64) -> Self {
        let step = usize::try_from(number / 2).unwrap_or(usize::MAX);
        if number.is_multiple_of(2) { Self::Begun(step) } else { Self::Acknowledged(step) }
    }
}

pub(crate) fn settings(durability: Durability, boot: u64) -> MvccSettings {
    MvccSettings::default()
        .with_durability(durability)
        .with_quota_bytes(16 << 20)
        .with_map_bytes_max(16 << 20)
        .with_readers_max(8)
        .with_boot_id(Some(format!("boot-{boot}")))
}

/// A store that is at work, from one opening to a power failure or a kill.
pub(crate) struct Life<'t> {
    tape: &'t Running,
    folder: PathBuf,
    settings: MvccSettings,
    rng: SplitMix64,
    mvcc: Option<Mvcc>,
    pub(crate) states: Vec<State>,
    pub(crate) steps: Vec<Step>,
    /// What its last opening told.
    told: Option<Told>,
}

impl<'t> Life<'t> {
    /// Begins with the store in one of the states `first` to `last`, which its opening tells.
    pub(crate) fn begin(
        tape: &'t Running,
        folder: &Path,
        settings: MvccSettings,
        rng: SplitMix64,
        (states, first, last): (Vec<State>, usize, usize),
    ) -> Outcome<Self> {
        let (folder, mvcc, steps) = (folder.to_owned(), None, Vec::new());
        let mut life = Self { tape, folder, settings, rng, mvcc, states, steps, told: None };
        life.take(Kind::Open, last, |life| {
            life.open()?;
            let found = judge::find(life.mvcc(), &life.states, first, last)?;
            life.states.truncate(found + 1);
            Ok(found)
        })?;
        Ok(life)
    }

    fn take(&mut self, kind: Kind, after: usize, work: impl FnOnce(&mut Self) -> Outcome<usize>) -> Outcome {
        let step = self.steps.len();
        let before = self.steps.last().map_or(self.states.len() - 1, |step| step.after);
        self.steps.push(Step { before, after, kind });
        self.tape.say(Said::Begun(step).number());
        let after = work(self)?;
        self.steps[step].after = after;
        self.tape.say(Said::Acknowledged(step).number());
        Ok(())
    }

    fn open(&mut self) -> Outcome {
        self.mvcc = None;
        let (mvcc, _) = Mvcc::open(&self.folder, &self.settings)?;
        self.told = Some(Told { epoch: mvcc.epoch(), store_id: Some(mvcc.store_id()) });
        self.mvcc = Some(mvcc);
        Ok(())
    }

    /// The store, while it is open.
    pub(crate) fn mvcc(&self) -> &Mvcc {
        self.mvcc.as_ref().expect("a life begins with an opening")
    }

    pub(crate) fn state(&self) -> &State {
        &self.states[self.steps.last().map_or(0, |step| step.after)]
    }

    /// Takes a step by chance.
    pub(crate) fn step(&mut self) -> Outcome {
        let now = self.states.len() - 1;
        match self.rng.below(40) {
            0..=2 => self.take(Kind::Settle, now, |life| {
                life.mvcc().defragment()?;
                Ok(now)
            }),
            3..=4 => self.take(Kind::Settle, now, |life| {
                life.mvcc().sync()?;
                Ok(now)
            }),
            5..=6 => self.take(Kind::Open, now, |life| life.open().map(|()| now)),
            7 => self.take(Kind::Nothing, now, |life| {
                let mut state = life.state().clone();
                let mut rng = life.rng.split();
                drop(group(life.mvcc(), &mut state, &mut rng)?);
                Ok(now)
            }),
            _ => {
                let mut state = self.state().clone();
                let mut rng = self.rng.split();
                // Worked out before it is begun: an image from then on may have it.
                self.states.push(state.clone());
                self.take(Kind::Commit, now + 1, |life| {
                    let mvcc = life.mvcc().clone();
                    let group = group(&mvcc, &mut state, &mut rng)?;
                    life.states[now + 1] = state;
                    group.commit()?;
                    Ok(now + 1)
                })
            }
        }
    }

    /// Closes it, without a word on the tape.
    pub(crate) fn end(mut self) -> (Vec<State>, Vec<Step>, Told) {
        self.mvcc = None;
        (self.states, self.steps, self.told.expect("a life begins with an opening"))
    }
}

/// Works out a group by chance in the store and in the model.
pub(crate) fn group<'m>(mvcc: &'m Mvcc, state: &mut State, rng: &mut SplitMix64) -> Outcome<Group<'m>> {
    let mut group = mvcc.begin_group()?;
    if rng.chance(6) {
        group.compact_slice(usize::try_from(rng.below(4))?)?;
        return Ok(group);
    }
    for _ in 0..1 + rng.below(3) {
        transaction(&mut group, state, rng)?;
    }
    if rng.chance(5) {
        group.compact_slice(usize::try_from(rng.below(6))?)?;
    }
    Ok(group)
}

fn transaction(group: &mut Group<'_>, state: &mut State, rng: &mut SplitMix64) -> Outcome {
    let model = &mut state.model;
    let leases: Vec<LeaseId> = model.leases().map(|(id, _)| id).collect();
    match rng.below(16) {
        0 => {
            let id = i64::try_from(1 + rng.below(6))?;
            if !leases.contains(&id) {
                group.txn(|txn| txn.lease_grant(id, 60 + id))?;
                model.lease_grant(id, 60 + id)?;
            }
        }
        1 if !leases.is_empty() => {
            let id = *rng.pick(&leases);
            let outcome = group.txn(|txn| txn.lease_revoke(id))?;
            same(outcome.revision, model.lease_revoke(id)?.revision)?;
        }
        2 => {
            let value = rng.below(1000);
            group.txn(|txn| txn.set_note(NOTE, &value.to_be_bytes()))?;
            state.note = Some(value);
        }
        3 | 4 => {
            let (first, last) = (model.compact_revision() + 1, model.current_revision());
            if first < last {
                let revision = first + rng.below(last - first + 1);
                group.schedule_compaction(revision)?;
                model.compact(revision)?;
            }
        }
        _ => {
            let ops = ops(rng, &leases);
            let outcome = group.txn(|txn| {
                ops.iter().try_for_each(|op| match op {
                    Op::Put { key, value, lease, .. } => {
                        txn.put(key, value, PutOptions { lease: *lease, ..PutOptions::default() }).map(drop)
                    }
                    Op::DeleteRange(range) => txn.delete_range(range, false).map(drop),
                    Op::Range { .. } | Op::Txn(_) => Ok::<_, MvccError>(()),
                })
            })?;
            same(outcome.revision, model.apply(&ops)?.revision)?;
        }
    }
    Ok(())
}

fn same(found: Option<u64>, expected: Option<u64>) -> Outcome {
    let differ = || format!("a transaction took revision {found:?}, and in the model {expected:?}").into();
    if found == expected { Ok(()) } else { Err(differ()) }
}

/// The operations of one transaction: puts small and large, some on leases, and deletes.
pub(crate) fn ops(rng: &mut SplitMix64, leases: &[LeaseId]) -> Vec<Op> {
    let key = |rng: &mut SplitMix64| format!("key/{:02}", rng.below(12));
    let count = 1 + rng.below(4);
    let op = |_| match rng.below(10) {
        0 => Op::delete(key(rng)),
        1 => {
            Op::DeleteRange(KeyRange::between("key/03", "key/06").unwrap_or_else(|_| KeyRange::everything()))
        }
        _ => {
            let len_max = *rng.pick(&[20, 20, 20, 300, 3000, 9000, 20_000]);
            let byte = u8::try_from(rng.below(256)).unwrap_or(0);
            let value = vec![byte; usize::try_from(rng.below(len_max)).unwrap_or(0)];
            let lease = if leases.is_empty() || !rng.chance(4) { 0 } else { *rng.pick(leases) };
            Op::put_with_lease(key(rng), value, lease)
        }
    };
    (0..count).map(op).collect()
}
