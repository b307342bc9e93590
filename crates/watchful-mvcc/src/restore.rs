//! From a backup to a store.
//!
//! What was written after the backup is gone, and its revisions will be given out again. That is what an unclean end in
//! [`Durability::Unsynced`] may do too, so a restore leaves the mark of one: the next open checks every page and raises
//! the epoch.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use watchful_backend::Backend;

use crate::mark::{self, Mark};
use crate::{Durability, MvccError, check};

/// Makes a store in the folder `dir`, which is made or must be empty, of the file `backup` that
/// [`Mvcc::backup`](crate::Mvcc::backup) wrote. The backup is checked first, and stays as it is.
///
/// The store keeps its id and has another epoch from its first open on.
///
/// # Errors
///
/// `DamagedStore` when the check finds anything, `NotAStore`, `TargetExists` when the folder is not empty, or what the
/// system said. The folder has no store then.
pub fn restore_backup(backup: &Path, dir: &Path) -> Result<(), MvccError> {
    let report = check(backup)?;
    if let Some(problem) = report.problems.first() {
        return Err(MvccError::DamagedStore { what: format!("{}: {problem}", backup.display()) });
    }
    fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    let is_empty = fs::read_dir(dir).map_err(|error| unusable(dir, &error))?.next().is_none();
    if !is_empty {
        return Err(MvccError::TargetExists { path: dir.to_owned() });
    }
    mark::write(dir, &Mark { is_open: true, durability: Durability::Unsynced, boot_id: String::new() })?;
    copy_whole(backup, dir).map_err(|error| unusable(dir, &error))
}

/// Under another name first, so that a restore that is broken off leaves no half of a store.
fn copy_whole(backup: &Path, dir: &Path) -> io::Result<()> {
    let partial = dir.join("data.mdb.partial");
    fs::copy(backup, &partial)?;
    File::open(&partial)?.sync_all()?;
    fs::rename(&partial, Backend::data_file(dir))?;
    File::open(dir)?.sync_all()
}

fn unusable(path: &Path, error: &io::Error) -> MvccError {
    let reason = format!("{} cannot be made into a store: {error}", path.display());
    MvccError::NotUsable { path: path.to_owned(), reason }
}
