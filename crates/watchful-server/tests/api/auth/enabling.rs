//! Auth on, auth off, and auth over a restart.

use super::*;

async fn status(server: &TestServer) -> (bool, u64) {
    let status = client(server).auth_status(pb::AuthStatusRequest {}).await.unwrap().into_inner();
    assert!(status.header.is_some());
    (status.enabled, status.auth_revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_it_is_off_and_everybody_may_do_everything() {
    let server = TestServer::start_with(quick).await;
    assert_eq!(status(&server).await, (false, 1));
    client(&server).auth_disable(pb::AuthDisableRequest {}).await.unwrap();
    assert_eq!(status(&server).await, (false, 1));
    let refused = login(&server, "root", "r").await.unwrap_err();
    let not_enabled = (Code::FailedPrecondition, "etcdserver: authentication is not enabled");
    assert_eq!((refused.code(), refused.message()), not_enabled);
    // A token is not looked at.
    let listed = client(&server).user_list(by("x.1", pb::AuthUserListRequest {})).await.unwrap();
    assert!(listed.into_inner().users.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_root_with_the_role_root() {
    let server = TestServer::start_with(quick).await;
    let mut auth = client(&server);
    let missing = "etcdserver: root user does not exist";
    check_refused(auth.auth_enable(pb::AuthEnableRequest {}).await, Code::FailedPrecondition, missing);
    auth.user_add(user("root", "r")).await.unwrap();
    let missing = "etcdserver: root user does not have root role";
    check_refused(auth.auth_enable(pb::AuthEnableRequest {}).await, Code::FailedPrecondition, missing);
    auth.user_grant_role(grant("root", "root")).await.unwrap();
    assert_eq!(status(&server).await, (false, 3));
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    assert_eq!(status(&server).await, (true, 3), "turning it on raises nothing");
    let root = login(&server, "root", "r").await.unwrap();
    auth.auth_enable(by(&root, pb::AuthEnableRequest {})).await.unwrap();
    assert_eq!(status(&server).await, (true, 3));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_off_it_lets_everybody_in_and_ends_all_tokens() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let before = revision(&server).await;
    auth.auth_disable(by(&root, pb::AuthDisableRequest {})).await.unwrap();
    assert_eq!(status(&server).await, (false, before + 1));
    assert_eq!(users(&server, "").await, ["root"]);
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    let listed = auth.user_list(by(&root, pb::AuthUserListRequest {})).await;
    check_refused(listed, Code::Unauthenticated, "etcdserver: invalid auth token");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything_but_the_tokens() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    auth.role_add(by(&root, role("writers"))).await.unwrap();
    let write = permission(Type::Write, "k", "\0");
    auth.role_grant_permission(by(&root, permit("writers", write.clone()))).await.unwrap();
    auth.user_grant_role(by(&root, grant("alice", "writers"))).await.unwrap();
    let before = status(&server).await;

    let server = TestServer::start_in(server.stop().await, quick).await;
    assert_eq!(status(&server).await, before);
    let listed = client(&server).user_list(by(&root, pb::AuthUserListRequest {})).await;
    check_refused(listed, Code::Unauthenticated, "etcdserver: invalid auth token");
    let root = login(&server, "root", "r").await.unwrap();
    assert_eq!(users(&server, &root).await, ["alice", "root"]);
    assert_eq!(roles_of(&server, &root, "alice").await, ["writers"]);
    assert_eq!(permissions_of(&server, &root, "writers").await, [write]);
    login(&server, "alice", "a").await.unwrap();
    server.stop().await;
}
