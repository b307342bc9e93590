//! What can go wrong, told so that a caller can act.
//!
//! The backend's and LMDB's own errors never appear in a signature: they are what
//! [`source`](std::error::Error::source) tells. Errors can be cloned, because one failed commit is the answer to every
//! transaction of its group.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use watchful_backend::{BackendError, CommitError};
use watchful_revision::{LeaseId, RecordError, Revision, TooLarge};

/// Why a store could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MvccError {
    /// The revision has been compacted away.
    #[error("the revision has been compacted: the oldest that can be read is {compact_revision}")]
    Compacted {
        /// The oldest revision that can be read.
        compact_revision: u64,
    },
    /// The revision has not been written yet.
    #[error("the revision is in the future: the newest is {current_revision}")]
    FutureRevision {
        /// The newest revision.
        current_revision: u64,
    },
    /// The quota is used up, or the disk or the map is full. Deletes and compaction go on under the quota.
    #[error("there is no space left: {used_bytes} bytes are in use, and the quota is {quota_bytes}")]
    NoSpace {
        /// The bytes of the pages in use.
        used_bytes: u64,
        /// The quota.
        quota_bytes: u64,
    },
    /// There is no such lease.
    #[error("there is no lease {id}")]
    LeaseNotFound {
        /// The lease that was named.
        id: LeaseId,
    },
    /// There is such a lease already.
    #[error("there is a lease {id} already")]
    LeaseExists {
        /// The lease that was named.
        id: LeaseId,
    },
    /// A lease was to be granted without an id: 0 names none, and this layer chooses none.
    #[error("a lease must have an id other than 0")]
    LeaseIdMissing,
    /// The old value or lease was to be kept, and the key is not there.
    #[error("the key is not there, so nothing of it can be kept")]
    KeyNotFound,
    /// A key was empty.
    #[error("a key is empty")]
    EmptyKey,
    /// The old value was to be kept, and a new one was given.
    #[error("a value was given, although the old one is to be kept")]
    ValueProvided,
    /// The old lease was to be kept, and a new one was given.
    #[error("a lease was given, although the old one is to be kept")]
    LeaseProvided,
    /// A key, a record or a transaction is larger than any can be.
    #[error("the {what} is too large: it has {size}, and the most is {size_max}")]
    TooLarge {
        /// What is too large, and what its size counts.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The most it may be.
        size_max: u64,
    },
    /// A note's name is empty or too long.
    #[error("a note's name of {len} bytes cannot be stored: it must have 1 to {len_max}")]
    NoteName {
        /// The name's length.
        len: usize,
        /// The most a name may have.
        len_max: usize,
    },
    /// A transaction was to take a revision that is not the next one.
    #[error("revision {given} cannot be applied: the next one is {next}")]
    NotNext {
        /// The revision that was given.
        given: u64,
        /// The one that would follow.
        next: u64,
    },
    /// A transaction that was to take a given revision does not fit the store: it changes nothing, or deletes a key that
    /// is not there. The two stores differ.
    #[error("revision {given} does not fit this store, which must differ from the one it came from")]
    Diverged {
        /// The revision that was given.
        given: u64,
    },
    /// Only an empty store can be loaded.
    #[error("the store is not empty: only an empty one can be loaded")]
    NotEmpty,
    /// What was to be loaded is not a store's history.
    #[error("revision {revision} cannot be loaded: {reason}")]
    LoadRefused {
        /// The row at fault.
        revision: Revision,
        /// Why.
        reason: &'static str,
    },
    /// A commit ended with its outcome unknown: what it held may be there after a restart, or not. Writes are refused
    /// until the store is opened again.
    #[error("the outcome of a commit is unknown: open the store again to find out")]
    OutcomeUnknown,
    /// The data file could not be opened again when it had been exchanged for a smaller one. Everything committed is in
    /// it; nothing can be read or written before the store is opened anew.
    #[error("the data file could not be opened again: {reason}; open the store again")]
    Lost {
        /// Why.
        reason: String,
    },
    /// Somebody has this store open.
    #[error("the store in {} is open already: one program at a time may have it open", path.display())]
    AlreadyOpen {
        /// The store's folder.
        path: PathBuf,
    },
    /// The store was written in another format.
    #[error("the store has format {found}, and this program reads {supported}")]
    FormatVersion {
        /// The store's format.
        found: u32,
        /// The format this program reads.
        supported: u32,
    },
    /// The folder holds something, but not a store that this program can open.
    #[error("{} is not a store that this program can open: {reason}", path.display())]
    NotAStore {
        /// The folder or file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// The folder cannot be made or written.
    #[error("{reason}")]
    NotUsable {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A copy was to go where a file is already.
    #[error("{} exists already: a copy goes to a new file", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The data file ends before its last page.
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
    /// A record is damaged or missing.
    #[error("the store is damaged: {reason}; restore it from a backup")]
    Damaged {
        /// The revision whose record it is.
        revision: Revision,
        /// What is wrong with it.
        reason: String,
    },
    /// What the store keeps about itself, or a page of its file, is damaged.
    #[error("the store is damaged: {what}; restore it from a backup")]
    DamagedStore {
        /// What is damaged.
        what: String,
    },
    /// The backend failed, in a way nobody can act on here.
    #[error(transparent)]
    Backend(Opaque),
}

/// A cause below this crate. It tells what it is only as text.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Opaque(Arc<dyn Error + Send + Sync>);

impl Opaque {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

/// Why a group was not committed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitFailure {
    /// The disk or the map is full. Nothing happened; each transaction may be tried again alone.
    #[error("there is no space left for this group: it was taken back whole")]
    NoSpace {
        /// The bytes of the pages in use.
        used_bytes: u64,
        /// The quota.
        quota_bytes: u64,
    },
    /// The group failed before anything was made durable. Nothing happened; each transaction may be tried again.
    #[error("the group was taken back whole")]
    TakenBack(#[source] Opaque),
    /// The disk failed while the group was made durable: it may be there after a restart, or not. Writes are refused
    /// until the store is opened again.
    #[error("the outcome of the group's commit is unknown")]
    OutcomeUnknown(#[source] Opaque),
}

/// What each transaction of the group is told.
impl From<CommitFailure> for MvccError {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::NoSpace { used_bytes, quota_bytes } => Self::NoSpace { used_bytes, quota_bytes },
            CommitFailure::TakenBack(cause) => Self::Backend(cause),
            CommitFailure::OutcomeUnknown(_) => Self::OutcomeUnknown,
        }
    }
}

impl From<BackendError> for MvccError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::AlreadyOpen { path } => Self::AlreadyOpen { path },
            BackendError::NotAFolder { ref path, .. } | BackendError::NotWritable { ref path, .. } => {
                Self::NotUsable { path: path.clone(), reason: error.to_string() }
            }
            BackendError::TargetExists { path } => Self::TargetExists { path },
            BackendError::NotAStore { path, reason } => Self::NotAStore { path, reason },
            BackendError::CutShort { path, file_bytes, needed_bytes } => {
                Self::CutShort { path, file_bytes, needed_bytes }
            }
            BackendError::Damaged { path, what } => {
                Self::DamagedStore { what: format!("{}: {what}", path.display()) }
            }
            BackendError::Poisoned => Self::OutcomeUnknown,
            BackendError::Lost { reason } => Self::Lost { reason },
            other => Self::Backend(Opaque::new(other)),
        }
    }
}

impl From<RecordError> for MvccError {
    fn from(error: RecordError) -> Self {
        Self::Damaged { revision: error.revision, reason: error.to_string() }
    }
}

impl From<TooLarge> for MvccError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge {
            what: "record, counted in bytes,",
            size: error.bytes as u64,
            size_max: u64::from(u32::MAX) - 1023,
        }
    }
}

impl CommitFailure {
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }

    pub(crate) fn of(error: CommitError, used_bytes: u64, quota_bytes: u64) -> Self {
        match error {
            CommitError::NoSpace { .. } => Self::NoSpace { used_bytes, quota_bytes },
            taken_back @ CommitError::TakenBack { .. } => Self::TakenBack(Opaque::new(taken_back)),
            unknown => Self::OutcomeUnknown(Opaque::new(unknown)),
        }
    }
}
