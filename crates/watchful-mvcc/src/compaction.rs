//! Compaction: `schedule` makes a revision the oldest that can be read, and slices delete what it leaves behind.
//!
//! A slice takes rows off the front of the [list of superseded rows](crate::superseded), reads each row's record in the
//! log to learn its key, and deletes it there; after the commit the index forgets it. It never looks at anything else, so
//! a compaction costs what was superseded, however many keys are alive.
//!
//! What must hold, whatever breaks it off:
//!
//! - A row is deleted only after the compact revision that permits it is enforced, so that a reader who misses a row
//!   finds out why. A slice in the group that schedules a compaction therefore does nothing for it yet.
//! - The list is moved on only after the commit. A group that is dropped or fails has deleted nothing.

use std::sync::atomic::Ordering;

use watchful_revision::{RecordRef, Revision};

use crate::MvccError;
use crate::failpoint::failpoint;
use crate::format::{META_COMPACT_FINISHED, META_COMPACT_SCHEDULED, number_row};
use crate::group::{Group, Writer};
use crate::rows::missing;
use crate::store::Inner;
use crate::superseded::Cursor;

/// How many rows the index forgets while readers wait.
const FORGET_ROWS_MAX: usize = 256;

/// How far the store is compacted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CompactionState {
    /// The revision compacted to; none before the first compaction, which alone may be to 0.
    pub(crate) scheduled: Option<u64>,
    /// The revision up to which everything superseded is deleted.
    pub(crate) finished: Option<u64>,
}

/// What a group's slices have deleted.
#[derive(Default)]
pub(crate) struct SliceDone {
    cursor: Option<Cursor>,
    rows: Vec<Deleted>,
    keys: Vec<u8>,
    finishes: Option<u64>,
}

struct Deleted {
    revision: Revision,
    key_end: usize,
}

/// What one call of [`Group::compact_slice`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// How many rows it deleted.
    pub rows: usize,
    /// Whether nothing is left to delete at the compact revision that is enforced.
    pub is_done: bool,
}

impl Group<'_> {
    /// Makes the main revision `revision` the oldest that can be read. That is durable with the group's commit and
    /// enforced right after it; what it leaves behind is deleted by [`compact_slice`](Self::compact_slice), in later
    /// groups.
    ///
    /// # Errors
    ///
    /// `Compacted` when the store is compacted to there or further already; `FutureRevision` above the current revision;
    /// or what the backend said.
    pub fn schedule_compaction(&mut self, revision: u64) -> Result<(), MvccError> {
        self.check()?;
        let before = self.scheduled.or(self.writer.compaction.scheduled);
        if let Some(compact_revision) = before.filter(|before| revision <= *before) {
            return Err(MvccError::Compacted { compact_revision });
        }
        let current_revision = self.current_revision();
        if revision > current_revision {
            return Err(MvccError::FutureRevision { current_revision });
        }
        self.is_dirty = true;
        self.write_number(META_COMPACT_SCHEDULED, revision)?;
        self.scheduled = Some(revision);
        failpoint!("mvcc::compaction::scheduled");
        Ok(())
    }

    /// Deletes up to `rows_max` superseded rows that the enforced compact revision has left behind. It may be called in
    /// any group, beside transactions or alone, and more than once.
    ///
    /// # Errors
    ///
    /// `Damaged` when a superseded record cannot be read, or what the backend said. The group can then only be dropped.
    pub fn compact_slice(&mut self, rows_max: usize) -> Result<Slice, MvccError> {
        self.check()?;
        let Some(compact_revision) = self.writer.compaction.scheduled else {
            return Ok(Slice { rows: 0, is_done: true });
        };
        let mut cursor = self.slice.cursor.unwrap_or_else(|| self.writer.superseded.front());
        let mut rows = 0;
        let is_done = loop {
            let mut next = cursor;
            match self.writer.superseded.next(&mut next) {
                Some(row) if row.due <= compact_revision => {
                    if rows == rows_max {
                        break false;
                    }
                    self.delete_row(row.revision)?;
                    rows += 1;
                    cursor = next;
                }
                _ => break true,
            }
        };
        self.slice.cursor = Some(cursor);
        if is_done && self.writer.compaction.finished < Some(compact_revision) {
            self.is_dirty = true;
            self.write_number(META_COMPACT_FINISHED, compact_revision)?;
            failpoint!("mvcc::compaction::finished");
            self.slice.finishes = Some(compact_revision);
        }
        Ok(Slice { rows, is_done })
    }

    fn delete_row(&mut self, revision: Revision) -> Result<(), MvccError> {
        failpoint!("mvcc::compaction::delete");
        let (log, row) = (self.inner.tables.log, revision.to_bytes());
        self.inner.gauges.compaction_rows_read.fetch_add(1, Ordering::Relaxed);
        let read = match self.write.get(log, &row) {
            Ok(Some(record)) => RecordRef::parse(revision, record).map_err(MvccError::from),
            Ok(None) => Err(missing(revision)),
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(record) => self.slice.keys.extend_from_slice(record.key()),
            Err(error) => return Err(self.fail_with(error)),
        }
        self.slice.rows.push(Deleted { revision, key_end: self.slice.keys.len() });
        self.is_dirty = true;
        self.write.delete(log, &row).map(drop).map_err(|error| self.fail(error))
    }

    fn write_number(&mut self, name: &str, number: u64) -> Result<(), MvccError> {
        let table = self.inner.tables.meta;
        let written = self.write.put(table, name.as_bytes(), &number_row(name, number));
        written.map_err(|error| self.fail(error))
    }
}

impl Writer {
    /// Takes deleted rows out of the list and the index, after the commit.
    pub(crate) fn end_slice(&mut self, inner: &Inner, slice: SliceDone) {
        failpoint!("mvcc::compaction::forget");
        if let Some(cursor) = slice.cursor {
            self.superseded.drop_before(cursor);
        }
        let mut start = 0;
        for rows in slice.rows.chunks(FORGET_ROWS_MAX) {
            let mut index = inner.index.write();
            for row in rows {
                index.forget(&slice.keys[start..row.key_end], row.revision);
                start = row.key_end;
            }
        }
        if slice.finishes.is_some() {
            self.compaction.finished = slice.finishes;
        }
    }

    /// From here on nothing below `revision` can be read.
    pub(crate) fn enforce(&mut self, inner: &Inner, revision: u64) {
        self.compaction.scheduled = Some(revision);
        failpoint!("mvcc::compaction::enforce");
        inner.compact_revision.store(revision, Ordering::SeqCst);
    }

    pub(crate) fn set_gauges(&self, inner: &Inner) {
        let gauges = &inner.gauges;
        gauges.superseded.store(self.superseded.len() as u64, Ordering::Relaxed);
        gauges.superseded_bytes.store(self.superseded.heap_bytes() as u64, Ordering::Relaxed);
        gauges.compaction_finished.store(self.compaction.finished.unwrap_or(0), Ordering::Release);
        let is_pending = self.compaction.finished < self.compaction.scheduled;
        gauges.compaction_pending.store(is_pending, Ordering::Release);
    }
}
