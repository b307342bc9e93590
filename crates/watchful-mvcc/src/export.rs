//! Everything a store holds, as one commit has it: for whoever takes it elsewhere. The other end is a [`Loader`].
//!
//! [`Loader`]: crate::Loader

use bytes::Bytes;
use watchful_backend::LongRead;
use watchful_revision::{LeaseId, RecordRef};

use crate::MvccError;
use crate::format::{self, META_COMPACT_FINISHED, META_COMPACT_SCHEDULED, Tables, read_number};
use crate::history::parse_revision;
use crate::note::{self, Note};
use crate::store::Mvcc;

/// A store's content at one commit, which later ones do not change.
///
/// It is one long read: while it is there, the file grows by what is written, and a defragmentation waits. A thread that has
/// one and defragments waits for ever.
#[derive(Debug)]
pub struct Export<'m> {
    txn: LongRead<'m>,
    tables: Tables,
    current_revision: u64,
    compact_revision: Option<u64>,
    compacted_revision: Option<u64>,
}

impl Mvcc {
    /// The store's content at its newest commit, to read it out.
    ///
    /// # Errors
    ///
    /// `DamagedStore`, or what the backend said.
    pub fn export(&self) -> Result<Export<'_>, MvccError> {
        let (txn, tables) = (self.inner.backend.read_long()?, self.inner.tables);
        let compact_revision = read_number(&txn, tables, META_COMPACT_SCHEDULED)?;
        let compacted_revision = read_number(&txn, tables, META_COMPACT_FINISHED)?;
        let newest = match txn.last(tables.log)? {
            Some((key, _)) => parse_revision(key)?.main,
            None => 1,
        };
        let current_revision = newest.max(compact_revision.unwrap_or(0)).max(1);
        Ok(Export { txn, tables, current_revision, compact_revision, compacted_revision })
    }
}

impl Export<'_> {
    /// The newest main revision.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.current_revision
    }

    /// The oldest main revision that can be read; none when the store was never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> Option<u64> {
        self.compact_revision
    }

    /// The revision up to which compaction has deleted what it may: the compact revision, or one before it while a compaction
    /// goes on, or none.
    #[must_use]
    pub fn compacted_revision(&self) -> Option<u64> {
        self.compacted_revision
    }

    /// Every row of the log, in order: those too that a compaction under way has not deleted yet.
    ///
    /// # Errors
    ///
    /// `Damaged`, or what the backend said, here and at each step.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<RecordRef<'_>, MvccError>>, MvccError> {
        let rows = self.txn.range(self.tables.log, ..)?;
        Ok(rows.map(|row| {
            let (key, record) = row?;
            Ok(RecordRef::parse(parse_revision(key)?, record)?)
        }))
    }

    /// Every lease with its time to live in seconds, by id as an unsigned number.
    ///
    /// # Errors
    ///
    /// `DamagedStore`, or what the backend said, here and at each step.
    pub fn leases(&self) -> Result<impl Iterator<Item = Result<(LeaseId, i64), MvccError>>, MvccError> {
        let rows = self.txn.range(self.tables.lease, ..)?;
        Ok(rows.map(|row| {
            let (key, value) = row?;
            format::parse_lease(key, value).ok_or_else(format::damaged_lease)
        }))
    }

    /// The value of the note `name`.
    ///
    /// # Errors
    ///
    /// `DamagedStore`, or what the backend said.
    pub fn note(&self, name: &[u8]) -> Result<Option<Bytes>, MvccError> {
        let row = self.txn.get(self.tables.note, name)?;
        row.map(|row| note::decode(name, row).map(Bytes::copy_from_slice)).transpose()
    }

    /// The notes whose names begin with `prefix`, by name.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note), here and at each step.
    pub fn notes(&self, prefix: &[u8]) -> Result<impl Iterator<Item = Result<Note, MvccError>>, MvccError> {
        let rows = self.txn.range(self.tables.note, note::from(prefix))?;
        let under =
            rows.take_while(move |row| row.as_ref().map_or(true, |(name, _)| name.starts_with(prefix)));
        Ok(under.map(|row| {
            let (name, value) = row?;
            Ok((Bytes::copy_from_slice(name), Bytes::copy_from_slice(note::decode(name, value)?)))
        }))
    }
}
