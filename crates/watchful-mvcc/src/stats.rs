//! Counts and sizes, and the gauges that are kept for them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::store::Inner;

/// Counts and sizes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MvccStats {
    /// The newest revision that can be read.
    pub current_revision: u64,
    /// The oldest revision that can be read; 0 when the store was never compacted.
    pub compact_revision: u64,
    /// How many keys there are, deleted ones that compaction has not removed yet among them.
    pub keys: u64,
    /// How many versions of keys there are, tombstones among them: the rows of the log.
    pub versions: u64,
    /// How many rows are superseded and not deleted yet.
    pub superseded: u64,
    /// What the key index takes in memory.
    pub index_bytes: u64,
    /// What the list of superseded rows takes in memory.
    pub superseded_bytes: u64,
    /// How many leases there are.
    pub leases: u64,
    /// How many keys hang on a lease.
    pub leased_keys: u64,
    /// How many rows compaction has read since the store was opened. It reads what it deletes, and nothing else.
    pub compaction_rows_read: u64,
    /// The bytes of the pages in use, as the quota counts them.
    pub used_bytes: u64,
    /// The quota.
    pub quota_bytes: u64,
    /// The length of the data file. Freed pages are used again, so it shrinks only when it is
    /// [defragmented](crate::Mvcc::defragment).
    pub file_bytes: u64,
    /// The most the data file may grow to.
    pub map_bytes: u64,
    /// How many reads of the backend are open.
    pub readers: u64,
    /// How many commits ago the oldest open read began; 0 when none is open.
    pub oldest_reader_lag: u64,
    /// Whether writes are refused because the outcome of a commit is unknown.
    pub is_poisoned: bool,
}

/// What [`Mvcc::defragment`](crate::Mvcc::defragment) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defragmented {
    /// How long the data file was.
    pub bytes_before: u64,
    /// How long it is.
    pub bytes_after: u64,
}

/// What the writer knows and others may ask without waiting for it.
#[derive(Default)]
pub(crate) struct Gauges {
    pub(crate) superseded: AtomicU64,
    pub(crate) superseded_bytes: AtomicU64,
    pub(crate) compaction_rows_read: AtomicU64,
    pub(crate) compaction_pending: AtomicBool,
    pub(crate) compaction_finished: AtomicU64,
}

impl MvccStats {
    pub(crate) fn of(inner: &Inner) -> Self {
        let backend = inner.backend.stats();
        let load = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let (keys, versions, index_bytes) = {
            let index = inner.index.read();
            (index.keys(), index.versions(), index.heap_bytes())
        };
        let (leases, leased_keys) = {
            let leases = inner.leases.read();
            (leases.len(), leases.attached_keys())
        };
        Self {
            current_revision: inner.current_revision(),
            compact_revision: inner.compact_revision(),
            keys: keys as u64,
            versions: versions as u64,
            superseded: load(&inner.gauges.superseded),
            index_bytes: index_bytes as u64,
            superseded_bytes: load(&inner.gauges.superseded_bytes),
            leases: leases as u64,
            leased_keys: leased_keys as u64,
            compaction_rows_read: load(&inner.gauges.compaction_rows_read),
            used_bytes: backend.used_bytes,
            quota_bytes: inner.settings.quota_bytes,
            file_bytes: backend.file_bytes,
            map_bytes: backend.map_bytes as u64,
            readers: u64::from(backend.readers),
            oldest_reader_lag: backend.oldest_reader_lag,
            is_poisoned: backend.poisoned,
        }
    }
}
