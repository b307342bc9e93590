//! A smaller data file in the old one's place, while the store is open.
//!
//! LMDB gives no page back to the disk. A copy without the free pages is as small as the file can be; so a copy is made,
//! and takes the file's place:
//!
//! 1. copy the newest commit to a file beside the data file, and force it to the disk;
//! 2. wait for the readers to end, and close the data file ([`Seats`](crate::seats::Seats));
//! 3. give the copy the data file's name, force that to the disk, and open it.
//!
//! Whoever writes waits from the first step to the last; whoever reads, in the last two. Broken off anywhere, the folder has
//! one whole data file under its name: the old one until the copy takes its name, which happens at once, and the copy from
//! then on, and they hold the same. What is left of a copy that did not get that far is removed at the next open.

use std::fs;
use std::path::{Path, PathBuf};

use crate::backend::{Backend, Shared};
use crate::copy::Partial;
use crate::environment::{DATA_FILE, Environment};
use crate::error::BackendError;
use crate::file::verify_file;
use crate::folder::sync_folder;

/// What [`Backend::defragment`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defragmented {
    /// How long the data file was.
    pub bytes_before: u64,
    /// How long it is.
    pub bytes_after: u64,
}

impl Backend {
    /// Makes the data file as small as it can be: it is exchanged for a copy of itself without the free pages.
    ///
    /// Writers wait until it is done, which takes as long as copying what is in use. Readers go on meanwhile, and wait for
    /// the last moment alone, in which the files are exchanged. Copies and this wait for each other. While it goes on, the
    /// disk needs room for the copy. [Commits](crate::BackendStats::commits) are counted from one again.
    ///
    /// A thread that holds a write transaction and calls this waits for ever. One that holds a read transaction keeps it
    /// from being done.
    ///
    /// # Errors
    ///
    /// [`BackendError::Busy`] when read transactions did not end in time, [`BackendError::NoSpace`],
    /// [`BackendError::Poisoned`], or what the system said: then nothing has changed, but that writes are refused where the
    /// new file's name could not be forced to the disk. [`BackendError::Lost`] when the file could not be opened again:
    /// from then on everything is refused, and nothing is lost.
    pub fn defragment(&self) -> Result<Defragmented, BackendError> {
        let shared = &*self.shared;
        let _copying = shared.copying.write();
        let _turn = shared.turn.lock();
        shared.refuse_if_poisoned()?;
        let data_file = shared.folder.data_file();
        let copy = Partial::at(leftover(shared.folder.path()));
        let bytes_before = file_bytes(&data_file)?;
        let bytes_after = {
            let environment = shared.seats.lock().writable()?;
            copy.write(&environment)?
        };
        // Looked at before it is mapped, as every data file is; and while there is another.
        verify_file(copy.path(), &shared.names)?;
        shared.put_in_place(&copy, &data_file)?;
        Ok(Defragmented { bytes_before, bytes_after })
    }
}

impl Shared {
    /// The caller has the turn to write, and keeps copies out.
    fn put_in_place(&self, copy: &Partial, data_file: &Path) -> Result<(), BackendError> {
        let mut renamed = Ok(());
        let exchanged = self.seats.exchange(|| {
            renamed = self.rename(copy, data_file);
            Environment::open(self.folder.path(), &self.settings, &self.names)
        });
        match exchanged {
            Err(busy @ BackendError::Busy { .. }) => return Err(busy),
            Err(error) => {
                self.poison();
                return Err(BackendError::Lost { reason: error.to_string() });
            }
            Ok(()) => {}
        }
        self.measure()?;
        renamed
    }

    fn rename(&self, copy: &Partial, data_file: &Path) -> Result<(), BackendError> {
        let failed = |source| BackendError::Io { what: "giving the smaller file its name", source };
        fs::rename(copy.path(), data_file).map_err(failed)?;
        // Were the new name not on the disk, a power failure could bring the old file back, and take what is committed
        // from now on with it.
        sync_folder(self.folder.path()).map_err(|source| {
            self.poison();
            failed(source)
        })
    }
}

/// Removes what a defragmentation that was broken off has left. Where it cannot be removed, the next one replaces it.
pub(crate) fn remove_leftover(folder: &Path) {
    let _ = fs::remove_file(leftover(folder));
}

fn leftover(folder: &Path) -> PathBuf {
    folder.join(format!("{DATA_FILE}.smaller"))
}

fn file_bytes(path: &Path) -> Result<u64, BackendError> {
    let found = fs::metadata(path).map(|data| data.len());
    found.map_err(|source| BackendError::Io { what: "looking at the data file", source })
}
