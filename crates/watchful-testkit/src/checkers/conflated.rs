//! The rule that a conflated watch has instead of promises 3, 4 and 8.

use std::collections::{HashMap, HashSet};

use watchful_revision::{EventKind, Revision};

use crate::{Batch, Model, Observation, Observed, Promise, Violation, WatchSpec};

/// A conflated watch loses only puts that were superseded: every event is one of the model's, each key's events come in
/// order, every delete is there, and of each key the last event is there. A batch that is not marked leaves out nothing.
///
/// What is owed ends at the last revision that a batch or progress speaks for. A put may be missing where the model has
/// a newer change of its key, even one after that end: the store may have known of it. So a history that ends with
/// progress at the model's current revision is checked to the last put.
///
/// # Errors
///
/// The first event that is not the model's or comes late, or the first loss that conflation does not excuse.
pub fn conflated(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    check_events(observed, model)?;
    check_order_of_keys(observed)?;
    check_losses(spec, observed, model)?;
    check_unmarked(spec, observed, model)
}

fn violation(
    place: impl std::fmt::Display,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Violation {
    Violation::new(Promise::Conflated, place, expected, found)
}

fn check_events(observed: &Observed, model: &Model) -> Result<(), Violation> {
    for event in observed.events() {
        let revision = event.revision();
        match model.event_at(revision) {
            Some(owed) if owed.is_told_by(event) => {}
            owed => return Err(violation(revision, format_args!("{owed:?}"), format_args!("{event:?}"))),
        }
    }
    Ok(())
}

fn check_order_of_keys(observed: &Observed) -> Result<(), Violation> {
    let mut newest: HashMap<&[u8], Revision> = HashMap::new();
    for event in observed.events() {
        if let Some(before) = newest.insert(event.key(), event.revision())
            && before >= event.revision()
        {
            let expected = format_args!("a change of its key after {before}");
            return Err(violation(event.revision(), expected, format_args!("{event:?}")));
        }
    }
    Ok(())
}

fn check_losses(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    let delivered: HashSet<Revision> = observed.events().map(|event| event.revision()).collect();
    let end = observed.next_revision(spec) - 1;
    for owed in model.events(&spec.ranges, spec.filters, spec.start_revision, end) {
        let excused = owed.kind == EventKind::Put && model.is_superseded(&owed);
        if !excused && !delivered.contains(&owed.revision) {
            return Err(violation(owed.revision, owed, "nothing"));
        }
    }
    Ok(())
}

fn check_unmarked(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    let mut open = false;
    for observation in observed.observations() {
        let Observation::Batch(batch) = observation else { continue };
        let in_parts = std::mem::replace(&mut open, batch.fragment) || batch.fragment;
        if !batch.conflated && !in_parts {
            check_whole(spec, batch, model)?;
        }
    }
    Ok(())
}

fn check_whole(spec: &WatchSpec, batch: &Batch, model: &Model) -> Result<(), Violation> {
    let first = batch.first_revision.max(spec.start_revision);
    let owed = model.events(&spec.ranges, spec.filters, first, batch.last_revision);
    match owed.iter().find(|owed| !batch.events.iter().any(|event| event.revision() == owed.revision)) {
        Some(lost) => Err(violation(lost.revision, format_args!("{lost}, or the conflated mark"), "neither")),
        None => Ok(()),
    }
}
