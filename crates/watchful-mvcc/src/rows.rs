//! Rows on their way out of the log: many records copied into one buffer, which they then share.

use bytes::Bytes;
use watchful_revision::{Put, Record, RecordKind, RecordRef, Revision, encode_put, encode_tombstone};

use crate::MvccError;

/// Records that were copied and not checked yet.
#[derive(Default)]
pub(crate) struct RowBuffer {
    bytes: Vec<u8>,
    /// Each row's revision and where its record ends.
    rows: Vec<(Revision, usize)>,
}

impl RowBuffer {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, revision: Revision, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.rows.push((revision, self.bytes.len()));
    }

    /// Adds many records, for which room is made once.
    pub(crate) fn push_all(&mut self, rows: &[(Revision, &[u8])]) {
        self.bytes.reserve_exact(rows.iter().map(|(_, record)| record.len()).sum());
        self.rows.reserve_exact(rows.len());
        rows.iter().for_each(|(revision, record)| self.push(*revision, record));
    }

    /// Adds a record without its value: one that says the same of its key otherwise, with a checksum of its own.
    pub(crate) fn push_without_value(&mut self, revision: Revision, record: &[u8]) -> Result<(), MvccError> {
        let record = RecordRef::parse(revision, record)?;
        let view = record.key_value()?;
        match record.kind() {
            RecordKind::Put => {
                let (create_revision, version, lease) = (view.create_revision, view.version, view.lease);
                let put = Put { key: view.key, value: b"", create_revision, version, lease };
                encode_put(revision, &put, &mut self.bytes)?;
            }
            RecordKind::Tombstone => encode_tombstone(revision, view.key, &mut self.bytes)?,
        }
        self.rows.push((revision, self.bytes.len()));
        Ok(())
    }

    /// Checks every record, and appends them to `records`.
    pub(crate) fn append_to(self, records: &mut Vec<Record>) -> Result<(), MvccError> {
        let bytes = Bytes::from(self.bytes);
        records.reserve(self.rows.len());
        let mut start = 0;
        for (revision, end) in self.rows {
            records.push(Record::parse(revision, bytes.slice(start..end))?);
            start = end;
        }
        Ok(())
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
