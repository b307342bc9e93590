//! The model against a naive replay of its own events, and the checkers against histories broken at random.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use watchful_revision::{Event, EventKind, KeyRange};
use watchful_testkit::checkers::check_all;
use watchful_testkit::script::{Step, run_step};
use watchful_testkit::{
    Batch, Filters, Model, ModelEvent, Observation, Observed, Policy, RangeOptions, Row, SplitMix64,
    WatchSpec, strategies,
};

fn model_of(steps: &[Step]) -> Model {
    let mut model = Model::new();
    for step in steps {
        run_step(&mut model, step);
    }
    model
}

fn all_events(model: &Model) -> Vec<ModelEvent> {
    model.events(&[KeyRange::everything()], Filters::default(), 1, model.current_revision())
}

/// Applies one event to a plain map; the event must follow from it.
fn replay(rows: &mut BTreeMap<Bytes, Row>, event: &ModelEvent) {
    assert_eq!(rows.get(&event.key), event.prev.as_ref(), "{event}");
    match event.kind {
        EventKind::Delete => drop(rows.remove(&event.key).expect("only what is there is deleted")),
        EventKind::Put => {
            let before = rows.get(&event.key);
            assert_eq!(event.version, before.map_or(0, |row| row.version) + 1);
            assert_eq!(event.create_revision, before.map_or(event.revision.main, |row| row.create_revision));
            rows.insert(event.key.clone(), Row::from(&event.to_record()));
        }
    }
}

/// A history that a receiver may have seen: what is owed, in batches of random size, some in fragments, with progress
/// in between.
fn some_history(spec: &WatchSpec, model: &Model, rng: &mut SplitMix64) -> Observed {
    let mut seen = Observed::from_iter([Observation::Created]);
    let mut next = spec.start_revision.max(1);
    while next <= model.current_revision() {
        let last = (next + rng.below(3)).min(model.current_revision());
        let owed = model.events(&spec.ranges, spec.filters, next, last);
        let events: Vec<Event> = owed.iter().map(|event| event.to_event(spec.prev_kv)).collect();
        push_in_parts(&mut seen, next, last, events, rng);
        if rng.chance(3) {
            seen.push(Observation::Progress { revision: last });
        }
        next = last + 1;
    }
    seen
}

fn push_in_parts(seen: &mut Observed, first: u64, last: u64, mut events: Vec<Event>, rng: &mut SplitMix64) {
    let mut first_revision = first;
    while events.len() > 1 && rng.chance(2) {
        let rest = events.split_off(1);
        let part = std::mem::replace(&mut events, rest);
        let last_revision = part[0].revision().main;
        seen.push(Observation::Batch(Batch {
            first_revision,
            last_revision,
            events: part,
            fragment: true,
            conflated: false,
        }));
        first_revision = last_revision;
    }
    seen.push(Observation::Batch(Batch {
        first_revision,
        last_revision: last,
        events,
        fragment: false,
        conflated: false,
    }));
}

/// The same history with one event changed, by `change`; none where it has no event.
fn broken_at(seen: &Observed, at: usize, change: impl Fn(&mut Vec<Event>, usize)) -> Observed {
    let mut before = 0;
    let break_batch = |observation: &Observation| {
        let mut observation = observation.clone();
        if let Observation::Batch(batch) = &mut observation {
            let len = batch.events.len();
            if (before..before + len).contains(&at) {
                change(&mut batch.events, at - before);
            }
            before += len;
        }
        observation
    };
    seen.observations().iter().map(break_batch).collect()
}

proptest! {
    #[test]
    fn the_models_events_replayed_are_its_state_at_every_revision(steps in strategies::steps()) {
        let model = model_of(&steps);
        let mut rows = BTreeMap::new();
        let mut events = all_events(&model).into_iter().peekable();
        for revision in 1..=model.current_revision() {
            while let Some(event) = events.next_if(|event| event.revision.main == revision) {
                replay(&mut rows, &event);
            }
            prop_assert_eq!(rows.values().cloned().collect::<Vec<_>>(), model.state_at(revision));
            prop_assert_eq!(model.range_at(&KeyRange::everything(), &RangeOptions::default(), revision).is_ok(),
                revision >= model.compact_revision());
        }
        prop_assert_eq!(events.next(), None);
    }

    #[test]
    fn revisions_are_dense_and_subs_count_from_0(steps in strategies::steps()) {
        let model = model_of(&steps);
        let mut last = watchful_revision::Revision::new(1, 0);
        for event in all_events(&model) {
            let next_main = watchful_revision::Revision::start_of(last.main + 1);
            let same_main = last.main > 1 && event.revision == last.next();
            prop_assert!(event.revision == next_main || same_main, "{} after {last}", event.revision);
            last = event.revision;
        }
        prop_assert_eq!(last.main, model.current_revision());
    }

    #[test]
    fn a_refused_transaction_leaves_no_trace(steps in strategies::steps(), ops in strategies::txn()) {
        let mut model = model_of(&steps);
        let before = format!("{model:?}");
        if model.apply(&ops).is_err() {
            prop_assert_eq!(format!("{model:?}"), before);
        }
    }

    #[test]
    fn an_ideal_receiver_is_always_right(
        steps in strategies::steps(), spec in strategies::watch_spec(), revisions in 1..5_u64,
    ) {
        let model = model_of(&steps);
        prop_assert_eq!(check_all(&spec, &Observed::ideal_in_batches(&spec, &model, revisions), &model), Ok(()));
    }

    #[test]
    fn fragments_and_progress_in_between_are_right_too(
        steps in strategies::steps(), spec in strategies::watch_spec(), seed: u64,
    ) {
        let model = model_of(&steps);
        let seen = some_history(&spec, &model, &mut SplitMix64::new(seed));
        prop_assert_eq!(check_all(&spec, &seen, &model), Ok(()));
    }

    #[test]
    fn a_loss_a_repeat_and_a_lie_are_always_found(
        steps in strategies::steps(), spec in strategies::watch_spec(), seed: u64,
    ) {
        let model = model_of(&steps);
        // Most starts would be in the future, and show nothing.
        let start_revision = 1 + spec.start_revision % model.current_revision();
        let spec = WatchSpec { start_revision, ..spec.with_policy(Policy::Replay) };
        let mut rng = SplitMix64::new(seed);
        let seen = some_history(&spec, &model, &mut rng);
        let len = seen.events().count();
        if len == 0 {
            return Ok(());
        }
        let at = usize::try_from(rng.below(len as u64)).unwrap_or_default();
        let lost = broken_at(&seen, at, |events, at| drop(events.remove(at)));
        prop_assert!(check_all(&spec, &lost, &model).is_err(), "event {at} was lost");
        let repeated = broken_at(&seen, at, |events, at| events.insert(at, events[at].clone()));
        prop_assert!(check_all(&spec, &repeated, &model).is_err(), "event {at} came twice");
        let lied = broken_at(&seen, at, |events, at| {
            let mut owed = model.event_at(events[at].revision()).expect("it was made of the model");
            owed.lease += 1;
            owed.kind = EventKind::Put;
            owed.version += 1;
            owed.create_revision = owed.create_revision.max(1);
            events[at] = owed.to_event(spec.prev_kv);
        });
        prop_assert!(check_all(&spec, &lied, &model).is_err(), "event {at} was told wrong");
    }

    #[test]
    fn conflation_may_drop_superseded_puts_and_nothing_else(
        steps in strategies::steps(), spec in strategies::watch_spec(), seed: u64,
    ) {
        let model = model_of(&steps);
        let spec = WatchSpec { start_revision: 1, ..spec.with_policy(Policy::Conflate) };
        let owed = model.events(&spec.ranges, spec.filters, 1, model.current_revision());
        let may_go = |event: &ModelEvent| event.kind == EventKind::Put && model.is_superseded(event);
        let mut rng = SplitMix64::new(seed);
        let kept: Vec<&ModelEvent> = owed.iter().filter(|event| !may_go(event) || rng.chance(2)).collect();
        let told = |kept: &[&ModelEvent]| {
            let events: Vec<Event> = kept.iter().map(|event| event.to_event(spec.prev_kv)).collect();
            let batch = Batch { first_revision: 1, last_revision: 1, events, fragment: false, conflated: false };
            Observed::from_iter([Observation::Batch(batch.conflated(1, model.current_revision()))])
        };
        prop_assert_eq!(check_all(&spec, &told(&kept), &model), Ok(()));
        let Some(at) = kept.iter().position(|event| !may_go(event)) else { return Ok(()) };
        let without: Vec<&ModelEvent> =
            kept.iter().enumerate().filter(|&(other, _)| other != at).map(|(_, event)| *event).collect();
        prop_assert!(check_all(&spec, &told(&without), &model).is_err(), "{} was lost", kept[at]);
    }
}

#[test]
fn the_same_seed_makes_the_same_numbers() {
    // The first numbers of the published algorithm for the seed 1234567.
    let mut rng = SplitMix64::new(1_234_567);
    let numbers: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
    assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    let picks: Vec<u64> = (0..100).map(|_| rng.below(3)).collect();
    assert!((0..3).all(|number| picks.contains(&number)) && picks.iter().all(|&number| number < 3));
    assert_ne!(rng.split().next_u64(), rng.next_u64());
}
