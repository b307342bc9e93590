//! What a transaction asks for, and what it answers.

use bytes::Bytes;
use watchful_revision::{KeyRange, LeaseId};

use super::{RangeAnswer, RangeOptions, ReadError, Row};

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Puts a key.
    Put {
        /// The key.
        key: Bytes,
        /// The value; must be empty with `ignore_value`.
        value: Bytes,
        /// The lease to attach the key to; 0 for none, and with `ignore_lease`.
        lease: LeaseId,
        /// Keeps the key's value.
        ignore_value: bool,
        /// Keeps the key's lease.
        ignore_lease: bool,
    },
    /// Deletes every key of a range.
    DeleteRange(KeyRange),
    /// Reads a range, with the transaction's own writes where `revision` is 0.
    Range {
        /// The keys.
        range: KeyRange,
        /// What of them.
        options: RangeOptions,
        /// The store at this revision; 0 for now.
        revision: u64,
    },
    /// A transaction inside the transaction: no revision of its own.
    Txn(Txn),
}

/// Operations that depend on compares.
///
/// As in etcd, every compare of a request is answered from the store as it was *before* the request, those of nested
/// transactions too: a nested compare does not see what its outer transaction wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold; none holds always.
    pub compares: Vec<Compare>,
    /// What is done when they hold.
    pub then_ops: Vec<Op>,
    /// What is done when they do not.
    pub else_ops: Vec<Op>,
}

/// A condition on a key, or on every key of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The keys it must hold for.
    pub range: KeyRange,
    /// How the key's field must stand to the target.
    pub comparison: Comparison,
    /// Which field, and what it is compared with.
    pub target: CompareTarget,
}

/// How two values stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// The same.
    Equal,
    /// The key's is greater.
    Greater,
    /// The key's is less.
    Less,
    /// Not the same.
    NotEqual,
}

/// Which field of a row is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The version; 0 for a missing key.
    Version(u64),
    /// The create revision; 0 for a missing key.
    Create(u64),
    /// The revision of the last change; 0 for a missing key.
    Mod(u64),
    /// The value. A missing key has none, and fails whatever the comparison.
    Value(Bytes),
    /// The lease; 0 for none and for a missing key.
    Lease(LeaseId),
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its main revision; none where it changed nothing.
    pub revision: Option<u64>,
    /// One answer an operation.
    pub results: Vec<OpResult>,
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A put, and the row it replaced.
    Put {
        /// The key's row just before.
        prev: Option<Row>,
    },
    /// A delete, and the rows it ended, in key order.
    Deleted {
        /// The rows just before.
        prev: Vec<Row>,
    },
    /// A read.
    Range(RangeAnswer),
    /// A nested transaction.
    Txn {
        /// Whether its compares held.
        succeeded: bool,
        /// One answer an operation of the branch that was taken.
        results: Vec<OpResult>,
    },
}

/// Why a transaction was refused. It has then changed nothing.
///
/// Where several apply, the first operation in order tells, and of one put the first in the order below. Operations of a
/// branch that is not taken are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A put without a key.
    #[error("the key is empty")]
    EmptyKey,
    /// A put that keeps the old value was given one.
    #[error("a value was given with ignore_value")]
    ValueProvided,
    /// A put that keeps the old lease was given one.
    #[error("a lease was given with ignore_lease")]
    LeaseProvided,
    /// A put names a lease that does not exist.
    #[error("lease {id} does not exist")]
    LeaseNotFound {
        /// The lease.
        id: LeaseId,
    },
    /// A put that keeps the old value or lease found no key.
    #[error("the key does not exist")]
    KeyNotFound,
    /// A read could not be answered.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Op {
    /// Puts `value` under `key`, without a lease.
    #[must_use]
    pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self::put_with_lease(key, value, 0)
    }

    /// Puts `value` under `key`, attached to a lease.
    #[must_use]
    pub fn put_with_lease(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, lease: LeaseId) -> Self {
        Self::Put {
            key: Bytes::copy_from_slice(key.as_ref()),
            value: Bytes::copy_from_slice(value.as_ref()),
            lease,
            ignore_value: false,
            ignore_lease: false,
        }
    }

    /// Deletes one key.
    #[must_use]
    pub fn delete(key: impl AsRef<[u8]>) -> Self {
        Self::DeleteRange(KeyRange::key(key))
    }

    /// Reads a range as it is now.
    #[must_use]
    pub fn range(range: KeyRange) -> Self {
        Self::Range { range, options: RangeOptions::default(), revision: 0 }
    }
}

impl Compare {
    /// A compare of one key.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>, comparison: Comparison, target: CompareTarget) -> Self {
        Self { range: KeyRange::key(key), comparison, target }
    }
}
