//! JSON web tokens, which no server keeps: etcdctl asks for one with each command, and a mutex keeps one for longer.

use std::fs;

use super::{people, same_as_etcd, same_as_etcd_with};

#[test]
fn web_tokens_are_as_good() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "the one who has this may be anybody").unwrap();
    let tokens = format!("--auth-token=jwt,sign-method=HS256,priv-key={},ttl=5m", key.display());
    let Some(told) = same_as_etcd_with(&["--bcrypt-cost=4", &tokens], |session| {
        people(session);
        for command in [
            "--user alice:a put b 1",
            "--user alice:a get b",
            "--user alice:a get y",
            "--user alice:wrong get b",
            "get b",
            "--user root:secret role revoke-permission reader b d",
            "--user alice:a get b",
            "--user root:secret user delete alice",
            "--user alice:a get b",
            "--user root:secret auth disable",
            "get b",
        ] {
            session.run(command);
        }
    }) else {
        return;
    };
    for line in [
        "$ etcdctl --user alice:a get b\nb\n1\n[0]",
        "$ etcdctl --user alice:a get b\nError: etcdserver: permission denied\n[1]",
        "Error: etcdserver: authentication failed, invalid user ID or password\n[",
        "$ etcdctl get b\nError: etcdserver: user name is empty\n[1]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

/// The client's own recipe: a lease, a key on it, and a watch of the key before.
#[test]
fn a_mutex_is_for_whom_its_keys_are_permitted() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        session.run("--user bob --password b:with:colons lock app/mutex echo held");
        session.run("--user bob --password b:with:colons lock other echo held");
        session.run("--user alice:a lock app/mutex echo held");
        session.run("lock app/mutex echo held");
    }) else {
        return;
    };
    assert_eq!(told.matches("\nheld\n").count(), 1, "{told}");
    assert!(told.contains("lock other echo held\nError: etcdserver: permission denied\n"), "{told}");
}
