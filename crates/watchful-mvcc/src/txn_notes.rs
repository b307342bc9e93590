//! What a transaction does to notes.
//!
//! Its changes stay with it until it is whole, and are then written in the group's backend transaction: so the next
//! transaction of the group reads them there, and of one that failed there is nothing to take back.

use bytes::Bytes;

use crate::MvccError;
use crate::note::{self, Note};
use crate::txn::Txn;

impl Txn<'_, '_> {
    /// Sets the note `name` to `value`. It takes no revision, and goes on when the quota is used up.
    ///
    /// # Errors
    ///
    /// `NoteName` for a name that is empty or too long, `TooLarge` for a value above [`NOTE_VALUE_BYTES_MAX`](crate::NOTE_VALUE_BYTES_MAX).
    pub fn set_note(&mut self, name: &[u8], value: &[u8]) -> Result<(), MvccError> {
        note::check(name, value)?;
        self.notes.insert(Bytes::copy_from_slice(name), Some(Bytes::copy_from_slice(value)));
        Ok(())
    }

    /// Removes the note `name`. Tells whether it was there.
    ///
    /// # Errors
    ///
    /// `NoteName`, or what [`note`](Self::note) answers.
    pub fn remove_note(&mut self, name: &[u8]) -> Result<bool, MvccError> {
        note::check_name(name)?;
        let was_there = self.note(name)?.is_some();
        if was_there {
            self.notes.insert(Bytes::copy_from_slice(name), None);
        }
        Ok(was_there)
    }

    /// The value of the note `name`, after what the transaction did so far.
    ///
    /// # Errors
    ///
    /// `DamagedStore`, or what the backend said.
    pub fn note(&self, name: &[u8]) -> Result<Option<Bytes>, MvccError> {
        if let Some(own) = self.notes.get(name) {
            return Ok(own.clone());
        }
        let row = self.group.write.get(self.group.inner.tables.note, name)?;
        row.map(|row| note::decode(name, row).map(Bytes::copy_from_slice)).transpose()
    }

    /// The notes whose names begin with `prefix`, by name, after what the transaction did so far.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, MvccError> {
        let rows = self.group.write.range(self.group.inner.tables.note, note::from(prefix))?;
        let mut notes = note::collect(prefix, rows)?;
        notes.retain(|(name, _)| !self.notes.contains_key(name));
        let own = self.notes.iter().filter(|(name, _)| name.starts_with(prefix));
        notes.extend(own.filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
        notes.sort_unstable();
        Ok(notes)
    }

    /// Hands the changes to the backend.
    pub(crate) fn write_notes(&mut self) -> Result<(), MvccError> {
        for (name, value) in std::mem::take(&mut self.notes) {
            let table = self.group.inner.tables.note;
            self.group.is_dirty = true;
            let written = match value {
                Some(value) => self.group.write.put(table, &name, &note::encode(&name, &value)),
                None => self.group.write.delete(table, &name).map(drop),
            };
            written.map_err(|error| self.group.fail(error))?;
        }
        Ok(())
    }
}
