//! Leases: attached keys, their one end, and their time.

use std::time::Duration;

use watchful::{Error, ManualClock, PutOptions, Txn};
use watchful_testkit::WatchSpec;

use crate::support::{Receiver, Twin, check, eventually, everything, settings};

/// A store whose clock only the test turns.
fn with_clock() -> (Twin, ManualClock) {
    let clock = ManualClock::default();
    (Twin::with(settings().with_clock(clock.clone())), clock)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_put_with_an_unknown_lease_is_refused() {
    check("put a 1 lease=9\n grant 9 60\n put a 1 lease=9", "LeaseNotFound 9\n ok\n 2");
}

#[test]
fn a_used_id_is_refused_and_zero_means_choose_one() {
    let twin = Twin::new();
    let chosen = twin.lease_grant(0, 60).wait().unwrap();
    assert!(chosen > 0);
    assert!(matches!(twin.lease_grant(chosen, 60).wait(), Err(Error::LeaseExists { id }) if id == chosen));
    let other = twin.lease_grant(0, 60).wait().unwrap();
    assert_ne!(chosen, other);
    let mut both = vec![chosen, other];
    both.sort_unstable();
    assert_eq!(twin.leases(), both);
}

#[test]
fn a_grant_takes_no_revision_and_a_lease_tells_its_time_and_keys() {
    let (mut twin, clock) = with_clock();
    twin.run("grant 7 60\n put b 1 lease=7\n put a 1 lease=7\n put c 1");
    clock.advance(20 * SECOND);
    let lease = twin.lease(7).unwrap();
    assert_eq!((lease.id, lease.ttl_seconds, lease.remaining), (7, 60, 40 * SECOND));
    assert_eq!(lease.keys, [b"a", b"b"]);
    assert!(matches!(twin.lease(8), Err(Error::LeaseNotFound { id: 8 })));
}

#[test]
fn a_put_moves_the_key_from_the_old_lease_to_the_new() {
    let mut twin =
        Twin::of("grant 7 60\n grant 8 60\n put a 1 lease=7\n put a 2 lease=8\n put b 1 lease=7\n put b 2");
    assert!(twin.lease(7).unwrap().keys.is_empty());
    assert_eq!(twin.lease(8).unwrap().keys, [b"a"]);
    assert_eq!(
        twin.run("revoke 7\n get *"),
        "ok\n- [a=2 (create 2, mod 3.0, version 2, lease 8), b=2 (create 4, mod 5.0, version 2)] of 2\n"
    );
    twin.check();
}

#[test]
fn a_revoked_lease_takes_its_keys_in_one_revision_in_key_order() {
    let mut twin =
        Twin::of("grant 7 60\n txn { put c 1 lease=7; put a 1 lease=7; put b 1 }\n put d 1 lease=7");
    let revoked = twin.lease_revoke(7).wait().unwrap();
    assert_eq!((revoked.revision, revoked.value), (4, 3));
    twin.model.lease_revoke(7).unwrap();
    assert_eq!(twin.watch_lines(4), ["4.0 del a", "4.1 del c", "4.2 del d"]);
    twin.check();
    assert!(matches!(twin.lease_revoke(7).wait(), Err(Error::LeaseNotFound { id: 7 })));
}

fn keys_on(txn: &Txn<'_, '_, '_>, lease: i64) -> Vec<String> {
    let mut keys = Vec::new();
    let visited = txn.each_lease_key(lease, |key| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        Ok::<_, Error>(())
    });
    visited.unwrap();
    keys.sort();
    keys
}

#[test]
fn who_may_not_revoke_a_lease_leaves_it_as_it_was_and_sees_the_keys_on_it() {
    let mut twin = Twin::of("grant 7 60\n put b 1 lease=7\n put a 1 lease=7\n put c 1");
    let refused = twin.lease_revoke_if(7, |txn| {
        assert_eq!(keys_on(txn, 7), ["a", "b"]);
        Err(Error::abort("not yours"))
    });
    assert!(matches!(refused.wait(), Err(Error::Aborted { .. })));
    assert_eq!(twin.lease(7).unwrap().keys, [b"a", b"b"]);
    assert_eq!(twin.lease_keep_alive(7).unwrap(), 60 * SECOND);
    twin.check();
    assert_eq!(twin.run("revoke 7\n get *"), "ok\n- [c=1 (create 4, mod 4.0, version 1)] of 1\n");
}

#[test]
fn the_keys_on_a_lease_are_those_that_the_transaction_has_by_now() {
    let twin = Twin::of("grant 7 60\n put a 1 lease=7\n put b 1 lease=7");
    let on_lease = |lease| PutOptions { lease, ..PutOptions::default() };
    let seen = twin.transact(move |txn| {
        txn.put_with("c", "1", on_lease(7))?;
        txn.put_with("a", "2", on_lease(0))?;
        txn.delete("b")?;
        assert_eq!((keys_on(txn, 7), keys_on(txn, 8)), (vec!["c".to_owned()], vec![]));
        assert_eq!([txn.lease_of(b"a"), txn.lease_of(b"b"), txn.lease_of(b"c")], [0, 0, 7]);
        Err::<(), _>(Error::abort("seen"))
    });
    assert!(matches!(seen.wait(), Err(Error::Aborted { .. })));
}

#[test]
fn a_lease_without_keys_ends_without_a_revision() {
    let twin = Twin::of("put a 1\n grant 7 60");
    assert!(!twin.lease_revoke(7).wait().unwrap().changed);
    assert_eq!(twin.current_revision(), 2);
}

#[test]
fn an_expired_lease_takes_its_keys_in_one_revision_in_key_order() {
    let (mut twin, clock) = with_clock();
    twin.run("grant 7 10\n grant 8 20\n put c 1 lease=7\n put a 1 lease=7\n put b 1 lease=8");
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 5));
    clock.advance(10 * SECOND);
    seen.read_to(5);
    twin.model.lease_revoke(7).unwrap();
    assert_eq!(seen.lines(), ["5.0 del a", "5.1 del c"]);
    assert_eq!(twin.leases(), [8]);
    clock.advance(10 * SECOND);
    seen.read_to(6);
    twin.model.lease_revoke(8).unwrap();
    seen.check(&twin.model);
    twin.check();
    assert_eq!(twin.leases(), []);
}

#[test]
fn a_kept_alive_lease_lives_its_full_time_again() {
    let (twin, clock) = with_clock();
    twin.lease_grant(7, 10).wait().unwrap();
    twin.lease_grant(8, 10).wait().unwrap();
    let put = |key, lease| {
        let options = watchful::PutOptions { lease, ..Default::default() };
        twin.put_with(key, "1", options).wait().unwrap();
    };
    put("a", 7);
    put("b", 8);
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 4));
    clock.advance(9 * SECOND);
    assert_eq!(twin.lease_keep_alive(7).unwrap(), 10 * SECOND);
    clock.advance(9 * SECOND);
    seen.read_to(4);
    assert_eq!(seen.lines(), ["4.0 del b"]);
    assert_eq!(twin.lease(7).unwrap().remaining, SECOND);
    clock.advance(SECOND);
    seen.read_to(5);
    assert_eq!(seen.lines(), ["4.0 del b", "5.0 del a"]);
    assert!(
        matches!(twin.lease_keep_alive(7), Err(Error::LeaseNotFound { id: 7 })),
        "the server answers with 0"
    );
}

#[test]
fn a_lease_has_its_full_time_again_after_a_restart_and_its_keys() {
    let (mut twin, clock) = with_clock();
    twin.run("grant 7 60\n put a 1 lease=7\n put b 1 lease=7\n put b 2");
    clock.advance(59 * SECOND);
    twin.reopen();
    let lease = twin.lease(7).unwrap();
    assert_eq!((lease.remaining, lease.keys), (60 * SECOND, vec![b"a".to_vec()]));
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 5));
    clock.advance(60 * SECOND);
    seen.read_to(5);
    assert_eq!(seen.lines(), ["5.0 del a"]);
}

/// Both are under one lock: whoever is told, after its time, that the lease lives, finds it alive.
#[test]
fn a_keep_alive_that_was_acknowledged_is_never_overtaken_by_the_expiry() {
    let (twin, clock) = with_clock();
    for round in 1..=200 {
        twin.lease_grant(round, 10).wait().unwrap();
        let options = watchful::PutOptions { lease: round, ..Default::default() };
        twin.put_with("a", "1", options).wait().unwrap();
        clock.advance(10 * SECOND);
        // The writer's thread is at it by now: either of them may be first.
        let kept_alive = twin.lease_keep_alive(round).is_ok();
        if kept_alive {
            twin.put("b", "1").wait().unwrap();
            assert_eq!(twin.lease(round).unwrap().remaining, 10 * SECOND, "round {round}");
            twin.lease_revoke(round).wait().unwrap();
        } else {
            eventually("the expiry", || twin.get("a").unwrap().is_none().then_some(()));
            assert!(twin.lease(round).is_err(), "round {round}");
        }
    }
}

/// The same where the expiry already waits in line: a transaction holds the writer while the time runs out, the expiry is
/// put in line behind it, and only then the lease is kept alive. The writer must look at the deadline once more.
#[test]
fn a_keep_alive_wins_over_an_expiry_that_is_in_line_already() {
    let (twin, clock) = with_clock();
    for round in 1..=20 {
        twin.lease_grant(round, 10).wait().unwrap();
        let (clock, store) = (clock.clone(), watchful::Store::clone(&twin));
        let kept_alive = twin.transact(move |_| {
            clock.advance(10 * SECOND);
            (0..2000).for_each(|_| std::thread::yield_now());
            Ok::<_, Error>(store.lease_keep_alive(round).is_ok())
        });
        assert!(kept_alive.wait().unwrap().value, "nothing could be written meanwhile");
        twin.put("behind", "the expiry").wait().unwrap();
        assert_eq!(twin.lease(round).unwrap().remaining, 10 * SECOND, "round {round}");
        twin.lease_revoke(round).wait().unwrap();
    }
}
