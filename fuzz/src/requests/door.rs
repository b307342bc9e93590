//! The server behind its door, and who has come through it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use prost_reflect::DynamicMessage;
use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;
use tower::{Layer as _, Service as _};
use watchful::{Durability, KeyRange, RangeOptions};
use watchful_server::{Bounded, Front, FrontLayer, Server, ServerSettings};
use watchful_testkit::checkers;

use super::calls::{Call, Form};
use super::messages::{self, Seen};

/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a call is waited for that may wait itself. It goes on afterwards.
const LOOK: Duration = Duration::from_millis(2);

/// How often a read is tried in both forms until nothing is written meanwhile.
const COMPARED_TRIES: usize = 5;

/// gRPC's number for an internal error.
const INTERNAL: &str = "13";

pub(super) struct Door {
    pub(super) seen: Seen,
    server: Server,
    front: Bounded<Front>,
    tokens: Vec<String>,
    waiting: Vec<JoinHandle<Answer>>,
    revision: u64,
    folder: TempDir,
}

/// A whole answer.
struct Answer {
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Bytes,
}

impl Door {
    pub(super) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = ServerSettings::new(folder.path().join("data"));
        settings.store = settings
            .store
            .with_durability(Durability::Unsynced)
            .with_quota_bytes(64 << 20)
            .with_compaction_slice_rows(3);
        settings.auth.bcrypt_cost = 4;
        let server = Server::open(settings).unwrap();
        let front = FrontLayer::new(server.shared().clone()).layer(server.routes());
        Self {
            seen: Seen::default(),
            server,
            front,
            tokens: Vec::new(),
            waiting: Vec::new(),
            revision: 1,
            folder,
        }
    }

    pub(super) async fn take(&mut self, call: Call) {
        if call.may_wait() {
            let mut task = tokio::spawn(self.send(&call));
            match timeout(LOOK, &mut task).await {
                Ok(answer) => _ = self.check(&call, &answer.unwrap()),
                Err(_) => self.waiting.push(task),
            }
        } else {
            self.ask_and_compare(call).await;
        }
        let revision = self.server.shared().store.current_revision();
        assert!(revision >= self.revision, "the revision went back to {revision} from {}", self.revision);
        self.revision = revision;
    }

    /// Asks what has to succeed.
    pub(super) async fn tell(&mut self, method: &str, message: &impl Message, token: u8) {
        let call = Call::of(method, &message.encode_to_vec(), token);
        self.ask(&call).await.unwrap_or_else(|| panic!("{method} should succeed"));
    }

    async fn ask(&mut self, call: &Call) -> Option<DynamicMessage> {
        let answer = timeout(PATIENCE, self.send(call)).await;
        self.check(call, &answer.unwrap_or_else(|_| panic!("no answer to {call:?}")))
    }

    /// A read is asked for in the other form too. Calls that wait may come to their end between the two, and leases to theirs:
    /// answers from different revisions are not compared, and the read is asked for once more.
    async fn ask_and_compare(&mut self, mut call: Call) {
        for _ in 0..COMPARED_TRIES {
            let before = self.server.shared().store.current_revision();
            let answer = self.ask(&call).await;
            call.form = match (call.is_read(), call.form) {
                (true, Form::Grpc(messages)) => Form::Json(messages),
                (true, Form::Json(messages)) => Form::Grpc(messages),
                _ => return,
            };
            let other = self.ask(&call).await;
            if self.server.shared().store.current_revision() == before {
                assert_eq!(other, answer, "{call:?} is answered otherwise in another form");
                return;
            }
        }
    }

    fn send(&mut self, call: &Call) -> impl Future<Output = Answer> + Send + 'static {
        let kind = if call.is_json() { "application/json" } else { "application/grpc" };
        let mut request = Request::post(call.path()).header("content-type", kind).header("te", "trailers");
        let which = usize::from(call.token / 2);
        if call.token % 2 == 1
            && let Some(token) = which.checked_rem(self.tokens.len()).map(|at| &self.tokens[at])
        {
            let name = if call.is_json() { "authorization" } else { "token" };
            request = request.header(name, token);
        }
        let answer = self.front.call(request.body(Full::new(Bytes::from(call.body()))).unwrap());
        async move {
            let (parts, body) = answer.await.unwrap().into_parts();
            let whole = body.collect().await.unwrap_or_else(|error| panic!("half an answer: {error}"));
            let trailers = whole.trailers().cloned().unwrap_or_default();
            Answer { headers: parts.headers, trailers, body: whole.to_bytes() }
        }
    }

    /// Reads an answer, and remembers what may be asked about. The message, where there is one.
    fn check(&mut self, call: &Call, answer: &Answer) -> Option<DynamicMessage> {
        let found = if call.is_json() { json(call, answer) } else { grpc(call, answer) };
        for message in &found {
            self.seen.take(message);
            self.tokens.extend(messages::text(message, "token"));
        }
        found.into_iter().next()
    }

    /// Everybody goes; then nothing may be left of anybody, and the folder is whole.
    pub(super) async fn close(self) {
        let Self { server, front, waiting, folder, .. } = self;
        for task in waiting {
            task.abort();
            if let Err(error) = task.await {
                assert!(error.is_cancelled(), "a call that waited: {error}");
            }
        }
        let store = server.shared().store.clone();
        let whole = store.view_at(store.current_revision()).unwrap();
        whole.range(&KeyRange::everything(), &RangeOptions::default()).unwrap();
        let nobody = async {
            loop {
                let gauges = store.watch_gauges().await.unwrap();
                let counts = [
                    ("streams", gauges.streams as u64),
                    ("watches", gauges.watches as u64),
                    ("groups", gauges.groups as u64),
                    ("indexed_ranges", gauges.indexed_ranges as u64),
                    ("queued_bytes", gauges.queued_bytes as u64),
                    ("reads_out", gauges.reads_out as u64),
                ];
                if checkers::gauges_return_to_zero(counts).is_ok() {
                    return;
                }
                yield_now().await;
            }
        };
        timeout(PATIENCE, nobody).await.expect("something is left of those who were there");
        drop((whole, front, store));
        server.close().unwrap();
        drop(folder);
    }
}

/// What JSON says: one value, or one a line.
fn json(call: &Call, answer: &Answer) -> Vec<DynamicMessage> {
    let values = serde_json::Deserializer::from_slice(&answer.body).into_iter::<serde_json::Value>();
    let values: Vec<_> =
        values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {call:?}"))).collect();
    assert!(!values.is_empty() || call.may_wait(), "no answer to {call:?}");
    let mut messages = Vec::new();
    for value in values {
        let value = value.get("result").cloned().unwrap_or(value);
        let value = value.get("error").cloned().unwrap_or(value);
        match value.get("code").and_then(serde_json::Value::as_i64) {
            Some(code) => assert!(code != 13 || call.is_loose(), "{value} to {call:?}"),
            None => {
                let message = DynamicMessage::deserialize(call.output(), &value);
                messages.push(message.unwrap_or_else(|error| panic!("{error}: {value} to {call:?}")));
            }
        }
    }
    messages
}

/// The messages of an answer, if it is not an error.
fn grpc(call: &Call, answer: &Answer) -> Vec<DynamicMessage> {
    let told = |name: &str| {
        let value = answer.trailers.get(name).or(answer.headers.get(name))?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let status = told("grpc-status").unwrap_or_else(|| panic!("an answer without a status to {call:?}"));
    let why = told("grpc-message").unwrap_or_default();
    assert!(status != INTERNAL || call.is_loose(), "{why} to {call:?}");
    let mut rest = &answer.body[..];
    let mut messages = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        messages.push(messages::read(&call.output(), &tail[..len]));
        rest = &tail[len..];
    }
    assert!(rest.is_empty(), "half a message to {call:?}");
    messages
}
