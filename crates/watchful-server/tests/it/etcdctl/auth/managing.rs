//! Users, roles and permissions: made, shown, changed and deleted, before anybody is asked and after.

use super::{people, same_as_etcd};

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
