//! Backups of a store that is closed, and what is wrong with one.

use std::path::Path;

pub use watchful_mvcc::CheckReport;

use crate::Error;

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
