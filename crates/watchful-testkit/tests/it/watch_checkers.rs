//! The checkers that look at a history alone, each with a history broken on purpose.

use watchful_revision::KeyRange;
use watchful_testkit::checkers::{
    WatchChecker, atomic, becomes_synced, bookmarkable, compacted, compacted_at_start, filtered,
    future_start, key_history, lifecycle, ordered, unique,
};
use watchful_testkit::{Batch, Filters, Observation, Observed, Policy, Promise, WatchSpec};

use super::support::{Case, progress};

const COMPACTED_AT_5: Observation = Observation::Compacted { compact_revision: 5 };

#[test]
fn the_right_history_passes() {
    let case = Case::new();
    case.accepts(case.right().observations());
    case.accepts(&[]);
    case.accepts(&[
        Observation::Created,
        case.batch(&[(2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]),
        progress(4),
        progress(4),
    ]);
    case.accepts(&[case.batch(&[(2, 0)]), Observation::Cancelled]);
}

#[test]
fn ordered_refuses_revisions_out_of_order() {
    let case = Case::new();
    case.refuses(Promise::Ordered, ordered, &[case.batch(&[(3, 0)]), case.batch(&[(2, 0)])]);
    case.refuses(Promise::Ordered, ordered, &[case.batch(&[(2, 0), (3, 0), (4, 1), (4, 0), (4, 2)])]);
}

#[test]
fn unique_refuses_a_repeat_near_and_far() {
    let case = Case::new();
    case.refuses(Promise::Unique, unique, &[case.batch(&[(2, 0), (2, 0)])]);
    case.refuses(Promise::Unique, unique, &[case.batch(&[(2, 0), (3, 0)]), case.batch(&[(2, 0), (3, 0)])]);
}

#[test]
fn atomic_accepts_marked_fragments() {
    let case = Case::new();
    let before = case.batch(&[(2, 0), (3, 0)]);
    let parts = [case.fragment(&[(4, 0)]), case.fragment(&[(4, 1)]), case.batch(&[(4, 2), (5, 0)])];
    case.accepts(&[std::slice::from_ref(&before), &parts[..], &[progress(5)]].concat());
    // The rest may turn out to be empty.
    let spec = |spec| WatchSpec { ranges: vec![KeyRange::key("b")], ..spec };
    let case = Case::new().with(spec);
    let rest =
        Batch { first_revision: 4, last_revision: 5, events: vec![], fragment: false, conflated: false };
    case.accepts(&[case.batch(&[(3, 0)]), case.fragment(&[(4, 1)]), Observation::Batch(rest), progress(5)]);
    // A compaction in the middle of a revision ends it.
    let mut case = Case::new();
    assert_eq!(case.model.compact(5), Ok(()));
    case.accepts(&[before, case.fragment(&[(4, 0)]), COMPACTED_AT_5]);
}

#[test]
fn atomic_refuses_a_revision_split_without_a_mark() {
    let case = Case::new();
    let before = case.batch(&[(2, 0), (3, 0)]);
    case.refuses(Promise::Atomic, atomic, &[before, case.batch(&[(4, 0)]), case.batch(&[(4, 1), (4, 2)])]);
}

#[test]
fn atomic_refuses_a_fragment_that_is_not_followed_by_its_rest() {
    let case = Case::new();
    let begin = [case.batch(&[(2, 0), (3, 0)]), case.fragment(&[(4, 0), (4, 1), (4, 2)])];
    case.refuses(Promise::Atomic, atomic, &[&begin[..], &[case.batch(&[(5, 0)])]].concat());
    case.refuses(Promise::Atomic, atomic, &[&begin[..], &[progress(4)]].concat());
}

#[test]
fn atomic_refuses_events_outside_their_batch_and_spans_that_overlap() {
    let case = Case::new();
    let spanning = |first_revision, last_revision, event| {
        let events = vec![case.event(event, 0)];
        Observation::Batch(Batch { first_revision, last_revision, events, fragment: false, conflated: false })
    };
    case.refuses(Promise::Atomic, atomic, &[spanning(2, 2, 3)]);
    case.refuses(Promise::Atomic, atomic, &[spanning(3, 2, 2)]);
    let backwards =
        Batch { first_revision: 3, last_revision: 2, events: vec![], fragment: false, conflated: false };
    case.refuses(Promise::Atomic, atomic, &[Observation::Batch(backwards)]);
    case.refuses(Promise::Atomic, atomic, &[spanning(2, 2, 2), spanning(2, 3, 3)]);
}

#[test]
fn bookmarkable_refuses_progress_too_early_and_backwards() {
    let case = Case::new();
    case.refuses(
        Promise::Bookmarkable,
        bookmarkable,
        &[case.batch(&[(2, 0)]), progress(3), case.batch(&[(3, 0)])],
    );
    case.refuses(
        Promise::Bookmarkable,
        bookmarkable,
        &[case.batch(&[(2, 0), (3, 0)]), progress(3), progress(2)],
    );
    case.refuses(Promise::Bookmarkable, bookmarkable, &[case.batch(&[(2, 0), (3, 0)]), progress(2)]);
    let quiet = Case::new().with(|spec| WatchSpec { ranges: vec![KeyRange::key("z")], ..spec });
    quiet.refuses(Promise::Bookmarkable, bookmarkable, &[progress(6), progress(5)]);
}

#[test]
fn filtered_refuses_keys_and_kinds_that_nobody_asked_for() {
    let case = Case::new().with(|spec| WatchSpec { ranges: vec![KeyRange::key("a")], ..spec });
    case.refuses(Promise::Filtered, filtered, &[case.batch(&[(2, 0), (3, 0)])]);
    let case = Case::new().with(|spec| spec.with_filters(Filters { no_put: false, no_delete: true }));
    case.refuses(Promise::Filtered, filtered, &[case.batch(&[(2, 0), (3, 0), (4, 0), (4, 1), (4, 2)])]);
    let case = Case::new().with(|spec| spec.with_filters(Filters { no_put: true, no_delete: false }));
    case.refuses(Promise::Filtered, filtered, &[case.batch(&[(2, 0)])]);
    case.accepts(case.right().observations());
}

#[test]
fn future_start_refuses_what_comes_before_its_time() {
    let case = Case::new().with(|spec| WatchSpec { start_revision: 5, ..spec });
    case.accepts(&[Observation::Created, progress(4), case.batch(&[(5, 0)])]);
    case.refuses(Promise::FutureStart, future_start, &[case.batch(&[(3, 0)])]);
    case.refuses(Promise::FutureStart, future_start, &[progress(3)]);
}

#[test]
fn compacted_accepts_one_and_only_where_it_is_due() {
    let mut case = Case::new();
    assert_eq!(case.model.compact(5), Ok(()));
    case.accepts(&[Observation::Created, COMPACTED_AT_5]);
    case.accepts(&[case.batch(&[(2, 0), (3, 0)]), COMPACTED_AT_5]);
    let two = [Observation::Created, COMPACTED_AT_5, COMPACTED_AT_5];
    case.refuses(Promise::Compacted, compacted, &two);
    case.refuses(Promise::Compacted, compacted, &[COMPACTED_AT_5, case.batch(&[(5, 0)])]);
    case.refuses(Promise::Compacted, compacted, &[COMPACTED_AT_5, progress(7)]);
    let served = case.batch(&[(2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]);
    case.refuses(Promise::Compacted, compacted, &[served, COMPACTED_AT_5]);
    let case = case.with(|spec| WatchSpec { start_revision: 5, ..spec });
    case.refuses(Promise::Compacted, compacted, &[COMPACTED_AT_5]);
}

#[test]
fn compacted_at_start_refuses_silence_and_service() {
    let case = Case::new();
    let check = |compact_revision, observations: &[Observation], broken: Option<Promise>| {
        let observed = observations.iter().cloned().collect();
        let found = compacted_at_start(&case.spec, &observed, compact_revision);
        assert_eq!(found.map_err(|violation| violation.promise).err(), broken);
    };
    check(5, &[Observation::Created, COMPACTED_AT_5], None);
    check(4, &[COMPACTED_AT_5], None);
    check(2, &[Observation::Created], None);
    let broken = Some(Promise::Compacted);
    check(5, &[Observation::Created], broken);
    check(5, &[Observation::Created, case.batch(&[(2, 0)]), COMPACTED_AT_5], broken);
    check(6, &[Observation::Created, COMPACTED_AT_5], broken);
}

#[test]
fn lifecycle_refuses_what_is_out_of_its_place() {
    let case = Case::new();
    let late = [case.batch(&[(2, 0)]), Observation::Created];
    case.refuses(Promise::Ordered, lifecycle, &late);
    case.refuses(Promise::Ordered, lifecycle, &[Observation::Created, Observation::Created]);
    case.refuses(Promise::GaugesReturnToZero, lifecycle, &[Observation::Cancelled, case.batch(&[(2, 0)])]);
    case.refuses(Promise::GaugesReturnToZero, lifecycle, &[Observation::Cancelled, Observation::Cancelled]);
    case.refuses(Promise::Reliable, lifecycle, &[Observation::Lagged]);
    case.refuses(Promise::Reliable, lifecycle, &[case.conflated(2, 3, &[(2, 0), (3, 0)])]);
    let case = case.with(|spec| spec.with_policy(Policy::Cancel));
    case.accepts(&[case.batch(&[(2, 0)]), Observation::Lagged]);
    case.refuses(Promise::GaugesReturnToZero, lifecycle, &[Observation::Lagged, progress(7)]);
}

#[test]
fn key_history_sees_a_lost_event_without_a_model() {
    let case = Case::new();
    // Without the delete of 4.2, a is created twice; without the put of 4.0, its version jumps.
    case.refuses(Promise::CreateFlag, key_history, &[case.batch(&[(2, 0), (4, 0), (5, 0)])]);
    let mut jump = case.owed(4, 1);
    jump.version = 3;
    jump.prev = None;
    case.refuses(
        Promise::Reliable,
        key_history,
        &[case.batch(&[(3, 0)]), Observation::batch(vec![jump.to_event(true)])],
    );
    case.refuses(
        Promise::Reliable,
        key_history,
        &[case.batch(&[(6, 0)]), {
            let mut again = case.owed(6, 0);
            again.revision.main = 7;
            Observation::batch(vec![again.to_event(false)])
        }],
    );
}

#[test]
fn key_history_sees_events_that_contradict_themselves() {
    let case = Case::new();
    let mut created_late = case.owed(2, 0);
    created_late.create_revision = 1;
    let told = |event: watchful_testkit::ModelEvent| [Observation::batch(vec![event.to_event(true)])];
    case.refuses(Promise::CreateFlag, key_history, &told(created_late));
    let mut put_after_delete = case.owed(5, 0);
    put_after_delete.version = 2;
    case.refuses(
        Promise::CreateFlag,
        key_history,
        &[case.batch(&[(4, 2)]), told(put_after_delete)[0].clone()],
    );
    let before = case.owed(4, 0).prev.map(|row| (row.clone(), row));
    let (mut other_key, mut other_version) = before.expect("4.0 changed a row");
    (other_key.key, other_version.version) = ("b".into(), 7);
    for wrong_prev in [other_key, other_version] {
        let event = watchful_testkit::ModelEvent { prev: Some(wrong_prev), ..case.owed(4, 0) };
        case.refuses(Promise::PrevKv, key_history, &told(event));
    }
}

/// Found by a property test: deletes are filtered out and the put that created the key anew is conflated away, so its
/// next life begins, for the receiver, at version 2.
#[test]
fn key_history_lets_a_conflated_watch_miss_the_beginning_of_a_keys_next_life() {
    let filters = Filters { no_put: false, no_delete: true };
    let case = Case::new().with(|spec| spec.with_filters(filters).with_policy(Policy::Conflate));
    let mut second_life = case.owed(5, 0);
    (second_life.version, second_life.create_revision) = (2, 4);
    second_life.prev = None;
    let history: Observed =
        [case.batch(&[(2, 0)]), Observation::batch(vec![second_life.to_event(false)])].into_iter().collect();
    assert_eq!(key_history(&case.spec, &history), Ok(()));
    let replay = case.spec.clone().with_policy(Policy::Replay);
    assert!(key_history(&replay, &history).is_err());
}

#[test]
fn becomes_synced_asks_for_progress_that_far() {
    let observed = |observations: &[Observation]| observations.iter().cloned().collect::<Observed>();
    let case = Case::new();
    assert_eq!(becomes_synced(&case.right(), 7), Ok(()));
    let violation = becomes_synced(&case.right(), 8).unwrap_err();
    assert_eq!((violation.promise, violation.found.as_str()), (Promise::BecomesSynced, "7"));
    assert!(becomes_synced(&observed(&[Observation::Created, case.batch(&[(2, 0)])]), 2).is_err());
}

#[test]
fn a_stream_is_checked_as_it_comes_and_a_broken_rule_speaks_once() {
    let case = Case::new();
    let mut checker = WatchChecker::new(case.spec.clone());
    assert_eq!(checker.observe(&case.batch(&[(3, 0)])), Ok(()));
    assert_eq!(checker.next_revision(), 4);
    let first = checker.observe(&case.batch(&[(2, 0)])).unwrap_err();
    assert_eq!((first.promise, first.place.as_str()), (Promise::Ordered, "observation 1"));
    assert_eq!(checker.observe(&case.batch(&[(2, 0), (2, 0)])).map_err(|v| v.promise), Err(Promise::Unique));
    let promises: Vec<_> = checker.violations().iter().map(|violation| violation.promise).collect();
    assert_eq!(promises, [Promise::Ordered, Promise::Atomic, Promise::Unique, Promise::CreateFlag]);
}

#[test]
fn a_receiver_knows_where_to_go_on() {
    let case = Case::new();
    let next = |observations: &[Observation]| {
        observations.iter().cloned().collect::<Observed>().next_revision(&case.spec)
    };
    assert_eq!(next(&[]), 2);
    assert_eq!(next(&[case.batch(&[(2, 0), (3, 0)])]), 4);
    assert_eq!(next(&[case.batch(&[(2, 0)]), progress(6)]), 7);
    assert_eq!(next(&[case.batch(&[(2, 0)]), case.fragment(&[(4, 0)])]), 4);
}
