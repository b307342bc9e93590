//! The client that means well while others do not: it puts one key after the other, watches them, and notices what it has to
//! put up with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Streaming};
use watchful_wire::WatchResponse;
use watchful_wire::authpb::Permission;
use watchful_wire::etcdserverpb::auth_client::AuthClient;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest, RangeRequest, WatchCreateRequest,
    WatchRequest,
};

use crate::PATIENCE;

/// A password that is easy to check.
const PASSWORD: &str = "pw";

/// A put, and an event of it: the revision, the key and the value.
type Change = (i64, Vec<u8>, Vec<u8>);

/// What it put up with.
#[derive(Debug)]
pub struct Noticed {
    /// How many puts were answered: all that it made.
    pub puts: u64,
    /// How long it waited for the slowest of them.
    pub slowest_put: Duration,
}

/// The client that means well.
#[derive(Debug)]
pub struct Bystander {
    stop: Arc<AtomicBool>,
    client: JoinHandle<Result<Noticed, String>>,
}

impl Bystander {
    /// Starts it, with a user's token who may read and write what begins with `good/`.
    ///
    /// # Errors
    ///
    /// When it gets no watch.
    pub async fn start(channel: Channel, token: String) -> Result<Self, String> {
        let stop = Arc::<AtomicBool>::default();
        let client = Client { channel, token, put: Vec::new(), slowest: Duration::ZERO };
        let events = client.watch().await?;
        let client = tokio::spawn(client.run(events, Arc::clone(&stop)));
        Ok(Self { stop, client })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When a put failed, or its watch had a gap, a repeat or anything that was not put.
    pub async fn stop(self) -> Result<Noticed, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.client.await.map_err(|error| error.to_string())?
    }
}

struct Client {
    channel: Channel,
    token: String,
    put: Vec<Change>,
    slowest: Duration,
}

impl Client {
    async fn watch(&self) -> Result<Streaming<WatchResponse>, String> {
        let create = WatchCreateRequest {
            key: "good/".into(),
            range_end: "good0".into(),
            start_revision: 1,
            ..Default::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The client's end stays open.
        let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
        let mut watch = WatchClient::new(self.channel.clone());
        let answer = timeout(PATIENCE, watch.watch(with_token(&self.token, requests))).await;
        answer
            .map_err(|_| "no watch came")?
            .map(tonic::Response::into_inner)
            .map_err(|status| status.to_string())
    }

    async fn run(
        mut self,
        mut events: Streaming<WatchResponse>,
        stop: Arc<AtomicBool>,
    ) -> Result<Noticed, String> {
        while !stop.load(Ordering::Relaxed) {
            self.put_one().await?;
        }
        let mut seen = Vec::new();
        while seen.len() < self.put.len() {
            let answer = timeout(PATIENCE, events.message()).await;
            let answer = answer.map_err(|_| format!("the watch stopped after {} events", seen.len()))?;
            let answer = answer.map_err(|status| status.to_string())?.ok_or("the watch has ended")?;
            if answer.canceled {
                return Err(format!("the watch was canceled: {}", answer.cancel_reason));
            }
            seen.extend(answer.events.into_list().into_iter().filter_map(|event| {
                let kv = event.kv?;
                Some((kv.mod_revision(), kv.key().to_vec(), kv.value().to_vec()))
            }));
        }
        match seen.iter().zip(&self.put).find(|(seen, put)| seen != put) {
            Some((seen, put)) => Err(format!("seen {seen:?}, where {put:?} was put")),
            None if seen.len() > self.put.len() => Err("more was seen than was put".to_owned()),
            None => Ok(Noticed { puts: self.put.len() as u64, slowest_put: self.slowest }),
        }
    }

    async fn put_one(&mut self) -> Result<(), String> {
        let at = self.put.len();
        let (key, value) = (format!("good/{}", at % 50), format!("{at:032}"));
        let put = PutRequest { key: key.clone().into(), value: value.clone().into(), ..Default::default() };
        let began = Instant::now();
        let mut kv = KvClient::new(self.channel.clone());
        let answer = timeout(PATIENCE, kv.put(with_token(&self.token, put))).await;
        let answer = answer.map_err(|_| format!("put {at} was not answered"))?;
        let answer = answer.map_err(|status| format!("put {at}: {status}"))?.into_inner();
        self.slowest = self.slowest.max(began.elapsed());
        let revision = answer.header.ok_or("an answer without a header")?.revision;
        self.put.push((revision, key.into_bytes(), value.into_bytes()));
        Ok(())
    }
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(token) = token.parse() {
        request.metadata_mut().insert("token", token);
    }
    request
}

/// The tokens of the users that [`people`] makes.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// May read and write what begins with `good/`.
    pub good: String,
    /// May read and write what begins with `m/`.
    pub mallory: String,
    root: String,
}

/// Makes root, one who means well and one who does not, and turns auth on.
///
/// # Errors
///
/// What the server said.
pub async fn people(channel: &Channel) -> Result<Tokens, tonic::Status> {
    let mut auth = AuthClient::new(channel.clone());
    for (name, key, range_end) in [("root", "\0", "\0"), ("good", "good/", "good0"), ("mallory", "m/", "m0")]
    {
        let (user, role) = (name.to_owned(), name.to_owned());
        let password = PASSWORD.to_owned();
        auth.user_add(AuthUserAddRequest { name: user.clone(), password, ..Default::default() }).await?;
        auth.role_add(AuthRoleAddRequest { name: role.clone() }).await?;
        let perm = Some(Permission { perm_type: 2, key: key.into(), range_end: range_end.into() });
        auth.role_grant_permission(AuthRoleGrantPermissionRequest { name: role.clone(), perm }).await?;
        auth.user_grant_role(AuthUserGrantRoleRequest { user, role }).await?;
    }
    auth.auth_enable(AuthEnableRequest {}).await?;
    let [mut good, mut mallory, mut root] = [const { String::new() }; 3];
    for (name, token) in [("good", &mut good), ("mallory", &mut mallory), ("root", &mut root)] {
        let login = AuthenticateRequest { name: name.to_owned(), password: PASSWORD.to_owned() };
        *token = auth.authenticate(login).await?.into_inner().token;
    }
    Ok(Tokens { good, mallory, root })
}

/// Keys that nobody was permitted to write: none, if auth holds.
///
/// # Errors
///
/// What the server said.
pub async fn forbidden_keys(channel: &Channel, tokens: &Tokens) -> Result<Vec<Vec<u8>>, tonic::Status> {
    let all =
        RangeRequest { key: "\0".into(), range_end: "\0".into(), keys_only: true, ..Default::default() };
    let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let answer = kv.range(with_token(&tokens.root, all)).await?.into_inner();
    let keys = answer.kvs.into_iter().map(|kv| kv.key().to_vec());
    let is_theirs = |key: &[u8]| key.starts_with(b"m/");
    // The bystander's keys are `good/` and a number below 50.
    let is_good = |key: &[u8]| {
        let number = key.strip_prefix(b"good/").and_then(|number| std::str::from_utf8(number).ok());
        number.and_then(|number| number.parse::<u8>().ok()).is_some_and(|number| number < 50)
    };
    Ok(keys.filter(|key| !is_theirs(key) && !is_good(key)).collect())
}
