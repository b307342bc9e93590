//! Promises 1, 2 and 6: events in order, none twice, and no progress that events contradict.

use std::collections::HashSet;

use watchful_revision::Revision;

use super::rule::{Rule, Seen, run};
use crate::{Observation, Observed, Promise, Violation, WatchSpec};

/// Promise 1: revisions never go back, neither `main` nor `sub`.
///
/// # Errors
///
/// The first event that is older than one before it.
pub fn ordered(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Ordered::default(), spec, observed)
}

/// Promise 2: no revision (main, sub) twice, however far apart.
///
/// # Errors
///
/// The first repeat.
pub fn unique(_: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    match observed.events().find(|event| !seen.insert(event.revision())) {
        Some(repeat) => {
            let revision = repeat.revision();
            Err(Violation::new(Promise::Unique, "the history", format_args!("{revision} once"), "it twice"))
        }
        None => Ok(()),
    }
}

/// Promise 6: no event at or below a progress that came before it, and progress goes neither back nor behind what was
/// delivered.
///
/// # Errors
///
/// The first progress that goes back, or the first event that progress had already spoken for.
pub fn bookmarkable(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(Bookmarkable::default(), spec, observed)
}

#[derive(Default)]
pub(super) struct Ordered {
    last: Option<Revision>,
}

impl Rule for Ordered {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            let revision = event.revision();
            if let Some(last) = self.last.filter(|&last| revision < last) {
                return Err(seen.violation(Promise::Ordered, format_args!("{last} or later"), revision));
            }
            self.last = Some(revision);
        }
        Ok(())
    }
}

/// Finds a repeat of the event just before. With [`Ordered`], that is every repeat: any other is out of order.
#[derive(Default)]
pub(super) struct NoRepeat {
    last: Option<Revision>,
}

impl Rule for NoRepeat {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            if self.last.replace(event.revision()) == Some(event.revision()) {
                let revision = event.revision();
                return Err(seen.violation(Promise::Unique, format_args!("{revision} once"), "it twice"));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Bookmarkable {
    progress: u64,
    delivered: u64,
}

impl Rule for Bookmarkable {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            if event.revision().main <= self.progress {
                let expected = format_args!("nothing up to {}, after progress", self.progress);
                return Err(seen.violation(Promise::Bookmarkable, expected, event.revision()));
            }
            self.delivered = self.delivered.max(event.revision().main);
        }
        match *seen.observation {
            Observation::Progress { revision } => self.advance(seen, revision),
            _ => Ok(()),
        }
    }
}

impl Bookmarkable {
    fn advance(&mut self, seen: Seen<'_>, revision: u64) -> Result<(), Violation> {
        let least = self.progress.max(self.delivered);
        if revision < least {
            let expected = format_args!("progress at {least} or later");
            return Err(seen.violation(
                Promise::Bookmarkable,
                expected,
                format_args!("progress at {revision}"),
            ));
        }
        self.progress = revision;
        Ok(())
    }
}
