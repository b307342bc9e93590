//! The store's cases: reads at a revision, compaction, and the events a watch is owed.

use watchful_revision::{EventKind, KeyRange, Revision};
use watchful_testkit::{Filters, ReadError};

use super::support::{STORY, check, model};

/// Four keys whose versions are 3, 1, 2, 1 and whose values run against the keys.
const KEYS: &str = "txn { put a 9; put b 8; put c 7; put d 6 }\nput a 9\ntxn { put a 9; put c 7 }\n";

#[track_caller]
fn check_read(read: &str, keys: &str, counts: &str) {
    let mut model = model(KEYS);
    let answer = watchful_testkit::script::run(&mut model, read);
    let (rows, rest) = answer.rsplit_once(']').expect("a read answers rows");
    let found: String = rows
        .split(['[', ','])
        .filter_map(|row| row.trim().split_once('=').map(|(key, _)| key.trim_start_matches("- ")))
        .collect();
    assert_eq!((found.as_str(), rest.trim()), (keys, counts), "{read}");
}

#[test]
fn a_range_is_every_shape_of_keys() {
    check_read("get b", "b", "of 1");
    check_read("get b*", "b", "of 1");
    check_read("get b..d", "bc", "of 2");
    check_read("get c..", "cd", "of 2");
    check_read("get *", "abcd", "of 4");
}

#[test]
fn count_ignores_the_limit_and_the_revision_filters() {
    check_read("get * limit=3", "abc", "of 4, more");
    check_read("get * limit=4", "abcd", "of 4");
    check_read("get * min_mod=3", "ac", "of 4");
    check_read("get * max_mod=3", "bd", "of 4");
    check_read("get * min_create=3", "", "of 4");
    check_read("get * max_create=2 limit=1", "a", "of 4, more");
    check_read("get * count_only limit=1", "", "of 4");
}

#[test]
fn sorting_and_filters_come_before_the_limit() {
    check_read("get * desc limit=2", "dc", "of 4, more");
    check_read("get * by=version asc", "bdca", "of 4");
    check_read("get * by=version desc limit=1", "a", "of 4, more");
    check_read("get * by=value asc limit=2", "dc", "of 4, more");
    check_read("get * min_mod=4 limit=1", "a", "of 4, more");
}

#[test]
fn equal_rows_stay_in_key_order_in_both_directions() {
    check_read("get * by=create asc", "abcd", "of 4");
    check_read("get * by=create desc", "abcd", "of 4");
    check_read("get * by=version desc", "acbd", "of 4");
}

#[test]
fn without_an_order_another_target_is_cut_first() {
    // One row more than the limit is read, a b c, and sorted: by value c b a, by version b c a.
    check_read("get * by=value limit=2", "cb", "of 4, more");
    check_read("get * by=version limit=2", "bc", "of 4, more");
    check_read("get * by=value", "dcba", "of 4");
    // With a filter, nothing is cut first.
    check_read("get * by=value limit=2 min_mod=1", "dc", "of 4, more");
}

#[test]
fn keys_only_leaves_the_values_empty() {
    check("put a 1\nget a keys_only", "2\n- [a= (create 2, mod 2.0, version 1)] of 1");
}

#[test]
fn a_revision_can_be_read_from_the_compact_revision_to_the_current_one() {
    check(
        "put a 1\nput a 2\ncompact 3\nget a @0\nget a @3\nget a @2\nget a @4",
        "2\n3\nok\n- [a=2 (create 2, mod 3.0, version 2)] of 1\n- [a=2 (create 2, mod 3.0, version 2)] of 1
         error: the revision has been compacted: the oldest kept is 3\nerror: the revision is in the future: the newest is 3",
    );
}

#[test]
fn compaction_goes_forward_only() {
    let compacted = |at| format!("error: the revision has been compacted: the oldest kept is {at}");
    check(
        "compact 0\ncompact 0\ncompact 1\ncompact 1",
        &format!("ok\n{}\nok\n{}", compacted(0), compacted(1)),
    );
    check("compact 1\ncompact 0", &format!("ok\n{}", compacted(1)));
    check("compact 2", "error: the revision is in the future: the newest is 1");
    check("put a 1\ncompact 2\nput a 2\ncompact 2\ncompact 3", &format!("2\nok\n3\n{}\nok", compacted(2)));
}

#[test]
fn the_state_of_a_compacted_revision_is_still_known_to_the_model() {
    let mut model = model(STORY);
    assert_eq!(model.compact(6), Ok(()));
    assert_eq!(model.get_at("a", 2), Err(ReadError::Compacted { compact_revision: 6 }));
    let at_4: Vec<_> = model.state_at(4).iter().map(ToString::to_string).collect();
    assert_eq!(at_4, ["b=2 (create 3, mod 4.1, version 2)"]);
    assert_eq!(model.state_at(0), model.state_at(7));
}

#[track_caller]
fn check_events(range: KeyRange, filters: Filters, from: u64, to: u64, expected: &[&str]) {
    let events = model(STORY).events(&[range], filters, from, to);
    let found: Vec<_> = events.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_watch_is_owed_every_change_of_its_keys_with_what_was_before() {
    check_events(
        KeyRange::key("a"),
        Filters::default(),
        1,
        7,
        &[
            "put a=1 (create 2, mod 2.0, version 1)",
            "put a=2 (create 2, mod 4.0, version 2) after a=1 (create 2, mod 2.0, version 1)",
            "delete a at 4.2 after a=2 (create 2, mod 4.0, version 2)",
            "put a=3 (create 5, mod 5.0, version 1)",
        ],
    );
}

#[test]
fn both_ends_belong_to_what_is_owed_and_filters_take_kinds_away() {
    check_events(
        KeyRange::everything(),
        Filters::default(),
        3,
        3,
        &["put b=1 (create 3, mod 3.0, version 1)"],
    );
    let (no_put, no_delete) = (true, false);
    let deletes = ["delete a at 4.2 after a=2 (create 2, mod 4.0, version 2)"];
    check_events(KeyRange::everything(), Filters { no_put, no_delete }, 2, 5, &deletes);
    let (no_put, no_delete) = (false, true);
    let puts = ["put c=1 (create 7, mod 7.0, version 1)"];
    check_events(KeyRange::everything(), Filters { no_put, no_delete }, 6, 7, &puts);
}

#[test]
fn overlapping_ranges_tell_a_change_once() {
    let ranges = [KeyRange::key("a"), KeyRange::everything()];
    assert_eq!(model(STORY).events(&ranges, Filters::default(), 2, 2).len(), 1);
}

#[test]
fn events_can_be_asked_for_from_inside_a_transaction() {
    let model = model(STORY);
    let (from, to) = (Revision::new(4, 1), Revision::new(4, 1));
    let range = [KeyRange::everything()];
    let events: Vec<_> = model.events_between(&range, Filters::default(), from, to).collect();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].key[..], events[0].kind), (&b"b"[..], EventKind::Put));
    assert_eq!(model.event_at(from).as_ref(), Some(&events[0]));
    assert_eq!(model.event_at(Revision::new(4, 3)), None);
}

#[test]
fn events_and_rows_make_the_records_that_a_store_keeps() {
    let model = model(STORY);
    for owed in model.events(&[KeyRange::everything()], Filters::default(), 1, 7) {
        let event = owed.to_event(true);
        assert!(owed.is_told_by(&event));
        assert_eq!(event.is_create(), owed.is_create());
        assert_eq!(event.prev().map(watchful_testkit::Row::from), owed.prev);
    }
}
