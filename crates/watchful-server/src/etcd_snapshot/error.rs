//! Why a snapshot cannot be written, read or restored.

use watchful_bbolt::{ReadError, WriteError};

/// Why a snapshot could not be written, read or restored. Its text and its causes tell.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EtcdSnapshotError(Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the snapshot cannot be read")]
    Read(#[source] ReadError),
    #[error("the snapshot cannot be written")]
    Write(#[source] WriteError),
    #[error("the snapshot is not one of an etcd that this program reads: {0}")]
    Schema(String),
    #[error(transparent)]
    Store(watchful::Error),
}

/// What is not as etcd keeps it.
pub(super) fn schema(what: impl Into<String>) -> EtcdSnapshotError {
    EtcdSnapshotError(Kind::Schema(what.into()))
}

impl From<ReadError> for EtcdSnapshotError {
    fn from(error: ReadError) -> Self {
        Self(Kind::Read(error))
    }
}

impl From<WriteError> for EtcdSnapshotError {
    fn from(error: WriteError) -> Self {
        Self(Kind::Write(error))
    }
}

impl From<watchful::Error> for EtcdSnapshotError {
    fn from(error: watchful::Error) -> Self {
        Self(Kind::Store(error))
    }
}
