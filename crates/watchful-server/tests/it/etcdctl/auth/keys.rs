//! Keys, and leases with keys, for whom they are permitted.

use super::{people, same_as_etcd};
use crate::support::Session;

#[test]
fn keys_are_for_whom_they_are_permitted() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        for key in ["a", "b", "app/1", "app/2", "y", "z"] {
            session.run(&format!("--user root:secret put {key} of-root"));
        }
        for command in [
            "get a",
            "put a 1",
            "get b",
            "put b 1",
            "put b 2 --prev-kv",
            "put app/1 1",
            "put app/1 2 --prev-kv",
            "get app/1",
            "get b d",
            "get a d",
            "get b e",
            "get app/ --prefix",
            "get z --from-key",
            "get y --from-key",
            "del b",
            "del b d --prev-kv",
            "del a",
            "del app/1 --prev-kv",
            "del app/ --prefix",
            "get --prefix=true --keys-only b",
            "get z --count-only --write-out=fields --from-key --rev=2",
        ] {
            session.run(&format!("--user alice:a {command}"));
        }
        // Both sides count, and the conditions.
        for txn in [
            "value(\"b\") = \"1\"\n\nput b 3\n\nget b\n\n",
            "value(\"b\") = \"1\"\n\nput a 3\n\nget b\n\n",
            "value(\"b\") = \"1\"\n\nput b 3\n\nget y\n\n",
            "value(\"y\") = \"1\"\n\nput b 3\n\nget b\n\n",
            "\ndel b\n\ndel a\n\n",
        ] {
            session.run_with("--user alice:a txn", txn);
        }
        session.run("--user bob --password b:with:colons put app/3 of-bob");
        session.run("--user bob --password b:with:colons get app/ --prefix");
        session.run("--user bob --password b:with:colons get b");
    }) else {
        return;
    };
    for line in [
        "$ etcdctl --user alice:a put a 1\nError: etcdserver: permission denied\n[1]",
        "$ etcdctl --user alice:a get b\nb\nof-root\n[0]",
        "$ etcdctl --user alice:a get b d\nb\n2\n[0]",
        "$ etcdctl --user alice:a get a d\nError: etcdserver: permission denied\n[1]",
        "$ etcdctl --user alice:a get z --from-key\nz\nof-root\n[0]",
        "$ etcdctl --user alice:a get y --from-key\nError: etcdserver: permission denied\n[1]",
        "$ etcdctl --user alice:a del app/ --prefix\n2\n[0]",
        "$ etcdctl --user bob --password b:with:colons get app/ --prefix\napp/3\nof-bob\n[0]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

/// Grants a lease as root and answers with its id, which is called so in the transcript.
fn lease(session: &mut Session, name: &str) -> String {
    let said = session.run("--user root:secret lease grant 600");
    let id = said.split_whitespace().nth(1).expect("a lease has an id").to_owned();
    session.rename(&id, name);
    id
}

#[test]
fn a_lease_is_revoked_by_whoever_may_delete_its_keys() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        let (first, second) = (lease(session, "FIRST"), lease(session, "SECOND"));
        session.run(&format!("--user alice:a put b 1 --lease {first}"));
        session.run(&format!("--user bob --password b:with:colons put app/1 1 --lease {first}"));
        session.run(&format!("--user bob --password b:with:colons put app/1 1 --lease {second}"));
        session.run(&format!("--user bob --password b:with:colons lease revoke {first}"));
        session.run(&format!("--user alice:a lease revoke {second}"));
        session.run(&format!("--user root:secret lease revoke {first}"));
        session.run("--user alice:a get b");
        session.run(&format!("--user alice:a lease revoke {second}"));
    }) else {
        return;
    };
    assert!(told.contains("--lease FIRST\nError: etcdserver: permission denied\n[1]"), "{told}");
    let denied = "lease revoke FIRST\nError: failed to revoke lease (etcdserver: permission denied)\n[1]";
    assert!(told.contains(denied), "{told}");
    assert!(told.contains("lease FIRST revoked\n[0]"), "{told}");
}
