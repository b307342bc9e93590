//! Who asks, who may, and how a change shows, from the inside.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tempfile::TempDir;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use watchful_wire::authpb::permission::Type;
use watchful_wire::authpb::{Permission, Role, User, UserAddOptions};
use watchful_wire::etcdserverpb::AuthenticateRequest;
use watchful_wire::etcdserverpb::auth_server::Auth as _;

use super::authority::Ends;
use super::*;
use crate::listen::Peer;
use crate::{Server, ServerSettings};

mod stale;

const PATIENCE: Duration = Duration::from_secs(30);

struct Place {
    server: Server,
    _folder: TempDir,
}

impl Place {
    /// A server with auth on and the users `root` and `alice`, who reads `[k, m)` and writes `w`.
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut AuthSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = ServerSettings::new(folder.path().join("data"));
        settings.auth.bcrypt_cost = 4;
        change(&mut settings.auth);
        let place = Self { server: Server::open(settings).unwrap(), _folder: folder };
        place.fill().await;
        place
    }

    async fn fill(&self) {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let filled = self.authority().change(Ends::Nobody, move |notes| {
            notes.put_role("r", role())?;
            notes.put_user("root", user("root", &hash, &["root"]))?;
            notes.put_user("alice", user("alice", &hash, &["gone", "r"]))?;
            let options = Some(UserAddOptions { no_password: true });
            notes.put_user("cert", User { options, ..user("cert", "", &[]) })?;
            notes.enable()
        });
        filled.await.unwrap();
    }

    fn authority(&self) -> &Authority {
        &self.server.shared().authority
    }

    /// Whether a guard holds inside a transaction.
    async fn holds(&self, guard: authority::Guard) -> bool {
        let asked = self.server.shared().store.transact(move |_| Ok::<_, watchful::Error>(guard.holds()));
        asked.await.unwrap().value
    }

    async fn change_nothing_but_the_revision(&self) {
        self.authority().change(Ends::Nobody, |notes| notes.raise_revision()).await.unwrap();
    }
}

fn user(name: &str, hash: &str, roles: &[&str]) -> User {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    User { name: name.to_owned().into(), password: hash.to_owned().into(), roles, options: None }
}

fn role() -> Role {
    let permission = |kind: Type, key: &'static str, range_end: &'static str| Permission {
        perm_type: kind.into(),
        key: key.into(),
        range_end: range_end.into(),
    };
    Role {
        name: "r".into(),
        key_permission: vec![permission(Type::Read, "k", "m"), permission(Type::Write, "w", "")],
    }
}

fn named(name: &str) -> Caller {
    Caller::User { name: name.into(), revision: None }
}

fn certified(name: &str) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(Peer { common_name: Some(name.into()), ..Peer::default() });
    extensions
}

fn metadata(name: &'static str, value: &'static str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(name, value.parse().unwrap());
    metadata
}

#[tokio::test]
async fn a_certificate_names_the_user_where_that_was_asked_for() {
    let place = Place::with(|auth| auth.client_cert_auth = true).await;
    let authority = place.authority();
    let caller = |metadata: &MetadataMap, extensions: &Extensions| authority.caller(metadata, extensions);
    let nothing = MetadataMap::new();
    assert_eq!(caller(&nothing, &certified("alice")).unwrap(), named("alice"));
    assert_eq!(caller(&nothing, &certified("")).unwrap(), Caller::Nobody);
    assert_eq!(caller(&nothing, &Extensions::new()).unwrap(), Caller::Nobody);
    // JSON comes without one, as in etcd, whose gateway would show its own.
    let mut gateway = certified("alice");
    gateway.insert(ViaGateway);
    assert_eq!(caller(&nothing, &gateway).unwrap(), Caller::Nobody);
    // A token goes before it, right or wrong.
    let refused = caller(&metadata("token", "abc.1"), &certified("alice")).unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let token = authority.tokens().issue("root", 1).unwrap();
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(caller(&metadata, &certified("alice")).unwrap(), named("root"));
}

#[tokio::test]
async fn a_certificate_is_no_name_where_nobody_asked_for_that() {
    let place = Place::new().await;
    let caller = place.authority().caller(&MetadataMap::new(), &certified("root")).unwrap();
    assert_eq!(caller, Caller::Nobody);
}

#[track_caller]
fn check(state: &State, caller: &Caller, need: &Need<'_>, expected: Result<(), &str>) {
    let decided = state.may(caller, need);
    let said = decided.as_ref().copied().map_err(Status::message);
    assert_eq!(said, expected, "{caller:?} {need:?}");
}

const EMPTY: Result<(), &str> = Err("etcdserver: user name is empty");
const DENIED: Result<(), &str> = Err("etcdserver: permission denied");
const OLD: Result<(), &str> = Err("etcdserver: revision of auth store is old");
const MISSING: Result<(), &str> = Err("etcdserver: user name not found");

#[tokio::test]
async fn each_need_is_decided_for_each_caller() {
    let place = Place::new().await;
    let state = place.authority().state();
    let (alice, root, stranger) = (named("alice"), named("root"), named("stranger"));
    let needs = [
        (Need::Nothing, Ok(()), Ok(()), Ok(())),
        (Need::User, Ok(()), EMPTY, DENIED),
        (Need::Read(b"k", b""), Ok(()), EMPTY, DENIED),
        (Need::Read(b"k", b"m"), Ok(()), EMPTY, DENIED),
        (Need::Read(b"k", b"n"), DENIED, EMPTY, DENIED),
        (Need::Read(b"k", b"\0"), DENIED, EMPTY, DENIED),
        (Need::Read(b"w", b""), DENIED, EMPTY, DENIED),
        (Need::Write(b"w", b""), Ok(()), EMPTY, DENIED),
        (Need::Write(b"k", b""), DENIED, EMPTY, DENIED),
        (Need::Root, DENIED, EMPTY, MISSING),
        (Need::Oneself("alice"), Ok(()), EMPTY, MISSING),
        (Need::Oneself("root"), DENIED, EMPTY, MISSING),
        (Need::Role("r"), Ok(()), EMPTY, MISSING),
        (Need::Role("gone"), Ok(()), EMPTY, MISSING),
        (Need::Role("root"), DENIED, EMPTY, MISSING),
    ];
    for (need, by_alice, by_nobody, by_stranger) in needs {
        check(&state, &alice, &need, by_alice);
        check(&state, &root, &need, Ok(()));
        check(&state, &Caller::Nobody, &need, by_nobody);
        check(&state, &Caller::Anyone, &need, by_nobody);
        check(&state, &stranger, &need, by_stranger);
    }
    let off = State::default();
    for caller in [alice, Caller::Nobody, Caller::Anyone, stranger] {
        check(&off, &caller, &Need::Root, Ok(()));
        check(&off, &caller, &Need::Write(b"k", b"\0"), Ok(()));
    }
}

/// Keys are refused to an old token, of root too; the role root is not, as in etcd.
#[tokio::test]
async fn an_old_token_has_no_keys() {
    let place = Place::new().await;
    place.change_nothing_but_the_revision().await;
    let state = place.authority().state();
    assert_eq!(state.revision, 2);
    let token = |name: &str, revision| Caller::User { name: name.into(), revision: Some(revision) };
    for name in ["root", "alice"] {
        check(&state, &token(name, 1), &Need::Read(b"k", b""), OLD);
        check(&state, &token(name, 1), &Need::Write(b"w", b""), OLD);
        check(&state, &token(name, 2), &Need::Read(b"k", b""), Ok(()));
        check(&state, &token(name, 3), &Need::Read(b"k", b""), Ok(()));
    }
    check(&state, &token("root", 1), &Need::Root, Ok(()));
    check(&state, &token("alice", 1), &Need::Root, DENIED);
    check(&state, &token("alice", 1), &Need::User, Ok(()));
}

/// Asked inside a transaction: it holds until a change is made, whether or not that was answered, and a change that was
/// refused or changed nothing does not count.
#[tokio::test]
async fn a_guard_tells_a_change_to_the_transactions_after_it() {
    let place = Place::new().await;
    let authority = place.authority();
    let guard = authority.guard(&authority.state());
    let refused = authority.change(Ends::Nobody, |notes| {
        notes.raise_revision()?;
        Err::<(), _>(Status::aborted("no").into())
    });
    assert_eq!(refused.await.unwrap_err().code(), Code::Aborted);
    authority.change(Ends::Nobody, |_| Ok(())).await.unwrap();
    assert!(place.holds(guard.clone()).await);
    assert_eq!(authority.state().revision, 1, "what was refused is not there");
    // Turned off and on the revision may be the same; the state is another.
    authority.change(Ends::Nobody, |notes| notes.enable()).await.unwrap();
    assert!(!place.holds(guard).await);
    assert!(place.holds(authority.guard(&authority.state())).await);
}

/// Whoever asked for a change may go: the change goes on, and the state follows.
#[tokio::test]
async fn a_change_goes_on_when_its_caller_has_gone() {
    let place = Place::new().await;
    let authority = place.authority();
    let mut changes = authority.changes();
    changes.mark_unchanged();
    {
        let change = authority.change(Ends::Nobody, |notes| notes.raise_revision());
        let mut change = std::pin::pin!(change);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(change.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    }
    tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    assert_eq!(authority.state().revision, 2);
    assert_eq!(State::noted_in(&place.server.shared().store).unwrap().revision, 2);
}

/// A change works out anew only what it concerns, and comes to what a restart would.
#[tokio::test]
async fn the_state_is_what_the_notes_say() {
    let place = Place::new().await;
    let check_noted = || {
        let told = |state: &State| {
            let each = |known: &state::Known| (known.user.clone(), known.permissions.clone());
            let users: Vec<_> = state.users.iter().map(|(name, known)| (name.clone(), each(known))).collect();
            (state.enabled, state.revision, users, state.roles.clone(), state.usual_cost)
        };
        let noted = State::noted_in(&place.server.shared().store).unwrap();
        assert_eq!(told(&place.authority().state()), told(&noted));
        noted
    };
    let read_k = Need::Read(b"k", b"");
    check(&check_noted(), &named("alice"), &read_k, Ok(()));
    place.authority().change(Ends::Nobody, |notes| notes.remove_role("r")).await.unwrap();
    check(&check_noted(), &named("alice"), &read_k, DENIED);
    place.authority().change(Ends::Nobody, |notes| notes.put_role("r", role())).await.unwrap();
    check(&check_noted(), &named("alice"), &read_k, Ok(()));
    let both = place.authority().change(Ends::Nobody, |notes| {
        notes.put_user("bob", user("bob", "", &["new"]))?;
        notes.put_role("new", Role { name: "new".into(), ..role() })?;
        notes.remove_user("cert")
    });
    both.await.unwrap();
    check(&check_noted(), &named("bob"), &read_k, Ok(()));
}

/// Time tells nothing: each refusal costs one run of bcrypt, with the cost that passwords here have.
#[tokio::test]
async fn each_refused_login_costs_the_same_work() {
    let place = Place::with(|auth| auth.bcrypt_cost = 5).await;
    let service = Auth::new(Arc::clone(place.server.shared()));
    assert_eq!(place.authority().state().usual_cost, Some(4));
    for (name, password) in [("alice", "wrong"), ("nobody", "secret"), ("cert", "secret"), ("", "")] {
        let before = place.authority().passwords().runs();
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        let refused = service.authenticate(Request::new(request)).await.unwrap_err();
        let failed = "etcdserver: authentication failed, invalid user ID or password";
        assert_eq!((refused.message(), place.authority().passwords().runs()), (failed, before + 1), "{name}");
    }
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let place = Place::new().await;
    let token = place.authority().tokens().issue("alice", 1).unwrap();
    let shared = format!("{:?} {:?}", place.server, place.authority().state());
    assert!(!shared.contains("$2") && !shared.contains(&token), "{shared}");
    let credentials = place.authority().credentials(&metadata("token", "abcdef.1"), &Extensions::new());
    assert!(!format!("{credentials:?}").contains("abcdef"));
}
