//! Notes: small facts kept beside the keys, for what is built on a store and must remember something of its own in the
//! same transaction as what that guards. A server keeps its alarms here, for one.

use bytes::Bytes;
use watchful_mvcc::Note;

use crate::{Error, Store, Txn};

impl Store {
    /// The value of the note `name`. See [`Txn::set_note`].
    ///
    /// # Errors
    ///
    /// [`Error::Other`] for a damaged note or a disk that fails.
    pub fn note(&self, name: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        Ok(self.mvcc().note(name.as_ref())?)
    }

    /// The notes whose names begin with `prefix`, by name: all of them, in memory. They are of one commit.
    ///
    /// # Errors
    ///
    /// As [`Store::note`].
    pub fn notes(&self, prefix: impl AsRef<[u8]>) -> Result<Vec<Note>, Error> {
        Ok(self.mvcc().notes(prefix.as_ref())?)
    }
}

impl Txn<'_, '_, '_> {
    /// Sets the note `name` to `value`: a small fact that is kept beside the keys, durable with this transaction and part
    /// of backups. It takes no revision (so a transaction of notes alone has not
    /// [`changed`](crate::Committed::changed) anything), no watcher sees it, and only its newest value is kept. It goes on
    /// when the quota is used up.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = watchful::Store::open(dir.path(), watchful::Settings::default())?;
    /// let noted = store.transact(|txn| {
    ///     txn.put("/jobs/7", "done")?;
    ///     txn.set_note("jobs/newest", "7")
    /// });
    /// noted.wait()?;
    /// assert_eq!(store.note("jobs/newest")?.as_deref(), Some(&b"7"[..]));
    /// assert_eq!(store.notes("jobs/")?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Other`] for a name that is empty or longer than
    /// [`NOTE_NAME_BYTES_MAX`](crate::NOTE_NAME_BYTES_MAX), and for a value above
    /// [`NOTE_VALUE_BYTES_MAX`](crate::NOTE_VALUE_BYTES_MAX).
    pub fn set_note(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.mvcc_mut().set_note(name.as_ref(), value.as_ref())?)
    }

    /// Removes the note `name`. Answers whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Txn::set_note`] for the name, and as [`Txn::note`].
    pub fn remove_note(&mut self, name: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.mvcc_mut().remove_note(name.as_ref())?)
    }

    /// The value of the note `name`, as this transaction has it by now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] for a damaged note or a disk that fails.
    pub fn note(&self, name: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        Ok(self.mvcc().note(name.as_ref())?)
    }

    /// The notes whose names begin with `prefix`, by name, as this transaction has them by now.
    ///
    /// # Errors
    ///
    /// As [`Txn::note`].
    pub fn notes(&self, prefix: impl AsRef<[u8]>) -> Result<Vec<Note>, Error> {
        Ok(self.mvcc().notes(prefix.as_ref())?)
    }
}
