//! The model goes through the history, revision by revision. Where no answer tells whose a revision is, it tries those whose
//! outcome nobody knows, and comes back to the others if what follows does not fit.

use watchful_revision::{Event, EventKind};

use super::place::Places;
use super::{Call, NotLinear, told};
use crate::{Model, ModelEvent, Op, OpResult};

/// Finds an order that explains everything.
pub(super) fn search(calls: &[Call], places: &Places, events: &[Event]) -> Result<Model, NotLinear> {
    let last_event = events.last().map_or(0, |event| event.revision().main);
    let mut search = Search { calls, places, events, left: Vec::new(), furthest: None };
    let mut state = State { model: Model::new(), next_event: 0, used: Vec::new() };
    let last_revision = places.last_revision.max(last_event);
    loop {
        match search.go_on(&mut state, last_revision) {
            Ok(()) => return Ok(state.model),
            Err(failure) => {
                if search.furthest.as_ref().is_none_or(|furthest| furthest.revision < failure.revision) {
                    search.furthest = Some(failure);
                }
                match search.left.pop() {
                    Some(other) => state = other,
                    None => return Err(search.furthest.expect("something failed")),
                }
            }
        }
    }
}

struct Search<'a> {
    calls: &'a [Call],
    places: &'a Places,
    events: &'a [Event],
    /// Where another call might have been the one.
    left: Vec<State>,
    furthest: Option<NotLinear>,
}

struct State {
    model: Model,
    next_event: usize,
    /// Which of those without an answer have been found to have happened.
    used: Vec<usize>,
}

impl Search<'_> {
    fn go_on(&mut self, state: &mut State, last_revision: u64) -> Result<(), NotLinear> {
        loop {
            self.check_events(state)?;
            self.check_reads(state)?;
            let revision = state.model.current_revision() + 1;
            if revision > last_revision {
                return Ok(());
            }
            match self.places.writes.get(&revision) {
                Some(number) => self.write(state, *number)?,
                None => self.guess(state, revision)?,
            }
        }
    }

    /// The call takes the next revision, and was answered so.
    fn write(&self, state: &mut State, number: usize) -> Result<(), NotLinear> {
        let (call, revision) = (&self.calls[number], state.model.current_revision() + 1);
        let not = |why| NotLinear { revision, why };
        let applied = state.model.apply(&call.ops).map_err(|error| not(format!("{call:?}: {error}")))?;
        if applied.revision != Some(revision) {
            return Err(not(format!("{call:?} should have changed nothing")));
        }
        check_results(call, &applied.results).map_err(not)
    }

    /// One of those without an answer takes the next revision.
    fn guess(&mut self, state: &mut State, revision: u64) -> Result<(), NotLinear> {
        let told = self.events_of(state, revision);
        let in_time = self.places.unknown.iter().filter(|(first, _)| *first <= revision);
        let mut found: Vec<(usize, Model)> = Vec::new();
        for (_, number) in in_time.filter(|(_, number)| !state.used.contains(number)) {
            let ops = &self.calls[*number].ops;
            if !told.iter().all(|event| may_tell(ops, event)) {
                continue;
            }
            let mut model = state.model.clone();
            let took = model.apply(ops).is_ok_and(|applied| applied.revision == Some(revision));
            // Of the same calls it is all the same which it was. Of others, that fit what is told, it shows later.
            let is_new = || found.iter().all(|(other, _)| self.calls[*other].ops != *ops);
            if took && is_new() && (told.is_empty() || fits(&model, revision, told)) {
                found.push((*number, model));
            }
        }
        let mut states = found.into_iter().map(|(number, model)| State {
            model,
            next_event: state.next_event,
            used: state.used.iter().copied().chain([number]).collect(),
        });
        let Some(first) = states.next() else {
            return Err(NotLinear { revision, why: "nobody can have written it".to_owned() });
        };
        self.left.extend(states);
        *state = first;
        Ok(())
    }

    fn events_of(&self, state: &State, revision: u64) -> &[Event] {
        let rest = &self.events[state.next_event..];
        &rest[..rest.partition_point(|event| event.revision().main <= revision)]
    }

    /// What the store tells of the newest revision is what was done.
    fn check_events(&self, state: &mut State) -> Result<(), NotLinear> {
        let revision = state.model.current_revision();
        let told = self.events_of(state, revision);
        // Where it tells anything, it tells everything: to the last revision that anybody was told of.
        if !self.events.is_empty() && !fits(&state.model, revision, told) {
            return Err(NotLinear { revision, why: format!("the store tells of it {told:?}") });
        }
        state.next_event += told.len();
        Ok(())
    }

    /// Whatever was read at the newest revision is what the model has.
    fn check_reads(&self, state: &mut State) -> Result<(), NotLinear> {
        let revision = state.model.current_revision();
        for number in self.places.reads.get(&revision).into_iter().flatten() {
            let call = &self.calls[*number];
            let not = |why| NotLinear { revision, why };
            let applied = state.model.apply(&call.ops).map_err(|error| not(format!("{call:?}: {error}")))?;
            if applied.revision.is_some() {
                return Err(not(format!("{call:?} should have changed something")));
            }
            check_results(call, &applied.results).map_err(not)?;
        }
        Ok(())
    }
}

fn check_results(call: &Call, expected: &[OpResult]) -> Result<(), String> {
    let Some(answer) = &call.answer else { return Ok(()) };
    let same = answer.results.iter().map(told).eq(expected.iter().map(told));
    if same { Ok(()) } else { Err(format!("{call:?} should have been answered {expected:?}")) }
}

/// Whether the events are what the model did at its revision.
fn fits(model: &Model, revision: u64, events: &[Event]) -> bool {
    let done =
        model.events(&[watchful_revision::KeyRange::everything()], Default::default(), revision, revision);
    done.len() == events.len() && done.iter().zip(events).all(|(done, event)| is_told(done, event))
}

fn is_told(done: &ModelEvent, event: &Event) -> bool {
    let record = event.record();
    let numbers = (event.revision().main, record.create_revision(), record.version(), record.lease());
    (done.kind, &done.key[..], &done.value[..]) == (event.kind(), event.key(), event.value())
        && (done.revision.main, done.create_revision, done.version, done.lease) == numbers
}

/// A quick look: whether any of the operations can have made the event.
fn may_tell(ops: &[Op], event: &Event) -> bool {
    ops.iter().any(|op| match op {
        Op::Put { key, value, ignore_value, .. } => {
            event.kind() == EventKind::Put && key == event.key() && (*ignore_value || value == event.value())
        }
        Op::DeleteRange(range) => event.kind() == EventKind::Delete && range.contains(event.key()),
        Op::Range { .. } => false,
        Op::Txn(txn) => may_tell(&txn.then_ops, event) || may_tell(&txn.else_ops, event),
    })
}
