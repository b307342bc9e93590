//! Who may make which call of the service: all of them, by everybody there is.

use super::*;

/// Makes every call that changes or tells what belongs to root, and checks what each is refused with.
macro_rules! check_each_refused {
    ($server:expr, $token:expr, $code:expr, $message:expr) => {{
        let (mut auth, token) = (client($server), $token);
        let (code, message) = ($code, $message);
        check_each_refused!(@ auth, token, code, message,
            user_add(user("x", "x")), user_delete(delete_user("bob")), user_change_password(change_password("bob", "x")),
            user_grant_role(grant("bob", "readers")), user_revoke_role(revoke("bob", "readers")),
            user_list(pb::AuthUserListRequest {}), user_get(pb::AuthUserGetRequest { name: "bob".to_owned() }),
            role_add(role("x")), role_delete(delete_role("readers")), role_list(pb::AuthRoleListRequest {}),
            role_get(pb::AuthRoleGetRequest { role: "readers".to_owned() }),
            role_grant_permission(permit("readers", permission(Type::Read, "a", ""))),
            role_revoke_permission(forbid("readers", "a", "")),
            auth_enable(pb::AuthEnableRequest {}), auth_disable(pb::AuthDisableRequest {}));
    }};
    (@ $auth:ident, $token:ident, $code:ident, $message:ident, $($call:ident($message_of:expr)),*) => {
        $(check_refused($auth.$call(by($token, $message_of)).await, $code, $message);)*
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn only_root_manages_users_and_roles() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    auth.user_add(by(&root, user("bob", "b"))).await.unwrap();
    auth.role_add(by(&root, role("readers"))).await.unwrap();
    let alice = login(&server, "alice", "a").await.unwrap();
    let before = revision(&server).await;
    check_each_refused!(&server, &alice, Code::PermissionDenied, "etcdserver: permission denied");
    check_each_refused!(&server, "", Code::InvalidArgument, "etcdserver: user name is empty");
    let invalid = "etcdserver: invalid auth token";
    check_each_refused!(&server, "abcdefghijklmnop.1", Code::Unauthenticated, invalid);
    check_each_refused!(&server, &format!("{root}0"), Code::Unauthenticated, invalid);
    assert_eq!(revision(&server).await, before, "nothing was changed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_role_root_is_root_whatever_the_name() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("admin", "a"))).await.unwrap();
    auth.user_grant_role(by(&root, grant("admin", "root"))).await.unwrap();
    let admin = login(&server, "admin", "a").await.unwrap();
    assert_eq!(users(&server, &admin).await, ["admin", "root"]);
    auth.user_revoke_role(by(&root, revoke("admin", "root"))).await.unwrap();
    let list = auth.user_list(by(&admin, pb::AuthUserListRequest {})).await;
    check_refused(list, Code::PermissionDenied, "etcdserver: permission denied");
    server.stop().await;
}

/// The state of auth may be asked by anybody, and a token that is not one is told so all the same, as in etcd.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_for_everybody() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    for token in ["", &root] {
        let status = auth.auth_status(by(token, pb::AuthStatusRequest {})).await.unwrap().into_inner();
        assert_eq!((status.enabled, status.auth_revision), (true, 4));
    }
    let status = auth.auth_status(by("x", pb::AuthStatusRequest {})).await;
    check_refused(status, Code::Unauthenticated, "etcdserver: invalid auth token");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_ask_about_themselves() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    auth.role_add(by(&root, role("readers"))).await.unwrap();
    let read = permission(Type::Read, "a", "b");
    auth.role_grant_permission(by(&root, permit("readers", read.clone()))).await.unwrap();
    auth.user_grant_role(by(&root, grant("alice", "readers"))).await.unwrap();
    let alice = login(&server, "alice", "a").await.unwrap();
    assert_eq!(roles_of(&server, &alice, "alice").await, ["readers"]);
    assert_eq!(permissions_of(&server, &alice, "readers").await, [read]);
    let denied = "etcdserver: permission denied";
    let other = auth.user_get(by(&alice, pb::AuthUserGetRequest { name: "root".to_owned() })).await;
    check_refused(other, Code::PermissionDenied, denied);
    let missing = auth.role_get(by(&alice, pb::AuthRoleGetRequest { role: "root".to_owned() })).await;
    check_refused(missing, Code::PermissionDenied, denied);
    server.stop().await;
}

/// As `Authorization`, with or without `Bearer`: how HTTP has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_shown_as_http_does() {
    let (server, root) = server_with_root().await;
    for shown in [root.clone(), format!("Bearer {root}")] {
        let mut request = Request::new(pb::AuthUserListRequest {});
        request.metadata_mut().insert("authorization", MetadataValue::try_from(&*shown).unwrap());
        client(&server).user_list(request).await.unwrap();
    }
    server.stop().await;
}
