//! What each key's own events must look like one after the other, with no model at hand.

use std::collections::HashMap;

use bytes::Bytes;
use watchful_revision::{Event, EventKind, Record};

use super::rule::{Rule, Seen, run};
use crate::{Observed, Policy, Promise, Violation, WatchSpec};

/// Promises 3, 8 and 9, as far as a history alone can show them: a put after a delete creates; a put after a put does
/// not, and has the next version; no key is deleted twice in a row; what an event says was before it fits it.
///
/// It remembers one small entry a key, so it finds a lost event in a stress test that keeps neither model nor history.
///
/// # Errors
///
/// The first event that does not follow from the ones before it.
pub fn key_history(spec: &WatchSpec, observed: &Observed) -> Result<(), Violation> {
    run(KeyHistory::default(), spec, observed)
}

#[derive(Default)]
pub(super) struct KeyHistory {
    keys: HashMap<Bytes, Last>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Deleted,
    Put { create_revision: u64, version: u64 },
}

impl Rule for KeyHistory {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            check_alone(seen, event)?;
            match self.keys.get_mut(event.key()) {
                Some(last) => std::mem::replace(last, Last::of(event)).check_next(seen, event)?,
                None => {
                    self.keys.insert(Bytes::copy_from_slice(event.key()), Last::of(event));
                }
            }
        }
        Ok(())
    }
}

impl Last {
    fn of(event: &Event) -> Self {
        let record = event.record();
        match event.kind() {
            EventKind::Put => {
                Self::Put { create_revision: record.create_revision(), version: record.version() }
            }
            EventKind::Delete => Self::Deleted,
        }
    }

    fn check_next(self, seen: Seen<'_>, event: &Event) -> Result<(), Violation> {
        let conflates = seen.spec.policy == Policy::Conflate;
        let filters = seen.spec.filters;
        let problem = match (self, Self::of(event)) {
            (Self::Deleted, Self::Deleted) if !conflates && !filters.no_put => {
                (Promise::Reliable, "a put before the next delete")
            }
            (Self::Deleted, Self::Put { version, .. }) if version != 1 && !conflates => {
                (Promise::CreateFlag, "a created key after a delete")
            }
            (Self::Put { .. }, Self::Put { version: 1, .. }) if !filters.no_delete => {
                (Promise::CreateFlag, "a changed key after a put")
            }
            (before @ Self::Put { .. }, after @ Self::Put { .. })
                if !before.leads_to(after, conflates, filters.no_delete) =>
            {
                (Promise::Reliable, "the key's next version")
            }
            _ => return Ok(()),
        };
        Err(seen.violation(problem.0, problem.1, format_args!("{event:?}")))
    }

    /// Whether one put can come after another. A conflated watch that filters deletes out may see a key's next life begin
    /// at any version.
    fn leads_to(self, after: Self, conflates: bool, no_delete: bool) -> bool {
        let (
            Self::Put { create_revision: create_before, version: before },
            Self::Put { create_revision, version },
        ) = (self, after)
        else {
            return true;
        };
        if version == 1 || conflates && no_delete && create_revision > create_before {
            return create_revision >= create_before;
        }
        create_revision == create_before && (version == before + 1 || conflates && version > before)
    }
}

/// What an event must satisfy on its own.
fn check_alone(seen: Seen<'_>, event: &Event) -> Result<(), Violation> {
    let record = event.record();
    let found = format_args!("{event:?}");
    let main = record.mod_revision();
    if event.kind() == EventKind::Put {
        let create = record.create_revision();
        if record.version() == 0 || create == 0 || create > main || event.is_create() && create != main {
            return Err(seen.violation(Promise::CreateFlag, "version and create revision that fit", found));
        }
    }
    match event.prev() {
        Some(prev) if !fits(prev, event) => {
            Err(seen.violation(Promise::PrevKv, "what was just before this change", found))
        }
        _ => Ok(()),
    }
}

fn fits(prev: &Record, event: &Event) -> bool {
    let record = event.record();
    let follows = event.kind() == EventKind::Delete
        || record.version() == prev.version() + 1 && record.create_revision() == prev.create_revision();
    follows
        && prev.key() == event.key()
        && prev.revision() < event.revision()
        && prev.kind() == watchful_revision::RecordKind::Put
}
