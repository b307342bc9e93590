//! The server: a store, the services on it, and the connections they are served on.

use std::future::Future;
use std::io;
use std::sync::Arc;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::Connected;
use tonic_health::pb::health_server::HealthServer;
use tower::layer::layer_fn;
use watchful::{Error, Store};
use watchful_wire::etcdserverpb::auth_server::AuthServer;
use watchful_wire::etcdserverpb::cluster_server::ClusterServer;
use watchful_wire::etcdserverpb::kv_server::KvServer;
use watchful_wire::etcdserverpb::lease_server::LeaseServer;
use watchful_wire::etcdserverpb::maintenance_server::MaintenanceServer;
use watchful_wire::etcdserverpb::watch_server::WatchServer;
use watchful_wire::v3electionpb::election_server::ElectionServer;
use watchful_wire::v3lockpb::lock_server::LockServer;
use watchful_wire::watchers::watchers_server::WatchersServer;

use crate::alarms::Alarms;
use crate::auth::{Auth, Authority, OpenError};
use crate::bounded::Bounded;
use crate::cluster::Cluster;
use crate::election::Election;
use crate::health::Health;
use crate::http::{FrontLayer, router as http_router};
use crate::kv::Kv;
use crate::lease::Lease;
use crate::lock::Lock;
use crate::maintenance::Maintenance;
use crate::settings::ServerSettings;
use crate::snapshot;
use crate::state::{Identity, Shared};
use crate::watch::Watch;
use crate::watchers::Watchers;

/// A server with its store open.
///
/// Opened it serves nobody; [`serve`](Self::serve) serves the connections of one listener, and can be called for several.
#[derive(Clone, Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Opens the store, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; users and roles that are damaged; keys for tokens that cannot be read.
    pub fn open(settings: ServerSettings) -> Result<Self, OpenError> {
        let store = Store::open(&settings.data_dir, settings.store.clone())?;
        // Only now: whoever has the store open has its snapshots too.
        snapshot::remove_leftovers(&settings.data_dir);
        let (identity, alarms) = (Identity::of(&store), Alarms::noted_in(&store)?);
        let authority = Authority::open(&store, &settings.auth, Arc::clone(&settings.store.clock))?;
        let shared = Shared {
            store,
            settings,
            identity,
            alarms,
            authority,
            alarm_turn: tokio::sync::Mutex::default(),
            counts: Arc::default(),
            streams: Arc::default(),
            snapshots: Arc::new(tokio::sync::Semaphore::new(snapshot::AT_ONCE_MAX)),
            encoded: Arc::default(),
            stopping: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the services share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The gRPC services.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let shared = || Arc::clone(&self.shared);
        let bytes_max = self.shared.settings.limits.message_bytes_max();
        /// What is sent has no limit of its own: clients have one.
        const SENT_BYTES_MAX: usize = usize::MAX;
        macro_rules! limited {
            ($server:expr) => {
                $server.max_decoding_message_size(bytes_max).max_encoding_message_size(SENT_BYTES_MAX)
            };
        }
        /// Names are asked for. What is asked is answered with, twice.
        const ASKED_BYTES_MAX: usize = 32 << 10;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(watchful_wire::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Descriptors that the build made can be read; were it not so, the server would be without reflection.
        let (newest, before) = (reflection().build_v1().ok(), reflection().build_v1alpha().ok());
        let mut routes = Routes::builder();
        routes
            .add_service(limited!(KvServer::new(Kv::new(shared()))))
            .add_service(limited!(WatchServer::new(Watch::new(shared()))))
            .add_service(limited!(LeaseServer::new(Lease::new(shared()))))
            .add_service(limited!(MaintenanceServer::new(Maintenance::new(shared()))))
            .add_service(limited!(ClusterServer::new(Cluster::new(shared()))))
            .add_service(limited!(AuthServer::new(Auth::new(shared()))))
            .add_service(limited!(LockServer::new(Lock::new(shared()))))
            .add_service(limited!(ElectionServer::new(Election::new(shared()))))
            .add_service(limited!(WatchersServer::new(Watchers::new(shared()))))
            .add_service(HealthServer::new(Health::new(shared())).max_decoding_message_size(ASKED_BYTES_MAX));
        newest.map(|service| routes.add_service(service.max_decoding_message_size(ASKED_BYTES_MAX)));
        before.map(|service| routes.add_service(service.max_decoding_message_size(ASKED_BYTES_MAX)));
        routes.routes()
    }

    /// Serves the connections of one listener until `stop` is done; then answers what it has accepted, for at most the
    /// setting's time.
    ///
    /// # Errors
    ///
    /// What the listener said.
    pub async fn serve<C>(
        &self,
        connections: impl Stream<Item = io::Result<C>>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        C::ConnectInfo: Clone + Send + Sync + 'static,
    {
        let served = self
            .transport()
            .layer(FrontLayer::new(Arc::clone(&self.shared)))
            .add_routes(self.routes())
            .serve_with_incoming_shutdown(connections, async {
                stop.await;
                // Streams have to end before their connections can.
                self.shared.stopping.cancel();
            });
        self.or_cut(served).await
    }

    /// HTTP/2 and HTTP/1, with every limit that there is: for every address.
    fn transport(&self) -> tonic::transport::Server {
        let settings = &self.shared.settings;
        tonic::transport::Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(Some(settings.limits.concurrent_streams_max))
            .http2_keepalive_interval(settings.keepalive.interval)
            .http2_keepalive_timeout(Some(settings.keepalive.timeout))
            .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES))
            .http2_max_local_error_reset_streams(Some(BROKEN_STREAMS_MAX))
    }

    /// What became of serving. Once the server is told to stop, connections have the setting's time to end; then they are
    /// cut, whatever they wait for: half a request, or a client that does not read.
    async fn or_cut<E>(&self, served: impl Future<Output = Result<(), E>>) -> io::Result<()>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let timeout = self.shared.settings.shutdown_timeout;
        let too_late = async {
            self.shared.stopping.cancelled().await;
            tokio::time::sleep(timeout).await;
        };
        tokio::select! {
            served = served => served.map_err(io::Error::other),
            () = too_late => {
                tracing::warn!("connections were still busy after {timeout:?} and are cut");
                Ok(())
            }
        }
    }

    /// Serves health, version and metrics on one more listener, and nothing of the store, until the server stops.
    ///
    /// # Errors
    ///
    /// What the listener said.
    pub async fn serve_metrics<C>(&self, connections: impl Stream<Item = io::Result<C>>) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        C::ConnectInfo: Clone + Send + Sync + 'static,
    {
        let routes = Routes::from(http_router(Arc::clone(&self.shared)));
        let stopping = self.shared.stopping.clone();
        let shared = Arc::clone(&self.shared);
        let served = self
            .transport()
            .layer(layer_fn(move |routes: Routes| Bounded::new(routes.prepare(), Arc::clone(&shared))))
            .add_routes(routes)
            .serve_with_incoming_shutdown(connections, stopping.cancelled_owned());
        self.or_cut(served).await
    }

    /// Closes the store: what was accepted is done and on the disk afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn close(self) -> Result<(), Error> {
        self.shared.stopping.cancel();
        self.shared.store.close();
        self.shared.store.sync()
    }
}

/// What a connection may send before it hears that it was read: all its calls together.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How many of its calls a connection may break by what it sends before it is cut. Without this tonic takes away the limit
/// that hyper has: each such call is begun, and leaves an answer behind that a client which does not read keeps in memory.
const BROKEN_STREAMS_MAX: usize = 1024;

impl Identity {
    /// The same store has the same identity, wherever it is opened.
    fn of(store: &Store) -> Self {
        let id = store.id().to_be_bytes();
        let half = |at: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&id[at..at + 8]);
            u64::from_be_bytes(half).max(1)
        };
        Self { cluster_id: half(0), member_id: half(8), raft_term: store.epoch().saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use watchful::{LoadPlan, Settings};

    use super::*;

    /// A store may be loaded with any epoch. The server added one to it for its term, and panicked at the highest.
    #[test]
    fn the_highest_epoch_has_a_term() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let plan = LoadPlan { compact_revision: None, current_revision: 1 };
        watchful::load(&dir, &Settings::default(), plan, u64::MAX, |_| Ok::<_, Error>(())).unwrap();
        let store = Store::open(dir, Settings::default()).unwrap();
        assert_eq!((store.epoch(), Identity::of(&store).raft_term), (u64::MAX, u64::MAX));
    }
}
