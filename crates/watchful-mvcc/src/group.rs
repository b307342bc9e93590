//! A group: transactions that are worked out one after the other and committed at once.
//!
//! A transaction first works in the [overlay](crate::overlay), where it sees what the transactions before it did. When
//! it is whole, its rows are appended to the backend's write transaction; when it fails, its rows are cut off the
//! overlay, and neither the backend nor the next transaction has seen them.
//!
//! The commit keeps one order: **commit, make visible, hand out**. The index takes the rows only after the backend has
//! them, `current_revision` moves after the index, and the batches are returned after that, so what a batch tells can be
//! read at once.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::MutexGuard;
use watchful_backend::{BackendError, WriteTxn};
use watchful_revision::{LeaseId, Record, Revision};

use crate::compaction::{CompactionState, SliceDone};
use crate::failpoint::failpoint;
use crate::format::lease_row;
use crate::lease::LeaseChanges;
use crate::overlay::{Overlay, OverlayRow};
use crate::request::{TxnRequest, TxnResponse};
use crate::store::Inner;
use crate::superseded::Superseded;
use crate::txn::Txn;
use crate::{CommitFailure, MvccError, open};

/// How many rows the index takes while readers wait.
const APPLY_ROWS_MAX: usize = 256;

/// What belongs to the one who writes.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) superseded: Superseded,
    pub(crate) compaction: CompactionState,
    /// The changes of the group that is under way. Like the two below, kept between groups only for its memory.
    pub(crate) overlay: Overlay,
    pub(crate) lease_changes: LeaseChanges,
    pub(crate) batches: Vec<CommittedBatch>,
}

/// The turn to write: begins with [`Mvcc::begin_group`](crate::Mvcc::begin_group), ends with [`commit`](Self::commit).
/// Dropped before, it leaves no trace.
///
/// It cannot cross threads, because the backend's write transaction cannot:
///
/// ```compile_fail
/// fn must_be_send(_: impl Send) {}
/// fn try_it(mvcc: &watchful_mvcc::Mvcc) {
///     must_be_send(mvcc.begin_group().unwrap());
/// }
/// ```
pub struct Group<'m> {
    pub(crate) inner: &'m Inner,
    pub(crate) write: WriteTxn<'m>,
    pub(crate) writer: MutexGuard<'m, Writer>,
    /// The bytes in use before the group, and the group's own records.
    pub(crate) used_bytes: u64,
    pub(crate) is_dirty: bool,
    pub(crate) scheduled: Option<u64>,
    pub(crate) slice: SliceDone,
    failed: Option<MvccError>,
}

/// What a transaction that went well gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnOutcome<R> {
    /// The main revision it took; none when it changed no key.
    pub revision: Option<u64>,
    /// What the transaction itself returned.
    pub value: R,
}

/// One revision that was committed: every change of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedBatch {
    /// The main revision.
    pub revision: u64,
    /// The changes, in order.
    pub rows: Vec<Row>,
    /// The buffer that the records share.
    pub bytes: Bytes,
}

/// One change that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was written.
    pub record: Record,
    /// The row whose place it takes: none when the key was absent just before.
    pub prev: Option<Revision>,
}

impl<'m> Group<'m> {
    pub(crate) fn begin(inner: &'m Inner) -> Result<Self, MvccError> {
        let mut writer = inner.writer.lock();
        let write = inner.backend.write()?;
        writer.overlay.clear();
        writer.lease_changes.truncate(0);
        writer.batches.clear();
        Ok(Self {
            inner,
            write,
            writer,
            used_bytes: inner.backend.used_bytes(),
            is_dirty: false,
            scheduled: None,
            slice: SliceDone::default(),
            failed: None,
        })
    }

    /// Runs one transaction. When `work` fails, the transaction leaves no trace, takes no revision, and the group goes
    /// on without it; so it does when `work` panics.
    ///
    /// # Errors
    ///
    /// What `work` returned; otherwise, what the backend said. After an error of the backend the whole group can only be
    /// dropped ([`is_failed`](Self::is_failed)), and every later call answers the same error.
    pub fn txn<R, E: From<MvccError>>(
        &mut self,
        work: impl FnOnce(&mut Txn<'_, 'm>) -> Result<R, E>,
    ) -> Result<TxnOutcome<R>, E> {
        self.check()?;
        let mut txn = Txn::begin(self);
        let value = work(&mut txn)?;
        let revision = txn.finish()?;
        Ok(TxnOutcome { revision, value })
    }

    /// Runs one transaction that is given as data.
    ///
    /// # Errors
    ///
    /// As [`Txn::execute`] and [`txn`](Self::txn).
    pub fn execute(&mut self, request: &TxnRequest) -> Result<TxnOutcome<TxnResponse>, MvccError> {
        self.txn(|txn| txn.execute(request))
    }

    /// The newest revision, the group's own transactions so far among them.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.inner.current_revision() + self.writer.batches.len() as u64
    }

    /// Whether the backend has failed, so that the group can only be dropped. [`commit`](Self::commit) then tells why.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Makes everything the group did durable, as the durability says, and then visible. There is one batch for each
    /// transaction that changed a key, in order.
    ///
    /// # Errors
    ///
    /// [`CommitFailure`] tells whether nothing happened or the outcome is unknown.
    pub fn commit(self) -> Result<Vec<CommittedBatch>, CommitFailure> {
        let Self { inner, write, mut writer, used_bytes, is_dirty, scheduled, slice, failed } = self;
        let quota_bytes = inner.settings.quota_bytes;
        match failed {
            Some(MvccError::NoSpace { .. }) => {
                return Err(CommitFailure::NoSpace { used_bytes, quota_bytes });
            }
            Some(error) => return Err(CommitFailure::TakenBack(crate::Opaque::new(error))),
            None => {}
        }
        failpoint!(
            "mvcc::commit",
            CommitFailure::TakenBack(crate::Opaque::new(std::io::Error::other("a trial")))
        );
        if is_dirty && let Err(error) = write.commit() {
            let failure = CommitFailure::of(error, used_bytes, quota_bytes);
            if failure.is_unknown() {
                open::doubt(&inner.dir, None, inner.settings.durability);
            }
            return Err(failure);
        }
        failpoint!("mvcc::committed");
        writer.make_visible(inner, scheduled, slice);
        failpoint!("mvcc::visible");
        Ok(std::mem::take(&mut writer.batches))
    }

    /// The error that ended the group, if one did.
    pub(crate) fn check(&self) -> Result<(), MvccError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Refuses what needs more space, when the quota is used up.
    pub(crate) fn check_quota(&self) -> Result<(), MvccError> {
        let (used_bytes, quota_bytes) = (self.used_bytes, self.inner.settings.quota_bytes);
        if used_bytes >= quota_bytes { Err(MvccError::NoSpace { used_bytes, quota_bytes }) } else { Ok(()) }
    }

    /// Notes an error of the backend: its transaction cannot go on.
    #[cold]
    pub(crate) fn fail(&mut self, error: BackendError) -> MvccError {
        let error = match error {
            BackendError::NoSpace { .. } => {
                let (used_bytes, quota_bytes) = (self.used_bytes, self.inner.settings.quota_bytes);
                MvccError::NoSpace { used_bytes, quota_bytes }
            }
            BackendError::NotLast => {
                MvccError::DamagedStore { what: "its log holds a revision that was not given out".to_owned() }
            }
            other => other.into(),
        };
        self.fail_with(error)
    }

    /// Notes an error after which the group must not be committed.
    #[cold]
    pub(crate) fn fail_with(&mut self, error: MvccError) -> MvccError {
        self.failed.get_or_insert(error).clone()
    }

    /// Appends the rows of a transaction that is whole, and keeps its batch.
    pub(crate) fn append(&mut self, batch: CommittedBatch) -> Result<(), MvccError> {
        self.is_dirty = true;
        for row in &batch.rows {
            let revision = row.record.revision().to_bytes();
            let appended = self.write.append(self.inner.tables.log, &revision, row.record.bytes());
            appended.map_err(|error| self.fail(error))?;
        }
        self.used_bytes += batch.bytes.len() as u64;
        self.writer.batches.push(batch);
        Ok(())
    }

    /// Writes what a transaction did to leases, from its change number `first` on.
    pub(crate) fn write_leases(&mut self, first: usize) -> Result<(), MvccError> {
        for change in self.writer.lease_changes.from(first) {
            self.is_dirty = true;
            let key = change.id.to_be_bytes();
            let table = self.inner.tables.lease;
            let written = match change.ttl_seconds {
                Some(ttl_seconds) => self.write.put(table, &key, &lease_row(change.id, ttl_seconds)),
                None => self.write.delete(table, &key).map(drop),
            };
            if let Err(error) = written {
                return Err(self.fail(error));
            }
        }
        Ok(())
    }

    /// Whether the lease `id` is there, after what the group did so far.
    pub(crate) fn lease_exists(&self, id: LeaseId) -> bool {
        self.writer.lease_changes.exists(id).unwrap_or_else(|| self.inner.leases.read().exists(id))
    }
}

impl Writer {
    /// Takes what was committed into memory. Readers see nothing of it before `current_revision` moves.
    fn make_visible(&mut self, inner: &Inner, scheduled: Option<u64>, slice: SliceDone) {
        self.add_to_index(inner);
        self.apply_to_leases(inner);
        let main = |row: &OverlayRow| row.newest.revision().main;
        for rows in self.overlay.rows().chunk_by(|a, b| main(a) == main(b)) {
            self.superseded.push_revision(main(&rows[0]), rows.iter().map(OverlayRow::change));
        }
        failpoint!("mvcc::indexed");
        if let Some(batch) = self.batches.last() {
            inner.current_revision.store(batch.revision, Ordering::Release);
        }
        self.end_slice(inner, slice);
        if let Some(revision) = scheduled {
            self.enforce(inner, revision);
        }
        self.set_gauges(inner);
    }

    fn add_to_index(&self, inner: &Inner) {
        for rows in self.overlay.rows().chunks(APPLY_ROWS_MAX) {
            inner.index.read().fetch(rows.iter().filter_map(|row| row.spot.as_ref()));
            let mut index = inner.index.write();
            for row in rows {
                index.add(self.overlay.key(row), &row.newest, row.spot.as_ref());
            }
        }
    }

    /// Brings each lease and each key to where the group left it. Leases that are there in the end are made first and
    /// those that are not removed last, so that a key finds its lease whatever happened in between.
    fn apply_to_leases(&self, inner: &Inner) {
        let changes = self.lease_changes.from(0);
        let concerns_leases = |leases: &crate::lease::Leases| {
            !changes.is_empty()
                || leases.attached_keys() > 0
                || self.overlay.rows().iter().any(|row| row.lease != 0)
        };
        if !concerns_leases(&inner.leases.read()) {
            return;
        }
        let mut leases = inner.leases.write();
        let left = |change: &&crate::lease::LeaseChange| self.lease_changes.exists(change.id) == Some(true);
        for change in changes.iter().filter(left) {
            if let Some(ttl_seconds) = change.ttl_seconds {
                leases.grant(change.id, ttl_seconds);
            }
        }
        for row in self.overlay.latest() {
            leases.attach(self.overlay.key(row), row.lease);
        }
        for change in changes.iter().filter(|change| !left(change)) {
            leases.remove(change.id);
        }
    }
}
