//! Opens what a disk has left and compares it with what was acknowledged.

use std::path::Path;

use watchful::{Settings, Store, WatchOptions};
use watchful_mvcc::{
    Durability, HistoryLimits, Mvcc, MvccError, MvccSettings, PutOptions, RangeOptions, Want,
};
use watchful_revision::{KeyRange, Revision};
use watchful_testkit::checkers::{self, StoreReading};
use watchful_testkit::{Filters, Model, Op, Row};

use super::work::{NOTE, State};
use crate::trials::Outcome;

/// Whether the epoch has to rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rises {
    Must,
    May,
    MustNot,
}

/// What an image may hold.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) states: &'a [State],
    /// Everything that was written before and lost since: pages that are free may have it still.
    pub(crate) lost: &'a [Model],
    /// It is in one of these states.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The newest state that was acknowledged, with the epoch of then.
    pub(crate) acknowledged: usize,
    pub(crate) epoch: u64,
    pub(crate) rises: Rises,
    /// Whether the store may be anything at all, or none: it may be refused, and is never wrong about itself.
    pub(crate) may_be_damaged: bool,
    /// Whether a store was acknowledged to be there.
    pub(crate) is_made: bool,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depth {
    /// The offline check comes first.
    pub(crate) offline: bool,
    /// It is written to, closed and opened once more.
    pub(crate) goes_on: bool,
    /// It is opened as a whole store, and watched.
    pub(crate) watched: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This state, whole.
    State(usize),
    /// It was refused at open, or when it was read, with a clear error.
    Refused,
    /// It can be read, and is none of the states.
    Mixed,
}

pub(crate) fn judge(
    folder: &Path,
    settings: &MvccSettings,
    expected: &Expected<'_>,
    depth: Depth,
) -> Outcome<Found> {
    if depth.offline && !expected.may_be_damaged {
        check_offline(folder, expected)?;
    }
    let (mvcc, report) = match Mvcc::open(folder, settings) {
        Ok(opened) => opened,
        Err(error) if expected.may_be_damaged && says_damaged(&error) => return Ok(Found::Refused),
        Err(error) => return Err(format!("it cannot be opened: {error} ({error:?})").into()),
    };
    check_epoch(&mvcc, report.epoch_raised, expected)?;
    let found = match find(&mvcc, expected.states, expected.first, expected.last) {
        Ok(found) => Found::State(found),
        Err(_) if expected.may_be_damaged => return read_all(&mvcc, expected),
        Err(error) => return Err(error),
    };
    if let (Found::State(at), true) = (found, depth.goes_on) {
        go_on(mvcc, folder, settings, &expected.states[at])?;
    } else {
        drop(mvcc);
    }
    if let (Found::State(at), true) = (found, depth.watched && !depth.goes_on) {
        watch(folder, settings.durability, &expected.states[at].model)?;
    }
    Ok(found)
}

fn check_offline(folder: &Path, expected: &Expected<'_>) -> Outcome {
    match watchful_mvcc::check(folder) {
        Ok(report) if report.is_ok() || !expected.is_made => Ok(()),
        Ok(report) => Err(format!("the offline check found {:?}", report.problems).into()),
        Err(_) if !expected.is_made => Ok(()),
        Err(error) => Err(format!("the offline check failed: {error}").into()),
    }
}

/// Whether it was refused for what it is, and not for what anybody has done wrong.
pub(crate) fn says_damaged(error: &MvccError) -> bool {
    matches!(
        error,
        MvccError::Damaged { .. }
            | MvccError::DamagedStore { .. }
            | MvccError::NotAStore { .. }
            | MvccError::CutShort { .. }
            | MvccError::FormatVersion { .. }
    )
}

/// Promise 12.
fn check_epoch(mvcc: &Mvcc, is_raised: bool, expected: &Expected<'_>) -> Outcome {
    let acknowledged = expected.states[expected.acknowledged].model.current_revision();
    let wrong = match expected.rises {
        Rises::Must => !is_raised,
        Rises::MustNot => is_raised,
        Rises::May => false,
    };
    if wrong {
        return Err(format!("the epoch was raised: {is_raised}; {:?}", expected.rises).into());
    }
    let before = StoreReading { epoch: expected.epoch, current_revision: acknowledged };
    let after = StoreReading { epoch: mvcc.epoch(), current_revision: mvcc.current_revision() };
    if !expected.may_be_damaged {
        checkers::revision_never_goes_back_within_epoch([before, after])?;
    }
    Ok(())
}

/// Which of the states `first` to `last` the store is in.
pub(crate) fn find(mvcc: &Mvcc, states: &[State], first: usize, last: usize) -> Outcome<usize> {
    find_by(states, first, last, |state| compare(mvcc, state))
}

/// The last of the states `first` to `last` that `compare` is content with.
pub(crate) fn find_by(
    states: &[State],
    first: usize,
    last: usize,
    compare: impl Fn(&State) -> Outcome,
) -> Outcome<usize> {
    let mut why = String::new();
    for at in (first..=last).rev() {
        match compare(&states[at]) {
            Ok(()) => return Ok(at),
            Err(error) => why += &format!("\n  it is not state {at}: {error}"),
        }
    }
    Err(format!("it is none of the states {first} to {last}{why}").into())
}

/// Everything that can be asked of it is as in this state.
fn compare(mvcc: &Mvcc, state: &State) -> Outcome {
    let model = &state.model;
    let summary = |current: u64, compact: u64| format!("revision {current}, compacted to {compact}");
    let found = summary(mvcc.current_revision(), mvcc.compact_revision());
    let owed = summary(model.current_revision(), model.compact_revision());
    if found != owed {
        return Err(format!("{found}, and not {owed}").into());
    }
    let current = model.current_revision();
    checkers::durable(model, current, mvcc.current_revision(), &rows_at(mvcc, current)?)?;
    for revision in model.compact_revision().max(1)..current {
        checkers::survives_compaction(model, revision, &rows_at(mvcc, revision)?)?;
    }
    compare_leases(mvcc, model)?;
    let note = mvcc.note(NOTE)?;
    let owed = state.note.map(u64::to_be_bytes);
    if note.as_deref() != owed.as_ref().map(<[u8; 8]>::as_slice) {
        return Err(format!("its note is {note:?}, and not {owed:?}").into());
    }
    compare_history(mvcc, model)
}

fn compare_leases(mvcc: &Mvcc, model: &Model) -> Outcome {
    let found: Vec<_> = mvcc.leases().iter().map(|lease| (lease.id, lease.ttl_seconds)).collect();
    let owed: Vec<_> = model.leases().collect();
    if found != owed {
        return Err(format!("its leases are {found:?}, and not {owed:?}").into());
    }
    for (id, _) in owed {
        let (found, owed) = (mvcc.lease_keys(id).unwrap_or_default(), model.attached_keys(id));
        if found != owed {
            return Err(format!("the keys of lease {id} are {found:?}, and not {owed:?}").into());
        }
    }
    Ok(())
}

fn compare_history(mvcc: &Mvcc, model: &Model) -> Outcome {
    let (from, current) = (model.compact_revision(), model.current_revision());
    let events = model.events(&[KeyRange::everything()], Filters::default(), from, current);
    let mut owed = events.iter();
    let mut next = Revision::start_of(from);
    while next.main <= current {
        let mut take = |row: &watchful_mvcc::RowView<'_>| Want::Take { charge_bytes: row.encoded_len() };
        let chunk = mvcc.read_history(next, current, &HistoryLimits::default(), &mut take)?;
        next = chunk.next;
        for row in chunk.into_rows(Into::into) {
            let row: watchful_mvcc::HistoryRow = row;
            let event = owed.next();
            if event.map(watchful_testkit::ModelEvent::to_record).as_ref() != Some(&row.record) {
                return Err(format!("its history has {:?}, where {event:?} is owed", row.record).into());
            }
        }
    }
    match owed.next() {
        Some(event) => Err(format!("its history ends before {event:?}").into()),
        None => Ok(()),
    }
}

fn rows_at(mvcc: &Mvcc, revision: u64) -> Outcome<Vec<Row>> {
    let found = mvcc.view(Some(revision))?.range(&KeyRange::everything(), &RangeOptions::default())?;
    Ok(found.records.iter().map(Row::from).collect())
}

/// What may be a mixture is read from end to end: every record in it is one that was written.
fn read_all(mvcc: &Mvcc, expected: &Expected<'_>) -> Outcome<Found> {
    let is_written_in = |model: &Model, row: &Row| {
        let at = row.mod_revision();
        let written = model.events(&[KeyRange::everything()], Filters::default(), at, at);
        written.iter().any(|event| event.to_record() == row.to_record())
    };
    let newest = &expected.states[expected.last].model;
    let is_written = |row: &Row| expected.lost.iter().chain([newest]).any(|model| is_written_in(model, row));
    for revision in mvcc.compact_revision().max(1)..=mvcc.current_revision() {
        let Ok(rows) = rows_at(mvcc, revision) else { return Ok(Found::Refused) };
        if let Some(row) = rows.iter().find(|row| !is_written(row)) {
            return Err(format!("nobody has written {row}").into());
        }
    }
    Ok(Found::Mixed)
}

/// It takes another write, is whole on the disk, and has the write when it is opened again.
fn go_on(mvcc: Mvcc, folder: &Path, settings: &MvccSettings, state: &State) -> Outcome {
    let mut after = state.clone();
    let mut group = mvcc.begin_group()?;
    group.txn(|txn| txn.put(b"key/00", b"after", PutOptions::default()))?;
    group.compact_slice(2)?;
    group.commit()?;
    after.model.apply(&[Op::put("key/00", "after")])?;
    compare(&mvcc, &after).map_err(|error| format!("after a write: {error}"))?;
    drop(mvcc);
    let report = watchful_mvcc::check(folder)?;
    if !report.is_ok() {
        return Err(format!("after a write the offline check found {:?}", report.problems).into());
    }
    let (mvcc, _) = Mvcc::open(folder, settings)?;
    compare(&mvcc, &after).map_err(|error| format!("after a write and an opening: {error}").into())
}

/// A watch of everything that is kept gets it, each change once and in order.
fn watch(folder: &Path, durability: Durability, model: &Model) -> Outcome {
    let store =
        Store::open(folder, Settings::default().with_durability(durability).with_quota_bytes(16 << 20))?;
    let (first, last) = (model.compact_revision().max(1), model.current_revision());
    let mut watch = store.watch(&WatchOptions::new(KeyRange::everything()).start_at(first))?;
    watch.ask_progress(last);
    let mut seen = Vec::new();
    loop {
        match watch.wait_next() {
            Some(Ok(watchful::Update::Events(batch))) => seen.extend(batch.events().to_vec()),
            Some(Ok(watchful::Update::Progress { revision })) if revision >= last => break,
            Some(Ok(watchful::Update::Progress { .. })) => {}
            other => return Err(format!("a watch from {first} on got {other:?}").into()),
        }
    }
    let owed = model.events(&[KeyRange::everything()], Filters::default(), first, last);
    let is_same =
        owed.len() == seen.len() && owed.iter().zip(&seen).all(|(owed, seen)| owed.is_told_by(seen));
    if is_same {
        Ok(())
    } else {
        Err(format!("a watch from {first} on got {seen:?}, and not {owed:?}").into())
    }
}
