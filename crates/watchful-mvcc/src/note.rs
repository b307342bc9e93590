//! Notes: small facts kept beside the keys, for whoever builds on the store and must remember something of its own in
//! the same transaction as what that guards: an alarm, a user, a role.
//!
//! A note is durable with the transaction that sets it and is part of every copy of the store. It takes no revision, no
//! watcher sees it, and it has no history: the newest value is the only one. Notes are not counted against the quota, so
//! that it can be noted that the quota is used up; the map's own bound holds for them as for everything.
//!
//! In the table, four bytes come before the value: the CRC-32C, big-endian, of the name and the value. LMDB has no
//! checksum of its own.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use watchful_backend::KEY_LEN_MAX;

use crate::MvccError;
use crate::format::checksum;
use crate::store::Mvcc;

/// The most bytes a note's name may have: a name is a key of LMDB, which has this bound.
pub const NOTE_NAME_BYTES_MAX: usize = KEY_LEN_MAX;

/// The most bytes a note's value may have: 1 MiB. A note is read whole and every change writes it anew, so what is larger
/// is not a fact beside the keys but belongs among them.
pub const NOTE_VALUE_BYTES_MAX: usize = 1 << 20;

/// A note: its name and its value.
pub type Note = (Bytes, Bytes);

/// What a transaction has done to notes so far, by name; no value for what it removed.
pub(crate) type NoteChanges = BTreeMap<Bytes, Option<Bytes>>;

impl Mvcc {
    /// The value of the note `name`, as the newest commit has it.
    ///
    /// # Errors
    ///
    /// `DamagedStore`, or what the backend said.
    pub fn note(&self, name: &[u8]) -> Result<Option<Bytes>, MvccError> {
        let txn = self.inner.backend.read()?;
        let row = txn.get(self.inner.tables.note, name)?;
        row.map(|row| decode(name, row).map(Bytes::copy_from_slice)).transpose()
    }

    /// The notes whose names begin with `prefix`, by name, as one commit has them.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, MvccError> {
        let txn = self.inner.backend.read()?;
        collect(prefix, txn.range(self.inner.tables.note, from(prefix))?)
    }
}

/// Whether this can be a note.
pub(crate) fn check(name: &[u8], value: &[u8]) -> Result<(), MvccError> {
    check_name(name)?;
    if value.len() > NOTE_VALUE_BYTES_MAX {
        let (size, size_max) = (value.len() as u64, NOTE_VALUE_BYTES_MAX as u64);
        return Err(MvccError::TooLarge { what: "note's value, counted in bytes,", size, size_max });
    }
    Ok(())
}

pub(crate) fn check_name(name: &[u8]) -> Result<(), MvccError> {
    match name.len() {
        1..=NOTE_NAME_BYTES_MAX => Ok(()),
        len => Err(MvccError::NoteName { len, len_max: NOTE_NAME_BYTES_MAX }),
    }
}

/// The names from `prefix` on.
pub(crate) fn from(prefix: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(prefix), Bound::Unbounded)
}

/// The notes at the head of `rows` whose names begin with `prefix`.
pub(crate) fn collect<'t>(
    prefix: &[u8],
    rows: impl Iterator<Item = Result<watchful_backend::Entry<'t>, watchful_backend::BackendError>>,
) -> Result<Vec<Note>, MvccError> {
    let mut notes = Vec::new();
    for row in rows {
        let (name, row) = row?;
        if !name.starts_with(prefix) {
            break;
        }
        notes.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(decode(name, row)?)));
    }
    Ok(notes)
}

/// What is stored of a note's value.
pub(crate) fn encode(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(4 + value.len());
    row.extend_from_slice(&checksum(name, value).to_be_bytes());
    row.extend_from_slice(value);
    row
}

/// The value in a row of the table.
pub(crate) fn decode<'r>(name: &[u8], row: &'r [u8]) -> Result<&'r [u8], MvccError> {
    row.split_first_chunk::<4>()
        .filter(|(sum, value)| u32::from_be_bytes(**sum) == checksum(name, value))
        .map(|(_, value)| value)
        .ok_or_else(|| MvccError::DamagedStore { what: format!("the note `{}`", name.escape_ascii()) })
}
