//! Hashes of a store, to compare two that should be the same.
//!
//! [`Mvcc::hash`] is over the history that is kept up to a revision. It is etcd's `HashKV`, number for number: a CRC-32C
//! over the word `key` and then, for each row that counts, the row's key as etcd stores it (`main`, `_`, `sub`, both of
//! eight bytes, and `t` after a tombstone's) and the `KeyValue` message, which of a tombstone has the key alone.
//!
//! Which rows count does not depend on how far compaction has deleted what it may:
//!
//! - Above the compact revision every row counts.
//! - At it and below, a row counts when it is what a reader at the hash's revision sees. Where such a reader sees nothing
//!   at all, a row counts when a reader at the compact revision sees it: etcd's rule looks odd there, and is kept.
//!
//! etcd differs in one case, in which it loses data (its issue 22376): a key that is deleted and made again in one
//! revision, when the store is compacted to that revision and hashed at it.

use std::ops::Bound;

use watchful_backend::ReadTxn;
use watchful_revision::{EtcdRow, KeyRange, RecordRef, Revision};

use crate::MvccError;
use crate::format::TABLES;
use crate::history::parse_revision;
use crate::index::{Direction, Walk};
use crate::range::TURN_KEYS_MAX;
use crate::store::{Inner, Mvcc};

/// A hash over the history of a store: see [`Mvcc::hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHash {
    /// The hash.
    pub hash: u32,
    /// The compact revision it was made at; 0 when the store was never compacted. Two stores that are the same have the
    /// same hash only at the same compact revision.
    pub compact_revision: u64,
    /// The main revision up to which history was hashed.
    pub revision: u64,
}

/// How many rows are read in one read transaction, and about how many bytes.
const TURN_ROWS_MAX: usize = 10_000;
const TURN_BYTES_MAX: usize = 8 << 20;

/// How often a hash begins anew because the store was compacted meanwhile, before it gives up.
const TRIES_MAX: usize = 16;

impl Mvcc {
    /// The hash of the history that is kept up to the main revision `revision`, or up to the newest when that is 0. It is
    /// the same for the same history and compact revision, and the same as etcd's `HashKV`.
    ///
    /// It reads every row up to there, in short turns that hold nothing in between. Where the store is compacted
    /// meanwhile it begins anew.
    ///
    /// # Errors
    ///
    /// `Compacted` when compaction has passed `revision`, or goes on faster than the store can be read;
    /// `FutureRevision`; `Damaged`; or what the backend said.
    pub fn hash(&self, revision: u64) -> Result<StoreHash, MvccError> {
        let revision = self.view(Some(revision))?.revision();
        for _ in 0..TRIES_MAX {
            let compact_revision = self.compact_revision();
            if revision < compact_revision {
                break;
            }
            if let Some(hash) = Hashing::begin(&self.inner, compact_revision, revision).run()? {
                return Ok(StoreHash { hash, compact_revision, revision });
            }
        }
        Err(MvccError::Compacted { compact_revision: self.compact_revision() })
    }

    /// A hash of everything the store holds at one commit: history, leases, notes, and what it keeps about itself. It
    /// tells whether a copy is the same; it is no measure for two stores with histories of their own, whose ids differ.
    ///
    /// It is one long read, as a backup is: the file grows by what is written until it ends.
    ///
    /// # Errors
    ///
    /// What the backend said.
    pub fn hash_all(&self) -> Result<u32, MvccError> {
        let txn = self.inner.backend.read_long()?;
        let mut hash = 0;
        for name in TABLES {
            let Some(table) = self.inner.backend.table(name) else { continue };
            hash = crc32c::crc32c_append(hash, name.as_bytes());
            for row in txn.range(table, ..)? {
                let (key, value) = row?;
                hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value);
            }
        }
        Ok(hash)
    }
}

/// One hash under way, of a store that is compacted to `compact_revision`.
struct Hashing<'a> {
    inner: &'a Inner,
    compact_revision: u64,
    revision: u64,
    /// The revision whose reader decides about rows that may have been compacted away.
    seen_at: u64,
    next: Revision,
    hash: u32,
}

impl<'a> Hashing<'a> {
    fn begin(inner: &'a Inner, compact_revision: u64, revision: u64) -> Self {
        let is_empty = compact_revision > 0 && !has_keys(inner, revision);
        let seen_at = if is_empty { compact_revision } else { revision };
        let (next, hash) = (Revision::default(), crc32c::crc32c(b"key"));
        Self { inner, compact_revision, revision, seen_at, next, hash }
    }

    /// The hash; none when the store was compacted further meanwhile.
    fn run(mut self) -> Result<Option<u32>, MvccError> {
        loop {
            let turn = self.turn(&self.inner.backend.read()?);
            // Asked after each turn, as a view does: what was read before is then whole.
            if self.inner.compact_revision() != self.compact_revision {
                return Ok(None);
            }
            if !turn? {
                return Ok(Some(self.hash));
            }
        }
    }

    /// Tells whether there is more.
    fn turn(&mut self, txn: &ReadTxn) -> Result<bool, MvccError> {
        let (low, high) = (self.next.to_bytes(), Revision::new(self.revision, u32::MAX).to_bytes());
        let bounds = (Bound::Included(&low[..]), Bound::Included(&high[..]));
        let (mut rows, mut bytes) = (0, 0);
        for row in txn.range(self.inner.tables.log, bounds)? {
            let (key, record) = row?;
            let revision = parse_revision(key)?;
            if rows == TURN_ROWS_MAX || bytes >= TURN_BYTES_MAX {
                self.next = revision;
                return Ok(true);
            }
            (rows, bytes) = (rows + 1, bytes + record.len());
            let record = RecordRef::parse(revision, record)?;
            if self.counts(&record) {
                self.add(&record);
            }
        }
        Ok(false)
    }

    fn counts(&self, record: &RecordRef<'_>) -> bool {
        let revision = record.revision();
        revision.main > self.compact_revision
            || self.inner.index.read().visible(record.key(), self.seen_at) == Some(revision)
    }

    fn add(&mut self, record: &RecordRef<'_>) {
        let row = EtcdRow::of(record);
        self.hash = crc32c::crc32c_append(crc32c::crc32c_append(self.hash, row.key()), row.value());
    }
}

/// Whether any key is there at the main revision `at`.
fn has_keys(inner: &Inner, at: u64) -> bool {
    let mut walk = Walk::new(&KeyRange::everything(), Direction::Ascending);
    let mut found = false;
    while !found && !walk.is_done() {
        walk.turn(&inner.index.read(), at, TURN_KEYS_MAX, |_, _| found = true);
    }
    found
}
