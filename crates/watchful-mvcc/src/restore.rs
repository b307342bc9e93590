//! From a backup, or from what somebody else has kept, to a store in a folder of its own.
//!
//! **From a backup:** what was written after it is gone, and its revisions will be given out again. That is what an unclean
//! end in [`Durability::Unsynced`] may do too, so a restore leaves the mark of one: the next open checks every page and
//! raises the epoch.
//!
//! **From elsewhere:** the store is loaded in a folder inside the new one, and its file takes its place when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use watchful_backend::{Backend, force_names};

use crate::check::look;
use crate::mark::{self, Mark};
use crate::{Durability, LoadPlan, Loader, Mvcc, MvccError, MvccSettings};

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
    let report = look(backup)?;
    if let Some(problem) = report.problems.first() {
        return Err(MvccError::DamagedStore { what: format!("{}: {problem}", backup.display()) });
    }
    make_empty(dir)?;
    let mark = Mark { is_open: true, durability: Durability::Unsynced, boot_id: String::new() };
    let made =
        mark::write(dir, &mark).and_then(|()| copy_whole(backup, dir).map_err(|error| unusable(dir, &error)));
    // So that it can be tried again.
    made.inspect_err(|_| mark::remove(dir))
}

/// Where a store is loaded until it is whole.
const LOADING: &str = "loading";

/// Makes a store in the folder `dir`, which is made or must be empty, of what `fill` loads.
///
/// The store has an id of its own and the epoch `epoch`, which should be above that of the store that the history is from:
/// some of its revisions may be given out there too, for something else.
///
/// # Errors
///
/// What `fill` returns; `TargetExists` when the folder is not empty; as [`Mvcc::loader`] and [`Loader::finish`]; or what the
/// system said. The folder has no store then.
pub fn load_store<E: From<MvccError>>(
    dir: &Path,
    settings: &MvccSettings,
    plan: LoadPlan,
    epoch: u64,
    fill: impl FnOnce(&mut Loader<'_>) -> Result<(), E>,
) -> Result<(), E> {
    make_empty(dir)?;
    let loading = dir.join(LOADING);
    let loaded = load(&loading, settings, plan, epoch, fill)
        .and_then(|()| Ok(move_whole(&loading, dir).map_err(|error| unusable(dir, &error))?));
    // What is left of it is no store, and what it failed with is the error to tell.
    let _ = fs::remove_dir_all(&loading);
    loaded
}

fn load<E: From<MvccError>>(
    dir: &Path,
    settings: &MvccSettings,
    plan: LoadPlan,
    epoch: u64,
    fill: impl FnOnce(&mut Loader<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let (mvcc, _) = Mvcc::open(dir, settings)?;
    let mut loader = mvcc.loader(plan)?;
    loader.epoch = Some(epoch);
    fill(&mut loader)?;
    loader.finish()?;
    Ok(mvcc.sync()?)
}

fn move_whole(from: &Path, dir: &Path) -> io::Result<()> {
    give_name(&Backend::data_file(from), dir)
}

/// Makes a file the data file of a folder, or leaves none there: whoever is told that it failed must not find a store.
fn give_name(file: &Path, dir: &Path) -> io::Result<()> {
    let data_file = Backend::data_file(dir);
    fs::rename(file, &data_file)?;
    force_names(dir).inspect_err(|_| drop(fs::remove_file(&data_file)))
}

fn make_empty(dir: &Path) -> Result<(), MvccError> {
    fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    let is_empty = fs::read_dir(dir).map_err(|error| unusable(dir, &error))?.next().is_none();
    if is_empty { Ok(()) } else { Err(MvccError::TargetExists { path: dir.to_owned() }) }
}

/// Under another name first, so that a restore that is broken off leaves no half of a store.
fn copy_whole(backup: &Path, dir: &Path) -> io::Result<()> {
    let partial = dir.join("data.mdb.partial");
    let copied = || {
        fs::copy(backup, &partial)?;
        File::open(&partial)?.sync_all()?;
        give_name(&partial, dir)
    };
    copied().inspect_err(|_| drop(fs::remove_file(&partial)))
}

fn unusable(path: &Path, error: &io::Error) -> MvccError {
    let reason = format!("{} cannot be made into a store: {error}", path.display());
    MvccError::NotUsable { path: path.to_owned(), reason }
}
