//! Users: every way in which they change, and in which that is refused.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn users_are_added_and_deleted() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let add = |request| by(&root, request);
    check_refused(
        auth.user_add(add(user("", "x"))).await,
        Code::InvalidArgument,
        "etcdserver: user name is empty",
    );
    let exists = "etcdserver: user name already exists";
    check_refused(auth.user_add(add(user("root", "x"))).await, Code::FailedPrecondition, exists);
    check_refused(auth.user_add(add(user_without_password("root"))).await, Code::FailedPrecondition, exists);
    let before = revision(&server).await;
    auth.user_add(add(user("b/c ü", "x"))).await.unwrap();
    auth.user_add(add(user_without_password("a"))).await.unwrap();
    assert_eq!(revision(&server).await, before + 2);
    assert_eq!(users(&server, &root).await, ["a", "b/c ü", "root"]);
    auth.user_delete(by(&root, delete_user("a"))).await.unwrap();
    assert_eq!(revision(&server).await, before + 3);
    let missing = "etcdserver: user name not found";
    check_refused(auth.user_delete(by(&root, delete_user("a"))).await, Code::FailedPrecondition, missing);
    check_refused(auth.user_delete(by(&root, delete_user(""))).await, Code::FailedPrecondition, missing);
    assert_eq!(users(&server, &root).await, ["b/c ü", "root"]);
    assert_eq!(revision(&server).await, before + 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_a_longest_form() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let (longest, too_long) = ("n".repeat(501), "n".repeat(502));
    auth.user_add(by(&root, user_without_password(&longest))).await.unwrap();
    auth.role_add(by(&root, role(&longest))).await.unwrap();
    let said = |what| {
        format!(
            "watchful: the name of a {what} may have 501 bytes, and this one has 502; choose a shorter one"
        )
    };
    let refused = auth.user_add(by(&root, user(&too_long, "x"))).await;
    check_refused(refused, Code::InvalidArgument, &said("user"));
    check_refused(auth.role_add(by(&root, role(&too_long))).await, Code::InvalidArgument, &said("role"));
    let missing = "etcdserver: user name not found";
    check_refused(
        auth.user_delete(by(&root, delete_user(&too_long))).await,
        Code::FailedPrecondition,
        missing,
    );
    let missing = "etcdserver: role name not found";
    check_refused(
        auth.role_delete(by(&root, delete_role(&too_long))).await,
        Code::FailedPrecondition,
        missing,
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_changed() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let missing = "etcdserver: user name not found";
    let refused = auth.user_change_password(by(&root, change_password("alice", "x"))).await;
    check_refused(refused, Code::FailedPrecondition, missing);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    auth.user_add(by(&root, user_without_password("cert"))).await.unwrap();
    let before = revision(&server).await;
    auth.user_change_password(by(&root, change_password("alice", "b"))).await.unwrap();
    // As in etcd it is no error, and changes nothing but the revision.
    auth.user_change_password(by(&root, change_password("cert", "b"))).await.unwrap();
    assert_eq!(revision(&server).await, before + 2);
    assert!(login(&server, "cert", "b").await.is_err());
    login(&server, "alice", "b").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_granted_and_revoked() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    for name in ["z", "a"] {
        auth.role_add(by(&root, role(name))).await.unwrap();
    }
    let refused = |answer, message| check_refused(answer, Code::FailedPrecondition, message);
    let (no_user, no_role) = ("etcdserver: user name not found", "etcdserver: role name not found");
    refused(auth.user_grant_role(by(&root, grant("bob", "a"))).await, no_user);
    refused(auth.user_grant_role(by(&root, grant("alice", "b"))).await, no_role);
    refused(auth.user_grant_role(by(&root, grant("alice", ""))).await, no_role);
    let before = revision(&server).await;
    for name in ["z", "a", "root", "a"] {
        auth.user_grant_role(by(&root, grant("alice", name))).await.unwrap();
    }
    assert_eq!(revision(&server).await, before + 3, "what was granted already changes nothing");
    assert_eq!(roles_of(&server, &root, "alice").await, ["a", "root", "z"]);

    let not_granted = "etcdserver: role is not granted to the user";
    let refused = |answer, message| check_refused(answer, Code::FailedPrecondition, message);
    refused(auth.user_revoke_role(by(&root, revoke("bob", "a"))).await, no_user);
    refused(auth.user_revoke_role(by(&root, revoke("alice", "b"))).await, not_granted);
    auth.user_revoke_role(by(&root, revoke("alice", "a"))).await.unwrap();
    refused(auth.user_revoke_role(by(&root, revoke("alice", "a"))).await, not_granted);
    assert_eq!(roles_of(&server, &root, "alice").await, ["root", "z"]);
    let get = auth.user_get(by(&root, pb::AuthUserGetRequest { name: "bob".to_owned() })).await;
    check_refused(get, Code::FailedPrecondition, no_user);
    server.stop().await;
}

/// Nobody locks everybody out: not while auth is on.
#[tokio::test(flavor = "multi_thread")]
async fn root_stays_root_while_auth_is_on() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let refused = |answer, code, message| check_refused(answer, code, message);
    let invalid = "etcdserver: invalid auth management";
    check_refused(auth.user_delete(by(&root, delete_user("root"))).await, Code::InvalidArgument, invalid);
    refused(auth.user_revoke_role(by(&root, revoke("root", "root"))).await, Code::InvalidArgument, invalid);
    check_refused(auth.role_delete(by(&root, delete_role("root"))).await, Code::InvalidArgument, invalid);
    auth.auth_disable(by(&root, pb::AuthDisableRequest {})).await.unwrap();
    auth.user_revoke_role(revoke("root", "root")).await.unwrap();
    auth.role_delete(delete_role("root")).await.unwrap();
    auth.user_delete(delete_user("root")).await.unwrap();
    assert!(users(&server, "").await.is_empty() && roles(&server, "").await.is_empty());
    server.stop().await;
}
