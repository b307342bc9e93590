//! Promise 4: a revision comes whole, or in parts that say so.

use super::rule::{Rule, Seen, run};
use crate::{Batch, Observation, Observed, Policy, Promise, Violation, WatchSpec};

/// Promise 4: batches span revisions that follow each other, events lie in their batch's span, and a revision is split
/// only where every part but the last is marked. A part is followed by the next one, or by the watch's end.
///
/// A conflated watch is passed: the promise does not hold for it.
///
/// # Errors
///
/// The first batch that splits a revision, or what came where a part should have.
pub fn atomic(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Atomic::default(), spec, observed)
}

#[derive(Default)]
pub(super) struct Atomic {
    last_revision: u64,
    open: bool,
}

impl Rule for Atomic {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        if seen.spec.policy == Policy::Conflate {
            return Ok(());
        }
        match seen.observation {
            Observation::Batch(batch) => self.take(seen, batch),
            Observation::Progress { revision } if self.open => {
                let expected = format_args!("the rest of {}", self.last_revision);
                Err(seen.violation(Promise::Atomic, expected, format_args!("progress at {revision}")))
            }
            _ => Ok(()),
        }
    }
}

impl Atomic {
    fn take(&mut self, seen: Seen<'_>, batch: &Batch) -> Result<(), Violation> {
        check_span(seen, batch)?;
        let Self { last_revision, open } = std::mem::replace(
            self,
            Self { last_revision: self.last_revision.max(batch.last_revision), open: batch.fragment },
        );
        let first = batch.first_revision;
        let found = format_args!("a batch from {first}");
        if open && first != last_revision {
            return Err(seen.violation(Promise::Atomic, format_args!("the rest of {last_revision}"), found));
        }
        if !open && first <= last_revision {
            return Err(seen.violation(
                Promise::Atomic,
                format_args!("a batch after {last_revision}"),
                found,
            ));
        }
        Ok(())
    }
}

fn check_span(seen: Seen<'_>, batch: &Batch) -> Result<(), Violation> {
    let (first, last) = (batch.first_revision, batch.last_revision);
    if first > last {
        let found = format_args!("the span {first} to {last}");
        return Err(seen.violation(Promise::Atomic, "a span that begins before it ends", found));
    }
    let outside = batch.events.iter().find(|event| !(first..=last).contains(&event.revision().main));
    match outside {
        Some(event) => Err(seen.violation(
            Promise::Atomic,
            format_args!("events of {first} to {last}"),
            format_args!("one of {}", event.revision()),
        )),
        None => Ok(()),
    }
}
