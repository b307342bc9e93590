//! Leases: which there are, and which keys hang on them.
//!
//! Only a lease's time to live is on the disk. Which keys hang on it is told by the newest record of each key, so it is
//! found again at open. Deadlines are not known here: this crate reads no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use watchful_revision::LeaseId;

/// What there is to know of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Its name.
    pub id: LeaseId,
    /// Its time to live, in seconds, as it was granted.
    pub ttl_seconds: i64,
    /// How many keys hang on it.
    pub keys: u64,
}

struct Lease {
    ttl_seconds: i64,
    keys: BTreeSet<Arc<[u8]>>,
}

/// The leases as of the last commit.
///
/// Invariant: `by_key` names the lease of each key in a lease's `keys`, and nothing else.
#[derive(Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    by_key: HashMap<Arc<[u8]>, LeaseId, RandomState>,
}

impl Leases {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn attached_keys(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn exists(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn info(&self, id: LeaseId) -> Option<LeaseInfo> {
        self.by_id.get(&id).map(|lease| lease.info(id))
    }

    pub(crate) fn infos(&self) -> Vec<LeaseInfo> {
        self.by_id.iter().map(|(&id, lease)| lease.info(id)).collect()
    }

    /// The keys on a lease, in order.
    pub(crate) fn keys(&self, id: LeaseId) -> Option<impl Iterator<Item = &[u8]>> {
        self.by_id.get(&id).map(|lease| lease.keys.iter().map(|key| &key[..]))
    }

    /// The lease of `key`; 0 for none.
    pub(crate) fn of(&self, key: &[u8]) -> LeaseId {
        // Most stores have no leases, and a put asks for the lease of its key.
        if self.by_key.is_empty() { 0 } else { self.by_key.get(key).copied().unwrap_or(0) }
    }

    pub(crate) fn grant(&mut self, id: LeaseId, ttl_seconds: i64) {
        self.by_id.entry(id).or_insert(Lease { ttl_seconds, keys: BTreeSet::new() }).ttl_seconds =
            ttl_seconds;
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        let keys = self.by_id.remove(&id).map(|lease| lease.keys).unwrap_or_default();
        for key in keys {
            self.by_key.remove(&key);
        }
    }

    /// Hangs `key` on the lease `id`, and on no other. 0, and a lease that is not there, mean none.
    pub(crate) fn attach(&mut self, key: &[u8], id: LeaseId) {
        let before = self.of(key);
        if before == id {
            return;
        }
        if before != 0 {
            self.detach(key, before);
        }
        if let Some(lease) = self.by_id.get_mut(&id) {
            let key: Arc<[u8]> = key.into();
            lease.keys.insert(Arc::clone(&key));
            self.by_key.insert(key, id);
        }
    }

    fn detach(&mut self, key: &[u8], id: LeaseId) {
        self.by_key.remove(key);
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.remove(key);
        }
    }
}

impl Lease {
    fn info(&self, id: LeaseId) -> LeaseInfo {
        LeaseInfo { id, ttl_seconds: self.ttl_seconds, keys: self.keys.len() as u64 }
    }
}

/// What the transactions of a group did to leases, in order. An undone transaction cuts off its end.
#[derive(Default)]
pub(crate) struct LeaseChanges {
    changes: Vec<LeaseChange>,
}

/// One lease, granted or revoked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseChange {
    pub(crate) id: LeaseId,
    /// None when it was revoked.
    pub(crate) ttl_seconds: Option<i64>,
}

impl LeaseChanges {
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn push(&mut self, change: LeaseChange) {
        self.changes.push(change);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.changes.truncate(len);
    }

    pub(crate) fn from(&self, first: usize) -> &[LeaseChange] {
        &self.changes[first..]
    }

    /// Whether the lease exists after these changes; none when they do not touch it. A group changes few leases, so they
    /// are looked through.
    pub(crate) fn exists(&self, id: LeaseId) -> Option<bool> {
        self.changes.iter().rfind(|change| change.id == id).map(|change| change.ttl_seconds.is_some())
    }
}
