//! Many at once: changes beside each other, and a flood of wrong passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::*;

/// None is lost, each has a revision of its own, and a restart finds the same.
#[tokio::test(flavor = "multi_thread")]
async fn changes_beside_each_other_are_all_made() {
    const COUNT: usize = 40;
    let (server, root) = server_with_root().await;
    let before = revision(&server).await;
    client(&server).role_add(by(&root, role("shared"))).await.unwrap();
    let mut changes = JoinSet::new();
    for number in 0..COUNT {
        let (mut auth, root) = (client(&server), root.clone());
        changes.spawn(async move {
            let name = format!("user/{number:02}");
            auth.user_add(by(&root, user_without_password(&name))).await.unwrap();
            auth.user_grant_role(by(&root, grant(&name, "shared"))).await.unwrap();
            let read = permission(Type::Read, &format!("key/{number:02}"), "");
            auth.role_grant_permission(by(&root, permit("shared", read))).await.unwrap();
            // All of them at once for one name: one wins.
            auth.role_add(by(&root, role("contended"))).await.is_ok()
        });
    }
    let won = changes.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    let made = u64::try_from(3 * COUNT + 2).unwrap();
    let server = {
        assert_eq!(revision(&server).await, before + made);
        TestServer::start_in(server.stop().await, quick).await
    };
    let root = login(&server, "root", "r").await.unwrap();
    assert_eq!(revision(&server).await, before + made);
    assert_eq!(users(&server, &root).await.len(), COUNT + 1);
    assert_eq!(permissions_of(&server, &root, "shared").await.len(), COUNT);
    assert_eq!(roles_of(&server, &root, "user/07").await, ["shared"]);
    server.stop().await;
}

/// A login that comes while its password is changed is of the one or of the other; a token of the old one does not stay.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_outlives_its_password() {
    let (server, root) = server_with_root().await;
    client(&server).user_add(by(&root, user("alice", "0"))).await.unwrap();
    let (done, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let logins: Vec<_> = (0..4)
        .map(|_| {
            let (channel, done, came) = (server.channel.clone(), Arc::clone(&done), Arc::clone(&came));
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    for password in ["0", "1"] {
                        let request =
                            pb::AuthenticateRequest { name: "alice".into(), password: password.into() };
                        if let Ok(issued) = AuthClient::new(channel.clone()).authenticate(request).await {
                            tokens.push(issued.into_inner().token);
                            came.store(true, Ordering::Relaxed);
                        }
                    }
                }
                tokens
            })
        })
        .collect();
    // Twenty changes, and on a busy machine as many more as it takes until a login has come in time.
    let begun = Instant::now();
    for turn in 1.. {
        if turn > 20 && (came.load(Ordering::Relaxed) || begun.elapsed() > Duration::from_secs(60)) {
            break;
        }
        let password = if turn % 2 == 0 { "0" } else { "1" };
        let change = by(&root, change_password("alice", password));
        client(&server).user_change_password(change).await.unwrap();
    }
    // The last change ends all that went before it.
    let change = by(&root, change_password("alice", "2"));
    client(&server).user_change_password(change).await.unwrap();
    done.store(true, Ordering::Relaxed);
    let mut issued = 0;
    for login in logins {
        for token in login.await.unwrap() {
            issued += 1;
            let get = by(&token, pb::AuthUserGetRequest { name: "alice".to_owned() });
            let answer = client(&server).user_get(get).await;
            check_refused(answer, Code::Unauthenticated, "etcdserver: invalid auth token");
        }
    }
    assert!(issued > 0, "some came in time");
    server.stop().await;
}

/// The flood gets its two answers, and the others log in and go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_stops_nobody_else() {
    let (server, root) = server_with_root().await;
    client(&server).user_add(by(&root, user("bob", "b"))).await.unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..600 {
        let mut auth = client(&server);
        let wrong = pb::AuthenticateRequest { name: "root".into(), password: "wrong".into() };
        flood.spawn(async move { auth.authenticate(wrong).await.unwrap_err() });
    }
    let mut bobs = 0;
    while flood.len() > 300 {
        // The same lane as the flood's is a matter of one in sixty-four.
        match login(&server, "bob", "b").await {
            Ok(token) => {
                assert!(roles_of(&server, &token, "bob").await.is_empty());
                bobs += 1;
            }
            Err(refused) => assert_eq!(refused.message(), "etcdserver: too many requests"),
        }
        while flood.try_join_next().is_some() {}
    }
    for refused in flood.join_all().await {
        let known = [
            "etcdserver: authentication failed, invalid user ID or password",
            "etcdserver: too many requests",
        ];
        assert!(known.contains(&refused.message()), "{refused}");
    }
    login(&server, "bob", "b").await.unwrap();
    login(&server, "root", "r").await.unwrap();
    println!("bob logged in {bobs} times meanwhile");
    server.stop().await;
}
