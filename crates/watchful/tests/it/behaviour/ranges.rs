//! Reads: which keys, at which revision, how many, in which order.

use watchful::{Error, KeyRange, RangeOptions};

use crate::support::{Twin, check};

#[test]
fn a_range_at_revision_zero_is_the_current_one() {
    let twin = Twin::of("put a 1\n put a 2");
    assert_eq!(twin.view_at(0).unwrap().revision(), 3);
    assert_eq!(twin.view_at(0).unwrap().get("a").unwrap().unwrap().value(), b"2");
    check("put a 1\n put a 2\n get a @0", "2\n 3\n - [a=2 (create 2, mod 3.0, version 2)] of 1");
}

#[test]
fn a_range_above_the_current_revision_is_refused() {
    check("put a 1\n get a @3", "2\n FutureRevision 2");
    let error = Twin::of("put a 1").view_at(3).unwrap_err();
    assert!(matches!(error, Error::FutureRevision { current_revision: 2 }));
    assert_eq!(error.to_string(), "the revision is in the future: the newest is 2");
}

#[test]
fn a_range_below_the_compact_revision_is_refused_and_at_it_is_legal() {
    let mut twin = Twin::of("put a 1\n put a 2\n put a 3\n compact 3");
    assert_eq!(twin.run("get a @2\n get a @3"), "Compacted 3\n- [a=2 (create 2, mod 3.0, version 2)] of 1\n");
    let error = twin.view_at(2).unwrap_err();
    assert!(matches!(error, Error::Compacted { compact_revision: 3 }));
    assert_eq!(error.to_string(), "the revision has been compacted: the oldest that can be read is 3");
    twin.check();
}

#[test]
fn every_kept_revision_can_be_read_again() {
    let mut twin = Twin::new();
    for at in 0..40 {
        twin.run(&format!("put k{} {at}\n del k{}", at % 7, (at * 3) % 7));
    }
    twin.run("!reopen");
    twin.check();
}

#[test]
fn a_pair_of_keys_means_what_it_means_in_etcd() {
    let twin = Twin::of("put a 1\n put ab 1\n put b 1\n put c 1\n put \\x00 1");
    let keys = |key: &[u8], range_end: &[u8]| {
        let range = KeyRange::from_etcd(key, range_end).unwrap();
        let found = twin.range(&range, &RangeOptions::default()).unwrap();
        found.records.iter().map(|record| record.key().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(keys(b"a", b""), [b"a"], "no end: one key");
    assert_eq!(keys(b"b", b"\0"), [b"b", b"c"], "the end 0: every key from it on");
    assert_eq!(keys(b"\0", b"\0").len(), 5, "0 to 0: everything");
    assert_eq!(keys(b"a", b"b"), [&b"a"[..], b"ab"], "half-open");
    assert!(KeyRange::from_etcd(b"b", b"a").is_err());
    assert!(KeyRange::from_etcd(b"a", b"a").is_err());
}

#[test]
fn the_count_is_of_the_whole_range_whatever_the_limit_and_the_filters() {
    check(
        "put a 1\n put b 1\n put c 1\n get * limit=2\n get * limit=3\n get * min_mod=3\n get * max_create=2 limit=1\n get * count_only",
        "2
         3
         4
         - [a=1 (create 2, mod 2.0, version 1), b=1 (create 3, mod 3.0, version 1)] of 3, more
         - [a=1 (create 2, mod 2.0, version 1), b=1 (create 3, mod 3.0, version 1), c=1 (create 4, mod 4.0, version 1)] of 3
         - [b=1 (create 3, mod 3.0, version 1), c=1 (create 4, mod 4.0, version 1)] of 3
         - [a=1 (create 2, mod 2.0, version 1)] of 3
         - [] of 3",
    );
    let twin = Twin::of("put a 1\n put b 1\n del a");
    assert_eq!(twin.view().unwrap().count(&KeyRange::everything()).unwrap(), 1);
}

#[test]
fn sorting_is_over_the_full_result_and_the_limit_comes_after_it() {
    check(
        "put a 3\n put b 1\n put c 2\n get * by=value asc limit=1\n get * by=mod desc limit=1\n get * by=version asc min_mod=3 limit=1\n get * desc limit=2",
        "2
         3
         4
         - [b=1 (create 3, mod 3.0, version 1)] of 3, more
         - [c=2 (create 4, mod 4.0, version 1)] of 3, more
         - [b=1 (create 3, mod 3.0, version 1)] of 3, more
         - [c=2 (create 4, mod 4.0, version 1), b=1 (create 3, mod 3.0, version 1)] of 3, more",
    );
}

/// A quirk that its users may count on: with order NONE and another target than the key, etcd cuts to one more than the
/// limit first, and sorts what is left.
#[test]
fn with_order_none_and_another_target_etcd_cuts_first() {
    check(
        "put a 3\n put b 2\n put c 1\n get * by=value limit=1",
        "2\n 3\n 4\n - [b=2 (create 3, mod 3.0, version 1)] of 3, more",
    );
}

#[test]
fn keys_alone_can_be_asked_for() {
    check("put a 1\n get a keys_only", "2\n - [a= (create 2, mod 2.0, version 1)] of 1");
}

#[test]
fn a_view_stays_what_it_was() {
    let mut twin = Twin::of("put a 1\n put b 1");
    let view = twin.view().unwrap();
    twin.run("put a 2\n del b");
    assert_eq!(view.revision(), 3);
    assert_eq!(view.get("a").unwrap().unwrap().value(), b"1");
    assert_eq!(view.count(&KeyRange::everything()).unwrap(), 2);
    assert_eq!(view.scan(&KeyRange::everything()).map(|turn| turn.unwrap().len()).sum::<usize>(), 2);
    twin.run("compact 4");
    assert!(matches!(view.get("a"), Err(Error::Compacted { compact_revision: 4 })));
}
