//! A store's folder, and the lock that keeps everybody else out of it.
//!
//! LMDB lets several processes open one file. What is built on this crate keeps an index in memory, which a second
//! writer would make wrong, so a lock of our own on a file of our own admits one at a time. The system drops it when
//! the process ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::environment::{DATA_FILE, Environment};
use crate::error::BackendError;
use crate::file::verify_file;
use crate::settings::BackendSettings;

/// The file that is locked while a store is open.
const LOCK_FILE: &str = "LOCK";

/// What the lock file holds once the store in its folder was made: from then on, a data file that is missing or empty
/// is a loss, and not a store that is yet to be made.
const MADE: &str = "watchful store\n";

/// A folder that only this value's owner may use.
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes the folder where there is none, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, BackendError> {
        make_folder(path)?;
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|source| BackendError::NotWritable { path: lock_path, source })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(BackendError::AlreadyOpen { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => {
                Err(BackendError::Io { what: "locking the store's folder", source })
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.path.join(DATA_FILE)
    }

    /// Whether a store was made here before.
    pub(crate) fn was_made(&self) -> Result<bool, BackendError> {
        let mut text = Vec::new();
        let read = (&self.lock).take(MADE.len() as u64).read_to_end(&mut text);
        read.map_err(|source| BackendError::Io { what: "reading the lock file", source })?;
        Ok(text == MADE.as_bytes())
    }

    /// Makes sure that the data file can be mapped, or is yet to be made. Tells whether it is there.
    pub(crate) fn verify_data_file(&self, was_made: bool, tables: &[&str]) -> Result<bool, BackendError> {
        let path = self.data_file();
        let file_bytes = match fs::metadata(&path) {
            Ok(data) => Some(data.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(BackendError::Io { what: "looking for the data file", source }),
        };
        match file_bytes {
            None | Some(0) if !was_made => Ok(false),
            None => {
                let reason =
                    "it is gone, though a store was made here; remove the whole folder to begin anew";
                Err(BackendError::NotAStore { path, reason: reason.to_owned() })
            }
            Some(0) => Err(BackendError::CutShort { path, file_bytes: 0, needed_bytes: 1 }),
            Some(_) => verify_file(&path, tables).map(|()| true),
        }
    }

    /// Forces the folder's entries to the disk, so that a power failure cannot take files that were synced, and then writes
    /// down that the store was made: were that on the disk before, a power failure in between would leave a store that is
    /// gone, though it was made.
    pub(crate) fn mark_made(&self) -> Result<(), BackendError> {
        let mark = || -> io::Result<()> {
            force_names(&self.path)?;
            self.lock.write_all_at(MADE.as_bytes(), 0)?;
            self.lock.sync_all()
        };
        mark().map_err(|source| BackendError::Io { what: "making the store's files durable", source })
    }
}

/// Makes the data file of a new store, whose tables are empty. It gets its name when it is whole and on the disk: a power
/// failure at any moment leaves no data file or a whole one, and never one that the next open would have to refuse, or that
/// would harm it.
pub(crate) fn make_data_file(
    folder: &Folder,
    settings: &BackendSettings,
    tables: &[&'static str],
) -> Result<(), BackendError> {
    let new = folder.path.join(format!("{DATA_FILE}.new"));
    let failed = |source| BackendError::Io { what: "making the data file", source };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    Environment::make(&new, settings, tables)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&new, folder.data_file()).map_err(failed)
}

impl Drop for Folder {
    fn drop(&mut self) {
        // To close the file is not enough: a child process that is just being started has it open too until it runs its
        // own program, and would hold the lock until then. Nothing can be done if it fails.
        let _ = self.lock.unlock();
    }
}

/// Forces the names in a folder to the disk, its own, and those of the folders above it: any of them may be new, made for
/// what is in the folder or just before it.
///
/// # Errors
///
/// What the system said of the folder or of the one that holds its name. Where this user may not open that one, its names cannot
/// be forced: a folder that was made in it just before may be gone after a power failure. Those further up may be on file systems
/// where this cannot be asked for, and then they are nobody's new folders.
pub fn force_names(folder: &Path) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    let sync = |folder: &Path| {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        sync_folder(folder).map_err(told)
    };
    sync(&folder)?;
    let mut above = folder.ancestors().skip(1);
    match above.next().map_or(Ok(()), sync) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    above.for_each(|folder| drop(sync_folder(folder)));
    Ok(())
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn make_folder(path: &Path) -> Result<(), BackendError> {
    match fs::create_dir_all(path) {
        Ok(()) => Ok(()),
        Err(source) if is_denied(&source) => Err(BackendError::NotWritable { path: path.to_owned(), source }),
        Err(source) => Err(BackendError::NotAFolder { path: path.to_owned(), source }),
    }
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
