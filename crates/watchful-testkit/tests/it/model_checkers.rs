//! The checkers that ask the model, each with a history broken on purpose.

use watchful_revision::{Event, KeyRange};
use watchful_testkit::checkers::{
    ModelChecker, check_all, compacted_is_true, conflated, create_flag, prev_kv, reliable,
};
use watchful_testkit::{Filters, ModelEvent, Observation, Observed, Op, Policy, Promise, WatchSpec};

use super::support::{Case, model, progress};

type Checker = fn(&WatchSpec, &Observed, &watchful_testkit::Model) -> Result<(), watchful_testkit::Violation>;

#[track_caller]
fn refuses(case: &Case, promise: Promise, checker: Checker, observations: &[Observation]) -> String {
    case.refuses(promise, |spec, observed| checker(spec, observed, &case.model), observations).to_string()
}

/// The ideal history, with the event of one revision told wrong.
fn told_wrong(case: &Case, main: u64, sub: u32, change: impl Fn(&mut ModelEvent)) -> Vec<Observation> {
    let wrong = |event: &Event| {
        let mut owed = case.owed(event.revision().main, event.revision().sub);
        if (owed.revision.main, owed.revision.sub) == (main, sub) {
            change(&mut owed);
        }
        owed.to_event(case.spec.prev_kv)
    };
    let right = case.right();
    let observations = right.observations().iter();
    observations
        .map(|observation| match observation.events() {
            [] => observation.clone(),
            events => Observation::batch(events.iter().map(wrong).collect()),
        })
        .collect()
}

#[test]
fn reliable_refuses_a_lost_revision() {
    let case = Case::new();
    let without_3: Vec<_> =
        case.right().observations().iter().filter(|seen| seen.last_revision() != Some(3)).cloned().collect();
    let violation = refuses(&case, Promise::Reliable, reliable, &without_3);
    let expected = "promise 3 (reliable) is broken at observation 2: expected put b=1 (create 3, mod 3.0, version 1); found";
    assert!(violation.starts_with(expected), "{violation}");
}

#[test]
fn reliable_refuses_a_loss_at_the_end_only_once_progress_has_spoken_for_it() {
    let case = Case::new();
    let begin = case.batch(&[(2, 0), (3, 0)]);
    case.accepts(&[begin.clone(), progress(3)]);
    refuses(&case, Promise::Reliable, reliable, &[begin, progress(4)]);
}

#[test]
fn reliable_refuses_a_lost_change_inside_a_revision() {
    let case = Case::new();
    let begin = case.batch(&[(2, 0), (3, 0)]);
    refuses(&case, Promise::Reliable, reliable, &[begin.clone(), case.batch(&[(4, 0), (4, 2)])]);
    refuses(&case, Promise::Reliable, reliable, &[begin.clone(), case.batch(&[(4, 0), (4, 1)])]);
    refuses(&case, Promise::Reliable, reliable, &[begin, case.fragment(&[(4, 0)]), case.batch(&[(4, 2)])]);
}

#[test]
fn reliable_refuses_a_repeat_and_an_event_that_never_was() {
    let case = Case::new();
    refuses(&case, Promise::Reliable, reliable, &[case.batch(&[(2, 0), (2, 0), (3, 0)])]);
    let mut invented = case.owed(2, 0);
    invented.revision.main = 3;
    invented.revision.sub = 1;
    let events = vec![case.event(2, 0), case.event(3, 0), invented.to_event(false)];
    refuses(&case, Promise::Reliable, reliable, &[Observation::batch(events)]);
}

#[test]
fn reliable_refuses_an_event_told_wrong_in_any_field() {
    let case = Case::new();
    let changes: [fn(&mut ModelEvent); 5] = [
        |event| event.value = "x".into(),
        |event| event.key = "x".into(),
        |event| event.lease = 9,
        |event| event.version += 1,
        |event| event.create_revision -= 1,
    ];
    for change in changes {
        refuses(&case, Promise::Reliable, reliable, &told_wrong(&case, 4, 1, change));
    }
}

#[test]
fn reliable_refuses_word_of_a_revision_that_is_not_there_yet() {
    let case = Case::new();
    let mut seen = case.right().observations().to_vec();
    seen.push(progress(8));
    refuses(&case, Promise::Bookmarkable, reliable, &seen);
}

#[test]
fn reliable_asks_for_the_filtered_events_only() {
    let case =
        Case::new().with(|spec| WatchSpec { ranges: vec![KeyRange::key("a")], start_revision: 3, ..spec });
    case.accepts(&[case.batch(&[(4, 0), (4, 2)]), case.batch(&[(5, 0)]), progress(7)]);
    let case = case.with(|spec| spec.with_filters(Filters { no_put: false, no_delete: true }));
    case.accepts(&[case.batch(&[(4, 0)]), case.batch(&[(5, 0)]), progress(7)]);
    refuses(&case, Promise::Reliable, reliable, &[case.batch(&[(4, 0)]), progress(7)]);
}

#[test]
fn the_model_may_grow_while_a_stream_is_checked() {
    let mut case = Case::new();
    let mut checker = ModelChecker::new(case.spec.clone());
    for observation in case.right().observations() {
        assert_eq!(checker.observe(observation, &case.model), Ok(()));
    }
    assert!(case.model.apply(&[Op::put("z", "1")]).is_ok());
    assert!(checker.observe(&progress(8), &case.model).is_err(), "the put of z is missing");
    assert!(case.model.apply(&[Op::put("z", "2")]).is_ok());
    assert_eq!(checker.observe(&case.batch(&[(9, 0)]), &case.model), Ok(()));
}

#[test]
fn prev_kv_refuses_a_row_that_is_not_the_one_just_before() {
    let case = Case::new();
    // The delete of 4.2 ended the put of 4.0, not the one of 2.0.
    let stale = told_wrong(&case, 4, 2, |event| event.prev = Some(model("put a 1").state_at(2)[0].clone()));
    refuses(&case, Promise::PrevKv, prev_kv, &stale);
    refuses(&case, Promise::PrevKv, prev_kv, &told_wrong(&case, 4, 0, |event| event.prev = None));
    let on_create =
        told_wrong(&case, 5, 0, |event| event.prev = Some(model("put a 1").state_at(2)[0].clone()));
    refuses(&case, Promise::PrevKv, prev_kv, &on_create);
}

#[test]
fn prev_kv_refuses_a_row_that_nobody_asked_for() {
    let case = Case::new();
    let seen = case.right();
    let silent = WatchSpec { prev_kv: false, ..case.spec.clone() };
    let violations = check_all(&silent, &seen, &case.model).unwrap_err();
    assert!(violations.iter().all(|violation| violation.promise == Promise::PrevKv), "{violations:?}");
}

#[test]
fn prev_kv_may_be_absent_where_compaction_can_have_taken_it() {
    let mut case = Case::new();
    let absent_at_6 = told_wrong(&case, 6, 0, |event| event.prev = None);
    refuses(&case, Promise::PrevKv, prev_kv, &absent_at_6);
    assert_eq!(case.model.compact(5), Ok(()));
    refuses(&case, Promise::PrevKv, prev_kv, &absent_at_6);
    assert_eq!(case.model.compact(6), Ok(()));
    case.accepts(&absent_at_6);
}

#[test]
fn prev_kv_of_the_same_revision_outlives_the_compaction_at_it() {
    let mut case = Case::new();
    let absent = told_wrong(&case, 4, 2, |event| event.prev = None);
    assert_eq!(case.model.compact(4), Ok(()));
    refuses(&case, Promise::PrevKv, prev_kv, &absent);
    assert_eq!(case.model.compact(5), Ok(()));
    case.accepts(&absent);
}

#[test]
fn create_flag_refuses_a_create_that_was_none_and_the_other_way_round() {
    let case = Case::new();
    let create = |event: &mut ModelEvent| (event.version, event.create_revision) = (1, event.revision.main);
    refuses(&case, Promise::CreateFlag, create_flag, &told_wrong(&case, 4, 1, create));
    refuses(&case, Promise::CreateFlag, create_flag, &told_wrong(&case, 5, 0, |event| event.version = 2));
}

#[test]
fn compacted_is_true_refuses_a_compaction_that_never_was() {
    let case = Case::new();
    refuses(&case, Promise::Compacted, compacted_is_true, &[Observation::Compacted { compact_revision: 5 }]);
}

fn conflating() -> Case {
    Case::new().with(|spec| spec.with_policy(Policy::Conflate))
}

#[test]
fn conflated_accepts_the_loss_of_superseded_puts() {
    let case = conflating();
    case.accepts(&[case.conflated(2, 7, &[(4, 2), (5, 0), (6, 0), (7, 0)]), progress(7)]);
    case.accepts(&[case.conflated(2, 4, &[(3, 0), (4, 2)]), case.batch(&[(5, 0)]), progress(5)]);
    case.accepts(case.right().observations());
}

#[test]
fn conflated_refuses_a_lost_tombstone() {
    let case = conflating();
    refuses(&case, Promise::Conflated, conflated, &[case.conflated(2, 7, &[(5, 0), (6, 0), (7, 0)])]);
}

#[test]
fn conflated_refuses_the_loss_of_a_keys_last_put() {
    let case = conflating();
    refuses(&case, Promise::Conflated, conflated, &[case.conflated(2, 6, &[(4, 2), (6, 0)])]);
    refuses(
        &case,
        Promise::Conflated,
        conflated,
        &[case.conflated(2, 6, &[(4, 2), (5, 0), (6, 0)]), progress(7)],
    );
}

#[test]
fn conflated_refuses_a_loss_without_the_mark() {
    let case = conflating();
    refuses(&case, Promise::Conflated, conflated, &[case.batch(&[(2, 0), (4, 1), (4, 2)])]);
}

#[test]
fn conflated_refuses_events_that_are_not_the_models_and_keys_out_of_order() {
    let case = conflating();
    let mut wrong = case.owed(7, 0);
    wrong.value = "x".into();
    let seen =
        [case.conflated(2, 6, &[(4, 2), (5, 0), (6, 0)]), Observation::batch(vec![wrong.to_event(true)])];
    refuses(&case, Promise::Conflated, conflated, &seen);
    refuses(
        &case,
        Promise::Conflated,
        conflated,
        &[case.conflated(2, 7, &[(4, 2), (6, 0), (5, 0), (4, 1), (7, 0)])],
    );
}
