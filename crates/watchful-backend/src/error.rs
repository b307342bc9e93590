//! What can go wrong, told so that a caller can act and a person knows what to do.
//!
//! LMDB's and heed's own errors never appear in a signature: they are what [`source`](std::error::Error::source)
//! tells.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The cause below this crate: an error of LMDB, as text.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EngineError(#[from] heed::Error);

/// Why a backend could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Somebody has this store open: this process or another.
    #[error(
        "the store in {} is open already: one program at a time may have it open; close the other one",
        path.display()
    )]
    AlreadyOpen {
        /// The store's folder.
        path: PathBuf,
    },
    /// The path is not a folder and cannot be made one.
    #[error("{} is not a folder and cannot be made one: give the store a folder of its own", path.display())]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder or a file in it may not be written.
    #[error("{} cannot be written: give this user the right to write it", path.display())]
    NotWritable {
        /// The folder or the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What a process before this one had committed could not be forced to the disk.
    #[error("{} could not be forced to the disk: see what is wrong with the disk, then open the store again", path.display())]
    NotForced {
        /// The data file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data file is not one of ours, or not one this program can read.
    #[error("{} is not a store that this program can open: {reason}", path.display())]
    NotAStore {
        /// The data file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// The data file ends before its last page. It was not opened, since reading past its end would kill the process.
    #[error(
        "{} is cut short: it has {file_bytes} bytes and needs {needed_bytes}; restore it from a backup",
        path.display()
    )]
    CutShort {
        /// The data file.
        path: PathBuf,
        /// How long it is.
        file_bytes: u64,
        /// How long it would have to be at the least.
        needed_bytes: u64,
    },
    /// Pages of the data file do not fit together.
    #[error("{} is damaged: {what}; restore it from a backup", path.display())]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The map or the disk is full. The transaction cannot go on: drop it, and everything it did is taken back.
    #[error(
        "there is no space left: the map of {map_bytes} bytes or the disk is full; delete, compact, or give more"
    )]
    NoSpace {
        /// The bound on the file's size ([`BackendSettings::map_bytes`](crate::BackendSettings::map_bytes)).
        map_bytes: usize,
    },
    /// As many read transactions are open as may be.
    #[error("all {readers_max} reader slots are taken: end read transactions sooner, or raise `readers_max`")]
    ReadersFull {
        /// The bound.
        readers_max: u32,
    },
    /// A commit ended with its outcome unknown, so nothing more is written until the store is opened anew.
    #[error("writing has stopped after a commit whose outcome is unknown: open the store again to find out")]
    Poisoned,
    /// The data file could not be exchanged for a smaller one, because read transactions did not end. Nothing has
    /// changed.
    #[error("read transactions did not end in {} s, so nothing was changed: end them and try again", waited.as_secs())]
    Busy {
        /// How long they were waited for.
        waited: Duration,
    },
    /// The data file could not be opened again when it had been exchanged for a smaller one. Everything committed is in
    /// it; nothing can be read or written before the store is opened anew.
    #[error(
        "the data file could not be opened again, so nothing can be read or written: {reason}; open the store again"
    )]
    Lost {
        /// Why.
        reason: String,
    },
    /// [`append`](crate::WriteTxn::append) was given a key that is not after the table's last. Nothing changed, and the
    /// transaction can go on.
    #[error("the key to append is not after the last key of its table")]
    NotLast,
    /// A key is empty or too long. Nothing changed, and the transaction can go on.
    #[error("a key of {len} bytes cannot be stored: it must have 1 to {max}")]
    KeyLength {
        /// The key's length.
        len: usize,
        /// The most a key may have.
        max: usize,
    },
    /// The transaction has failed before and can only be dropped.
    #[error("this transaction has failed before: drop it and begin another")]
    TransactionFailed,
    /// The transaction has changed more pages than one transaction can.
    #[error("the transaction is too large: split it")]
    TransactionTooLarge,
    /// A copy was to go where a file is already.
    #[error("{} exists already: a copy goes to a new file", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{what} failed")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// LMDB refused, for a reason nobody can act on.
    #[error("{what} failed in LMDB")]
    Engine {
        /// What was being done.
        what: &'static str,
        /// What LMDB said.
        source: EngineError,
    },
}

/// Why a commit did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The map or the disk is full. The transaction was taken back whole, and the next may be tried.
    #[error("there is no space left for this commit: it was taken back whole")]
    NoSpace {
        /// What LMDB said.
        source: EngineError,
    },
    /// The transaction had failed before or could not be made ready. It was taken back whole, and the next may be
    /// tried.
    #[error("the transaction could not be committed: it was taken back whole")]
    TakenBack {
        /// What LMDB said.
        source: EngineError,
    },
    /// The disk failed while the commit was being made durable: it may be there after a restart, or not. From now on
    /// writes are refused with [`BackendError::Poisoned`]; reads go on.
    #[error("the outcome of this commit is unknown: open the store again to find out")]
    OutcomeUnknown {
        /// What LMDB said.
        source: EngineError,
    },
}
