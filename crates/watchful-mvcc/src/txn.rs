//! One transaction of a group: it reads its own writes, and is there whole or not at all.

use std::ops::Range;

use bytes::Bytes;
use watchful_revision::{KeyRange, LeaseId, Put, RangeShape, Record, Revision, encode_put, encode_tombstone};

use crate::MvccError;
use crate::group::{CommittedBatch, Group, Row};
use crate::index::{CHANGES_MAX, Direction, KEY_LEN_MAX, Newest, Spot};
use crate::note::NoteChanges;
use crate::overlay::Before;
use crate::range::{self, Rows};
use crate::request::{Deleted, PutOptions, RangeOptions, RangeResult};
use crate::rows::{RowBuffer, copy_record, missing};
use crate::txn_rows::TxnRows;

/// A transaction, as the closure given to [`Group::txn`] sees it.
///
/// All its changes share one main revision; `sub` counts them in the order in which they were made. A key may be changed
/// more than once.
pub struct Txn<'t, 'm> {
    pub(crate) group: &'t mut Group<'m>,
    revision: u64,
    /// Every record of the transaction, one after the other. It becomes the committed batch's buffer.
    buffer: Vec<u8>,
    /// The numbers of the first row and the first lease change of this transaction in its group.
    first_row: usize,
    first_lease_change: usize,
    pub(crate) notes: NoteChanges,
}

impl<'t, 'm> Txn<'t, 'm> {
    pub(crate) fn begin(group: &'t mut Group<'m>) -> Self {
        Self {
            revision: group.current_revision() + 1,
            buffer: Vec::new(),
            first_row: group.writer.overlay.len(),
            first_lease_change: group.writer.lease_changes.len(),
            notes: NoteChanges::new(),
            group,
        }
    }

    /// The main revision the transaction takes if it changes a key.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the transaction has changed a key so far.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.group.writer.overlay.len() > self.first_row
    }

    /// Sets `key` to `value`. Answers the record before, if `options` ask for it and there is one.
    ///
    /// # Errors
    ///
    /// `EmptyKey`, `ValueProvided`, `LeaseProvided`, `TooLarge`, `NoSpace`, `LeaseNotFound`; `KeyNotFound` when something
    /// of the key is to be kept; or what the backend said.
    pub fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        options: PutOptions,
    ) -> Result<Option<Record>, MvccError> {
        check_put(key, value, &options)?;
        self.group.check_quota()?;
        if options.lease != 0 && !self.lease_exists(options.lease) {
            return Err(MvccError::LeaseNotFound { id: options.lease });
        }
        let (newest, spot) = self.locate(key);
        let before = newest.filter(Newest::is_live);
        if before.is_none() && (options.ignore_value || options.ignore_lease) {
            return Err(MvccError::KeyNotFound);
        }
        let prev = match before {
            Some(before) if options.ignore_value || options.prev_kv => Some(self.read(before.revision())?),
            _ => None,
        };
        let kept = prev.as_ref().filter(|_| options.ignore_value);
        let lease = if options.ignore_lease { self.lease_of(key) } else { options.lease };
        self.write_put(key, kept.map_or(value, Record::value), before, lease, spot)?;
        Ok(prev.filter(|_| options.prev_kv))
    }

    /// Deletes every key in `range`, in key order. Answers how many there were, and their records if `prev_kv` asks.
    ///
    /// # Errors
    ///
    /// What the backend said.
    pub fn delete_range(&mut self, range: &KeyRange, prev_kv: bool) -> Result<Deleted, MvccError> {
        let mut found = Found::default();
        self.find_keys(range, &mut found)?;
        let mut prev = Vec::new();
        if prev_kv {
            let mut buffer = RowBuffer::for_rows(found.len());
            for (place, revision) in found.revisions().enumerate() {
                buffer.push(place, revision, self.record_bytes(revision)?)?;
            }
            buffer.append_to(&mut prev);
        }
        for (key, revision) in found.iter() {
            self.write_tombstone(key, revision)?;
        }
        Ok(Deleted { count: found.len() as u64, prev })
    }

    /// The record of `key`.
    ///
    /// # Errors
    ///
    /// `Damaged`, or what the backend said.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, MvccError> {
        let newest = self.newest(key).filter(Newest::is_live);
        newest.map(|newest| self.read(newest.revision())).transpose()
    }

    /// The keys in `range` as the transaction has left them so far.
    ///
    /// # Errors
    ///
    /// `Damaged`, or what the backend said.
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, MvccError> {
        range::answer(&mut self.rows(range, u64::MAX, range::direction(options)), options)
    }

    /// The keys in `range` at the main revision `revision`; as [`range`](Self::range) when that is 0.
    ///
    /// # Errors
    ///
    /// `Compacted` and `FutureRevision`; as for compares, the newest revision is the one before this transaction.
    pub fn range_at(
        &self,
        revision: u64,
        range: &KeyRange,
        options: &RangeOptions,
    ) -> Result<RangeResult, MvccError> {
        self.check_readable(revision)?;
        let revision = if revision == 0 { u64::MAX } else { revision };
        range::answer(&mut self.rows(range, revision, range::direction(options)), options)
    }

    /// Whether main revision `revision` can be read; 0 always can.
    ///
    /// # Errors
    ///
    /// As [`range_at`](Self::range_at).
    pub(crate) fn check_readable(&self, revision: u64) -> Result<(), MvccError> {
        if revision == 0 {
            return Ok(());
        }
        let current_revision = self.revision - 1;
        if revision > current_revision {
            return Err(MvccError::FutureRevision { current_revision });
        }
        let compacted = self.group.scheduled.or(self.group.writer.compaction.scheduled);
        if let Some(compact_revision) = compacted.filter(|compacted| revision < *compacted) {
            return Err(MvccError::Compacted { compact_revision });
        }
        Ok(())
    }

    /// The newest version of `key`, which may be a tombstone.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Newest> {
        match self.group.writer.overlay.newest(key) {
            Some(row) => Some(row.newest),
            None => self.group.inner.index.read().newest(key),
        }
    }

    /// As [`newest`](Self::newest), and where the key is in the index.
    fn locate(&self, key: &[u8]) -> (Option<Newest>, Option<Spot>) {
        match self.group.writer.overlay.newest(key) {
            Some(row) => (Some(row.newest), row.spot),
            None => self.group.inner.index.read().locate(key),
        }
    }

    fn write_put(
        &mut self,
        key: &[u8],
        value: &[u8],
        before: Option<Newest>,
        lease: LeaseId,
        spot: Option<Spot>,
    ) -> Result<(), MvccError> {
        let revision = self.next_revision()?;
        let (create_revision, version) =
            before.map_or((self.revision, 1), |before| (before.create_revision, before.changes + 1));
        let put = Put { key, value, create_revision, version, lease };
        let start = self.buffer.len();
        encode_put(revision, &put, &mut self.buffer)?;
        let newest = Newest::put(revision, create_revision, version);
        let before = Before { prev: before.map(|before| before.revision()), spot };
        let record = start..self.buffer.len();
        self.group.writer.overlay.push(key, before, newest, lease, record);
        Ok(())
    }

    pub(crate) fn write_tombstone(&mut self, key: &[u8], prev: Revision) -> Result<(), MvccError> {
        let revision = self.next_revision()?;
        let start = self.buffer.len();
        encode_tombstone(revision, key, &mut self.buffer)?;
        let before = Before { prev: Some(prev), spot: None };
        let record = start..self.buffer.len();
        self.group.writer.overlay.push(key, before, Newest::tombstone(revision), 0, record);
        Ok(())
    }

    fn next_revision(&self) -> Result<Revision, MvccError> {
        let changes = self.group.writer.overlay.len() - self.first_row;
        match u32::try_from(changes) {
            Ok(sub) if sub <= CHANGES_MAX => Ok(Revision::new(self.revision, sub)),
            _ => Err(MvccError::TooLarge {
                what: "transaction, counted in changes,",
                size: changes as u64 + 1,
                size_max: u64::from(CHANGES_MAX) + 1,
            }),
        }
    }

    pub(crate) fn rows<'a>(
        &'a self,
        range: &'a KeyRange,
        at: u64,
        direction: Direction,
    ) -> TxnRows<'a, 't, 'm> {
        TxnRows::new(self, range, at, direction)
    }

    fn find_keys(&self, range: &KeyRange, found: &mut Found) -> Result<(), MvccError> {
        if let RangeShape::Key(key) = range.shape() {
            if let Some(newest) = self.newest(key).filter(Newest::is_live) {
                found.push(key, newest.revision());
            }
            return Ok(());
        }
        let mut rows = self.rows(range, u64::MAX, Direction::Ascending);
        while rows.turn(&mut |key, revision| found.push(key, revision))? {}
        Ok(())
    }

    fn read(&self, revision: Revision) -> Result<Record, MvccError> {
        copy_record(revision, self.record_bytes(revision)?)
    }

    /// The record at `revision`: from this transaction's buffer, or from the log, where those of earlier transactions
    /// of the group are too.
    pub(crate) fn record_bytes(&self, revision: Revision) -> Result<&[u8], MvccError> {
        if revision.main == self.revision {
            let row = &self.group.writer.overlay.rows()[self.first_row + revision.sub as usize];
            return Ok(&self.buffer[row.record.clone()]);
        }
        let record = self.group.write.get(self.group.inner.tables.log, &revision.to_bytes())?;
        record.ok_or_else(|| missing(revision))
    }

    /// Hands the transaction to the backend. Tells the revision it took.
    pub(crate) fn finish(mut self) -> Result<Option<u64>, MvccError> {
        let revision = self.has_changed().then_some(self.revision);
        if revision.is_some() {
            let batch = self.batch()?;
            self.group.append(batch)?;
        }
        self.group.write_leases(self.first_lease_change)?;
        self.write_notes()?;
        // From here on the group keeps what the transaction did: there is nothing left for `drop` to take back.
        self.first_row = self.group.writer.overlay.len();
        self.first_lease_change = self.group.writer.lease_changes.len();
        Ok(revision)
    }

    fn batch(&mut self) -> Result<CommittedBatch, MvccError> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let rows = &self.group.writer.overlay.rows()[self.first_row..];
        // Checked on the way in: what is not read back as it was meant is not written.
        let mut checked = Vec::with_capacity(rows.len());
        for row in rows {
            let record = Record::parse(row.newest.revision(), bytes.slice(row.record.clone()))?;
            checked.push(Row { record, prev: row.prev });
        }
        Ok(CommittedBatch { revision: self.revision, rows: checked, bytes })
    }
}

/// Takes back what the transaction did, unless it was finished.
impl Drop for Txn<'_, '_> {
    fn drop(&mut self) {
        self.group.writer.overlay.truncate(self.first_row);
        self.group.writer.lease_changes.truncate(self.first_lease_change);
    }
}

fn check_put(key: &[u8], value: &[u8], options: &PutOptions) -> Result<(), MvccError> {
    if key.is_empty() {
        return Err(MvccError::EmptyKey);
    }
    if key.len() > KEY_LEN_MAX {
        let (size, size_max) = (key.len() as u64, KEY_LEN_MAX as u64);
        return Err(MvccError::TooLarge { what: "key, counted in bytes,", size, size_max });
    }
    if options.ignore_value && !value.is_empty() {
        return Err(MvccError::ValueProvided);
    }
    if options.ignore_lease && options.lease != 0 {
        return Err(MvccError::LeaseProvided);
    }
    Ok(())
}

/// Keys and their rows, copied into one buffer.
#[derive(Default)]
struct Found {
    keys: Vec<u8>,
    rows: Vec<(Range<usize>, Revision)>,
}

impl Found {
    fn push(&mut self, key: &[u8], revision: Revision) {
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.rows.push((start..self.keys.len(), revision));
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn revisions(&self) -> impl Iterator<Item = Revision> {
        self.rows.iter().map(|(_, revision)| *revision)
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], Revision)> {
        self.rows.iter().map(|(key, revision)| (&self.keys[key.clone()], *revision))
    }
}
