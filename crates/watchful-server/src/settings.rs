//! What a server is told before it starts: plain data, made by [`config`](crate::config) from flags, variables and
//! files, or by hand by whoever embeds the server.

use std::path::PathBuf;
use std::time::Duration;

use crate::auth::AuthSettings;

/// Settings of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerSettings {
    /// The member's name, for people.
    pub name: String,
    /// The folder that holds everything.
    pub data_dir: PathBuf,
    /// The addresses that clients are told to use.
    pub advertise_client_urls: Vec<String>,
    /// The store's own settings: durability, quota, compaction, how often progress is told.
    pub store: watchful::Settings,
    /// What a client may ask for at once.
    pub limits: Limits,
    /// How dead connections are found.
    pub keepalive: Keepalive,
    /// How users show who they are.
    pub auth: AuthSettings,
    /// What a lease's time to live is raised to, in seconds. 2 by default, as with etcd's defaults.
    pub lease_ttl_min_seconds: i64,
    /// Requests that take longer are told in the log. 100 ms by default, as in etcd.
    pub slow_request: Duration,
    /// How long a shutdown waits for answers that are under way. 5 s by default.
    pub shutdown_timeout: Duration,
}

/// What a client may ask for at once. Beyond a limit it gets etcd's own error.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most compares, and the most operations on one side, of a transaction. 128 by default, as in etcd.
    pub txn_ops_max: usize,
    /// The most bytes of a request. 1.5 MiB by default, as in etcd. A message of 512 KiB more is refused unread.
    pub request_bytes_max: usize,
    /// The most calls at once on one connection. Unlimited by default, as in etcd.
    pub concurrent_streams_max: u32,
}

/// How dead connections are found.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Keepalive {
    /// How long a connection may be quiet before it is asked whether it is still there. 2 hours by default, as in etcd;
    /// none to never ask.
    pub interval: Option<Duration>,
    /// How long to wait for that answer. 20 s by default, as in etcd.
    pub timeout: Duration,
}

impl ServerSettings {
    /// The defaults, for the store in the folder `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: "default".to_owned(),
            data_dir: data_dir.into(),
            advertise_client_urls: Vec::new(),
            store: watchful::Settings::default(),
            limits: Limits::default(),
            keepalive: Keepalive::default(),
            auth: AuthSettings::default(),
            lease_ttl_min_seconds: 2,
            slow_request: Duration::from_millis(100),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { txn_ops_max: 128, request_bytes_max: 3 << 19, concurrent_streams_max: u32::MAX }
    }
}

impl Limits {
    /// What the transport refuses without reading it: 512 KiB above the request limit, as in etcd.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(512 << 10)
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(7200)), timeout: Duration::from_secs(20) }
    }
}
