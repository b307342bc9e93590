//! The store's cases: leases.

use watchful_testkit::LeaseError;

use super::support::{check, model};

#[test]
fn a_put_attaches_its_key_and_the_next_put_detaches_it() {
    let mut model = model("grant 7 60\ngrant 8 60\nput a 1 lease=7\nput b 1 lease=7\nput c 1 lease=8");
    assert_eq!(model.attached_keys(7), ["a", "b"]);
    watchful_testkit::script::run(&mut model, "put a 2 lease=8\nput b 2");
    assert_eq!((model.attached_keys(7).len(), model.attached_keys(8)), (0, vec!["a".into(), "c".into()]));
    assert_eq!((model.lease_of("a"), model.lease_of("b"), model.lease_of("x")), (8, 0, 0));
}

#[test]
fn revoking_deletes_the_attached_keys_in_one_revision() {
    check(
        "grant 7 60\nput b 1 lease=7\nput a 1 lease=7\nput c 1\nrevoke 7\nget *\nput d 1 lease=7",
        "ok\n2\n3\n4\n5 deleted 2\n- [c=1 (create 4, mod 4.0, version 1)] of 1\nerror: lease 7 does not exist",
    );
    let model = model("grant 7 60\nput b 1 lease=7\nput a 1 lease=7\nrevoke 7");
    let deleted: Vec<_> =
        (0..2).filter_map(|sub| model.event_at(watchful_revision::Revision::new(4, sub))).collect();
    let keys: Vec<_> = deleted.iter().map(|event| &event.key[..]).collect();
    assert_eq!(keys, [b"a", b"b"]);
}

#[test]
fn revoking_a_lease_without_keys_takes_no_revision() {
    check("grant 7 60\nput a 1 lease=7\ndel a\nrevoke 7\nput a 2", "ok\n2\n3 deleted 1\n- deleted 0\n4");
}

#[test]
fn a_deleted_key_is_detached_and_does_not_come_back_attached() {
    let model = model("grant 7 60\nput a 1 lease=7\ndel a\nput a 2");
    assert_eq!(model.attached_keys(7).len(), 0);
}

#[test]
fn leases_are_made_once_and_ended_once() {
    let mut model = model("grant 7 60");
    assert_eq!(model.lease_grant(7, 9), Err(LeaseError::Exists { id: 7 }));
    assert_eq!(model.lease_grant(0, 9), Err(LeaseError::NoId));
    assert_eq!(model.lease_revoke(8), Err(LeaseError::NotFound { id: 8 }));
    assert_eq!(model.leases().collect::<Vec<_>>(), [(7, 60)]);
    assert!(model.lease_revoke(7).is_ok());
    assert_eq!(model.leases().count(), 0);
}

#[test]
fn keys_without_a_lease_hang_on_none() {
    assert_eq!(model("put a 1").attached_keys(0).len(), 0);
}
