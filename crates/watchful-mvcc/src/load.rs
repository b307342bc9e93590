//! The second door: loading a history, whole, into an empty store. For a restore, and for moving in from elsewhere.
//!
//! Rows come as they were: with their revisions, versions, create revisions and leases. Revisions at or below the compact
//! revision may be missing, as compaction has left them; above it every revision must be there, and every change in it.
//! A row may name a lease that is not there: history does, once the lease is over. Its key then hangs on none.
//!
//! Everything is one transaction of the backend, so a load that is broken off has loaded nothing. LMDB keeps its pages in
//! memory up to 512 MiB and writes out the rest, so a load needs that at most, and the index of its keys.

use parking_lot::MutexGuard;
use watchful_backend::{BackendError, WriteTxn};
use watchful_revision::{
    KeyValueRef, LeaseId, Put, RecordKind, Revision, TooLarge, encode_put, encode_tombstone,
};

use crate::format::{self, META_COMPACT_SCHEDULED, META_EPOCH, REVISION_MAX};
use crate::group::Writer;
use crate::index::{CHANGES_MAX, KEY_LEN_MAX};
use crate::lease::Leases;
use crate::open::doubt;
use crate::scan::{LogRow, LogScan, Misfit};
use crate::store::{Inner, Mvcc};
use crate::{CommitFailure, MvccError, note};

/// Where a loaded history begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// The oldest main revision that can be read; none when the history was never compacted.
    pub compact_revision: Option<u64>,
    /// The newest main revision; from 1 to 2^62.
    pub current_revision: u64,
}

/// One row to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadRow<'a> {
    /// A put, with all its fields.
    Put(Put<'a>),
    /// The tombstone of a key.
    Tombstone {
        /// The key.
        key: &'a [u8],
    },
}

/// A load under way. Dropped before [`finish`](Self::finish), it leaves no trace.
pub struct Loader<'m> {
    inner: &'m Inner,
    write: WriteTxn<'m>,
    writer: MutexGuard<'m, Writer>,
    plan: LoadPlan,
    scan: LogScan,
    leases: Leases,
    buffer: Vec<u8>,
    /// The epoch to leave in the store; none to leave it at what it is.
    pub(crate) epoch: Option<u64>,
}

impl Mvcc {
    /// Begins to load a history. It takes the turn to write.
    ///
    /// # Errors
    ///
    /// `NotEmpty` when the store was ever written, compacted or given a lease or a note; `LoadRefused` when the plan makes no
    /// sense; or what the backend said.
    pub fn loader(&self, plan: LoadPlan) -> Result<Loader<'_>, MvccError> {
        let inner = &*self.inner;
        let writer = inner.writer.lock();
        let write = inner.backend.write()?;
        let is_empty = inner.current_revision() == 1
            && writer.compaction.scheduled.is_none()
            && inner.leases.read().len() == 0
            && write.is_empty(inner.tables.note)?;
        if !is_empty {
            return Err(MvccError::NotEmpty);
        }
        let compact_revision = plan.compact_revision.unwrap_or(0);
        if plan.current_revision < compact_revision.max(1) {
            let revision = Revision::start_of(plan.current_revision);
            return Err(refused(revision, "the newest revision is below the oldest that can be read"));
        }
        if plan.current_revision > REVISION_MAX {
            let revision = Revision::start_of(plan.current_revision);
            return Err(refused(
                revision,
                "no store gets to a revision above 2^62, and too few could follow",
            ));
        }
        let (scan, leases) = (LogScan::new(compact_revision, 0), Leases::default());
        Ok(Loader { inner, write, writer, plan, scan, leases, buffer: Vec::new(), epoch: None })
    }
}

impl Loader<'_> {
    /// Adds a lease.
    ///
    /// # Errors
    ///
    /// `LeaseIdMissing`, `LeaseExists`, or what the backend said.
    pub fn lease(&mut self, id: LeaseId, ttl_seconds: i64) -> Result<(), MvccError> {
        if id == 0 {
            return Err(MvccError::LeaseIdMissing);
        }
        if self.leases.exists(id) {
            return Err(MvccError::LeaseExists { id });
        }
        self.leases.grant(id, ttl_seconds);
        let row = format::lease_row(id, ttl_seconds);
        let written = self.write.put(self.inner.tables.lease, &id.to_be_bytes(), &row);
        written.map_err(|error| self.error(error))
    }

    /// Adds a note.
    ///
    /// # Errors
    ///
    /// `NoteName`, `TooLarge`, or what the backend said.
    pub fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), MvccError> {
        note::check(name, value)?;
        let written = self.write.put(self.inner.tables.note, name, &note::encode(name, value));
        written.map_err(|error| self.error(error))
    }

    /// Adds the next row, at `revision`.
    ///
    /// # Errors
    ///
    /// `LoadRefused` when it does not follow the rows before it or is not a row a store writes; `EmptyKey`, `TooLarge`; or
    /// what the backend said.
    pub fn row(&mut self, revision: Revision, row: &LoadRow<'_>) -> Result<(), MvccError> {
        self.check(revision, row)?;
        self.buffer.clear();
        let (kind, fields) = row.encode(revision, &mut self.buffer)?;
        let row = LogRow { revision, kind, fields };
        self.scan.add(&[row]).map_err(|(revision, misfit)| misfit.refused_at(revision))?;
        let appended = self.write.append(self.inner.tables.log, &revision.to_bytes(), &self.buffer);
        appended.map_err(|error| self.error(error))
    }

    fn check(&self, revision: Revision, row: &LoadRow<'_>) -> Result<(), MvccError> {
        if revision.main < 2 || revision.sub > CHANGES_MAX {
            return Err(refused(revision, "no store gives out this revision"));
        }
        if revision.main > self.plan.current_revision {
            return Err(refused(revision, "it is above the newest revision that was announced"));
        }
        let key = match row {
            LoadRow::Put(put) => put.key,
            LoadRow::Tombstone { key } => key,
        };
        if key.is_empty() {
            return Err(MvccError::EmptyKey);
        }
        if key.len() > KEY_LEN_MAX {
            let (size, size_max) = (key.len() as u64, KEY_LEN_MAX as u64);
            return Err(MvccError::TooLarge { what: "key, counted in bytes,", size, size_max });
        }
        if let LoadRow::Put(put) = row
            && (!(1..=REVISION_MAX).contains(&put.version)
                || !(1..=revision.main).contains(&put.create_revision))
        {
            return Err(refused(revision, "its version or its create revision is not one a store writes"));
        }
        Ok(())
    }

    /// Makes the history durable and visible.
    ///
    /// # Errors
    ///
    /// `LoadRefused` when revisions are missing at the end; or what the commit said. Nothing is loaded then.
    pub fn finish(mut self) -> Result<(), MvccError> {
        let LoadPlan { compact_revision, current_revision } = self.plan;
        if self.scan.newest().max(compact_revision.unwrap_or(0)).max(1) < current_revision {
            return Err(Misfit::Gap.refused_at(Revision::start_of(current_revision)));
        }
        let tables = self.inner.tables;
        if let Some(compact_revision) = compact_revision {
            format::write_number(&mut self.write, tables, META_COMPACT_SCHEDULED, compact_revision)?;
        }
        if let Some(epoch) = self.epoch {
            format::write_number(&mut self.write, tables, META_EPOCH, epoch)?;
        }
        let (used_bytes, quota_bytes) = (self.inner.backend.used_bytes(), self.inner.settings.quota_bytes);
        let Self { inner, write, mut writer, scan, mut leases, .. } = self;
        if let Err(error) = write.commit() {
            let failure = CommitFailure::of(error, used_bytes, quota_bytes);
            if failure.is_unknown() {
                doubt(&inner.dir, None, inner.settings.durability);
            }
            return Err(failure.into());
        }

        let scanned = scan.finish();
        for (key, lease) in &scanned.leased {
            leases.attach(key, *lease);
        }
        *inner.index.write() = scanned.index;
        *inner.leases.write() = leases;
        writer.superseded = scanned.superseded;
        inner.current_revision.store(current_revision, std::sync::atomic::Ordering::Release);
        if let Some(compact_revision) = compact_revision {
            writer.enforce(inner, compact_revision);
        }
        writer.set_gauges(inner);
        Ok(())
    }

    fn error(&self, error: BackendError) -> MvccError {
        match error {
            BackendError::NoSpace { .. } => MvccError::NoSpace {
                used_bytes: self.inner.backend.used_bytes(),
                quota_bytes: self.inner.settings.quota_bytes,
            },
            other => other.into(),
        }
    }
}

impl<'a> LoadRow<'a> {
    fn encode(
        &self,
        revision: Revision,
        out: &mut Vec<u8>,
    ) -> Result<(RecordKind, KeyValueRef<'a>), TooLarge> {
        let mod_revision = revision.main;
        match *self {
            Self::Put(put) => {
                encode_put(revision, &put, out)?;
                let Put { key, value, create_revision, version, lease } = put;
                let fields = KeyValueRef { key, create_revision, mod_revision, version, value, lease };
                Ok((RecordKind::Put, fields))
            }
            Self::Tombstone { key } => {
                encode_tombstone(revision, key, out)?;
                Ok((RecordKind::Tombstone, KeyValueRef { key, mod_revision, ..KeyValueRef::default() }))
            }
        }
    }
}

impl Misfit {
    fn refused_at(self, revision: Revision) -> MvccError {
        let reason = match self {
            Self::NotAfter => "it does not come after the row before it",
            Self::Gap => "revisions or changes before it are missing, above the compact revision",
            Self::CutLife => "the row before it of its key is missing, above the compact revision",
            Self::TooMany => "there are more keys than an index can hold",
        };
        refused(revision, reason)
    }
}

fn refused(revision: Revision, reason: &'static str) -> MvccError {
    MvccError::LoadRefused { revision, reason }
}
