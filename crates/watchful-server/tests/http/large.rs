//! Large answers after which nothing is sent for a while. A connection puts large writes off, to send them together
//! (`src/listen/joined.rs`), so the last one must not stay where it is: not with HTTP/1, which asks for it to be sent once
//! and then waits, nor with HTTP/2, whose last frame may be a whole one; in the clear or not.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tonic::transport::{Channel, Endpoint};
use watchful_server::{Certificate, Tls, TlsSettings, TlsVersion};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{WatchCreateRequest, WatchRequest};

use crate::support::{Lines, Served, base64, in_time, whole};

/// What HTTP/2 puts into one frame, and a connection into one write.
const FRAME: usize = 16 << 10;

type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A server, and how to connect to it.
struct Place {
    served: Served,
    client: Option<Arc<ClientConfig>>,
    _certificate: tempfile::TempDir,
}

impl Place {
    async fn new(is_tls: bool) -> Self {
        let certificate = tempfile::tempdir().unwrap();
        if !is_tls {
            return Self { served: Served::start().await, client: None, _certificate: certificate };
        }
        let dir = certificate.path().to_owned();
        let tls = Tls::load(TlsSettings {
            certificate: Certificate::Generated { dir: dir.clone(), validity_years: 1, hosts: Vec::new() },
            clients: None,
            version_min: TlsVersion::default(),
            version_max: None,
            cipher_suites: Vec::new(),
        });
        let served = Served::start_at("https://127.0.0.1:0", Some(Arc::new(tls.unwrap())), |_| ()).await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        Self { served, client: Some(Arc::new(config)), _certificate: certificate }
    }

    fn put(&self, key: &str, value_bytes: usize) {
        self.served.shared().store.put(key, vec![b'v'; value_bytes]).wait().unwrap();
    }

    /// A connection, over which this protocol is going to be spoken.
    async fn connect(&self, protocol: &str) -> Io {
        let stream = TcpStream::connect(self.served.address).await.unwrap();
        let Some(client) = &self.client else { return Either::Left(stream) };
        let mut client = ClientConfig::clone(client);
        client.alpn_protocols = vec![protocol.into()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, stream);
        Either::Right(Box::new(in_time("the handshake", stream).await.unwrap()))
    }

    async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.connect("http/1.1").await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn http2(&self) -> Channel {
        let io = TokioIo::new(self.connect("h2").await);
        let mut io = Some(io);
        let connect = tower::service_fn(move |_| std::future::ready(io.take().ok_or("it is connected once")));
        Endpoint::from_static("http://localhost").connect_with_connector(connect).await.unwrap()
    }
}

fn post(path: &str, json: &serde_json::Value) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "localhost");
    request.body(Full::new(Bytes::from(json.to_string()))).unwrap()
}

/// Lengths around those at which something else is done: a frame, four of them, and what a connection puts off at most.
fn lengths() -> impl Iterator<Item = usize> {
    let around = |bytes: usize| [bytes - 1, bytes, bytes + 1];
    [FRAME, 3 * FRAME, 4 * FRAME, 5 * FRAME, 20 * FRAME].into_iter().flat_map(around)
}

#[tokio::test]
async fn answers_come_whole_over_http1_though_nothing_follows_them() {
    for is_tls in [false, true] {
        let place = Place::new(is_tls).await;
        let mut sender = place.http1().await;
        for length in lengths() {
            // As JSON has bytes: three of them take four.
            place.put("a", length / 4 * 3);
            let request = post("/v3/kv/range", &json!({"key": base64("a")}));
            let response = in_time("the answer's head", sender.send_request(request)).await.unwrap();
            let answer = whole(response).await;
            assert!(answer.text.len() > length / 4 * 4, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn lines_of_a_watch_come_over_http1_though_nothing_follows_them() {
    for is_tls in [false, true] {
        let place = Place::new(is_tls).await;
        let mut sender = place.http1().await;
        let request = post("/v3/watch", &json!({"create_request": {"key": base64("a")}}));
        let response = in_time("the answer's head", sender.send_request(request)).await.unwrap();
        let mut lines = Lines::of(response);
        assert_eq!(lines.result().await["created"], true);
        for length in lengths() {
            place.put("a", length / 4 * 3);
            let text = lines.result().await["events"][0]["kv"]["value"].as_str().unwrap().len();
            assert_eq!(text, length / 4 * 4);
        }
    }
}

/// The bytes of an answer in a stream: five that gRPC puts before it, and its own.
fn bytes_on_wire(answer: &WatchResponse) -> usize {
    5 + answer.encoded_len()
}

#[tokio::test]
async fn answers_of_a_watch_come_over_http2_though_the_last_frame_is_a_whole_one() {
    for is_tls in [false, true] {
        let place = Place::new(is_tls).await;
        let (requests, sent) = tokio::sync::mpsc::channel(1);
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut client = WatchClient::new(place.http2().await);
        let create = WatchCreateRequest { key: "a".into(), ..WatchCreateRequest::default() };
        let create = RequestUnion::CreateRequest(create);
        requests.send(WatchRequest { request_union: Some(create) }).await.unwrap();
        let mut answers = in_time("the stream", client.watch(sent)).await.unwrap().into_inner();
        let mut next = async || in_time("an answer", answers.message()).await.unwrap().unwrap();
        assert!(next().await.created);
        for wanted in lengths() {
            let (mut value_bytes, mut tries) = (wanted - 100, 0);
            loop {
                place.put("a", value_bytes);
                let found = bytes_on_wire(&next().await);
                if found == wanted {
                    break;
                }
                value_bytes = value_bytes + wanted - found;
                tries += 1;
                assert!(tries < 10, "no value makes {wanted} bytes: {value_bytes} make {found}");
            }
        }
    }
}
