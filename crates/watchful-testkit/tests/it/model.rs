//! The store's cases: writes and transactions.

use watchful_revision::{KeyRange, Revision};
use watchful_testkit::{Filters, Model};

use super::support::{check, model};

#[test]
fn an_empty_store_is_at_revision_1_and_the_first_write_is_2() {
    assert_eq!((Model::new().current_revision(), Model::new().compact_revision()), (1, 0));
    check("get a\nput a 1", "- [] of 0\n2");
}

#[test]
fn version_counts_up_and_starts_again_after_a_delete() {
    check(
        "put a 1\nput a 2\nget a\ndel a\nput a 3\nget a",
        "2\n3\n- [a=2 (create 2, mod 3.0, version 2)] of 1\n4 deleted 1\n5\n- [a=3 (create 5, mod 5.0, version 1)] of 1",
    );
}

#[test]
fn a_transaction_has_one_revision_and_its_reads_see_its_own_writes() {
    check(
        "txn { put a 1; get a; put a 2; get a; del a; get a; put a 3 }\nget a",
        "2 [a=1 (create 2, mod 2.0, version 1)] of 1 [a=2 (create 2, mod 2.1, version 2)] of 1 deleted 1 [] of 0
         - [a=3 (create 2, mod 2.3, version 1)] of 1",
    );
}

#[test]
fn a_read_at_a_revision_inside_a_transaction_sees_none_of_its_writes() {
    check("put a 1\ntxn { put a 2; get a @2 }", "2\n3 [a=1 (create 2, mod 2.0, version 1)] of 1");
    check(
        "put a 1\ntxn { put a 2; get a @3 }\nget a",
        "2\nerror: the revision is in the future: the newest is 2\n- [a=1 (create 2, mod 2.0, version 1)] of 1",
    );
}

#[test]
fn deleting_a_range_writes_a_tombstone_a_key_in_key_order() {
    let model = model("txn { put c 1; put a 1; put b 1 }\ndel a..c");
    let events = model.events(&[KeyRange::everything()], Filters::default(), 3, 3);
    let deleted: Vec<_> = events.iter().map(|event| (event.revision, &event.key[..])).collect();
    assert_eq!(deleted, [(Revision::new(3, 0), &b"a"[..]), (Revision::new(3, 1), &b"b"[..])]);
}

#[test]
fn deleting_nothing_and_an_empty_or_read_only_transaction_take_no_revision() {
    check("del a\ntxn { }\ntxn { get * }\nput a 1", "- deleted 0\n-\n- [] of 0\n2");
}

#[test]
fn a_key_put_and_deleted_in_one_transaction_leaves_two_events_and_no_key() {
    let model = model("txn { put a 1; del a }");
    assert_eq!((model.current_revision(), model.get("a")), (2, None));
    assert_eq!(model.events(&[KeyRange::everything()], Filters::default(), 1, 2).len(), 2);
}

#[test]
fn a_transaction_that_fails_changes_nothing() {
    check(
        "put a 1\ntxn { put a 2; put b 1; del a; put c 1 lease=9 }\nget *\nput b 2\nget b",
        "2\nerror: lease 9 does not exist\n- [a=1 (create 2, mod 2.0, version 1)] of 1\n3\n- [b=2 (create 3, mod 3.0, version 1)] of 1",
    );
}

#[test]
fn bad_puts_are_refused_each_by_its_name() {
    check(
        "put \"\" 1\nput a 1 ignore_value\nput a 1 lease=3 ignore_lease\nput a 1 lease=3\nput a ignore_value\nput a 1 ignore_lease",
        "error: the key is empty\nerror: a value was given with ignore_value\nerror: a lease was given with ignore_lease
         error: lease 3 does not exist\nerror: the key does not exist\nerror: the key does not exist",
    );
}

#[test]
fn ignore_value_and_ignore_lease_keep_the_old_ones_also_from_the_same_transaction() {
    check(
        "grant 7 60\nput a 1 lease=7\nput a 2 ignore_lease\nget a\nput a ignore_value\nget a\ntxn { put b 5; put b ignore_value lease=7 }\nget b",
        "ok\n2\n3\n- [a=2 (create 2, mod 3.0, version 2, lease 7)] of 1\n4\n- [a=2 (create 2, mod 4.0, version 3)] of 1
         5\n- [b=5 (create 5, mod 5.1, version 2, lease 7)] of 1",
    );
}

#[test]
fn compares_choose_the_branch() {
    check(
        "txn { if version a = 0; put a 1; else; get a }\ntxn { if version a = 0; put a 2; else; get a }",
        "2 then( )\n- else( [a=1 (create 2, mod 2.0, version 1)] of 1 )",
    );
}

#[test]
fn each_target_compares_its_own_field() {
    let setup = "grant 7 60\nput z 0\nput a 5\nput a 5 lease=7\n";
    // a: create 3, mod 4, version 2, value 5, lease 7
    for (holds, compare) in [
        (true, "version a = 2"),
        (true, "version a > 1"),
        (false, "version a < 2"),
        (false, "version a != 2"),
        (true, "create a = 3"),
        (true, "mod a > 3"),
        (false, "mod a > 4"),
        (true, "value a < 6"),
        (false, "value a != 5"),
        (true, "lease a = 7"),
        (false, "lease a < 7"),
    ] {
        let branch = if holds { "then" } else { "else" };
        check(&format!("{setup}txn {{ if {compare} }}"), &format!("ok\n2\n3\n4\n- {branch}( )"));
    }
}

#[test]
fn a_missing_key_compares_as_zero_and_fails_a_value_compare() {
    for (holds, compare) in [
        (true, "version a = 0"),
        (true, "create a < 1"),
        (true, "mod a != 1"),
        (true, "lease a = 0"),
        (false, "version a > 0"),
        (false, "value a = \"\""),
        (false, "value a != 1"),
        (true, "version a* = 0"),
        (false, "value a* != 1"),
    ] {
        let branch = if holds { "then" } else { "else" };
        check(&format!("txn {{ if {compare} }}"), &format!("- {branch}( )"));
    }
}

#[test]
fn a_compare_over_a_range_must_hold_for_every_key() {
    check(
        "put a1 x\nput a2 x\nput a2 x\ntxn { if version a* > 0 }\ntxn { if version a* = 1 }",
        "2\n3\n4\n- then( )\n- else( )",
    );
}

#[test]
fn nested_compares_see_the_store_before_the_transaction_and_nested_reads_see_it_now() {
    check(
        "txn { put a 1; txn { if version a = 0; get a; else; del a } }",
        "2 then( [a=1 (create 2, mod 2.0, version 1)] of 1 )",
    );
}

#[test]
fn the_plan_of_nested_transactions_follows_the_branches_taken() {
    check(
        "put a 1
         txn { txn { if version a = 9; txn { if version a = 9 }; else; txn { if version a = 1; put b 1 } }; txn { if version a = 9; else; put c 1 } }
         get *",
        "2\n3 else( then( ) ) else( )\n- [a=1 (create 2, mod 2.0, version 1), b=1 (create 3, mod 3.0, version 1), c=1 (create 3, mod 3.1, version 1)] of 3",
    );
}
