//! Compaction: what it may be asked, what it forgets, and what it must not.

use watchful::{KeyRange, Store};
use watchful_testkit::checkers;

use crate::support::{Twin, check, eventually, rows_at, settings};

/// Until so many versions are left.
fn until_left(store: &Store, versions: u64) {
    eventually("compaction to end", || (store.stats().mvcc.versions == versions).then_some(()));
}

#[test]
fn on_a_fresh_store_zero_and_one_are_legal_once() {
    check("compact 0\n compact 0", "ok\n Compacted 0");
    check("compact 1\n compact 1\n put a 1", "ok\n Compacted 1\n 2");
}

#[test]
fn at_the_same_or_a_lower_revision_again_it_is_compacted() {
    check(
        "put a 1\n put a 2\n compact 3\n compact 3\n compact 2\n compact 0",
        "2\n 3\n ok\n Compacted 3\n Compacted 3\n Compacted 3",
    );
}

#[test]
fn above_the_current_revision_it_is_a_future_revision() {
    check("put a 1\n compact 3\n compact 2", "2\n FutureRevision 2\n ok");
}

#[test]
fn it_changes_no_read_at_or_above_it() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(2));
    for at in 0..60 {
        twin.run(&format!("txn {{ put k{} {at}; del k{}; put k{} x }}", at % 5, (at + 1) % 5, at % 3));
    }
    for at in [2, 17, 40, 61] {
        twin.run(&format!("compact {at}"));
        twin.check();
        until_left(&twin, kept(&twin, at));
        twin.check();
    }
    twin.run("!reopen");
    twin.check();
}

/// What must stay: every version at or above the revision, and those that are the newest of their key there.
fn kept(twin: &Twin, compacted: u64) -> u64 {
    let (all, current) = ([KeyRange::everything()], twin.model.current_revision());
    let above = twin.model.events(&all, Default::default(), compacted, current).len();
    let state = twin.model.state_at(compacted);
    let below = state.iter().filter(|row| row.revision.main < compacted).count();
    (above + below) as u64
}

#[test]
fn broken_off_by_a_closing_it_goes_on_at_open_and_the_revision_never_goes_back() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(1));
    for at in 0..300 {
        twin.run(&format!("put a {at}"));
    }
    twin.run("del a\n compact 302");
    let before = twin.current_revision();
    twin.reopen();
    checkers::revision_never_goes_back([before, twin.current_revision()]).unwrap();
    twin.check();
    until_left(&twin, 1);
    assert_eq!(rows_at(&twin, 302), []);
    twin.reopen();
    checkers::revision_never_goes_back([before, twin.current_revision()]).unwrap();
    assert_eq!(twin.run("put a 1"), "303\n");
    twin.check();
    twin.close();
    assert!(watchful::check(twin.path()).unwrap().is_ok());
}

#[test]
fn it_frees_the_space() {
    let twin = Twin::new();
    let value = "v".repeat(4000);
    for _ in 0..300 {
        twin.put("a", &value).wait().unwrap();
    }
    let before = twin.stats().mvcc;
    twin.compact(twin.current_revision()).wait().unwrap();
    until_left(&twin, 1);
    twin.put("b", "1").wait().unwrap();
    let after = twin.stats().mvcc;
    assert!(before.versions == 300 && after.versions == 2, "{before:?} {after:?}");
    assert!(after.used_bytes < before.used_bytes / 2, "{} of {}", after.used_bytes, before.used_bytes);
}
