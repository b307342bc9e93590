//! Passwords and tokens.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use watchful::ManualClock;
use watchful_server::TokenSettings;

use super::*;

#[track_caller]
fn check_failed(login: Result<String, Status>) {
    let refused = login.expect_err("it is refused");
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, failed));
}

/// Who is not there, who has no password and who has another are refused with the same words.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_wrong_name_and_no_password_are_refused_alike() {
    let (server, root) = server_with_root().await;
    client(&server).user_add(by(&root, user_without_password("cert"))).await.unwrap();
    for (name, password) in
        [("root", "R"), ("root", ""), ("nobody", "r"), ("", ""), ("cert", ""), ("cert", "x"), ("roo", "r")]
    {
        check_failed(login(&server, name, password).await);
    }
    login(&server, "root", "r").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_users_tokens_and_nobody_elses() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    let alice = login(&server, "alice", "a").await.unwrap();
    assert!(roles_of(&server, &alice, "alice").await.is_empty());
    auth.user_change_password(by(&root, change_password("alice", "b"))).await.unwrap();
    let get = || pb::AuthUserGetRequest { name: "alice".to_owned() };
    let invalid = "etcdserver: invalid auth token";
    check_refused(auth.user_get(by(&alice, get())).await, Code::Unauthenticated, invalid);
    check_failed(login(&server, "alice", "a").await);
    let alice = login(&server, "alice", "b").await.unwrap();
    auth.user_get(by(&alice, get())).await.unwrap();
    auth.user_delete(by(&root, delete_user("alice"))).await.unwrap();
    check_refused(auth.user_get(by(&alice, get())).await, Code::Unauthenticated, invalid);
    check_failed(login(&server, "alice", "b").await);
    assert_eq!(users(&server, &root).await, ["root"]);
    server.stop().await;
}

/// A password may come as its hash: nobody on the way learns it then.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_be_given_as_its_hash() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let hash = |of: &str| BASE64_STANDARD.encode(bcrypt::hash(of, 4).unwrap());
    let hashed = pb::AuthUserAddRequest { hashed_password: hash("a"), ..user("alice", "") };
    auth.user_add(by(&root, hashed)).await.unwrap();
    login(&server, "alice", "a").await.unwrap();
    let change = |hashed_password| pb::AuthUserChangePasswordRequest {
        hashed_password,
        ..change_password("alice", "")
    };
    auth.user_change_password(by(&root, change(hash("b")))).await.unwrap();
    login(&server, "alice", "b").await.unwrap();
    let wrong = "watchful: hashedPassword is not the base64 of a hash of bcrypt, as $2a$10$…";
    for hash in [
        "!",
        "aGFzaA==",
        &BASE64_STANDARD.encode("$2a$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ] {
        let refused = auth.user_change_password(by(&root, change(hash.to_owned()))).await;
        check_refused(refused, Code::InvalidArgument, wrong);
    }
    // Neither: the user has none any more, as in etcd.
    auth.user_change_password(by(&root, change(String::new()))).await.unwrap();
    check_failed(login(&server, "alice", "").await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_too_long_is_refused_and_the_longest_is_not() {
    let (server, root) = server_with_root().await;
    let mut auth = client(&server);
    let (longest, too_long) = ("x".repeat(72), "x".repeat(73));
    let refused = auth.user_add(by(&root, user("alice", &too_long))).await;
    check_refused(refused, Code::InvalidArgument, "bcrypt: password length exceeds 72 bytes");
    auth.user_add(by(&root, user("alice", &longest))).await.unwrap();
    login(&server, "alice", &longest).await.unwrap();
    // Beyond 72 bytes nothing counts, as in Go.
    login(&server, "alice", &too_long).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_over_when_it_was_not_used_for_its_time() {
    let clock = ManualClock::default();
    let own = clock.clone();
    let server = TestServer::start_with(|settings| {
        let mut settings = quick(settings);
        settings.auth.simple_token_ttl = Duration::from_secs(60);
        settings.store = settings.store.with_clock(own);
        settings
    })
    .await;
    let root = enable(&server).await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(59));
        users(&server, &root).await;
    }
    clock.advance(Duration::from_secs(60));
    let listed = client(&server).user_list(by(&root, pb::AuthUserListRequest {})).await;
    check_refused(listed, Code::Unauthenticated, "etcdserver: invalid auth token");
    server.stop().await;
}

fn web(settings: ServerSettings) -> ServerSettings {
    let mut settings = quick(settings);
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/jwt/p256.pem");
    settings.auth.tokens = format!("jwt,sign-method=ES256,priv-key={key}").parse().unwrap();
    settings
}

/// Web tokens live through a restart. They cannot be ended, but what they may is asked each time.
#[tokio::test(flavor = "multi_thread")]
async fn web_tokens_outlive_a_restart() {
    let server = TestServer::start_with(web).await;
    let root = enable(&server).await;
    assert_eq!(root.split('.').count(), 3);
    let server = TestServer::start_in(server.stop().await, web).await;
    assert_eq!(users(&server, &root).await, ["root"]);
    let mut auth = client(&server);
    auth.user_add(by(&root, user("alice", "a"))).await.unwrap();
    let alice = login(&server, "alice", "a").await.unwrap();
    auth.user_delete(by(&root, delete_user("alice"))).await.unwrap();
    let get = auth.user_get(by(&alice, pb::AuthUserGetRequest { name: "alice".to_owned() })).await;
    check_refused(get, Code::FailedPrecondition, "etcdserver: user name not found");
    let touched = format!("{}x", &root[..root.len() - 1]);
    let listed = auth.user_list(by(&touched, pb::AuthUserListRequest {})).await;
    check_refused(listed, Code::Unauthenticated, "etcdserver: invalid auth token");
    server.stop().await;
}

/// Keys are refused to a token of before a change, of root too, until the client logs in again; the service is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_makes_web_tokens_stale_for_keys() {
    let server = TestServer::start_with(web).await;
    let root = enable(&server).await;
    let get = |token: &str| by(token, pb::RangeRequest { key: "k".into(), ..Default::default() });
    server.kv().range(get(&root)).await.unwrap();
    client(&server).role_add(by(&root, role("new"))).await.unwrap();
    let old = "etcdserver: revision of auth store is old";
    check_refused(server.kv().range(get(&root)).await, Code::InvalidArgument, old);
    assert_eq!(roles(&server, &root).await, ["new", "root"]);
    let root = login(&server, "root", "r").await.unwrap();
    server.kv().range(get(&root)).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_issue_no_tokens_at_all() {
    let server = TestServer::start_with(|settings| {
        let mut settings = quick(settings);
        settings.auth.tokens = TokenSettings::None;
        settings
    })
    .await;
    let mut auth = client(&server);
    auth.user_add(user("root", "r")).await.unwrap();
    auth.user_grant_role(grant("root", "root")).await.unwrap();
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    let refused = login(&server, "root", "r").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let listed = auth.user_list(by("x", pb::AuthUserListRequest {})).await;
    check_refused(listed, Code::Unauthenticated, "etcdserver: invalid auth token");
    server.stop().await;
}
