//! A server in a folder of its own, and a client of plain HTTP/1.1.

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use watchful_server::{Server, ServerSettings, Shared, Tls, bind, incoming};

/// How long anything may take that has to come. It is waited for to its end only where something is lost, and a machine with much
/// else to do makes half a minute of a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A server that serves until it is dropped.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _task: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::start_at("http://127.0.0.1:0", None, change).await
    }

    /// A server that is listening at `url` as the program does.
    pub(crate) async fn start_at(
        url: &str,
        tls: Option<Arc<Tls>>,
        change: impl FnOnce(&mut ServerSettings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = ServerSettings::new(folder.path());
        settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
        change(&mut settings);
        let server = Server::open(settings).unwrap();
        let listener = bind(&[url.parse().unwrap()]).unwrap().remove(0);
        let address = listener.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server.clone();
        let connections = incoming(listener, tls, Arc::clone(&server.shared().counts));
        let task =
            tokio::spawn(async move { serving.serve(connections, async { drop(stopped.await) }).await });
        Self { server, address, _stop: stop, _task: task, _folder: folder }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.server.shared()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Posts JSON; the answer has to be JSON too.
    pub(crate) async fn post(&self, path: &str, json: &str) -> (StatusCode, Value) {
        let answer = self.ask("POST", path, json).await;
        assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
        (
            answer.status,
            serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {answer:?}")),
        )
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        whole(self.open(method, path, body).await).await
    }

    /// The answer's beginning. The connection is its own, and closes when the answer is dropped.
    pub(crate) async fn open<B>(&self, method: &str, path: &str, body: B) -> Response<Incoming>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.send(Request::builder().method(method).uri(path).body(body).unwrap()).await
    }

    /// Posts JSON with a token, as HTTP shows one.
    pub(crate) async fn post_as(&self, token: &str, path: &str, json: &str) -> (StatusCode, Value) {
        let body = Full::new(Bytes::copy_from_slice(json.as_bytes()));
        let request = Request::post(path).header("authorization", token).body(body).unwrap();
        let answer = whole(self.send(request).await).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap())
    }

    async fn send<B>(&self, mut request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        in_time("the answer's head", sender.send_request(request)).await.unwrap()
    }
}

pub(crate) async fn whole(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = in_time("the answer's body", body.collect()).await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// An answer's lines, as they come.
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.headers()["content-type"], "application/json");
        Self { body: response.into_body(), rest: Vec::new() }
    }

    /// The next line; none when the answer is over.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            match in_time("the next line", self.body.frame()).await {
                Some(frame) => self.rest.extend(frame.unwrap().into_data().unwrap()),
                None => {
                    assert!(self.rest.is_empty(), "half a line: {:?}", self.rest);
                    return None;
                }
            }
        }
    }

    /// What the next line has for a result.
    pub(crate) async fn result(&mut self) -> Value {
        let line = self.next().await.expect("the stream goes on");
        line.get("result").unwrap_or_else(|| panic!("no result: {line}")).clone()
    }
}

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Waits until `look` sees what it wants.
pub(crate) async fn eventually<T: Debug + PartialEq>(what: &str, wanted: T, look: impl Fn() -> T) {
    let began = Instant::now();
    while look() != wanted {
        assert!(began.elapsed() < PATIENCE, "{what}: {:?} and not {wanted:?}", look());
        tokio::task::yield_now().await;
    }
}

/// As JSON has bytes.
pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A put as JSON.
pub(crate) fn put(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{}","value":"{}"}}"#, base64(key), base64(value))
}
