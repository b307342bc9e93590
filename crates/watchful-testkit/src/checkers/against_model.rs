//! Promises 3, 8, 9 and 10, with the model to say what should have come.

use watchful_revision::{Event, Revision};

use super::rule::{Rule, Seen, run};
use crate::{Model, ModelEvent, Observation, Observed, Promise, Row, Violation, WatchSpec};

/// Promise 3: exactly the model's events, from the start to the last revision that a batch or a progress speaks for,
/// each with its key, value, kind, revision, version, create revision and lease.
///
/// The model must be at least as far as the history: a batch or progress beyond the model's current revision is
/// reported too, as progress that came too early.
///
/// # Errors
///
/// The first event that is missing, that should not be there, or that is not as the model has it.
pub fn reliable(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    let mut checker = ModelChecker::new(spec.clone());
    observed.observations().iter().try_for_each(|observation| checker.observe(observation, model))
}

/// Promise 8: each event carries the key's row just before it, by `sub`; none on create, and none where it was not
/// asked for. It may be absent where a compaction that the model knows of can have taken the row away.
///
/// # Errors
///
/// The first event whose previous row is not the right one.
pub fn prev_kv(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    run(PrevKv { model }, spec, observed)
}

/// Promise 9: an event's create flag is set where the key was absent just before, and only there.
///
/// # Errors
///
/// The first event whose flag is wrong.
pub fn create_flag(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    run(CreateFlag { model }, spec, observed)
}

/// Promise 10, as far as the model can see it: a watch is told a compact revision that the store has been at.
///
/// # Errors
///
/// A `Compacted` whose revision is above the model's compact revision.
pub fn compacted_is_true(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Violation> {
    run(CompactedIsTrue { model }, spec, observed)
}

/// Promise 3 over a stream: compares each observation with the model, and keeps one number.
///
/// The model may grow meanwhile, as long as it is ahead of what is observed.
pub struct ModelChecker {
    spec: WatchSpec,
    at: usize,
    next: Revision,
}

impl ModelChecker {
    /// The checker of a watch that has just been registered.
    #[must_use]
    pub fn new(spec: WatchSpec) -> Self {
        let next = Revision::start_of(spec.start_revision.max(1));
        Self { spec, at: 0, next }
    }

    /// Compares the next observation with the model.
    ///
    /// # Errors
    ///
    /// The first difference in it.
    pub fn observe(&mut self, observation: &Observation, model: &Model) -> Result<(), Violation> {
        let seen = Seen { spec: &self.spec, at: self.at, observation };
        self.at += 1;
        let Some(to) = end_of(observation) else { return Ok(()) };
        let from = self.next;
        self.next = from.max(to.next());
        let current_revision = model.current_revision();
        if to.main > current_revision {
            let found = format_args!("word of {}", to.main);
            return Err(seen.violation(
                Promise::Bookmarkable,
                format_args!("up to {current_revision}"),
                found,
            ));
        }
        compare(seen, model, from, to)
    }
}

/// The last revision, by `sub`, that an observation speaks for.
fn end_of(observation: &Observation) -> Option<Revision> {
    let last_event = observation.events().last().map(Event::revision);
    match observation {
        Observation::Batch(batch) if batch.fragment => last_event,
        _ => observation.last_revision().map(|main| Revision::new(main, u32::MAX)).max(last_event),
    }
}

fn compare(seen: Seen<'_>, model: &Model, from: Revision, to: Revision) -> Result<(), Violation> {
    let mut found = seen.observation.events().iter();
    for expected in model.events_between(&seen.spec.ranges, seen.spec.filters, from, to) {
        match found.next() {
            Some(event) if expected.is_told_by(event) => {}
            Some(event) => {
                return Err(seen.violation(Promise::Reliable, expected, format_args!("{event:?}")));
            }
            None => return Err(seen.violation(Promise::Reliable, expected, "nothing")),
        }
    }
    match found.next() {
        Some(event) => {
            let expected = format_args!("no event more from {from} to {to}");
            Err(seen.violation(Promise::Reliable, expected, format_args!("{event:?}")))
        }
        None => Ok(()),
    }
}

struct PrevKv<'a> {
    model: &'a Model,
}

impl Rule for PrevKv<'_> {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            // An event that the model does not know is reported by promise 3.
            let Some(owed) = self.model.event_at(event.revision()) else { continue };
            let expected = owed.prev.as_ref().filter(|_| seen.spec.prev_kv);
            let found = event.prev().map(Row::from);
            let gone = found.is_none() && may_be_compacted(&owed, self.model.compact_revision());
            if found.as_ref() != expected && !gone {
                return Err(seen.violation(
                    Promise::PrevKv,
                    format_args!("{expected:?} before {}", event.revision()),
                    format_args!("{found:?}"),
                ));
            }
        }
        Ok(())
    }
}

/// Whether compaction can have taken the row before `event`: from the revision that replaced it on, but never in the
/// revision it was written in.
fn may_be_compacted(event: &ModelEvent, compact_revision: u64) -> bool {
    let kept_in = event.prev.as_ref().map_or(0, Row::mod_revision);
    compact_revision >= event.revision.main.max(kept_in + 1)
}

struct CreateFlag<'a> {
    model: &'a Model,
}

impl Rule for CreateFlag<'_> {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        for event in seen.observation.events() {
            let Some(owed) = self.model.event_at(event.revision()) else { continue };
            if owed.is_create() != event.is_create() {
                let expected = format_args!("the create flag {} for {owed}", owed.is_create());
                return Err(seen.violation(Promise::CreateFlag, expected, event.is_create()));
            }
        }
        Ok(())
    }
}

struct CompactedIsTrue<'a> {
    model: &'a Model,
}

impl Rule for CompactedIsTrue<'_> {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        let known = self.model.compact_revision();
        match *seen.observation {
            Observation::Compacted { compact_revision } if compact_revision > known => Err(seen.violation(
                Promise::Compacted,
                format_args!("a compact revision up to {known}"),
                compact_revision,
            )),
            _ => Ok(()),
        }
    }
}
