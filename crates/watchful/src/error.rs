//! What can go wrong, for callers to act on.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use watchful_mvcc::MvccError;
use watchful_revision::LeaseId;

/// Why a store could not do what it was asked for.
///
/// Match on the variants that you can act on. What is left is told by `Display` and
/// [`source`](std::error::Error::source). Errors can be cloned, because one failed commit is the answer to every
/// transaction of its group.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// The quota is used up, or the disk is full. Nothing happened. Reads, deletes and compaction go on.
    #[error(
        "there is no space left: {used_bytes} bytes are in use and the quota is {quota_bytes}; delete and compact, \
         free the disk, or raise the quota"
    )]
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
    /// The old value or lease was to be kept, and the key is not there.
    #[error("the key is not there, so nothing of it can be kept")]
    KeyNotFound,
    /// A key was empty.
    #[error("a key is empty: give it at least one byte")]
    EmptyKey,
    /// The transaction was ended by its own closure. Nothing happened.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// What the closure said.
        reason: String,
    },
    /// A write was waited for inside a transaction's closure, which the write would have had to wait for.
    #[error("a write was waited for inside a transaction: use the transaction's own operations there")]
    InsideTransaction,
    /// The disk failed during a commit, or the store's own code panicked: what the commit held may be there after a
    /// restart, or not. Reads go on; writes are refused until the store is opened again.
    #[error("the outcome of the commit is unknown: close the store and open it again to find out")]
    OutcomeUnknown,
    /// A defragmentation exchanged the data file and could not open it again. Everything committed is in it; nothing can be
    /// read or written before the store is closed and opened again.
    #[error("the data file could not be opened again: {reason}; close the store and open it again")]
    Lost {
        /// Why.
        reason: String,
    },
    /// The store has been closed, or its own code has panicked ([`Stats::has_panicked`](crate::Stats::has_panicked)). Of a
    /// write: nothing of it was done.
    #[error("the store is closed")]
    Closed,
    /// Somebody has this store open.
    #[error("the store in {} is open already: one program at a time may have it open", path.display())]
    AlreadyOpen {
        /// The store's folder.
        path: PathBuf,
    },
    /// The store was written in another format.
    #[error(
        "the store has format {found}, and this program reads {supported}: use the version that wrote it"
    )]
    FormatVersion {
        /// The store's format.
        found: u32,
        /// The format this program reads.
        supported: u32,
    },
    /// A resume token is from another store, or from a time whose revisions may have been given out again.
    #[error("the resume token cannot be used: {reason}; list again and watch from there")]
    TokenRefused {
        /// Why.
        reason: &'static str,
    },
    /// Settings that cannot work.
    #[error("the settings cannot work: {reason}")]
    Settings {
        /// Which, and what would work.
        reason: &'static str,
    },
    /// A watch of nothing was asked for.
    #[error("a watch needs at least one key range")]
    NoRanges,
    /// Anything else, which nobody can act on in code: the folder, the disk, damage, a size beyond all limits.
    #[error(transparent)]
    Other(Other),
}

/// A cause that only its text tells.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Other(Arc<dyn StdError + Send + Sync>);

impl Error {
    /// Ends a transaction from inside its closure, with a reason.
    #[must_use]
    pub fn abort(reason: impl Into<String>) -> Self {
        Self::Aborted { reason: reason.into() }
    }

    pub(crate) fn other(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Other(Other(Arc::new(error)))
    }
}

impl From<MvccError> for Error {
    fn from(error: MvccError) -> Self {
        match error {
            MvccError::Compacted { compact_revision } => Self::Compacted { compact_revision },
            MvccError::FutureRevision { current_revision } => Self::FutureRevision { current_revision },
            MvccError::NoSpace { used_bytes, quota_bytes } => Self::NoSpace { used_bytes, quota_bytes },
            MvccError::LeaseNotFound { id } => Self::LeaseNotFound { id },
            MvccError::LeaseExists { id } => Self::LeaseExists { id },
            MvccError::KeyNotFound => Self::KeyNotFound,
            MvccError::EmptyKey => Self::EmptyKey,
            MvccError::OutcomeUnknown => Self::OutcomeUnknown,
            MvccError::Lost { reason } => Self::Lost { reason },
            MvccError::AlreadyOpen { path } => Self::AlreadyOpen { path },
            MvccError::FormatVersion { found, supported } => Self::FormatVersion { found, supported },
            other => Self::other(other),
        }
    }
}
