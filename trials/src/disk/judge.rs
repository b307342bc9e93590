//! Opens what a disk has left and compares it with what was acknowledged.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use watchful::{End, Settings, Store, Update, Watch, WatchOptions};
use watchful_mvcc::{Durability, HistoryLimits, Mvcc, MvccError, MvccSettings, PutOptions, Want};
use watchful_revision::{KeyRange, Revision};
use watchful_testkit::checkers::{self, StoreReading};
use watchful_testkit::{Filters, Model, Op, Row};

use super::work::{NOTE, State};
use crate::rows::rows_at;
use crate::trials::Outcome;

/// Whether the epoch has to rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rises {
    Must,
    May,
    MustNot,
}

/// What a store said of itself when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    pub(crate) epoch: u64,
    /// None where it was not asked for.
    pub(crate) store_id: Option<[u8; 16]>,
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
    /// The newest state that was acknowledged.
    pub(crate) acknowledged: usize,
    /// None where no store was acknowledged to be there.
    pub(crate) told: Option<Told>,
    pub(crate) rises: Rises,
    /// Whether the store may be anything at all, or none: it may be refused, and is never wrong about itself.
    pub(crate) may_be_damaged: bool,
}

impl Expected<'_> {
    /// Of everything that is compared, so that an image that was judged is judged again where more is expected of it.
    pub(crate) fn hash(&self) -> u64 {
        let Self { states, lost: _, first, last, acknowledged, told, rises, may_be_damaged } = self;
        let mut hasher = DefaultHasher::new();
        (states.as_ptr().addr(), first, last, acknowledged).hash(&mut hasher);
        (told, rises, may_be_damaged).hash(&mut hasher);
        hasher.finish()
    }
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
    let checked = if depth.offline { check_offline(folder, expected)? } else { None };
    let (mvcc, report) = match Mvcc::open(folder, settings) {
        Ok(opened) => opened,
        Err(error) if expected.may_be_damaged && says_damaged(&error) && checked != Some(Checked::Whole) => {
            return Ok(Found::Refused);
        }
        Err(error) => return Err(format!("it cannot be opened: {error} ({error:?}), {checked:?}").into()),
    };
    check_told(&mvcc, report.epoch_raised, expected)?;
    let found = match find(&mvcc, expected.states, expected.first, expected.last) {
        Ok(found) => found,
        Err(_) if expected.may_be_damaged => return judge_mixture(mvcc, folder, settings, expected, depth),
        Err(error) => return Err(error),
    };
    if checked == Some(Checked::Damaged) {
        return Err(format!("the offline check finds damage in state {found}, which is whole").into());
    }
    if depth.goes_on {
        go_on(mvcc, folder, settings, &expected.states[found])?;
    } else {
        drop(mvcc);
        if depth.watched {
            watch(folder, settings.durability, &expected.states[found].model)?;
        }
    }
    Ok(Found::State(found))
}

/// What the offline check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    Whole,
    Damaged,
}

/// None where there may be no store yet, and it says that there is none.
fn check_offline(folder: &Path, expected: &Expected<'_>) -> Outcome<Option<Checked>> {
    let what = match watchful_mvcc::check(folder) {
        Ok(report) if report.is_ok() => return Ok(Some(Checked::Whole)),
        Ok(report) => format!("found {:?}", report.problems),
        Err(error) => format!("failed: {error}"),
    };
    match expected.told {
        None => Ok(None),
        Some(_) if expected.may_be_damaged => Ok(Some(Checked::Damaged)),
        Some(_) => Err(format!("the offline check {what}").into()),
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

/// Promise 12; and that it is the store that it said it was.
fn check_told(mvcc: &Mvcc, is_raised: bool, expected: &Expected<'_>) -> Outcome {
    let acknowledged = expected.states[expected.acknowledged].model.current_revision();
    let wrong = match expected.rises {
        Rises::Must => !is_raised,
        Rises::MustNot => is_raised,
        Rises::May => false,
    };
    if wrong {
        return Err(format!("the epoch was raised: {is_raised}; {:?}", expected.rises).into());
    }
    let Some(told) = expected.told else { return Ok(()) };
    if told.store_id.is_some_and(|id| id != mvcc.store_id()) {
        return Err(format!("its id is {:?}, and not {:?}", mvcc.store_id(), told.store_id).into());
    }
    let before = StoreReading { epoch: told.epoch, current_revision: acknowledged };
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

/// What may be a mixture is read from end to end, and harms nobody who writes to it or watches it.
fn judge_mixture(
    mvcc: Mvcc,
    folder: &Path,
    settings: &MvccSettings,
    expected: &Expected<'_>,
    depth: Depth,
) -> Outcome<Found> {
    let Some(rows) = read_all(&mvcc, expected)? else { return Ok(Found::Refused) };
    if depth.goes_on {
        go_on_mixed(mvcc, folder, settings, &rows).map_err(|error| format!("a mixture: {error}"))?;
    } else {
        drop(mvcc);
        if depth.watched {
            watch_mixed(folder, settings.durability, &rows)?;
        }
    }
    Ok(Found::Mixed)
}

/// The rows at every revision that can be read, each of which was written; none where a read says that it is damaged.
fn read_all(mvcc: &Mvcc, expected: &Expected<'_>) -> Outcome<Option<Vec<Vec<Row>>>> {
    let is_written_in = |model: &Model, row: &Row| {
        let at = row.mod_revision();
        let written = model.events(&[KeyRange::everything()], Filters::default(), at, at);
        written.iter().any(|event| event.to_record() == row.to_record())
    };
    let newest = &expected.states[expected.last].model;
    let is_written = |row: &Row| expected.lost.iter().chain([newest]).any(|model| is_written_in(model, row));
    let mut all = Vec::new();
    for revision in mvcc.compact_revision().max(1)..=mvcc.current_revision() {
        let rows = match rows_at(mvcc, revision) {
            Ok(rows) => rows,
            Err(error) if says_damaged(&error) => return Ok(None),
            Err(error) => return Err(format!("revision {revision} cannot be read: {error}").into()),
        };
        if let Some(row) = rows.iter().find(|row| !is_written(row)) {
            return Err(format!("nobody has written {row}").into());
        }
        all.push(rows);
    }
    Ok(Some(all))
}

/// A mixture takes another write, and has it beside what it had, before and after it is opened again.
fn go_on_mixed(mvcc: Mvcc, folder: &Path, settings: &MvccSettings, before: &[Vec<Row>]) -> Outcome {
    let (first, last) = (mvcc.compact_revision().max(1), mvcc.current_revision());
    write_more(&mvcc)?;
    let compare = |mvcc: &Mvcc| -> Outcome {
        for (revision, owed) in (first..=last).zip(before) {
            if rows_at(mvcc, revision)? != *owed {
                return Err(format!("a write has changed revision {revision}").into());
            }
        }
        let is_new = |row: &Row| row.key.as_ref() == b"key/00";
        let (mut newest, mut owed) = (rows_at(mvcc, last + 1)?, before.last().cloned().unwrap_or_default());
        let written = newest.extract_if(.., |row| is_new(row)).next();
        owed.retain(|row| !is_new(row));
        match written {
            Some(row) if row.value.as_ref() == b"after" && newest == owed => Ok(()),
            _ => Err(format!("at {} it has {written:?}, {newest:?}, and not {owed:?}", last + 1).into()),
        }
    };
    compare(&mvcc)?;
    drop(mvcc);
    let (mvcc, _) = Mvcc::open(folder, settings)?;
    compare(&mvcc).map_err(|error| format!("after an opening: {error}").into())
}

/// A watch of it comes to an end that is clear, or to the newest revision.
fn watch_mixed(folder: &Path, durability: Durability, rows: &[Vec<Row>]) -> Outcome {
    let store = open_store(folder, durability)?;
    let (first, last) = (store.compact_revision().max(1), store.current_revision());
    if last + 1 - first != rows.len() as u64 {
        return Err(format!("a mixture is at {first} to {last}, and was not before").into());
    }
    let mut watch = store.watch(&WatchOptions::new(KeyRange::everything()).start_at(first))?;
    watch.ask_progress(last);
    loop {
        match watch.wait_next() {
            Some(Ok(Update::Progress { revision })) if revision >= last => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(End::Unreadable { .. })) => return Ok(()),
            other => return Err(format!("a watch of a mixture got {other:?}").into()),
        }
    }
}

/// A put, and a slice of the compaction that may be under way.
fn write_more(mvcc: &Mvcc) -> Outcome {
    let mut group = mvcc.begin_group()?;
    group.txn(|txn| txn.put(b"key/00", b"after", PutOptions::default()))?;
    group.compact_slice(2)?;
    group.commit()?;
    Ok(())
}

/// It takes another write, is whole on the disk, and has the write when it is opened again.
fn go_on(mvcc: Mvcc, folder: &Path, settings: &MvccSettings, state: &State) -> Outcome {
    let mut after = state.clone();
    write_more(&mvcc)?;
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
    let store = open_store(folder, durability)?;
    let first = model.compact_revision().max(1);
    let watch = store.watch(&WatchOptions::new(KeyRange::everything()).start_at(first))?;
    check_watch(watch, first, model)
}

fn open_store(folder: &Path, durability: Durability) -> Outcome<Store> {
    Ok(Store::open(folder, Settings::default().with_durability(durability).with_quota_bytes(16 << 20))?)
}

/// A watch that began at the revision `first` gets what the model has from there on, each change once and in order, and
/// nothing else; or compaction has overtaken it.
pub(crate) fn check_watch(mut watch: Watch, first: u64, model: &Model) -> Outcome {
    let last = model.current_revision();
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
    if is_same {
        Ok(())
    } else {
        Err(format!("a watch from {first} on got {seen:?}, and not {owed:?}").into())
    }
}
