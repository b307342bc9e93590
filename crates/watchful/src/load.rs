//! A store made of a history from elsewhere, whole or not at all.

use std::path::Path;

use watchful_mvcc::{LoadPlan, LoadRow, MvccError};
use watchful_revision::{LeaseId, Revision};

use crate::{Error, Settings};

/// A load under way: see [`load`].
pub struct Loader<'l, 'm> {
    inner: &'l mut watchful_mvcc::Loader<'m>,
}

/// Makes a store in the folder `dir`, which is made or must be empty, of what `fill` loads: changes with the revisions,
/// versions and leases that they had, leases, and notes. At or below the plan's compact revision revisions may be missing,
/// as compaction leaves them; above it every one must be there. Of `settings` it needs the durability and the quota, which
/// it does not enforce: a quarter of what the file may grow to.
///
/// It is one transaction, so there is no store until everything is loaded and on the disk. Memory holds the index of the keys,
/// and pages up to 512 MiB.
///
/// The store has an id of its own and the epoch `epoch`. Give one above that of the store that the history is from: the two
/// give out the same revisions from here on.
///
/// ```
/// use watchful::{LoadPlan, LoadRow, Put, Revision, Settings, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let plan = LoadPlan { compact_revision: Some(7), current_revision: 8 };
/// watchful::load(dir.path(), &Settings::default(), plan, 2, |loader| {
///     let put = Put { key: b"a", value: b"1", create_revision: 3, version: 2, lease: 0 };
///     loader.row(Revision::new(5, 0), &LoadRow::Put(put))?;
///     loader.row(Revision::new(8, 0), &LoadRow::Tombstone { key: b"a" })
/// })?;
///
/// let store = Store::open(dir.path(), Settings::default())?;
/// assert_eq!((store.current_revision(), store.compact_revision(), store.epoch()), (8, 7, 2));
/// assert_eq!(store.view_at(7)?.get("a")?.unwrap().version(), 2);
/// assert_eq!(store.get("a")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What `fill` returns; [`Error::Other`] when revisions are missing, the folder is not empty, or the system fails. The folder
/// has no store then.
pub fn load<E: From<Error>>(
    dir: impl AsRef<Path>,
    settings: &Settings,
    plan: LoadPlan,
    epoch: u64,
    fill: impl FnOnce(&mut Loader<'_, '_>) -> Result<(), E>,
) -> Result<(), E> {
    settings.check()?;
    let loaded = watchful_mvcc::load_store(dir.as_ref(), &settings.mvcc(), plan, epoch, |loader| {
        fill(&mut Loader { inner: loader }).map_err(Failed::Own)
    });
    loaded.map_err(|failed| match failed {
        Failed::Own(error) => error,
        Failed::Store(error) => Error::from(error).into(),
    })
}

enum Failed<E> {
    Own(E),
    Store(MvccError),
}

impl<E> From<MvccError> for Failed<E> {
    fn from(error: MvccError) -> Self {
        Self::Store(error)
    }
}

impl Loader<'_, '_> {
    /// Adds the next change, at `revision`. It may name a lease that is not there; then it hangs on none.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyKey`]; [`Error::NoSpace`]; [`Error::Other`] when it does not follow the changes before it, or is not one
    /// that a store writes.
    pub fn row(&mut self, revision: Revision, row: &LoadRow<'_>) -> Result<(), Error> {
        Ok(self.inner.row(revision, row)?)
    }

    /// Adds a lease. It has its full time from the moment the store is opened.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseExists`]; [`Error::NoSpace`]; [`Error::Other`] for the id 0.
    pub fn lease(&mut self, id: LeaseId, ttl_seconds: i64) -> Result<(), Error> {
        Ok(self.inner.lease(id, ttl_seconds)?)
    }

    /// Adds a note.
    ///
    /// # Errors
    ///
    /// As [`Txn::set_note`](crate::Txn::set_note); [`Error::NoSpace`].
    pub fn note(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.inner.note(name.as_ref(), value.as_ref())?)
    }
}

impl std::fmt::Debug for Loader<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loader")
    }
}
