//! What the server counts as it goes, for `/metrics` and for the benchmarks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::metrics::Calls;
use crate::observe::SlowLines;

/// Counts of one server. Each is read and raised without a lock.
#[derive(Debug, Default)]
pub struct Counts {
    /// gRPC calls, method by method.
    pub calls: Calls,
    /// Puts that were done, those in transactions among them.
    pub puts: Counter,
    /// Reads of ranges that were answered, those in transactions among them.
    pub ranges: Counter,
    /// Deletes of ranges that were done, those in transactions among them.
    pub deletes: Counter,
    /// Transactions that were done, nested ones not among them.
    pub txns: Counter,
    /// Leases that were granted.
    pub leases_granted: Counter,
    /// Leases that were revoked; not those that ran out.
    pub leases_revoked: Counter,
    /// Leases that were kept alive: how often.
    pub leases_renewed: Counter,
    /// Bytes of events that were encoded: once a batch, however many watches it is for.
    pub watch_encoded_bytes: Counter,
    /// Bytes of events that were copied into connections: once a batch and watch.
    pub watch_copied_bytes: Counter,
    /// Events that were sent, each once for each watch that got it.
    pub watch_events: Counter,
    /// Answers that were sent on watch streams.
    pub watch_responses: Counter,
    /// Watch streams that are open.
    pub watch_streams: Gauge,
    /// Bytes of stored records that were copied into answers to reads.
    pub range_copied_bytes: Counter,
    /// Requests that took longer than the setting.
    pub slow_requests: Counter,
    /// How often they may be told.
    pub(crate) slow_lines: SlowLines,
    /// Checks of health that found everything well.
    pub health_successes: Counter,
    /// Checks of health that did not.
    pub health_failures: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Bytes of answers that were made and that their connections have not taken.
    pub unread_bytes: Gauge,
    /// Bytes of requests that have begun to come and are not answered yet.
    pub kept_bytes: Gauge,
    /// Told where either of these, of all connections, falls to what it may be.
    pub(crate) room: Notify,
    /// Connections that were refused or broke before the first request: a TLS handshake that failed.
    pub connections_failed: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `by`.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more or, with a negative number, fewer.
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The same, and gives the number then.
    pub(crate) fn added(&self, by: i64) -> i64 {
        self.0.fetch_add(by, Ordering::SeqCst) + by
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
