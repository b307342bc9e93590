//! Rows on their way out of the log: many records checked and copied into one buffer, which they then share.

use bytes::Bytes;
use watchful_revision::{
    CopiedRecord, Put, Record, RecordKind, RecordRef, Revision, encode_put, encode_tombstone,
};

use crate::MvccError;

/// Records that were checked and copied, each with its place among those that were asked for. They may come in any order.
#[derive(Default)]
pub(crate) struct RowBuffer {
    bytes: Vec<u8>,
    rows: Vec<(usize, CopiedRecord)>,
    /// How many will come.
    expected: usize,
}

/// The most bytes that are set aside before it is known how large the records are.
const GUESS_BYTES_MAX: usize = 64 << 10;

impl RowBuffer {
    /// One for so many records.
    pub(crate) fn for_rows(expected: usize) -> Self {
        Self { bytes: Vec::new(), rows: Vec::with_capacity(expected), expected }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the record, and checks the copy.
    pub(crate) fn push(&mut self, place: usize, revision: Revision, record: &[u8]) -> Result<(), MvccError> {
        if self.rows.is_empty() {
            // Records of one range are often of one size.
            self.bytes.reserve(record.len().saturating_mul(self.expected).min(GUESS_BYTES_MAX));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.end_record(place, revision, start)
    }

    /// Adds a record without its value: one that says the same of its key otherwise, with a checksum of its own.
    pub(crate) fn push_without_value(
        &mut self,
        place: usize,
        revision: Revision,
        record: &[u8],
    ) -> Result<(), MvccError> {
        let record = RecordRef::parse(revision, record)?;
        let (view, start) = (record.key_value()?, self.bytes.len());
        match record.kind() {
            RecordKind::Put => {
                encode_put(revision, &Put { value: b"", ..view.into() }, &mut self.bytes)?;
            }
            RecordKind::Tombstone => encode_tombstone(revision, view.key, &mut self.bytes)?,
        }
        self.end_record(place, revision, start)
    }

    fn end_record(&mut self, place: usize, revision: Revision, start: usize) -> Result<(), MvccError> {
        self.rows.push((place, CopiedRecord::at_end_of(&self.bytes, start, revision)?));
        Ok(())
    }

    /// Appends the records to `records`, in the order of their places.
    pub(crate) fn append_to(mut self, records: &mut Vec<Record>) {
        if !self.rows.is_sorted_by_key(|(place, _)| *place) {
            self.rows.sort_unstable_by_key(|(place, _)| *place);
        }
        // They may be kept for long, and the room that was set aside too much is not to be.
        self.bytes.shrink_to_fit();
        let bytes = Bytes::from(self.bytes);
        records.extend(self.rows.into_iter().map(|(_, record)| record.in_buffer(&bytes)));
    }
}

/// Copies one record out and checks it.
pub(crate) fn copy_record(revision: Revision, record: &[u8]) -> Result<Record, MvccError> {
    Ok(Record::parse(revision, Bytes::copy_from_slice(record))?)
}

/// What is said of a record that the index knows and the log does not have.
pub(crate) fn missing(revision: Revision) -> MvccError {
    MvccError::Damaged { revision, reason: format!("the record of revision {revision} is missing") }
}
