//! The form that every rule about one watch's history has: it sees one observation at a time.

use std::fmt;

use crate::{Observation, Observed, Promise, Violation, WatchSpec};

/// One observation, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) spec: &'a WatchSpec,
    pub(super) at: usize,
    pub(super) observation: &'a Observation,
}

impl Seen<'_> {
    pub(super) fn violation(
        &self,
        promise: Promise,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Violation {
        Violation::new(promise, format_args!("observation {}", self.at), expected, found)
    }
}

/// A rule, with what it must remember of what came before.
pub(super) trait Rule {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation>;
}

/// Runs one rule over a whole history.
pub(super) fn run(mut rule: impl Rule, spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    let observations = observed.observations().iter().enumerate();
    for (at, observation) in observations {
        rule.see(Seen { spec, at, observation })?;
    }
    Ok(())
}
