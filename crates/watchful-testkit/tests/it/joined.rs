//! Promises 5 and 14.

use watchful_testkit::checkers::{hand_over, resumable};
use watchful_testkit::{Observation, Observed, Policy, Promise, Violation};

use super::support::{Case, progress};

fn observed(observations: &[Observation]) -> Observed {
    observations.iter().cloned().collect()
}

#[track_caller]
fn check(case: &Case, histories: &[&[Observation]], broken: Option<Promise>) {
    let histories: Vec<Observed> = histories.iter().map(|observations| observed(observations)).collect();
    let histories: Vec<&Observed> = histories.iter().collect();
    let found = resumable(&case.spec, &histories, &case.model);
    assert_eq!(found.as_ref().map_err(|violation| violation.promise).err(), broken, "{found:?}");
}

#[test]
fn two_watches_in_a_row_are_one() {
    let case = Case::new();
    let first = [Observation::Created, case.batch(&[(2, 0), (3, 0)]), Observation::Cancelled];
    let second = [Observation::Created, case.batch(&[(4, 0), (4, 1), (4, 2)]), case.batch(&[(5, 0)])];
    let third = [Observation::Created, progress(5), case.batch(&[(6, 0), (7, 0)]), progress(7)];
    check(&case, &[&first, &second, &third], None);
    check(&case, &[&first, &third], Some(Promise::Resumable));
    check(&case, &[&first, &first, &second, &third], Some(Promise::Resumable));
}

#[test]
fn a_part_of_a_revision_is_dropped_and_comes_again() {
    let case = Case::new();
    let first = [case.batch(&[(2, 0)]), case.fragment(&[(3, 0), (4, 0), (4, 1)])];
    check(&case, &[&first, &[case.batch(&[(4, 0), (4, 1), (4, 2)]), progress(4)]], None);
    check(&case, &[&first, &[case.batch(&[(4, 2)]), progress(4)]], Some(Promise::Resumable));
    let many = [case.batch(&[(2, 0), (3, 0)]), case.fragment(&[(4, 0)]), case.fragment(&[(4, 1)])];
    check(&case, &[&many, &[case.batch(&[(4, 0), (4, 1), (4, 2)])]], None);
}

#[test]
fn conflated_watches_are_joined_by_their_own_rule() {
    let case = Case::new().with(|spec| spec.with_policy(Policy::Conflate));
    let first = [case.conflated(2, 4, &[(4, 2)])];
    check(&case, &[&first, &[case.batch(&[(5, 0), (6, 0), (7, 0)]), progress(7)]], None);
    check(&case, &[&first, &[case.batch(&[(6, 0), (7, 0)]), progress(7)]], Some(Promise::Resumable));
}

#[test]
fn the_hand_over_has_no_gap_and_no_repeat() {
    let case = Case::new();
    let check = |live: Observation, broken: Option<Promise>| {
        let seen = observed(&[case.batch(&[(2, 0), (3, 0)]), live, progress(4)]);
        let found: Result<(), Violation> = hand_over(&case.spec, &seen, &case.model);
        assert_eq!(found.map_err(|violation| violation.promise).err(), broken);
    };
    check(case.batch(&[(4, 0), (4, 1), (4, 2)]), None);
    check(case.batch(&[(4, 1), (4, 2)]), Some(Promise::HandOver));
    check(case.batch(&[(3, 0), (4, 0), (4, 1), (4, 2)]), Some(Promise::HandOver));
}
