//! Puts, deletes, and the revisions they take.

use watchful::{Error, KeyRange};

use crate::support::{Twin, check, get};

#[test]
fn an_empty_store_is_at_revision_one_and_the_first_write_is_two() {
    let mut twin = Twin::new();
    assert_eq!((twin.current_revision(), twin.compact_revision()), (1, 0));
    assert_eq!(twin.run("put a 1"), "2\n");
    assert_eq!(twin.current_revision(), 2);
    twin.check();
}

#[test]
fn a_put_counts_the_version_from_one_again_after_a_delete() {
    check(
        "put a 1\n put a 2\n get a\n del a\n get a\n put a 3\n get a",
        "2
         3
         - [a=2 (create 2, mod 3.0, version 2)] of 1
         4 deleted 1
         - [] of 0
         5
         - [a=3 (create 5, mod 5.0, version 1)] of 1",
    );
}

#[test]
fn a_put_of_the_same_value_is_a_change() {
    check("put a 1\n put a 1\n get a", "2\n 3\n - [a=1 (create 2, mod 3.0, version 2)] of 1");
}

#[test]
fn a_deleted_range_gives_one_event_a_key_in_key_order_in_one_revision() {
    let mut twin = Twin::of("put c 1\n put a 1\n put b 1\n put d 1");
    assert_eq!(twin.run("del a..d"), "6 deleted 3\n");
    assert_eq!(twin.watch_lines(6), ["6.0 del a", "6.1 del b", "6.2 del c"]);
    twin.check();
}

#[test]
fn a_delete_of_nothing_takes_no_revision_and_tells_nobody() {
    check("put a 1\n del b\n del b..z\n put a 2", "2\n - deleted 0\n - deleted 0\n 3");
    let twin = Twin::of("put a 1\n del b");
    let nothing = twin.delete("b").wait().unwrap();
    assert_eq!((nothing.revision, nothing.changed, nothing.value.count), (2, false, 0));
}

#[test]
fn an_empty_key_is_refused_and_changes_nothing() {
    check("put a 1\n put \"\" 1\n txn { put b 1; put \"\" 2 }", "2\n EmptyKey\n EmptyKey");
    assert!(matches!(Twin::new().put("", "1").wait(), Err(Error::EmptyKey)));
}

#[test]
fn a_put_answers_with_the_record_before_where_that_was_asked_for() {
    let twin = Twin::of("put a 1");
    let prev = |prev_kv| {
        let options = watchful::PutOptions { prev_kv, ..Default::default() };
        twin.put_with("a", "2", options).wait().unwrap().value
    };
    assert_eq!(prev(true).unwrap().value(), b"1");
    assert_eq!(prev(false), None);
    let deleted = twin.delete_range(KeyRange::key("a"), true).wait().unwrap();
    assert_eq!(deleted.value.prev[0].value(), b"2");
}

#[test]
fn a_put_can_keep_the_old_value() {
    check(
        "grant 7 60\n put a 1\n put a ignore_value lease=7\n get a\n put b ignore_value\n put a 2 ignore_value",
        "ok
         2
         3
         - [a=1 (create 2, mod 3.0, version 2, lease 7)] of 1
         KeyNotFound
         a value was given, although the old one is to be kept",
    );
}

#[test]
fn a_put_can_keep_the_old_lease() {
    check(
        "grant 7 60\n put a 1 lease=7\n put a 2 ignore_lease\n get a\n put b 1 ignore_lease\n put a 3 lease=7 ignore_lease",
        "ok
         2
         3
         - [a=2 (create 2, mod 3.0, version 2, lease 7)] of 1
         KeyNotFound
         a lease was given, although the old one is to be kept",
    );
}

#[test]
fn any_bytes_are_a_key_and_a_value_and_come_back_after_a_reopening() {
    let twin = Twin::of("put \\x00 \\xff\\x00\n put \\xff\\xff \"\"\n put a\\x00b 1\n !reopen\n get *");
    twin.check();
    let long = "k".repeat(70_000);
    twin.put(&long, "beyond LMDB's own limit").wait().unwrap();
    assert_eq!(get(&twin, &long).unwrap(), "beyond LMDB's own limit");
}

/// Reads, deletes and compaction are the way out of a full store, so they go on. New leases are refused like puts, as
/// etcd does while its alarm is on. (The alarm itself, which stays until disarmed, is the server's.)
#[test]
fn a_passed_quota_refuses_puts_and_leases_and_lets_out_by_delete_and_compaction() {
    let mut twin = Twin::with(crate::support::settings().with_quota_bytes(1 << 20));
    let value = "v".repeat(10_000);
    let mut written = 0;
    let refused = loop {
        match twin.put(format!("k{written:03}"), &value).wait() {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the quota was never felt");
    };
    let Error::NoSpace { used_bytes, quota_bytes } = refused else { panic!("{refused}") };
    assert!(used_bytes >= quota_bytes / 2 && quota_bytes == 1 << 20, "{used_bytes} of {quota_bytes}");
    let text = refused.to_string();
    assert!(text.contains("delete and compact") && text.contains("1048576"), "{text}");
    assert!(matches!(twin.lease_grant(7, 60).wait(), Err(Error::NoSpace { .. })));
    assert_eq!(get(&twin, "k000").unwrap(), value);

    let current_revision = twin.current_revision();
    assert_eq!(current_revision, written + 1, "what was refused took no revision");
    twin.reopen();
    assert_eq!(twin.current_revision(), current_revision, "nothing was lost");
    twin.delete_range(KeyRange::prefix("k"), false).wait().unwrap();
    twin.compact(twin.current_revision()).wait().unwrap();
    // The pages come back slice by slice.
    crate::support::eventually("room", || twin.put("a", &value).wait().ok());
    assert_eq!(get(&twin, "a").unwrap(), value);
}
