//! A server on an ephemeral port and a temporary folder, and clients for it.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use watchful_server::{Server, ServerSettings, bind, incoming};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::maintenance_client::MaintenanceClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) channel: Channel,
    url: String,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    folder: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|settings| settings).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(ServerSettings) -> ServerSettings) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    pub(crate) async fn start_in(
        folder: TempDir,
        change: impl FnOnce(ServerSettings) -> ServerSettings,
    ) -> Self {
        let server = Server::open(change(ServerSettings::new(folder.path().join("data")))).unwrap();
        let listener = bind(&["http://127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let url = listener.url().to_string();
        let stop = CancellationToken::new();
        let connections = incoming(listener, None, Arc::clone(&server.shared().counts));
        let (serves, stopped) = (server.clone(), stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move { serves.serve(connections, stopped).await });
        let channel = connect(&url).await;
        Self { server, channel, url, stop, serving, folder }
    }

    /// Ends the server as SIGTERM does, and gives its folder back.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
        drop(self.channel);
        self.server.close().unwrap();
        self.folder
    }

    /// A connection of its own, with windows of its own.
    pub(crate) async fn connection(&self) -> Channel {
        connect(&self.url).await
    }

    pub(crate) fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    pub(crate) async fn put(&self, key: &str, value: impl Into<bytes::Bytes>) -> i64 {
        let request = PutRequest { key: key.to_owned().into(), value: value.into(), ..PutRequest::default() };
        self.kv().put(request).await.unwrap().into_inner().header.unwrap().revision
    }

    pub(crate) async fn watch(&self) -> TestWatch {
        let (requests, sent) = tokio::sync::mpsc::channel(16);
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut client = WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let answers = client.watch(sent).await.unwrap().into_inner();
        TestWatch { requests, answers }
    }
}

async fn connect(url: &str) -> Channel {
    Channel::from_shared(url.to_owned()).unwrap().connect().await.unwrap()
}

/// One watch stream.
pub(crate) struct TestWatch {
    requests: tokio::sync::mpsc::Sender<WatchRequest>,
    pub(crate) answers: tonic::Streaming<WatchResponse>,
}

impl TestWatch {
    pub(crate) async fn ask(&self, request: RequestUnion) {
        self.requests.send(WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    pub(crate) async fn create(&self, request: WatchCreateRequest) {
        self.ask(RequestUnion::CreateRequest(request)).await;
    }

    pub(crate) async fn next(&mut self) -> WatchResponse {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        answer.expect("an answer comes").unwrap().expect("the stream goes on")
    }

    pub(crate) async fn created(&mut self, request: WatchCreateRequest) -> WatchResponse {
        self.create(request).await;
        let answer = self.next().await;
        assert!(answer.created, "{answer:?}");
        answer
    }
}

/// A watch of every key that begins with `prefix`, from `start_revision` on.
pub(crate) fn prefix(prefix: &str, start_revision: i64) -> WatchCreateRequest {
    let mut range_end = prefix.as_bytes().to_vec();
    *range_end.last_mut().unwrap() += 1;
    let (key, range_end) = (prefix.to_owned().into(), range_end.into());
    WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() }
}
