//! Transactions as plain data: what to compare, what to do then, what to do else. It is etcd's form, with ranges already
//! made from pairs of keys.
//!
//! A range here is an `Option`: etcd lets a request name a pair of keys that holds no key. Such a request is legal and
//! its answer is empty.

use bytes::Bytes;
use watchful_revision::{KeyRange, LeaseId, Record};

/// What is wanted of a range of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    /// The most records to answer with; 0 for all.
    pub limit: u64,
    /// What to sort by.
    pub target: SortTarget,
    /// Which way to sort.
    pub order: SortOrder,
    /// Leave out keys last changed below this main revision; 0 for no bound.
    pub min_mod_revision: u64,
    /// Leave out keys last changed above this main revision; 0 for no bound.
    pub max_mod_revision: u64,
    /// Leave out keys created below this main revision; 0 for no bound.
    pub min_create_revision: u64,
    /// Leave out keys created above this main revision; 0 for no bound.
    pub max_create_revision: u64,
    /// Answer with records whose values are left out.
    pub keys_only: bool,
    /// Answer with the count alone, and read no record.
    pub count_only: bool,
}

/// What records are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// How many changes the key has had since it was created.
    Version,
    /// The revision that created the key.
    Create,
    /// The revision of the last change.
    Mod,
    /// The value.
    Value,
}

/// Which way records are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// By key. With another target than the key and no filter by revision, one record more than the limit is taken in
    /// key order, these are sorted by the target, and then cut: that is what etcd does, and its users may count on it.
    #[default]
    None,
    /// The least first; records that are equal in the target come in key order.
    Ascend,
    /// The greatest first; records that are equal in the target come in key order.
    Descend,
}

/// The answer to a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResult {
    /// The records, sorted and cut as was asked for.
    pub records: Vec<Record>,
    /// How many keys the range holds, whatever the limit and the filters.
    pub count: u64,
    /// Whether the limit cut records off.
    pub more: bool,
}

/// How to put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// The lease to attach the key to; 0 for none.
    pub lease: LeaseId,
    /// Keep the key's value: the value given must be empty, and the key must be there.
    pub ignore_value: bool,
    /// Keep the key's lease: the lease given must be 0, and the key must be there.
    pub ignore_lease: bool,
    /// Answer with the record before.
    pub prev_kv: bool,
}

/// The answer to a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many keys were deleted.
    pub count: u64,
    /// Their records, in key order, where they were asked for.
    pub prev: Vec<Record>,
}

/// A condition on one key, or on every key of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The keys. Where none is there, a value compare fails, and the others see zeroes.
    pub range: Option<KeyRange>,
    /// What is compared, and with what.
    pub target: CompareTarget,
    /// How the key's own must stand to what is given.
    pub result: CompareResult,
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// How many changes the key has had since it was created.
    Version(u64),
    /// The revision that created the key.
    Create(u64),
    /// The revision of its last change.
    Mod(u64),
    /// The lease it is attached to.
    Lease(LeaseId),
    /// Its value.
    Value(Bytes),
}

/// How the key's own must stand to what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareResult {
    /// It is the same.
    Equal,
    /// It is greater.
    Greater,
    /// It is less.
    Less,
    /// It is another.
    NotEqual,
}

/// A transaction: `then` runs when every compare holds, `or_else` otherwise.
///
/// As in etcd, all compares, those of nested transactions too, see the store as it was before the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnRequest {
    /// The conditions; none always holds.
    pub compares: Vec<Compare>,
    /// What to do when they hold.
    pub then: Vec<RequestOp>,
    /// What to do when they do not.
    pub or_else: Vec<RequestOp>,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOp {
    /// Read. It sees what the operations before it wrote.
    Range {
        /// The keys.
        range: Option<KeyRange>,
        /// The main revision to read at; 0 for the transaction's own.
        revision: u64,
        /// What is wanted.
        options: RangeOptions,
    },
    /// Put one key.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// How.
        options: PutOptions,
    },
    /// Delete keys.
    DeleteRange {
        /// The keys.
        range: Option<KeyRange>,
        /// Answer with their records.
        prev_kv: bool,
    },
    /// A transaction in the transaction.
    Txn(TxnRequest),
}

/// The answer to a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnResponse {
    /// Whether the compares held.
    pub succeeded: bool,
    /// One answer for each operation that was run.
    pub responses: Vec<OpResponse>,
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResponse {
    /// To a range.
    Range(RangeResult),
    /// To a put: the record before, where it was asked for and there was one.
    Put(Option<Record>),
    /// To a delete.
    Delete(Deleted),
    /// To a nested transaction.
    Txn(TxnResponse),
}
