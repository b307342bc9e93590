//! Roles: every way in which they change, and in which that is refused.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_added_and_deleted() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    check_refused(
        auth.role_add(by(&root, role(""))).await,
        Code::InvalidArgument,
        "etcdserver: role name is empty",
    );
    let exists = "etcdserver: role name already exists";
    check_refused(auth.role_add(by(&root, role("root"))).await, Code::FailedPrecondition, exists);
    auth.role_add(by(&root, role("readers"))).await.unwrap();
    auth.role_add(by(&root, role("a"))).await.unwrap();
    assert_eq!(roles(&server, &root).await, ["a", "readers", "root"]);
    for name in ["alice", "bob"] {
        auth.user_add(by(&root, user_without_password(name))).await.unwrap();
        auth.user_grant_role(by(&root, grant(name, "readers"))).await.unwrap();
    }
    auth.user_grant_role(by(&root, grant("alice", "a"))).await.unwrap();
    let before = revision(&server).await;
    auth.role_delete(by(&root, delete_role("readers"))).await.unwrap();
    assert_eq!(revision(&server).await, before + 1);
    assert_eq!(roles_of(&server, &root, "alice").await, ["a"]);
    assert!(roles_of(&server, &root, "bob").await.is_empty());
    let missing = "etcdserver: role name not found";
    check_refused(
        auth.role_delete(by(&root, delete_role("readers"))).await,
        Code::FailedPrecondition,
        missing,
    );
    let get = auth.role_get(by(&root, pb::AuthRoleGetRequest { role: "readers".to_owned() })).await;
    check_refused(get, Code::FailedPrecondition, missing);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_root_permits_everything_and_says_so() {
    let (server, root) = server_with_root().await;
    assert_eq!(permissions_of(&server, &root, "root").await, [permission(Type::Readwrite, "", "\0")]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_granted_by_key_and_replaced() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.role_add(by(&root, role("r"))).await.unwrap();
    let before = revision(&server).await;
    let granted = [
        permission(Type::Read, "m", ""),
        permission(Type::Readwrite, "m", "p"),
        permission(Type::Write, "a", "\0"),
        permission(Type::Readwrite, "m", ""),
        permission(Type::Read, "m", "p"),
    ];
    for permission in granted.clone() {
        auth.role_grant_permission(by(&root, permit("r", permission))).await.unwrap();
    }
    let [_, _, from_a, m, m_to_p] = granted;
    assert_eq!(permissions_of(&server, &root, "r").await, [from_a, m, m_to_p.clone()]);
    assert_eq!(revision(&server).await, before + 5);

    for (key, end) in [("a", "\0"), ("m", "")] {
        auth.role_revoke_permission(by(&root, forbid("r", key, end))).await.unwrap();
    }
    assert_eq!(permissions_of(&server, &root, "r").await, [m_to_p]);
    assert_eq!(revision(&server).await, before + 7);
    let refused = |answer, message| check_refused(answer, Code::FailedPrecondition, message);
    let not_granted = "etcdserver: permission is not granted to the role";
    refused(auth.role_revoke_permission(by(&root, forbid("r", "m", "q"))).await, not_granted);
    let missing = "etcdserver: role name not found";
    refused(auth.role_revoke_permission(by(&root, forbid("x", "m", "p"))).await, missing);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_has_to_be_of_keys_that_there_can_be() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.role_add(by(&root, role("r"))).await.unwrap();
    let nothing = pb::AuthRoleGrantPermissionRequest { name: "r".to_owned(), perm: None };
    let refused = auth.role_grant_permission(by(&root, nothing)).await;
    check_refused(refused, Code::InvalidArgument, "etcdserver: permission not given");
    for (key, end) in [("", ""), ("", "\0"), ("", "z"), ("m", "m"), ("m", "a")] {
        let refused =
            auth.role_grant_permission(by(&root, permit("r", permission(Type::Read, key, end)))).await;
        check_refused(refused, Code::InvalidArgument, "etcdserver: invalid auth management");
    }
    let unknown = Permission { perm_type: 7, ..permission(Type::Read, "a", "") };
    let refused = auth.role_grant_permission(by(&root, permit("r", unknown))).await;
    let said = "watchful: permission type 7 is none of READ (0), WRITE (1) and READWRITE (2)";
    check_refused(refused, Code::InvalidArgument, said);
    let missing = auth.role_grant_permission(by(&root, permit("x", permission(Type::Read, "a", "")))).await;
    check_refused(missing, Code::FailedPrecondition, "etcdserver: role name not found");
    assert!(permissions_of(&server, &root, "r").await.is_empty());
    server.stop().await;
}

/// A note holds a megabyte, and says so before it is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_has_a_largest_form() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.role_add(by(&root, role("r"))).await.unwrap();
    let grant = |letter: &str| permit("r", permission(Type::Read, &letter.repeat(600_000), ""));
    auth.role_grant_permission(by(&root, grant("a"))).await.unwrap();
    let refused = auth.role_grant_permission(by(&root, grant("b"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("watchful: the role would take 1200"), "{}", refused.message());
    assert_eq!(permissions_of(&server, &root, "r").await.len(), 1);
    server.stop().await;
}
