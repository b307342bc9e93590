//! Promises 10 and 13, and the order of things in a watch's life: created, then served, then ended, once.

use super::rule::{Rule, Seen, run};
use crate::history::Cursor;
use crate::{Observation, Observed, Policy, Promise, Violation, WatchSpec};

/// Promise 10, as far as the receiver can see it: nothing comes after `Compacted`, not even a second one, and it is told
/// only to a watch that was behind: one that had everything below the compact revision is no such watch.
///
/// # Errors
///
/// What came after the end, or a `Compacted` that was not due.
pub fn compacted(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Compacted::new(spec), spec, observed)
}

/// Promise 10 at registration: a watch that starts below what the store had compacted by then gets `Created`, one
/// `Compacted` and nothing else. Any other watch is passed.
///
/// # Errors
///
/// Silence, or anything served.
pub fn compacted_at_start(
    spec: &WatchSpec,
    observed: &Observed,
    compact_revision_then: u64,
) -> Result<(), Violation> {
    if spec.start_revision.max(1) >= compact_revision_then {
        return Ok(());
    }
    match observed.observations() {
        [Observation::Created, Observation::Compacted { compact_revision }]
        | [Observation::Compacted { compact_revision }]
            if *compact_revision >= compact_revision_then =>
        {
            Ok(())
        }
        other => Err(Violation::new(
            Promise::Compacted,
            "the history",
            format_args!("Compacted at {compact_revision_then} alone"),
            format_args!("{other:?}"),
        )),
    }
}

/// What belongs to no single promise: `Created` comes first and once, nothing follows `Lagged` or `Cancelled`, and only
/// a watch that asked for it is ended for lag or conflated.
///
/// # Errors
///
/// The first thing out of its place, under the promise that it comes nearest to.
pub fn lifecycle(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Lifecycle::default(), spec, observed)
}

/// Promise 13, at the end of a quiet time: the watch has been told that it has everything up to `revision`.
///
/// # Errors
///
/// When no progress that far was seen.
pub fn becomes_synced(observed: &Observed, revision: u64) -> Result<(), Violation> {
    let progress = observed.observations().iter().filter_map(|observation| match observation {
        Observation::Progress { revision } => Some(*revision),
        _ => None,
    });
    match progress.max() {
        Some(found) if found >= revision => Ok(()),
        found => Err(Violation::new(
            Promise::BecomesSynced,
            "the end of the history",
            format_args!("progress at {revision}"),
            found.map_or("none".to_owned(), |found| found.to_string()),
        )),
    }
}

pub(super) struct Compacted {
    cursor: Cursor,
    ended: bool,
}

impl Compacted {
    pub(super) fn new(spec: &WatchSpec) -> Self {
        Self { cursor: Cursor::of(spec), ended: false }
    }
}

impl Rule for Compacted {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        if self.ended {
            let found = format_args!("{:?}", seen.observation);
            return Err(seen.violation(Promise::Compacted, "nothing after Compacted", found));
        }
        self.cursor.pass(seen.observation);
        let Observation::Compacted { compact_revision } = *seen.observation else { return Ok(()) };
        self.ended = true;
        let next = self.cursor.next_revision;
        if next >= compact_revision {
            let expected = format_args!("to be served from {next}");
            return Err(seen.violation(
                Promise::Compacted,
                expected,
                format_args!("Compacted at {compact_revision}"),
            ));
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Lifecycle {
    ended: bool,
}

impl Rule for Lifecycle {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        let found = || format!("{:?}", seen.observation);
        if self.ended {
            return Err(seen.violation(
                Promise::GaugesReturnToZero,
                "nothing after the watch's end",
                found(),
            ));
        }
        // What follows Compacted is the business of the rule above.
        self.ended = matches!(seen.observation, Observation::Lagged | Observation::Cancelled);
        let policy = seen.spec.policy;
        match seen.observation {
            Observation::Created if seen.at > 0 => {
                Err(seen.violation(Promise::Ordered, "Created first and once", found()))
            }
            Observation::Lagged if policy != Policy::Cancel => {
                Err(seen.violation(Promise::Reliable, "no end for lag: it was not asked for", found()))
            }
            Observation::Batch(batch) if batch.conflated && policy != Policy::Conflate => {
                Err(seen.violation(Promise::Reliable, "no conflation: it was not asked for", found()))
            }
            _ => Ok(()),
        }
    }
}
