//! Backups of a store that is closed, and what is wrong with one.

use std::path::Path;

pub use watchful_mvcc::{CheckReport, LostRevisions, SalvageReport};

use crate::{Error, Settings};

/// Checks a store that nobody has open: its pages, read as a file and never mapped, and each record's checksum.
///
/// # Errors
///
/// [`Error::AlreadyOpen`]; [`Error::Other`] when the folder or file cannot be read. Damage is no error here: it is what
/// the report tells.
pub fn check(dir: impl AsRef<Path>) -> Result<CheckReport, Error> {
    Ok(watchful_mvcc::check(dir.as_ref())?)
}

/// Makes a store in the folder `dir` of a backup that [`Store::backup`](crate::Store::backup) wrote. The backup is
/// checked first, and stays as it is.
///
/// The new store has the backup's revisions and an epoch of its own: what was written after the backup is gone, its
/// revisions will be given out again, and so resume tokens of the old store are refused.
///
/// # Errors
///
/// [`Error::Other`] when the backup is damaged or no store, or the folder has a store already.
pub fn restore(backup: impl AsRef<Path>, dir: impl AsRef<Path>) -> Result<(), Error> {
    Ok(watchful_mvcc::restore_backup(backup.as_ref(), dir.as_ref())?)
}

/// Tells what [`salvage`] would save of a store that is damaged, and makes nothing.
///
/// # Errors
///
/// [`Error::Other`] when nothing can be saved or the system fails; [`Error::FormatVersion`].
pub fn savable(from: impl AsRef<Path>) -> Result<SalvageReport, Error> {
    Ok(watchful_mvcc::savable(from.as_ref())?)
}

/// Makes a store in the folder `dir`, which is made or must be empty, of what can be saved of the damaged store `from`: a
/// folder that nobody has open, or a data file. It stays as it is.
///
/// What is in the new store is what was written; the report names what is lost, and the keys that may be older than they were.
/// The rules are in `docs/OPERATIONS.md`.
///
/// The new store has an id of its own and a higher epoch, so that resume tokens of the old one are refused.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let (old, new) = (folder.path().join("old"), folder.path().join("new"));
/// use watchful::{Settings, Store};
///
/// let store = Store::open(&old, Settings::default())?;
/// store.put("a", "1").wait()?;
/// drop(store);
///
/// let report = watchful::salvage(&old, &new)?;
/// assert!(report.is_whole() && report.current_revision == 2);
/// assert_eq!(Store::open(&new, Settings::default())?.get("a")?.unwrap().value(), b"1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Other`] when nothing can be saved, the folder is not empty, or the system fails; [`Error::FormatVersion`]. There is
/// no new store then.
pub fn salvage(from: impl AsRef<Path>, dir: impl AsRef<Path>) -> Result<SalvageReport, Error> {
    let from = from.as_ref();
    let data_file = if from.is_dir() { from.join("data.mdb") } else { from.to_owned() };
    // A load may take four times the quota, and what is saved is no more than what is there.
    let settings = Settings::default();
    let quota_bytes = data_file.metadata().map_or(0, |data| data.len()).max(settings.quota_bytes);
    Ok(watchful_mvcc::salvage(from, dir.as_ref(), &settings.with_quota_bytes(quota_bytes).mvcc())?)
}
