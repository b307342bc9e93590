//! Permissions that come and go while calls and watches run: what was refused does not happen, from the moment on at
//! which the change was answered.
//!
//! After each revocation was answered, and again before the next grant is sent, `root` puts a mark. Between the two marks'
//! revisions nothing may happen in the user's name: no put that took a revision there, and no read that saw one. No watch
//! may be told of one before the next grant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};
use watchful_wire::authpb::{Permission, permission::Type};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::auth_client::AuthClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;

use crate::support::{PATIENCE, TestServer, prefix};

/// How often the permission goes and comes back.
const ROUNDS: usize = 25;
const WRITERS: usize = 16;
const READERS: usize = 8;
const STREAMS: usize = 20;
const WATCHES_A_STREAM: usize = 100;
/// How many calls have to be answered, and as many refused, before a round goes on.
const CALLS_A_TURN: u64 = 100;

/// What happened in the user's name, and what ran on meanwhile.
#[derive(Default)]
struct Seen {
    /// The revisions of puts that were done.
    puts: Mutex<Vec<i64>>,
    /// The revisions that reads were of.
    reads: Mutex<Vec<i64>>,
    /// The revision of the first mark, from when it is known to just before the next grant; 0 while there is a permission.
    refused_from: AtomicI64,
    /// How many events watches were told.
    events: AtomicU64,
    /// The first mark and the revision of an event that a watch was told after it.
    told: Mutex<Option<(i64, i64)>>,
    done: AtomicU64,
    refused: AtomicU64,
    canceled: AtomicU64,
    is_over: AtomicBool,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }

    /// A call's answer. What is refused is refused for want of permission: that users changed under it is nobody's concern.
    fn note<T>(&self, answer: Result<T, Status>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                Some(answer)
            }
            Err(status) => {
                assert_eq!(status.message(), "etcdserver: permission denied", "{status:?}");
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[derive(Clone)]
struct User {
    server: Arc<TestServer>,
    token: AsciiMetadataValue,
}

impl User {
    async fn login(server: &Arc<TestServer>, name: &str) -> Self {
        let login = pb::AuthenticateRequest { name: name.into(), password: "pw".into() };
        let token =
            AuthClient::new(server.channel.clone()).authenticate(login).await.unwrap().into_inner().token;
        Self { server: Arc::clone(server), token: token.parse().unwrap() }
    }

    fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("token", self.token.clone());
        request
    }

    async fn put(&self, key: String) -> Result<i64, Status> {
        let put = pb::PutRequest { key: key.into(), ..Default::default() };
        Ok(self.server.kv().put(self.asks(put)).await?.into_inner().header.unwrap().revision)
    }

    async fn read(&self) -> Result<i64, Status> {
        let range =
            pb::RangeRequest { key: "k".into(), range_end: "l".into(), limit: 10, ..Default::default() };
        Ok(self.server.kv().range(self.asks(range)).await?.into_inner().header.unwrap().revision)
    }

    async fn write_on(self, seen: Arc<Seen>, writer: usize) {
        for count in 0_u64.. {
            if !seen.goes_on() {
                return;
            }
            if let Some(revision) = seen.note(self.put(format!("k/{writer}/{}", count % 10)).await) {
                seen.puts.lock().push(revision);
            }
        }
    }

    async fn read_on(self, seen: Arc<Seen>) {
        while seen.goes_on() {
            if let Some(revision) = seen.note(self.read().await) {
                seen.reads.lock().push(revision);
            }
        }
    }

    /// Keeps many watches of all the keys open, on one stream: each that is canceled is made anew, from then on.
    async fn watch_on(self, seen: Arc<Seen>) {
        let (requests, sent) = tokio::sync::mpsc::channel(2 * WATCHES_A_STREAM);
        let create = || pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(prefix("k", 0))) };
        for _ in 0..WATCHES_A_STREAM {
            requests.send(create()).await.unwrap();
        }
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut client = WatchClient::new(self.server.channel.clone());
        let mut answers = client.watch(self.asks(sent)).await.unwrap().into_inner();
        while seen.goes_on() {
            // The end is looked for between answers, of which there are always more.
            let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), answers.message()).await else {
                continue;
            };
            let answer = answer.unwrap().unwrap();
            if answer.canceled {
                assert_eq!(
                    answer.cancel_reason,
                    "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
                );
                seen.canceled.fetch_add(1, Ordering::Relaxed);
                requests.send(create()).await.unwrap();
            }
            let refused_from = seen.refused_from.load(Ordering::Acquire);
            for event in answer.events.list() {
                let revision = event.kv.as_ref().unwrap().mod_revision();
                seen.events.fetch_add(1, Ordering::Relaxed);
                if refused_from > 0 && revision >= refused_from {
                    seen.told.lock().get_or_insert((refused_from, revision));
                }
            }
        }
    }
}

struct Root(User);

impl Root {
    /// A server with auth on, `root`, and the user `u` with the role `r`, which has no permission yet.
    async fn of(server: &Arc<TestServer>) -> Self {
        let mut auth = AuthClient::new(server.channel.clone());
        for (user, role) in [("root", "root"), ("u", "r")] {
            let add =
                pb::AuthUserAddRequest { name: user.into(), password: "pw".into(), ..Default::default() };
            auth.user_add(add).await.unwrap();
            auth.role_add(pb::AuthRoleAddRequest { name: role.into() }).await.unwrap();
            let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
            auth.user_grant_role(grant).await.unwrap();
        }
        auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
        Self(User::login(server, "root").await)
    }

    fn auth(&self) -> AuthClient<tonic::transport::Channel> {
        AuthClient::new(self.0.server.channel.clone())
    }

    async fn grant(&self) {
        let perm = Permission { perm_type: Type::Readwrite.into(), key: "k".into(), range_end: "l".into() };
        let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
        self.auth().role_grant_permission(self.0.asks(grant)).await.unwrap();
    }

    /// In one of three ways.
    async fn revoke(&self, round: usize) {
        let (user, role) = ("u".to_owned(), "r".to_owned());
        match round % 3 {
            0 => {
                let revoke =
                    pb::AuthRoleRevokePermissionRequest { role, key: "k".into(), range_end: "l".into() };
                self.auth().role_revoke_permission(self.0.asks(revoke)).await.unwrap();
            }
            1 => {
                let revoke = pb::AuthUserRevokeRoleRequest { name: user, role };
                self.auth().user_revoke_role(self.0.asks(revoke)).await.unwrap();
            }
            _ => {
                let delete = pb::AuthRoleDeleteRequest { role };
                self.auth().role_delete(self.0.asks(delete)).await.unwrap();
            }
        }
    }

    /// What was taken, as it was.
    async fn give_back(&self, round: usize) {
        let way = round % 3;
        if way == 2 {
            let add = pb::AuthRoleAddRequest { name: "r".into() };
            self.auth().role_add(self.0.asks(add)).await.unwrap();
        }
        if way != 1 {
            self.grant().await;
        }
        if way != 0 {
            let grant = pb::AuthUserGrantRoleRequest { user: "u".into(), role: "r".into() };
            self.auth().user_grant_role(self.0.asks(grant)).await.unwrap();
        }
    }

    /// A revision that nobody else has.
    async fn mark(&self) -> i64 {
        self.0.put("k/mark".to_owned()).await.unwrap()
    }
}

/// Waits until `count` has grown.
async fn grows(count: &AtomicU64, by: u64) {
    let goal = count.load(Ordering::Relaxed) + by;
    let reached = async {
        while count.load(Ordering::Relaxed) < goal {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("calls go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_or_seen_between_a_revocation_and_the_next_grant() {
    let server = Arc::new(
        TestServer::start_with(|mut settings| {
            settings.auth.bcrypt_cost = 4;
            settings
        })
        .await,
    );
    let root = Root::of(&server).await;
    root.grant().await;
    let (user, seen) = (User::login(&server, "u").await, Arc::new(Seen::default()));
    let mut running = JoinSet::new();
    for writer in 0..WRITERS {
        running.spawn(user.clone().write_on(Arc::clone(&seen), writer));
    }
    for _ in 0..READERS {
        running.spawn(user.clone().read_on(Arc::clone(&seen)));
    }
    for _ in 0..STREAMS {
        running.spawn(user.clone().watch_on(Arc::clone(&seen)));
    }
    let mut refused = Vec::new();
    for round in 0..ROUNDS {
        grows(&seen.done, CALLS_A_TURN).await;
        root.revoke(round).await;
        let from = root.mark().await;
        seen.refused_from.store(from, Ordering::Release);
        grows(&seen.refused, CALLS_A_TURN).await;
        let to = root.mark().await;
        refused.push((from, to));
        seen.refused_from.store(0, Ordering::Release);
        root.give_back(round).await;
    }
    grows(&seen.done, CALLS_A_TURN).await;
    seen.is_over.store(true, Ordering::Release);
    running.join_all().await;

    let (puts, reads) = (std::mem::take(&mut *seen.puts.lock()), std::mem::take(&mut *seen.reads.lock()));
    for (from, to) in &refused {
        assert!(!puts.iter().any(|put| (from..=to).contains(&put)), "a put between {from} and {to}");
        // What is read right after the grant may be as of the second mark.
        assert!(!reads.iter().any(|read| (from..to).contains(&read)), "a read between {from} and {to}");
    }
    assert_eq!(*seen.told.lock(), None, "a first mark, and what a watch was told in spite of it");
    assert!(seen.events.load(Ordering::Relaxed) > (STREAMS * WATCHES_A_STREAM) as u64, "watches were told");
    assert!(seen.canceled.load(Ordering::Relaxed) > ROUNDS as u64, "watches were canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watched_before_auth_was_on_has_to_come_again_as_somebody() {
    let server = Arc::new(
        TestServer::start_with(|mut settings| {
            settings.auth.bcrypt_cost = 4;
            settings
        })
        .await,
    );
    let mut before = server.watch().await;
    before.created(prefix("k", 0)).await;
    let root = Root::of(&server).await;
    let ended = tokio::time::timeout(PATIENCE, before.answers.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable, "clients take up their watches anew after it: {ended:?}");
    let mut again = server.watch().await;
    again.create(prefix("k", 0)).await;
    let refused = again.next().await;
    assert!(refused.canceled && refused.created);
    assert_eq!(
        refused.cancel_reason,
        "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"
    );
    root.mark().await;
}
