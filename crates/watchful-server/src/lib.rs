//! etcd's v3 API on a Watchful store: gRPC, JSON and plain HTTP on one port.
//!
//! **What it is for:** programs and people with etcd clients, who want one light server on one machine. The program
//! `watchful` is this library with a command line; another program can embed it.
//!
//! **What it is not for:** clusters. There is one member, and what needs more is refused with a sentence.
#![forbid(unsafe_code)]

mod server;

mod config;

mod settings;

mod state;

mod kv;

mod watch;

mod lease;

mod maintenance;

mod snapshot;

mod etcd_snapshot;

mod cluster;

mod auth;

mod concurrency;

mod lock;

mod election;

mod rights;

mod watchers;

mod answers;

mod transport;

mod until_stopped;

mod health;

mod http;

mod gateway;

mod metrics;

mod observe;

mod bounded;

mod unread;

mod alarms;

mod counts;

mod streams;

mod listen;

mod tls;

mod log;

pub mod ready;

#[cfg(test)]
mod deploy;

pub use alarms::Alarms;
pub use auth::{AuthSettings, JwtSettings, OpenError, SignMethod, TokenSettings};
pub use bounded::{Asked, Bounded, Bounding, Held};
pub use config::{Config, ConfigError, Parsed};
pub use counts::{Counter, Counts, Gauge};
pub use etcd_snapshot::{EtcdSnapshot, EtcdSnapshotError, SnapshotStatus};
pub use http::{Answer, Front, FrontLayer, router as http_router};
pub use listen::{
    Conn, ListenError, ListenUrl, ListenUrlError, Listener, Peer, bind, incoming, raise_descriptors,
};
pub use log::{LogError, LogFormat, LogLevel, LogOutput, LogSettings, init as init_log};
pub use metrics::{Calls, Kind, Method, MethodId};
pub use observe::{Answered, Answering, Observe, ObserveLayer, Received};
pub use server::Server;
pub use settings::{Keepalive, Limits, ServerSettings};
pub use state::{ETCD_VERSION, Identity, Shared};
pub use streams::{Registered, Streams};
pub use tls::{Certificate, ClientCertificates, Reloaded, Tls, TlsError, TlsSettings, TlsVersion};
