//! auth, user and role; and every other command in somebody's name.

use std::process::Command;

use crate::support::{Going, Server, until};

/// A server with auth on, `root` with the password `pw`, and `alice` who has the role `r`.
fn with_users() -> Server {
    let server = Server::start();
    server.check(
        "
$ user add root:pw
user root added
$ role add root
role root added
$ user grant root root
role root granted to user root
$ user add alice:secret
user alice added
$ role add r
role r added
$ role grant r readwrite /app/ --prefix
readwrite /app/* granted to role r
$ user grant alice r
role r granted to user alice
$ auth enable
auth is on
",
    );
    server
}

fn as_root(server: &Server, words: &[&str]) -> String {
    server.run(&[&["--user", "root:pw"], words].concat())
}

#[test]
fn auth_is_turned_on_and_off() {
    Server::start().check(
        "
$ auth status
auth is off, at its revision 1
$ auth enable
[1] error: etcdserver: root user does not exist: `watchful user add root` first
$ user add root < pw\\n
user root added
$ auth enable
[1] error: etcdserver: root user does not have root role: `watchful user grant root root` first
$ role add root
role root added
$ user grant root root --json
{\"revision\":1,\"user\":\"root\",\"role\":\"root\"}
$ --user root:pw get a
$ auth enable --json
{\"revision\":1,\"enabled\":true}
$ auth status --user root:pw
auth is on, at its revision 4
$ auth status --user root --password pw --json
{\"revision\":1,\"enabled\":true,\"auth_revision\":4}
$ put a 1
[1] error: etcdserver: user name is empty: auth is on, so say who asks with --user NAME
$ watch a
[1] error: the server refused a watch: rpc error: code = InvalidArgument desc = etcdserver: user name is empty: auth is \
on, so say who asks with --user NAME
$ put a 1 --user root:wrong
[1] error: etcdserver: authentication failed, invalid user ID or password: see --user and --password
$ put a 1 --user root
[1] error: the password of root is not given, and there is no terminal to ask for it: say --user root:PASSWORD, or set \
ETCDCTL_PASSWORD
$ put a 1 --password pw
[1] error: a password is given, and nobody whose it is: say --user NAME
$ put a 1 --user root:pw
OK
$ auth disable --user root:pw
auth is off
$ auth disable --json
{\"revision\":2,\"enabled\":false}
$ get a
a
1
",
    );
}

#[test]
fn users_are_added_changed_and_deleted() {
    let server = with_users();
    let root = as_root;
    assert_eq!(root(&server, &["user", "list"]), "alice\nroot\n");
    assert_eq!(root(&server, &["user", "list", "--json"]), "{\"user\":\"alice\"}\n{\"user\":\"root\"}\n");
    server.check(
        "
$ --user root:pw user add cert --no-password --json
{\"revision\":1,\"user\":\"cert\"}
$ --user root:pw user get cert
user cert has no roles
$ --user root:pw user get alice
user alice has the role r
$ --user root:pw role add q
role q added
$ --user root:pw user grant alice q
role q granted to user alice
$ --user alice:secret user get alice
user alice has the roles q, r
$ --user root:pw user get alice --json
{\"revision\":1,\"user\":\"alice\",\"roles\":[\"q\",\"r\"]}
$ --user root:pw user revoke alice q
role q revoked from user alice
$ --user alice:secret put /app/x 1
OK
$ --user alice:secret put x 1
[1] error: etcdserver: permission denied: none of the user's roles permits it; `watchful user get NAME` tells them
$ --user root:pw user passwd alice < other one\\n
password of user alice changed
$ --user alice:secret get /app/x
[1] error: etcdserver: authentication failed, invalid user ID or password: see --user and --password
$ --user root:pw user del alice
user alice deleted
$ --user root:pw user get alice
[1] error: etcdserver: user name not found: `watchful user list` shows those there are
$ --user root:pw user add bob
[1] error: there is no password: stdin has none in its first line
$ --user root:pw user add :x
[1] error: a user has a name: write NAME or NAME:PASSWORD
",
    );
    // A space is a password's as any other character.
    root(&server, &["user", "add", "carol:other one"]);
    assert_eq!(
        server.run(&["user", "get", "carol", "--user", "carol", "--password", "other one"]),
        "user carol has no roles\n"
    );
}

#[test]
fn roles_permit_keys_ranges_and_prefixes() {
    let server = Server::start();
    server.check(
        "
$ role add r
role r added
$ role get r
role r permits nothing
$ role grant r read k
read k granted to role r
$ role grant r write a c
write a up to c granted to role r
$ role grant r readwrite /app/ --prefix --json
{\"revision\":1,\"role\":\"r\",\"permission\":\"readwrite\",\"key\":\"L2FwcC8=\",\"range_end\":\"L2FwcDA=\"}
$ role grant r read z --from-key
read z and all behind granted to role r
$ role get r
readwrite  /app/*
write      a up to c
read       k
read       z and all behind
$ role get r --json
{\"revision\":1,\"role\":\"r\",\"permissions\":[\
{\"permission\":\"readwrite\",\"key\":\"L2FwcC8=\",\"range_end\":\"L2FwcDA=\"},\
{\"permission\":\"write\",\"key\":\"YQ==\",\"range_end\":\"Yw==\"},\
{\"permission\":\"read\",\"key\":\"aw==\",\"range_end\":\"\"},\
{\"permission\":\"read\",\"key\":\"eg==\",\"range_end\":\"AA==\"}]}
$ role revoke r k
k revoked from role r
$ role revoke r a c --json
{\"revision\":1,\"role\":\"r\",\"key\":\"YQ==\",\"range_end\":\"Yw==\"}
$ role revoke r k
[1] error: etcdserver: permission is not granted to the role
$ role grant r read '' --prefix
read everything granted to role r
$ role list --json
{\"role\":\"r\"}
$ role del r
role r deleted
$ role get r
[1] error: etcdserver: role name not found: `watchful role list` shows those there are
$ role add root
role root added
$ role get root
role root permits everything
",
    );
}

#[test]
fn etcdctls_names_and_variables_do_too() {
    let server = with_users();
    as_root(&server, &["user", "add", "a:b"]);
    as_root(&server, &["user", "grant-role", "a", "r"]);
    as_root(&server, &["role", "grant-permission", "r", "read", "k"]);
    as_root(&server, &["role", "revoke-permission", "r", "k"]);
    as_root(&server, &["user", "revoke-role", "a", "r"]);
    let run = |mut command: Command, variables: &[(&str, &str)]| {
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(if output.status.success() { output.stdout } else { output.stderr }).unwrap()
    };
    let status = || server.command(&["put", "/app/x", "1"]);
    assert_eq!(run(status(), &[("ETCDCTL_USER", "alice:secret")]), "OK\n");
    assert_eq!(run(status(), &[("ETCDCTL_USER", "alice"), ("ETCDCTL_PASSWORD", "secret")]), "OK\n");
    let own = [("WATCHFUL_USER", "alice:secret"), ("ETCDCTL_USER", "root:wrong")];
    assert_eq!(run(status(), &own), "OK\n");
    let mut said = status();
    said.args(["--user", "root:pw"]);
    assert_eq!(run(said, &own), "OK\n");
    assert!(run(status(), &[("ETCDCTL_USER", "")]).contains("user name is empty"));
}

/// Tokens are kept in the server's memory: after a restart it knows none of them, and the watch logs in anew.
#[test]
fn a_watch_goes_on_with_another_token() {
    let mut server = with_users();
    let watch = ["watch", "/app/", "--prefix", "--user", "alice:secret"];
    let going = Going::new(server.command(&watch));
    until("the watch is there", || as_root(&server, &["watchers", "--json"]).lines().count() == 1);
    as_root(&server, &["put", "/app/x", "1"]);
    assert_eq!(going.line(), "2  PUT     /app/x = 1");
    server.kill();
    server.start_again();
    as_root(&server, &["put", "/app/x", "2"]);
    assert_eq!(going.line(), "3  PUT     /app/x = 2");
    let (left, stderr) = going.kill();
    assert_eq!(left, Vec::<String>::new());
    assert!(stderr.contains("going on from revision 3"), "{stderr}");
}

/// As far as the client knows, the token that it got before auth was turned off is as good as any.
#[test]
fn a_lease_is_kept_alive_with_another_token() {
    let server = with_users();
    as_root(&server, &["lease", "grant", "2", "--id", "1f"]);
    let going = Going::new(server.command(&["lease", "keep-alive", "1f", "--user", "root:pw"]));
    going.line();
    as_root(&server, &["auth", "disable"]);
    server.run(&["auth", "enable"]);
    for _ in 0..4 {
        assert!(going.line().starts_with("lease 000000000000001f kept alive with TTL("));
    }
    assert_eq!(going.kill().1, "");
}
