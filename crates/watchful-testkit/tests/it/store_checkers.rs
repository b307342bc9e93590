//! The checkers of the store as a whole, each with a store that breaks its promise.

use watchful_revision::KeyRange;
use watchful_testkit::checkers::{
    BudgetSample, ReadBack, StoreReading, durable, gauges_return_to_zero, readable, revision_never_goes_back,
    revision_never_goes_back_within_epoch, survives_compaction, within_budget, writer_not_slowed,
};
use watchful_testkit::{Filters, Observed, Promise, Row, Violation};

use super::support::{Case, model};

#[track_caller]
fn check(result: Result<(), Violation>, broken: Option<Promise>) {
    assert_eq!(result.map_err(|violation| violation.promise).err(), broken);
}

#[test]
fn survives_compaction_compares_every_row() {
    let model = model("txn { put a 1; del a; put a 2 }\nput b 1");
    let rows = model.state_at(3);
    check(survives_compaction(&model, 3, &rows), None);
    check(survives_compaction(&model, 3, &rows[1..]), Some(Promise::SurvivesCompaction));
    check(survives_compaction(&model, 2, &rows), Some(Promise::SurvivesCompaction));
    let mut wrong = rows;
    wrong[0].value = "1".into();
    let violation = survives_compaction(&model, 3, &wrong).unwrap_err();
    assert_eq!(violation.place, "row 0 at revision 3");
    assert_eq!(violation.expected, "a=2 (create 2, mod 2.2, version 1)");
}

#[test]
fn the_revision_never_goes_back_but_in_a_new_epoch() {
    check(revision_never_goes_back([1, 5, 5, 9]), None);
    check(revision_never_goes_back([1, 5, 4]), Some(Promise::RevisionNeverGoesBack));
    let readings = |pairs: &[(u64, u64)]| -> Vec<StoreReading> {
        pairs.iter().map(|&(epoch, current_revision)| StoreReading { epoch, current_revision }).collect()
    };
    check(revision_never_goes_back_within_epoch(readings(&[(1, 5), (2, 4), (2, 4)])), None);
    let broken = Some(Promise::RevisionNeverGoesBack);
    check(revision_never_goes_back_within_epoch(readings(&[(1, 5), (2, 4), (2, 3)])), broken);
    check(revision_never_goes_back_within_epoch(readings(&[(2, 5), (1, 6)])), broken);
}

#[test]
fn gauges_budgets_and_latencies_are_compared_with_their_bounds() {
    check(gauges_return_to_zero([("watchers", 0), ("outboxes", 0)]), None);
    check(gauges_return_to_zero([("watchers", 0), ("outboxes", 1)]), Some(Promise::GaugesReturnToZero));
    let sample = |used_bytes| [BudgetSample { name: "outbox", used_bytes, budget_bytes: 10 }];
    check(within_budget(sample(10)), None);
    check(within_budget(sample(11)), Some(Promise::WithinBudget));
    check(writer_not_slowed(10.0, 12.0, 1.2), None);
    check(writer_not_slowed(10.0, 12.1, 1.2), Some(Promise::WriterNotSlowed));
    check(writer_not_slowed(10.0, f64::NAN, 1.2), Some(Promise::WriterNotSlowed));
}

#[test]
fn what_was_delivered_can_be_read() {
    let case = Case::new();
    let seen = case.right();
    let get = |key: &[u8], revision| match case.model.get_at(key, revision) {
        Ok(Some(row)) => Ok(ReadBack::Found(row)),
        Ok(None) => Ok(ReadBack::Absent),
        Err(_) => Ok(ReadBack::Compacted),
    };
    check(readable(&case.spec, &seen, get), None);
    check(readable(&case.spec, &seen, |_, _| Ok(ReadBack::Compacted)), None);
    let broken = Some(Promise::Readable);
    check(readable(&case.spec, &seen, |_, _| Ok(ReadBack::Absent)), broken);
    check(readable(&case.spec, &seen, |_, _| Err("future revision".into())), broken);
    // A store that lags a revision behind its watches.
    check(readable(&case.spec, &seen, |key, revision| get(key, revision.max(3) - 1)), broken);
    let changed = |change: fn(&mut Row)| {
        let mut rows = case.model.state_at(5);
        rows.iter_mut().for_each(change);
        let row = rows.into_iter().find(|row| row.key == "a");
        readable(&case.spec, &Observed::from_iter([case.batch(&[(5, 0)])]), |_, _| {
            Ok(row.clone().map_or(ReadBack::Absent, ReadBack::Found))
        })
    };
    check(changed(|row| row.revision.sub = 9), None);
    check(changed(|row| row.revision.main = 6), broken);
    check(changed(|row| row.value = "x".into()), broken);
    // The key is deleted in the part of the revision that has not come yet.
    let part = Observed::from_iter([case.fragment(&[(4, 0)])]);
    check(readable(&case.spec, &part, get), None);
    let filtered = case.spec.clone().with_filters(Filters { no_put: true, no_delete: false });
    check(readable(&filtered, &seen, |_, _| Ok(ReadBack::Absent)), None);
}

#[test]
fn a_crash_keeps_what_was_acknowledged_and_no_part_of_the_rest() {
    let model = model("put a 1\nput b 1\ntxn { put c 1; put d 1 }");
    check(durable(&model, 3, 3, &model.state_at(3)), None);
    check(durable(&model, 3, 4, &model.state_at(4)), None);
    check(durable(&model, 3, 2, &model.state_at(2)), Some(Promise::Durable));
    check(durable(&model, 3, 5, &model.state_at(4)), Some(Promise::Durable));
    // Half of the transaction is there.
    check(durable(&model, 3, 4, &model.state_at(4)[..3]), Some(Promise::Durable));
    let keys = model.range_at(&KeyRange::everything(), &watchful_testkit::RangeOptions::default(), 0);
    assert_eq!(keys.map(|answer| answer.count), Ok(4));
}
