//! What root alone may do, who cannot log in, and what outlives a restart.

use super::{CHEAP, people, session};
use crate::support::Server;

#[test]
fn upkeep_is_for_root_alone() {
    let server = Server::start_with(CHEAP);
    let Some(mut session) = session(&server) else { return };
    people(&mut session);
    session.run("--user root:secret put a 1");
    let file = server.scratch().join("saved");
    let save = format!("snapshot save {}", file.display());
    let denied = if server.is_etcd() { "permission denied" } else { "etcdserver: permission denied" };
    for command in [&save, "defrag", "member remove 123", "user list", "auth disable"] {
        let said = session.run(&format!("--user alice:a {command}"));
        assert!(said.contains(denied) && !said.ends_with("[0]\n"), "{command}: {said}");
    }
    assert!(!file.exists(), "nothing should be there of a snapshot that was refused");
    if !server.is_etcd() {
        let said = session.run("--user alice:a compaction 2");
        assert!(said.contains("etcdserver: permission denied"), "{said}");
        for command in ["alarm list", "member list", "endpoint status", "lease grant 60", "lease list"] {
            let said = session.run(command);
            assert!(said.contains("etcdserver: user name is empty"), "{command}: {said}");
        }
    }
    for command in [&save, "defrag", "alarm disarm", "compaction 2", "member list", "endpoint status"] {
        let said = session.run(&format!("--user root:secret {command}"));
        assert!(said.ends_with("[0]\n"), "{command}: {said}");
    }
    assert!(file.exists());
}

#[test]
fn a_user_without_a_password_does_not_log_in() {
    let server = Server::start_with(CHEAP);
    let Some(mut session) = session(&server) else { return };
    session.run("user add machine --no-password");
    people(&mut session);
    let wrong = session.run("--user nobody:x get a");
    let said = session.run("--user machine:x get a");
    assert!(said.contains("authentication failed"), "{said}");
    if !server.is_etcd() {
        assert_eq!(said, wrong, "nobody should be told that there is such a user");
    }
}

/// What was made is there after a restart, and tokens are not needed by a client that logs in anew.
#[test]
fn users_outlive_a_restart() {
    let mut server = Server::start_with(CHEAP);
    let Some(mut session) = session(&server) else { return };
    people(&mut session);
    session.run("--user alice:a put b 1");
    server.terminate();
    server.start_again();
    assert_eq!(session.run("--user alice:a get b"), "b\n1\n[0]\n");
    assert!(session.run("--user alice:a put a 1").contains("etcdserver: permission denied"));
    assert!(session.run("put a 1").contains("etcdserver: user name is empty"));
    assert_eq!(session.run("--user root:secret user list"), "alice\nbob\nroot\n[0]\n");
}
