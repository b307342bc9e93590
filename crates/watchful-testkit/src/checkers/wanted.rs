//! Promises 7 and 15: nothing but what was asked for, and nothing before its time.

use super::rule::{Rule, Seen, run};
use crate::{Observation, Observed, Promise, Violation, WatchSpec};

/// Promise 7: only keys of the watch's ranges, and no kind that it filters out.
///
/// # Errors
///
/// The first event that nobody asked for.
pub fn filtered(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Filtered, spec, observed)
}

/// Promise 15: no event before the start, and no progress below the revision just before it.
///
/// # Errors
///
/// The first thing that came before its time.
pub fn future_start(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(FutureStart, spec, observed)
}

pub(super) struct Filtered;

impl Rule for Filtered {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        let spec = seen.spec;
        match seen.observation.events().iter().find(|event| !spec.wants(event.key(), event.kind())) {
            Some(event) => {
                let expected = format_args!("keys of {:?} under {:?}", spec.ranges, spec.filters);
                Err(seen.violation(Promise::Filtered, expected, format_args!("{event:?}")))
            }
            None => Ok(()),
        }
    }
}

pub(super) struct FutureStart;

impl Rule for FutureStart {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        let start = seen.spec.start_revision;
        let expected = format_args!("nothing before {start}");
        if let Some(event) = seen.observation.events().iter().find(|event| event.revision().main < start) {
            return Err(seen.violation(
                Promise::FutureStart,
                expected,
                format_args!("event {}", event.revision()),
            ));
        }
        match *seen.observation {
            // "Everything before your start" is true at once, and is what a watch from the present begins with.
            Observation::Progress { revision } if revision + 1 < start => {
                Err(seen.violation(Promise::FutureStart, expected, format_args!("progress at {revision}")))
            }
            _ => Ok(()),
        }
    }
}
