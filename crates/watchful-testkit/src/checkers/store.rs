//! Promises about the store as a whole: 11, 12 and 16 to 20.

use std::collections::HashMap;

use watchful_revision::{Event, EventKind};

use crate::{Filters, Model, Observed, Promise, Row, Violation, WatchSpec};

/// Promise 11, and that compaction changes no read: the store's rows at `revision`, in key order, are the model's.
///
/// # Errors
///
/// The first row that is missing, too much, or not as the model has it.
pub fn survives_compaction(model: &Model, revision: u64, rows: &[Row]) -> Result<(), Violation> {
    same_rows(Promise::SurvivesCompaction, model, revision, rows)
}

/// Promise 12: `current_revision`, read again and again over reopenings and crashes, never goes back.
///
/// # Errors
///
/// The first reading that is lower than the one before.
pub fn revision_never_goes_back(revisions: impl IntoIterator<Item = u64>) -> Result<(), Violation> {
    let readings = revisions.into_iter().map(|current_revision| StoreReading { epoch: 0, current_revision });
    revision_never_goes_back_within_epoch(readings)
}

/// What a store said of itself at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreReading {
    /// Its epoch.
    pub epoch: u64,
    /// Its newest revision.
    pub current_revision: u64,
}

/// Promise 12 for stores that do not sync: the revision may go back where the epoch has risen, and the epoch never goes
/// back.
///
/// # Errors
///
/// The first reading that goes back.
pub fn revision_never_goes_back_within_epoch(
    readings: impl IntoIterator<Item = StoreReading>,
) -> Result<(), Violation> {
    let mut last = StoreReading { epoch: 0, current_revision: 0 };
    for (at, reading) in readings.into_iter().enumerate() {
        let same_epoch = reading.epoch == last.epoch;
        if reading.epoch < last.epoch || same_epoch && reading.current_revision < last.current_revision {
            return Err(Violation::new(
                Promise::RevisionNeverGoesBack,
                format_args!("reading {at}"),
                format_args!("{last:?} or later"),
                format_args!("{reading:?}"),
            ));
        }
        last = reading;
    }
    Ok(())
}

/// Promise 16: every gauge, given with its name, is 0 after all is closed.
///
/// # Errors
///
/// The first gauge that is not.
pub fn gauges_return_to_zero<'a>(gauges: impl IntoIterator<Item = (&'a str, u64)>) -> Result<(), Violation> {
    match gauges.into_iter().find(|(_, value)| *value != 0) {
        Some((name, value)) => Err(Violation::new(Promise::GaugesReturnToZero, name, 0, value)),
        None => Ok(()),
    }
}

/// What a read of a key at a revision answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// The key was there. Only the main revision of the row is looked at, so its `sub` may be anything.
    Found(Row),
    /// The key was not there.
    Absent,
    /// The revision has been compacted since.
    Compacted,
}

/// Promise 17: what was delivered can be read at its revision, and is what was delivered. `get` reads a key at a main
/// revision, and answers an error in words.
///
/// A revision's last event of each key is looked at. A watch with filters may not see that one, and is passed; so is a
/// revision of which only a part has come.
///
/// # Errors
///
/// The first read that fails or answers something else.
pub fn readable(
    spec: &WatchSpec,
    observed: &Observed,
    mut get: impl FnMut(&[u8], u64) -> Result<ReadBack, String>,
) -> Result<(), Violation> {
    if spec.filters != Filters::default() {
        return Ok(());
    }
    let next_revision = observed.next_revision(spec);
    let mut last_of_key = HashMap::new();
    for event in observed.events().filter(|event| event.revision().main < next_revision) {
        last_of_key.insert((event.revision().main, event.key()), event);
    }
    let mut events: Vec<&Event> = last_of_key.into_values().collect();
    events.sort_by_key(|event| event.revision());
    events.into_iter().try_for_each(|event| check_read(event, get(event.key(), event.revision().main)))
}

fn check_read(event: &Event, answer: Result<ReadBack, String>) -> Result<(), Violation> {
    let same = |row: &Row| Row { revision: event.revision(), ..row.clone() } == Row::from(event.record());
    let right = match (&answer, event.kind()) {
        (Ok(ReadBack::Compacted), _) | (Ok(ReadBack::Absent), EventKind::Delete) => true,
        (Ok(ReadBack::Found(row)), EventKind::Put) => {
            row.mod_revision() == event.revision().main && same(row)
        }
        _ => false,
    };
    if right {
        return Ok(());
    }
    let (expected, found) = (format!("{event:?}"), format!("{answer:?}"));
    Err(Violation::new(Promise::Readable, event.revision(), expected, found))
}

/// Promise 18: with watchers, the writer takes at most `factor` times as long as without. Both are the same measure, say
/// the median nanoseconds of a put.
///
/// # Errors
///
/// When it takes longer.
pub fn writer_not_slowed(alone: f64, watched: f64, factor: f64) -> Result<(), Violation> {
    if watched <= alone * factor {
        return Ok(());
    }
    let expected = format!("at most {factor} times {alone}");
    Err(Violation::new(Promise::WriterNotSlowed, "the writer", expected, watched))
}

/// One look at something that has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSample<'a> {
    /// What it is.
    pub name: &'a str,
    /// What it uses.
    pub used_bytes: u64,
    /// What it may use.
    pub budget_bytes: u64,
}

/// Promise 19: nothing uses more than its budget.
///
/// # Errors
///
/// The first sample above its budget.
pub fn within_budget<'a>(samples: impl IntoIterator<Item = BudgetSample<'a>>) -> Result<(), Violation> {
    match samples.into_iter().find(|sample| sample.used_bytes > sample.budget_bytes) {
        Some(BudgetSample { name, used_bytes, budget_bytes }) => {
            let expected = format_args!("at most {budget_bytes} bytes");
            Err(Violation::new(Promise::WithinBudget, name, expected, format_args!("{used_bytes} bytes")))
        }
        None => Ok(()),
    }
}

/// Promise 20, after a crash: the store is at `current_revision` and holds `rows` now. The model holds every transaction
/// that was tried, in order; the first ones, up to `acknowledged_revision`, were acknowledged.
///
/// # Errors
///
/// When something acknowledged is gone, something is there that nobody wrote, or a transaction is there in part.
pub fn durable(
    model: &Model,
    acknowledged_revision: u64,
    current_revision: u64,
    rows: &[Row],
) -> Result<(), Violation> {
    let tried = acknowledged_revision..=model.current_revision();
    if !tried.contains(&current_revision) {
        let expected = format_args!("a revision of {tried:?}");
        return Err(Violation::new(Promise::Durable, "current_revision", expected, current_revision));
    }
    same_rows(Promise::Durable, model, current_revision, rows)
}

fn same_rows(promise: Promise, model: &Model, revision: u64, rows: &[Row]) -> Result<(), Violation> {
    let owed = model.state_at(revision);
    let differ = (0..owed.len().max(rows.len())).find(|&at| owed.get(at) != rows.get(at));
    match differ {
        Some(at) => {
            let describe = |row: Option<&Row>| row.map_or("no row".to_owned(), Row::to_string);
            let place = format_args!("row {at} at revision {revision}");
            Err(Violation::new(promise, place, describe(owed.get(at)), describe(rows.get(at))))
        }
        None => Ok(()),
    }
}
