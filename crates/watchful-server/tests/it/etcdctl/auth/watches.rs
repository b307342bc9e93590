//! Watches, for whom they are permitted, and until they no longer are.

use super::{CHEAP, people, same_as_etcd, session};
use crate::support::{Etcdctl, Server};

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
