//! The mark that tells whether a store was closed, and what the machine may have lost if it was not.
//!
//! It is a small file of its own beside the data file, because it must be read before the data file is mapped: after a
//! power failure in [`Durability::Unsynced`] the data file may be damaged in ways that kill whoever maps it, and then it
//! is checked first.
//!
//! Four lines of text: `watchful mark 1`; `open` or `closed`; the durability; the boot id, which may be empty. A store
//! without the file counts as closed: it is new, or a copy.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Durability, MvccError};

const FILE: &str = "MARK";
const NEW_FILE: &str = "MARK.new";
const FIRST_LINE: &str = "watchful mark 1";
const ANY_FIRST_LINE: &str = "watchful mark ";

/// How a store was left, or is left now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) is_open: bool,
    pub(crate) durability: Durability,
    /// What identified the run of the machine; empty when that was not known.
    pub(crate) boot_id: String,
}

impl Mark {
    /// Whether commits that were acknowledged may be gone: the store was not closed, the disk was not waited for, and
    /// the machine is not known to have been up ever since.
    pub(crate) fn may_have_lost(&self, now: &Self) -> bool {
        let same_boot = !now.boot_id.is_empty() && now.boot_id == self.boot_id;
        self.is_open && self.durability != Durability::Synced && !same_boot
    }

    /// Whether pages of the data file may be damaged.
    pub(crate) fn may_be_damaged(&self, now: &Self) -> bool {
        self.durability == Durability::Unsynced && self.may_have_lost(now)
    }

    fn to_text(&self) -> String {
        let state = if self.is_open { "open" } else { "closed" };
        let boot_id = self.boot_id.lines().next().unwrap_or_default();
        format!("{FIRST_LINE}\n{state}\n{}\n{boot_id}\n", name(self.durability))
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (first, state, durability, boot_id) =
            (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let is_open = match state {
            "open" => true,
            "closed" => false,
            _ => return None,
        };
        let durability = [Durability::Synced, Durability::Relaxed, Durability::Unsynced]
            .into_iter()
            .find(|known| name(*known) == durability)?;
        (first == FIRST_LINE).then(|| Self { is_open, durability, boot_id: boot_id.to_owned() })
    }
}

fn name(durability: Durability) -> &'static str {
    match durability {
        Durability::Synced => "synced",
        Durability::Relaxed => "relaxed",
        Durability::Unsynced => "unsynced",
    }
}

/// Reads the mark of the store in `dir`; none when there is none.
pub(crate) fn read(dir: &Path) -> Result<Option<Mark>, MvccError> {
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match Mark::from_text(&text) {
            Some(mark) => Ok(Some(mark)),
            None => {
                let version = text.lines().next().and_then(|line| line.strip_prefix(ANY_FIRST_LINE));
                let reason = match version.filter(|version| *version != "1") {
                    Some(version) => format!(
                        "it is a mark of version {}, and this program reads 1: use the version that wrote it",
                        version.escape_debug()
                    ),
                    None => "it is not a mark that this program writes; where the store is a copy, remove it"
                        .to_owned(),
                };
                Err(MvccError::NotAStore { path, reason })
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Writes the mark. It is on the disk when this returns.
pub(crate) fn write(dir: &Path, mark: &Mark) -> Result<(), MvccError> {
    replace(dir, mark.to_text().as_bytes()).map_err(|error| unusable(dir.join(FILE), &error))
}

/// Removes the mark, or what there is of it. Where it cannot be removed, something else has failed that is to be told.
pub(crate) fn remove(dir: &Path) {
    for name in [FILE, NEW_FILE] {
        let _ = fs::remove_file(dir.join(name));
    }
}

/// Through a second file, so that a power failure leaves the old text or the new.
fn replace(dir: &Path, text: &[u8]) -> io::Result<()> {
    let new = dir.join(NEW_FILE);
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

fn unusable(path: PathBuf, error: &io::Error) -> MvccError {
    let reason = format!("{} cannot be read or written: {error}", path.display());
    MvccError::NotUsable { path, reason }
}
