//! Promises 5 and 14, which are made of others: two histories that must be one, and history that becomes live.

use super::{bookmarkable, conflated, ordered, reliable, unique};
use crate::history::Cursor;
use crate::{Batch, Model, Observation, Observed, Policy, Promise, Violation, WatchSpec};

/// Promise 5: a watch that ended, and the ones that went on from each [`Observed::next_revision`], together saw what one
/// watch would have seen. A part of a revision at a history's end is dropped, as its receiver must.
///
/// `spec` is the first watch's.
///
/// # Errors
///
/// What is broken in the joined history.
pub fn resumable(spec: &WatchSpec, histories: &[&Observed], model: &Model) -> Result<(), Violation> {
    let joined = join(spec, histories);
    let lossless = if spec.policy == Policy::Conflate { conflated } else { reliable };
    ordered(spec, &joined)
        .and_then(|()| unique(spec, &joined))
        .and_then(|()| bookmarkable(spec, &joined))
        .and_then(|()| lossless(spec, &joined, model))
        .map_err(|violation| violation.seen_as(Promise::Resumable))
}

/// Promise 14: where history meets live events nothing is missing and nothing comes twice. Run it on a watch that was
/// registered in the past while others wrote.
///
/// # Errors
///
/// What is broken at the seam, or anywhere else.
pub fn hand_over(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    ordered(spec, observed)
        .and_then(|()| unique(spec, observed))
        .and_then(|()| reliable(spec, observed, model))
        .map_err(|violation| violation.seen_as(Promise::HandOver))
}

/// One history, without what is only of its parts: their beginnings, their ends, and what was dropped.
fn join(spec: &WatchSpec, histories: &[&Observed]) -> Observed {
    let mut joined = Observed::new();
    for history in histories {
        let mut cursor = Cursor::of(spec);
        history.observations().iter().for_each(|observation| cursor.pass(observation));
        let kept = history.observations().iter().filter(|observation| observation.last_revision().is_some());
        joined.extend(kept.filter_map(|observation| without(cursor.open_revision, observation)));
    }
    joined
}

/// An observation without its part of a revision whose rest never came.
fn without(open_revision: Option<u64>, observation: &Observation) -> Option<Observation> {
    let (Some(open), Observation::Batch(batch)) = (open_revision, observation) else {
        return Some(observation.clone());
    };
    let mut batch: Batch = batch.clone();
    batch.events.retain(|event| event.revision().main != open);
    if batch.last_revision == open {
        batch.last_revision = open - 1;
        batch.fragment = false;
    }
    (batch.first_revision <= batch.last_revision).then_some(Observation::Batch(batch))
}
