//! Copies of an open store: one commit, whole, without the free pages.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use heed::CompactionOption;

use crate::backend::Backend;
use crate::environment::Environment;
use crate::error::BackendError;
use crate::folder::sync_folder;

impl Backend {
    /// Writes a copy of the newest commit to the new file `to`, and tells how long it is. Put as `data.mdb` into an
    /// empty folder, it is a store.
    ///
    /// Writers go on meanwhile. The copy is a long read, so the file grows by what is written until it ends. It waits for
    /// a [defragmentation](Self::defragment) that is under way. It goes to a file beside the target first and gets its
    /// name when it is whole and on the disk: a copy that is broken off leaves at most that file, whose name ends in
    /// `.partial`, and the next copy to the same target replaces it.
    ///
    /// # Errors
    ///
    /// [`BackendError::TargetExists`], [`BackendError::NoSpace`], or what the system said.
    pub fn copy_compact(&self, to: &Path) -> Result<u64, BackendError> {
        let exists = || BackendError::TargetExists { path: to.to_owned() };
        if to.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let partial = Partial::beside(to);
        let bytes = {
            let _copying = self.shared.copying.read();
            let environment = self.shared.seats.lock().readable()?;
            partial.write(&environment)?
        };
        partial.publish(to).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(),
            _ => BackendError::Io { what: "naming the copy", source },
        })?;
        Ok(bytes)
    }
}

/// A copy that has no name yet. It is removed when it is dropped.
pub(crate) struct Partial {
    path: PathBuf,
}

impl Partial {
    fn beside(to: &Path) -> Self {
        let mut name = OsString::from(to);
        name.push(".partial");
        Self { path: name.into() }
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the newest commit of the environment and forces it to the disk. Tells how long it is.
    pub(crate) fn write(&self, environment: &Environment) -> Result<u64, BackendError> {
        let io_error = |source| BackendError::Io { what: "writing the copy", source };
        let mut file = File::create(&self.path)
            .map_err(|source| BackendError::NotWritable { path: self.path.clone(), source })?;
        let copied = environment.env.copy_to_file(&mut file, CompactionOption::Enabled);
        copied.map_err(|error| environment.error("copying the store", error))?;
        file.sync_all().map_err(io_error)?;
        Ok(file.metadata().map_err(io_error)?.len())
    }

    /// Gives it the name `to`, unless something has that name by now.
    fn publish(self, to: &Path) -> io::Result<()> {
        // A second name fails where there is one already; renaming would replace it.
        match fs::hard_link(&self.path, to) {
            Err(error) if is_unsupported(&error) => fs::rename(&self.path, to)?,
            linked => linked?,
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync_folder(folder.unwrap_or(Path::new(".")))
    }
}

/// Some file systems have one name a file.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing can be done about a file that cannot be removed; the next copy replaces it.
        let _ = fs::remove_file(&self.path);
    }
}
