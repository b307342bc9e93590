//! Everything a store holds, of one moment, read out while writes go on: for whoever takes it elsewhere.

use bytes::Bytes;
use watchful_mvcc::Note;
use watchful_revision::{LeaseId, RecordRef};

use crate::{Error, Store};

/// A store's content at one commit, which later ones do not change.
///
/// It is one long read: while it is there, the store's file grows by what is written, and [`Store::defragment`] waits for it
/// (for ever, in the thread that has it). Read it out and drop it.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = watchful::Store::open(dir.path(), watchful::Settings::default())?;
/// store.put("a", "1").wait()?;
/// let export = store.export()?;
/// store.put("a", "2").wait()?;
///
/// let keys: Result<Vec<_>, _> = export.rows()?.map(|row| row.map(|row| row.key().to_vec())).collect();
/// assert_eq!((export.current_revision(), keys?), (2, vec![b"a".to_vec()]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Export<'s> {
    inner: watchful_mvcc::Export<'s>,
}

impl Store {
    /// The store's content at its newest commit, to read it out.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the store is damaged or the disk fails.
    pub fn export(&self) -> Result<Export<'_>, Error> {
        Ok(Export { inner: self.mvcc().export()? })
    }
}

impl Export<'_> {
    /// The newest main revision.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.inner.current_revision()
    }

    /// The oldest main revision that can be read; none when the store was never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> Option<u64> {
        self.inner.compact_revision()
    }

    /// The revision up to which compaction has deleted what it may: the compact revision, or one before it while a compaction
    /// goes on, or none.
    #[must_use]
    pub fn compacted_revision(&self) -> Option<u64> {
        self.inner.compacted_revision()
    }

    /// Every change that is kept, in order: those too that a compaction under way has not deleted yet.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] for a damaged record or a disk that fails, here and at each step.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<RecordRef<'_>, Error>>, Error> {
        Ok(self.inner.rows()?.map(|row| Ok(row?)))
    }

    /// Every lease with its time to live in seconds, by id as an unsigned number.
    ///
    /// # Errors
    ///
    /// As [`Export::rows`].
    pub fn leases(&self) -> Result<impl Iterator<Item = Result<(LeaseId, i64), Error>>, Error> {
        Ok(self.inner.leases()?.map(|lease| Ok(lease?)))
    }

    /// The value of the note `name`.
    ///
    /// # Errors
    ///
    /// As [`Export::rows`].
    pub fn note(&self, name: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        Ok(self.inner.note(name.as_ref())?)
    }

    /// The notes whose names begin with `prefix`, by name.
    ///
    /// # Errors
    ///
    /// As [`Export::rows`].
    pub fn notes<'e>(
        &'e self,
        prefix: &'e [u8],
    ) -> Result<impl Iterator<Item = Result<Note, Error>> + 'e, Error> {
        Ok(self.inner.notes(prefix)?.map(|note| Ok(note?)))
    }
}
