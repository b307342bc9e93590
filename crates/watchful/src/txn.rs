//! Transactions: closures that read and write, and what they answer.

use watchful_mvcc::{
    Compare, Deleted, MvccError, PutOptions, RangeOptions, RangeResult, TxnOutcome, TxnRequest, TxnResponse,
};
use watchful_revision::{KeyRange, LeaseId, Record};

use crate::Error;

/// The answer to a write that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// The main revision the write took; where it changed nothing, the newest it could see.
    pub revision: u64,
    /// Whether a key changed. What changes none takes no revision.
    pub changed: bool,
    /// What was asked for.
    pub value: T,
}

impl<T> Committed<T> {
    pub(crate) fn new(outcome: TxnOutcome<T>, seen: u64) -> Self {
        let (changed, revision) = (outcome.revision.is_some(), outcome.revision.unwrap_or(seen));
        Self { revision, changed, value: outcome.value }
    }
}

/// One transaction from the inside: it reads its own writes, and nobody else's that come later.
///
/// See [`Store::transact`](crate::Store::transact).
pub struct Txn<'t, 'g, 'm> {
    inner: &'t mut watchful_mvcc::Txn<'g, 'm>,
}

impl<'t, 'g, 'm> Txn<'t, 'g, 'm> {
    pub(crate) fn new(inner: &'t mut watchful_mvcc::Txn<'g, 'm>) -> Self {
        Self { inner }
    }

    pub(crate) fn mvcc(&self) -> &watchful_mvcc::Txn<'g, 'm> {
        self.inner
    }

    pub(crate) fn mvcc_mut(&mut self) -> &mut watchful_mvcc::Txn<'g, 'm> {
        self.inner
    }

    /// The main revision this transaction takes, if it changes anything.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.revision()
    }

    /// Puts one key.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyKey`], or [`Error::NoSpace`] where the quota is used up.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.put_with(key, value, PutOptions::default()).map(drop)
    }

    /// Puts one key with options. Answers with the record before, where that was asked for and there was one.
    ///
    /// # Errors
    ///
    /// As [`Txn::put`]; [`Error::LeaseNotFound`]; [`Error::KeyNotFound`] where something is to be kept and nothing is
    /// there.
    pub fn put_with(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: PutOptions,
    ) -> Result<Option<Record>, Error> {
        Ok(self.inner.put(key.as_ref(), value.as_ref(), options)?)
    }

    /// Deletes one key. Answers whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.delete_range(&KeyRange::key(key), false)?.count > 0)
    }

    /// Deletes every key of a range.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn delete_range(&mut self, range: &KeyRange, prev_kv: bool) -> Result<Deleted, Error> {
        Ok(self.inner.delete_range(range, prev_kv)?)
    }

    /// One key, as this transaction has it by now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Record>, Error> {
        Ok(self.inner.get(key.as_ref())?)
    }

    /// A range, as this transaction has it by now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, Error> {
        Ok(self.inner.range(range, options)?)
    }

    /// Whether a condition holds by now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn compare(&self, compare: &Compare) -> Result<bool, Error> {
        Ok(self.inner.compare(compare)?)
    }

    /// Runs a transaction that is given as data, as a part of this one.
    ///
    /// # Errors
    ///
    /// What its operations can fail with.
    pub fn execute(&mut self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        Ok(self.inner.execute(request)?)
    }

    /// Whether there is such a lease.
    #[must_use]
    pub fn lease_exists(&self, id: LeaseId) -> bool {
        self.inner.lease_exists(id)
    }

    /// The lease that a key is on, as this transaction has it by now; 0 for none.
    #[must_use]
    pub fn lease_of(&self, key: &[u8]) -> LeaseId {
        self.inner.lease_of(key)
    }

    /// Gives each key on a lease to `visit`, in no order, as this transaction has them by now, until it fails. None where
    /// there is no such lease. `visit` must not use the store: it would wait for itself.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn each_lease_key<E>(&self, id: LeaseId, visit: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.inner.each_lease_key(id, visit)
    }
}

impl std::fmt::Debug for Txn<'_, '_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Txn({})", self.revision())
    }
}

/// Carries a closure's own error type through the layer below, which has its own.
pub(crate) enum Carried<E> {
    Own(E),
    Mvcc(MvccError),
}

impl<E> From<MvccError> for Carried<E> {
    fn from(error: MvccError) -> Self {
        Self::Mvcc(error)
    }
}

impl<E: From<Error>> Carried<E> {
    pub(crate) fn into_own(self) -> E {
        match self {
            Self::Own(own) => own,
            Self::Mvcc(error) => Error::from(error).into(),
        }
    }
}
