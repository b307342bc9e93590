//! `user`, `role`, `auth` and `--user`: the same session with a real etcd and with Watchful, word for word; and then where
//! Watchful refuses what etcd 3.4.23 lets through.

use crate::support::{Etcdctl, Server, Session};

/// Hashes that cost little: many are made.
const CHEAP: &[&str] = &["--bcrypt-cost", "4"];

fn session(server: &Server) -> Option<Session> {
    Some(Session::new(server, Etcdctl::of(server)?))
}

/// Plays a session with the server under test and with an etcd, and expects the same transcript. Answers with it.
fn same_as_etcd(play: fn(&mut Session)) -> Option<String> {
    let (server, etcd) = (Server::start_with(CHEAP), Server::etcd_with(CHEAP)?);
    let [ours, theirs] = [&server, &etcd].map(|server| {
        let mut session = session(server)?;
        play(&mut session);
        Some(session.transcript())
    });
    let (ours, theirs) = (ours?, theirs?);
    assert_eq!(ours, theirs, "the sessions differ");
    Some(ours)
}

/// Root, and alice who may read `a`, write the keys of `app/`, do both with those from `b` up to `d`, and read from `z` on;
/// bob may read and write `app/`.
fn people(session: &mut Session) {
    for command in [
        "user add root:secret",
        "user add alice:a",
        "user add bob --new-user-password b:with:colons",
        "role add reader",
        "role grant-permission reader read a",
        "role grant-permission reader readwrite b d",
        "role grant-permission reader --prefix=true write app/",
        "role grant-permission reader --from-key=true read z",
        "role add app",
        "role grant-permission app readwrite app/ --prefix",
        "user grant-role alice reader",
        "user grant-role bob app",
        "auth enable",
    ] {
        let said = session.run(command);
        assert!(said.ends_with("[0]\n"), "{command}: {said}");
    }
}

#[test]
fn users_and_roles_are_managed_before_anybody_is_asked() {
    let Some(told) = same_as_etcd(|session| {
        for command in [
            "auth enable",
            "user list",
            "user add root:secret",
            "user add alice:a",
            "user add alice:again",
            "user add machine --no-password",
            "user list",
            "user get nobody",
            "user get alice",
            "user delete nobody",
            "user grant-role alice reader",
            "role add reader",
            "role add reader",
            "role add writer",
            "role list",
            "role get reader",
            "role get nothing",
            "role grant-permission reader read a",
            "role grant-permission reader readwrite a",
            "role grant-permission reader read b d",
            "role grant-permission reader write app/ --prefix",
            "role grant-permission reader read z --from-key",
            "role grant-permission nothing read a",
            "role get reader",
            "role revoke-permission reader b",
            "role revoke-permission reader b d",
            "role revoke-permission reader app/ --prefix",
            "role revoke-permission reader z --from-key",
            "role revoke-permission nothing a",
            "role get reader",
            "user grant-role alice reader",
            "user grant-role alice reader",
            "user grant-role alice root",
            "user grant-role nobody reader",
            "user get alice",
            "user get alice --detail",
            "user revoke-role alice root",
            "user revoke-role alice root",
            "role delete reader",
            "role delete reader",
            "user get alice",
            "user delete alice",
            "user list",
            "auth disable",
        ] {
            session.run(command);
        }
    }) else {
        return;
    };
    // A few of them by their words, so that this is no comparison of two wrong ones.
    for line in [
        "Error: etcdserver: root user does not exist\n[1]",
        "User alice created\n[0]",
        "Error: etcdserver: user name already exists\n[1]",
        "Role reader updated\n[0]",
        "KV Read:\n\ta\n\t[b, d)\n\t[z, <open ended>\nKV Write:\n\ta\n\t[app/, app0) (prefix app/)\n[0]",
        "Error: etcdserver: role is not granted to the user\n[1]",
        "Error: etcdserver: permission is not granted to the role\n[1]",
        "Role reader deleted\n[0]",
        "User alice deleted\n[0]",
        "Authentication Disabled\n[0]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

#[test]
fn everybody_is_asked_once_it_is_enabled() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        for command in [
            "user list",
            "get a",
            "put a 1",
            "--user root:wrong user list",
            "--user nobody:x get a",
            "--user alice: get a",
            "--user root:secret user list",
            "--user root --password secret role list",
            "--user alice:a user list",
            "--user alice:a user get alice",
            "--user alice:a user get alice --detail",
            "--user alice:a user get root",
            "--user alice:a role get reader",
            "--user alice:a role get app",
            "--user alice:a role add mine",
            "--user alice:a user add mine:mine",
            "--user alice:a user grant-role alice root",
            "--user alice:a role grant-permission reader readwrite \\0 --from-key",
            "--user alice:a auth disable",
            "--user root:secret user delete root",
            "--user root:secret user revoke-role root root",
            "--user root:secret role delete root",
            "--user root:secret auth enable",
            "--user root:secret auth disable",
            "put a 1",
            "user list",
            "--user alice:a get a",
            "auth enable",
            "get a",
            "--user alice:a get a",
        ] {
            session.run(command);
        }
    }) else {
        return;
    };
    for line in [
        "$ etcdctl get a\nError: etcdserver: user name is empty\n[1]",
        "Error: etcdserver: authentication failed, invalid user ID or password\n[",
        "$ etcdctl --user alice:a user get root\nError: etcdserver: permission denied\n[1]",
        "$ etcdctl --user root:secret user delete root\nError: etcdserver: invalid auth management\n[1]",
        "$ etcdctl --user alice:a get a\na\n1\n[0]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

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

#[test]
fn a_password_is_changed_and_the_old_one_is_worth_nothing() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        session.run("--user alice:a get z");
        session.run_with("--user root:secret user passwd alice --interactive=false", "new\n");
        session.run("--user alice:a get z");
        session.run("--user alice:new get z");
        session.run_with("--user alice:new user passwd alice --interactive=false", "mine\n");
        session.run_with("--user root:secret user passwd nobody --interactive=false", "x\n");
        session.run_with("--user root:secret user add dave --interactive=false", "d\n");
        session.run("--user dave:d user get dave");
        session.run("--user root:secret user delete dave");
        session.run("--user dave:d user get dave");
    }) else {
        return;
    };
    for line in [
        "Password updated\n[0]",
        "$ etcdctl --user alice:new get z\n[0]",
        "$ etcdctl --user alice:new user passwd alice --interactive=false\nError: etcdserver: permission denied\n[1]",
        "$ etcdctl --user dave:d user get dave\nUser: dave\nRoles:\n[0]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

#[test]
fn watches_are_for_whom_they_are_permitted() {
    let Some(told) = same_as_etcd(|session| {
        people(session);
        session.run("watch b");
        session.run("--user alice:a watch y");
        session.run("--user alice:a watch a d");
        session.run("--user alice:a watch --prefix app/");
        session.run("--user alice:wrong watch b");
    }) else {
        return;
    };
    let denied =
        "watch was canceled (rpc error: code = PermissionDenied desc = etcdserver: permission denied)\n";
    assert_eq!(told.matches(denied).count(), 3, "{told}");
    assert!(told.contains("InvalidArgument desc = etcdserver: user name is empty"), "{told}");
}

#[test]
fn a_watch_that_is_permitted_sees_what_another_user_writes() {
    let server = Server::start_with(CHEAP);
    let (Some(mut session), Some(etcdctl)) = (session(&server), Etcdctl::of(&server)) else { return };
    people(&mut session);
    let mut watch = etcdctl.start(&["--user", "alice:a", "watch", "b", "d", "--rev=1"]);
    etcdctl.ok(&["--user", "root:secret", "put", "b", "1"]);
    watch.expect_next(&["PUT", "b", "1"]);
    if server.is_etcd() {
        // It looks once.
        return;
    }
    etcdctl.ok(&["--user", "root:secret", "user", "revoke-role", "alice", "reader"]);
    etcdctl.ok(&["--user", "root:secret", "put", "b", "2"]);
    let ended = watch.finish();
    // Go's client keeps the reason to itself where a watch has been made.
    assert!(ended.stderr.contains("watch is canceled by the server"), "{ended:?}");
    assert_eq!(ended.stdout.matches("PUT").count(), 1, "{ended:?}");
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
