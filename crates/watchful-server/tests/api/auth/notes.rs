//! What a store has that another program wrote, or that is damaged.

use prost::Message;
use watchful::{Settings, Store};
use watchful_server::{OpenError, Server};
use watchful_wire::authpb::{Role, User};

use super::*;

/// A folder whose store has these notes.
fn noted(notes: Vec<(&str, Vec<u8>)>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("data"), Settings::default()).unwrap();
    let notes: Vec<_> = notes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let noted = store.transact(move |txn| {
        notes.iter().try_for_each(|(name, value)| txn.set_note(name, value))?;
        Ok::<_, watchful::Error>(())
    });
    noted.wait().unwrap();
    folder
}

#[track_caller]
fn check_damaged(name: &str, value: &[u8], expected: &str) {
    let folder = noted(vec![(name, value.to_vec())]);
    let error = Server::open(ServerSettings::new(folder.path().join("data"))).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged { name: note, .. } if note == name), "{error:?}");
    let remedy = "restore the store from a snapshot, which has its users and roles";
    assert_eq!(error.to_string(), format!("the note {name:?} is damaged: {expected}; {remedy}"));
}

#[test]
fn damage_is_told_at_the_start() {
    check_damaged("auth/user/alice", b"\xff\xff\xff", "its value is no authpb.User");
    check_damaged("auth/role/r", b"\xff\xff\xff", "its value is no authpb.Role");
    let bob = User { name: "bob".into(), ..User::default() }.encode_to_vec();
    check_damaged("auth/user/alice", &bob, "its value is another user");
    let role = Role { name: "x".into(), ..Role::default() }.encode_to_vec();
    check_damaged("auth/role/r", &role, "its value is another role");
    check_damaged("auth/enabled", b"", "its value is not one byte");
    check_damaged("auth/revision", b"1", "its value is not eight bytes");
    check_damaged("auth/other", b"1", "this version knows no such note");
}

#[test]
fn keys_that_cannot_be_read_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = quick(ServerSettings::new(folder.path().join("data")));
    settings.auth.tokens = "jwt,sign-method=RS256,priv-key=/nowhere/key.pem".parse().unwrap();
    let error = Server::open(settings).unwrap_err().to_string();
    assert_eq!(error, "--auth-token: priv-key: /nowhere/key.pem: No such file or directory (os error 2)");
}

/// As etcd keeps them: no options, roles in any order, a role that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_etcd_wrote_are_understood() {
    let hash = bcrypt::hash("r", 4).unwrap();
    let user = |name: &'static str, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        User { name: name.into(), password: hash.clone().into(), roles, options: None }.encode_to_vec()
    };
    let folder = noted(vec![
        ("auth/enabled", vec![1]),
        ("auth/revision", 41_u64.to_be_bytes().to_vec()),
        ("auth/user/root", user("root", &["root", "gone"])),
        ("auth/user/alice", user("alice", &["gone"])),
    ]);
    let server = TestServer::start_in(folder, quick).await;
    let root = login(&server, "root", "r").await.unwrap();
    assert_eq!(users(&server, &root).await, ["alice", "root"]);
    assert_eq!(revision(&server).await, 41);
    let alice = login(&server, "alice", "r").await.unwrap();
    assert_eq!(roles_of(&server, &alice, "alice").await, ["gone"]);
    server.stop().await;
}
