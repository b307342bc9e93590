//! Reading history: the rows of the log in their order, from one revision on, for those who catch up.
//!
//! One call reads one chunk, in one short read transaction, under no lock. The compact revision comes from the same
//! snapshot as the rows, so a chunk that was read is whole. What is wanted is decided a row at a time, on its key, and
//! only wanted rows are copied, once, into one buffer. A row's checksum is looked at once, where it lies.

use std::ops::Bound;

use bytes::Bytes;
use watchful_backend::ReadTxn;
use watchful_revision::{CopiedRecord, LeaseId, Record, RecordKind, RecordRef, Revision};

use crate::MvccError;
use crate::failpoint::failpoint;
use crate::fetch::fetch;
use crate::format::{META_COMPACT_SCHEDULED, read_number};
use crate::rows::copy_record;
use crate::store::Mvcc;

/// How much one call may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryLimits {
    /// The chunk ends before the row whose charge would take it past this; the first wanted row is always taken. 512 KiB
    /// by default, half of a watcher's default outbox.
    pub bytes_max: usize,
    /// The chunk ends when it has passed so many main revisions. 10,000 by default.
    pub revisions_max: u64,
    /// The chunk ends when it has looked at so many rows, in the middle of a revision if need be, so that the read
    /// transaction is short whatever a revision holds. 50,000 by default: some milliseconds.
    pub rows_max: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { bytes_max: 512 << 10, revisions_max: 10_000, rows_max: 50_000 }
    }
}

impl HistoryLimits {
    /// These limits with another [`bytes_max`](Self::bytes_max).
    #[must_use]
    pub fn with_bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// These limits with another [`revisions_max`](Self::revisions_max).
    #[must_use]
    pub fn with_revisions_max(self, revisions_max: u64) -> Self {
        Self { revisions_max, ..self }
    }

    /// These limits with another [`rows_max`](Self::rows_max).
    #[must_use]
    pub fn with_rows_max(self, rows_max: u64) -> Self {
        Self { rows_max, ..self }
    }
}

/// A row of the log, in place. Its checksum has been checked.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a>(RecordRef<'a>);

impl<'a> RowView<'a> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.0.key()
    }

    /// Whether it is a put or a tombstone.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.0.kind()
    }

    /// The revision of the change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.revision()
    }

    /// The lease the key is attached to; 0 for none.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.0.lease()
    }

    /// How many bytes the record has.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.0.bytes().len()
    }
}

/// What the reader wants of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Skip,
    /// The row.
    Take {
        /// What it counts for against [`HistoryLimits::bytes_max`].
        charge_bytes: usize,
    },
    /// The row, and its key's row just before it.
    TakeWithPrev {
        /// What the row counts for; the length of the one before it, and the size of a [`Record`], are added.
        charge_bytes: usize,
    },
}

/// What one call has read.
#[derive(Clone, Debug)]
pub struct HistoryChunk {
    /// The first revision that was not read: the start of a main revision, or in the middle of one.
    pub next: Revision,
    /// The compact revision, in the snapshot the rows come from.
    pub compact_revision: u64,
    /// How many rows were looked at.
    pub rows_read: u64,
    /// How many main revisions those rows have.
    pub revisions_read: u64,
    bytes: Vec<u8>,
    rows: Vec<CopiedRecord>,
    /// Rows before those that were taken, and which of them each is for, in their order.
    prevs: Vec<(usize, CopiedRecord)>,
}

/// A row that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The row.
    pub record: Record,
    /// The key's row just before it: none where nobody asked, where the key was created, and where that row has been
    /// compacted away.
    pub prev: Option<Record>,
}

impl HistoryChunk {
    /// How many rows were taken.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes were copied.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The rows that were taken, in order. They share the one buffer that `make` turns the copied bytes into, so `make`
    /// can bind a charge to it (`Bytes::from_owner`).
    pub fn into_rows(self, make: impl FnOnce(Vec<u8>) -> Bytes) -> impl Iterator<Item = HistoryRow> {
        let bytes = make(self.bytes);
        let mut prevs = self.prevs.into_iter().peekable();
        self.rows.into_iter().enumerate().map(move |(at, record)| HistoryRow {
            prev: prevs.next_if(|(of, _)| *of == at).map(|(_, prev)| prev.in_buffer(&bytes)),
            record: record.in_buffer(&bytes),
        })
    }
}

impl Mvcc {
    /// Reads the log from the revision `from` to the end of the main revision `to_main`, or of the current one if that
    /// is less, as far as `limits` permit, and asks `visit` of each row whether it is wanted. A row that was wanted and
    /// no longer fitted is asked about again in the next chunk.
    ///
    /// # Errors
    ///
    /// `Compacted` when `from` is below the compact revision; `Damaged`; or what the backend said.
    pub fn read_history(
        &self,
        from: Revision,
        to_main: u64,
        limits: &HistoryLimits,
        visit: &mut dyn FnMut(&RowView<'_>) -> Want,
    ) -> Result<HistoryChunk, MvccError> {
        self.read_history_into(Vec::new(), from, to_main, limits, visit)
    }

    /// As [`read_history`](Self::read_history), with a buffer for the rows that are taken: what is in it is overwritten.
    /// For those who read much: half a MiB that was used before costs less than half a MiB that the system has to clear.
    ///
    /// # Errors
    ///
    /// As [`read_history`](Self::read_history).
    pub fn read_history_into(
        &self,
        mut buffer: Vec<u8>,
        from: Revision,
        to_main: u64,
        limits: &HistoryLimits,
        visit: &mut dyn FnMut(&RowView<'_>) -> Want,
    ) -> Result<HistoryChunk, MvccError> {
        failpoint!("mvcc::history", MvccError::Backend(crate::Opaque::new(std::io::Error::other("a trial"))));
        buffer.clear();
        let to_main = to_main.min(self.current_revision());
        let txn = self.inner.backend.read()?;
        let compact_revision = read_number(&txn, self.inner.tables, META_COMPACT_SCHEDULED)?.unwrap_or(0);
        if from.main < compact_revision {
            return Err(MvccError::Compacted { compact_revision });
        }
        let chunk = HistoryChunk {
            next: from.max(Revision::start_of(to_main + 1)),
            compact_revision,
            rows_read: 0,
            revisions_read: 0,
            bytes: buffer,
            rows: Vec::new(),
            prevs: Vec::new(),
        };
        let mut reader = Reader { mvcc: self, txn: &txn, limits, charged_bytes: 0, main: None, chunk };
        reader.read(from, to_main, visit)?;
        Ok(reader.chunk)
    }

    /// The record of a row; none when it has been compacted away, or was never written.
    ///
    /// # Errors
    ///
    /// `Damaged`, or what the backend said.
    pub fn read_row(&self, revision: Revision) -> Result<Option<Record>, MvccError> {
        let txn = self.inner.backend.read()?;
        let record = txn.get(self.inner.tables.log, &revision.to_bytes())?;
        record.map(|record| copy_record(revision, record)).transpose()
    }

    /// The records of some rows, all from one snapshot. As [`read_row`](Self::read_row) for each.
    ///
    /// # Errors
    ///
    /// As [`read_row`](Self::read_row).
    pub fn read_rows(&self, revisions: &[Revision]) -> Result<Vec<Option<Record>>, MvccError> {
        let txn = self.inner.backend.read()?;
        let found = fetch(&txn, self.inner.tables.log, revisions)?;
        let copy = |(&revision, record): (&Revision, Option<&[u8]>)| {
            record.map(|record| copy_record(revision, record)).transpose()
        };
        revisions.iter().zip(found).map(copy).collect()
    }
}

/// One call under way.
struct Reader<'a> {
    mvcc: &'a Mvcc,
    txn: &'a ReadTxn,
    limits: &'a HistoryLimits,
    charged_bytes: usize,
    /// The main revision of the last row.
    main: Option<u64>,
    chunk: HistoryChunk,
}

impl<'a> Reader<'a> {
    fn read(
        &mut self,
        from: Revision,
        to_main: u64,
        visit: &mut dyn FnMut(&RowView<'_>) -> Want,
    ) -> Result<(), MvccError> {
        let (low, high) = (from.to_bytes(), Revision::new(to_main, u32::MAX).to_bytes());
        let bounds = (Bound::Included(&low[..]), Bound::Included(&high[..]));
        if low > high {
            return Ok(());
        }
        for row in self.txn.range(self.mvcc.inner.tables.log, bounds)? {
            let (key, record) = row?;
            let revision = parse_revision(key)?;
            if self.is_full(revision) {
                self.chunk.next = revision;
                return Ok(());
            }
            let row = RowView(RecordRef::parse(revision, record)?);
            let fits = match visit(&row) {
                Want::Skip => true,
                Want::Take { charge_bytes } => self.take(&row, None, charge_bytes)?,
                Want::TakeWithPrev { charge_bytes } => {
                    let prev = self.find_prev(&row)?;
                    let prev_bytes = prev.map_or(0, |prev| prev.bytes().len() + size_of::<Record>());
                    self.take(&row, prev, charge_bytes.saturating_add(prev_bytes))?
                }
            };
            if !fits {
                self.chunk.next = revision;
                return Ok(());
            }
            self.count(revision);
        }
        Ok(())
    }

    /// Whether the row at `revision` would be one too many.
    fn is_full(&self, revision: Revision) -> bool {
        let begins_revision = self.main != Some(revision.main);
        self.chunk.rows_read >= self.limits.rows_max.max(1)
            || begins_revision && self.chunk.revisions_read >= self.limits.revisions_max.max(1)
    }

    fn count(&mut self, revision: Revision) {
        self.chunk.rows_read += 1;
        if self.main != Some(revision.main) {
            self.main = Some(revision.main);
            self.chunk.revisions_read += 1;
        }
    }

    fn take(
        &mut self,
        row: &RowView<'_>,
        prev: Option<RecordRef<'_>>,
        charge_bytes: usize,
    ) -> Result<bool, MvccError> {
        let charged_bytes = self.charged_bytes.saturating_add(charge_bytes);
        if charged_bytes > self.limits.bytes_max && !self.chunk.rows.is_empty() {
            return Ok(false);
        }
        self.charged_bytes = charged_bytes;
        if let Some(prev) = prev {
            self.chunk.prevs.push((self.chunk.rows.len(), prev.copy_into(&mut self.chunk.bytes)?));
        }
        self.chunk.rows.push(row.0.copy_into(&mut self.chunk.bytes)?);
        Ok(true)
    }

    /// The row before, if it is still in this snapshot. The index may be ahead of the snapshot, but only by rows that
    /// came later and by rows that compaction has deleted since.
    fn find_prev(&self, row: &RowView<'_>) -> Result<Option<RecordRef<'a>>, MvccError> {
        let Some(prev) = self.mvcc.prev_row(row.key(), row.revision()) else { return Ok(None) };
        let record = self.txn.get(self.mvcc.inner.tables.log, &prev.to_bytes())?;
        Ok(record.map(|record| RecordRef::parse(prev, record)).transpose()?)
    }
}

/// The revision a row of the log is stored under.
pub(crate) fn parse_revision(key: &[u8]) -> Result<Revision, MvccError> {
    Revision::from_bytes(key).map_err(|error| MvccError::DamagedStore { what: format!("its log: {error}") })
}
