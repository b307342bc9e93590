//! The store as it should be.
//!
//! It keeps two things only: the log of every change since the beginning, and for each key the places of its changes in
//! the log. Everything else (what a key is now, what it was at a revision, what hangs on a lease, what a watch is owed)
//! is read from those, so there is no second copy that could disagree.
//!
//! # Invariants
//!
//! - The log is ordered by revision and nothing leaves it. Compaction only moves `compact_revision`, so that a watch can
//!   be checked against changes that the store has forgotten.
//! - A transaction that fails leaves the log as it was.

mod op;

mod row;

mod transaction;

mod read;

mod watch;

use std::collections::BTreeMap;

use bytes::Bytes;
use watchful_revision::{KeyRange, LeaseId};

pub use op::{Applied, ApplyError, Compare, CompareTarget, Comparison, Op, OpResult, Txn};
pub use read::{Order, RangeAnswer, RangeOptions, ReadError, SortTarget};
pub use row::{ModelEvent, Row};

use row::Change;

/// Reads at this main revision see the changes of the transaction that is under way.
const OWN_WRITES: u64 = u64::MAX;

/// A store that is obviously right: every change since the beginning, and nothing clever.
///
/// A read at a revision costs a binary search a key; attached keys cost a walk over all keys.
///
/// ```
/// use watchful_testkit::{Model, Op};
/// let mut model = Model::new();
/// assert_eq!(model.current_revision(), 1);
/// let applied = model.apply(&[Op::put("a", "1"), Op::put("b", "2")])?;
/// assert_eq!(applied.revision, Some(2));
/// assert_eq!(model.get("a").unwrap().revision.to_string(), "2.0");
/// # Ok::<(), watchful_testkit::ApplyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    log: Vec<Change>,
    by_key: BTreeMap<Bytes, Vec<usize>>,
    current_revision: u64,
    /// None on a store that was never compacted: compacting it at 0 is legal once.
    compacted: Option<u64>,
    leases: BTreeMap<LeaseId, i64>,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An empty store, at revision 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            log: Vec::new(),
            by_key: BTreeMap::new(),
            current_revision: 1,
            compacted: None,
            leases: BTreeMap::new(),
        }
    }

    /// The newest revision: 1 in an empty store.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.current_revision
    }

    /// The oldest revision that can be read; 0 where nothing was compacted.
    #[must_use]
    pub fn compact_revision(&self) -> u64 {
        self.compacted.unwrap_or(0)
    }

    /// Forgets what was superseded at or before `revision`, as far as reads can tell.
    ///
    /// # Errors
    ///
    /// [`ReadError::Compacted`] at the same or a lower revision than before, [`ReadError::FutureRevision`] above the
    /// current one. On a store that was never compacted, 0 and 1 are legal.
    pub fn compact(&mut self, revision: u64) -> Result<(), ReadError> {
        if let Some(compact_revision) = self.compacted.filter(|&compacted| revision <= compacted) {
            return Err(ReadError::Compacted { compact_revision });
        }
        if revision > self.current_revision {
            return Err(ReadError::FutureRevision { current_revision: self.current_revision });
        }
        self.compacted = Some(revision);
        Ok(())
    }

    /// Makes a lease of `ttl` seconds. The model knows no time: a lease lives until it is revoked.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Exists`] when `id` is taken, and [`LeaseError::NoId`] for 0, which means no lease.
    pub fn lease_grant(&mut self, id: LeaseId, ttl: i64) -> Result<(), LeaseError> {
        match id {
            0 => Err(LeaseError::NoId),
            _ if self.leases.contains_key(&id) => Err(LeaseError::Exists { id }),
            _ => {
                self.leases.insert(id, ttl);
                Ok(())
            }
        }
    }

    /// Ends a lease and deletes the keys attached to it, in key order and in one revision; no revision where there is
    /// none. Expiry is the same.
    ///
    /// # Errors
    ///
    /// [`LeaseError::NotFound`] when there is no such lease.
    pub fn lease_revoke(&mut self, id: LeaseId) -> Result<Applied, LeaseError> {
        if self.leases.remove(&id).is_none() {
            return Err(LeaseError::NotFound { id });
        }
        let mut prev = Vec::new();
        for key in self.attached_keys(id) {
            prev.extend(self.delete(&KeyRange::key(key)));
        }
        Ok(Applied { revision: self.finish(), results: vec![OpResult::Deleted { prev }] })
    }

    /// The leases and their time to live in seconds, by id.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, i64)> + '_ {
        self.leases.iter().map(|(&id, &ttl)| (id, ttl))
    }

    /// The keys attached to a lease, in key order.
    #[must_use]
    pub fn attached_keys(&self, id: LeaseId) -> Vec<Bytes> {
        let rows = self.rows_at(&KeyRange::everything(), OWN_WRITES);
        rows.into_iter().filter(|row| row.lease == id && id != 0).map(|row| row.key).collect()
    }

    /// Every key that ever was, in key order, whether it is there now or not.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.by_key.keys()
    }
}

/// Why a lease was not made or not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The id is taken.
    #[error("lease {id} exists already")]
    Exists {
        /// The id.
        id: LeaseId,
    },
    /// There is no lease of this id.
    #[error("lease {id} does not exist")]
    NotFound {
        /// The id.
        id: LeaseId,
    },
    /// The id 0 means no lease.
    #[error("0 is no lease id")]
    NoId,
}
