//! Writing: one transaction at a time, which is there whole after its commit, or not at all.

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use heed::{MdbError, PutFlags, RwTxn};
use parking_lot::MutexGuard;

use crate::backend::{Shared, Table};
use crate::environment::Environment;
use crate::error::{BackendError, CommitError, EngineError};
use crate::read::{KEY_LEN_MAX, View, reading};

/// A write transaction. It reads its own writes. Dropped without [`commit`](Self::commit), it leaves no trace.
///
/// It cannot cross threads, because the thread that took LMDB's writer lock must give it back:
///
/// ```compile_fail
/// # let dir = tempfile::tempdir().unwrap();
/// # let backend = watchful_backend::Backend::open(dir.path(), &Default::default(), &["log"]).unwrap();
/// fn must_be_send(_: impl Send) {}
/// must_be_send(backend.write().unwrap());
/// ```
///
/// The fields are dropped in their order: the transaction before the environment it borrows, and the turn last, since
/// whoever takes it next may close the environment.
pub struct WriteTxn<'b> {
    /// It borrows `environment`, whatever its lifetime says: see `begin`.
    txn: RwTxn<'static>,
    environment: Arc<Environment>,
    shared: &'b Shared,
    no_space: bool,
    turn: MutexGuard<'b, ()>,
    /// Not `Send`, whatever the fields above may be.
    _thread: PhantomData<*const ()>,
}

impl<'b> WriteTxn<'b> {
    #[expect(unsafe_code, reason = "no type can say that a field borrows from the one beside it")]
    pub(crate) fn begin(shared: &'b Shared) -> Result<Self, BackendError> {
        let turn = shared.turn.lock();
        let environment = shared.seats.lock().writable()?;
        shared.refuse_if_poisoned()?;
        // SAFETY: the environment outlives the transaction that is begun with this reference. Its memory is that of the
        // `Arc`, which does not move when this value does. The transaction is kept beside a clone of the `Arc` and before
        // it in the order of fields, so it is dropped first; `commit` consumes it before it drops the clone; and nothing
        // gives it out for longer than this value is borrowed. Whoever takes an environment out of its `Arc`
        // (`Seats::exchange`) does so as its last owner.
        let borrowed: &'static Environment = unsafe { &*Arc::as_ptr(&environment) };
        let begun = borrowed.write();
        let txn = begun.map_err(|error| environment.error("beginning to write", error))?;
        Ok(Self { txn, environment, shared, no_space: false, turn, _thread: PhantomData })
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    ///
    /// [`BackendError::KeyLength`], after which the transaction can go on; [`BackendError::NoSpace`] and others, after
    /// which it can only be dropped.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BackendError> {
        self.put_with(PutFlags::empty(), table, key, value)
    }

    /// Adds `key` after the last key of the table, which is cheaper than [`put`](Self::put), and fills pages to the
    /// brim.
    ///
    /// # Errors
    ///
    /// [`BackendError::NotLast`] when there is a key that is not before it, after which the transaction can go on;
    /// otherwise as `put`.
    pub fn append(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BackendError> {
        self.put_with(PutFlags::APPEND, table, key, value)
    }

    fn put_with(
        &mut self,
        flags: PutFlags,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), BackendError> {
        check_key(key)?;
        let table = &self.environment.tables[table.0];
        table.put_with_flags(&mut self.txn, flags, key, value).map_err(|error| self.error("writing", error))
    }

    /// Removes `key`. Tells whether it was there.
    ///
    /// # Errors
    ///
    /// [`BackendError::NoSpace`] and others, after which the transaction can only be dropped: to remove is to write
    /// pages anew, so that can need space too.
    pub fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, BackendError> {
        if check_key(key).is_err() {
            return Ok(false);
        }
        let table = &self.environment.tables[table.0];
        table.delete(&mut self.txn, key).map_err(|error| self.error("deleting", error))
    }

    /// Removes every key in `range`. Tells how many there were.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    pub fn delete_range(&mut self, table: Table, range: impl RangeBounds<[u8]>) -> Result<u64, BackendError> {
        let table = &self.environment.tables[table.0];
        let deleted = table.delete_range(&mut self.txn, &crate::range::as_pair(&range));
        deleted.map(|count| count as u64).map_err(|error| self.error("deleting", error))
    }

    /// The bytes of the pages in use, this transaction's own among them: see
    /// [`Backend::used_bytes`](crate::Backend::used_bytes).
    ///
    /// # Errors
    ///
    /// [`BackendError::TransactionFailed`] when it has.
    pub fn used_bytes(&self) -> Result<u64, BackendError> {
        let used_bytes = self.environment.used_bytes(&self.txn);
        used_bytes.map_err(|error| self.environment.error("measuring", error))
    }

    /// Makes everything this transaction did valid at once, and, when the durability is
    /// [`Synced`](crate::Durability::Synced), durable.
    ///
    /// # Errors
    ///
    /// [`CommitError`] tells whether the transaction was taken back whole or its outcome is unknown.
    pub fn commit(self) -> Result<(), CommitError> {
        let Self { txn, environment, shared, no_space, turn, .. } = self;
        // Measured before, as nothing can be asked of a transaction that is gone. The commit itself changes only the
        // lists of tables and of free pages.
        let used_bytes = environment.used_bytes(&txn);
        let committed = txn.commit().map_err(|error| shared.failed_commit(&environment, error, no_space));
        if let (Ok(()), Ok(used_bytes)) = (&committed, used_bytes) {
            shared.set_used_bytes(used_bytes);
        }
        // In this order: whoever takes the turn next may close the environment.
        drop(environment);
        drop(turn);
        committed
    }

    fn view(&self) -> View<'_> {
        View { txn: &self.txn, environment: &self.environment }
    }

    #[cold]
    fn error(&mut self, what: &'static str, error: heed::Error) -> BackendError {
        if matches!(error, heed::Error::Mdb(MdbError::KeyExist)) {
            return BackendError::NotLast;
        }
        let error = self.environment.error(what, error);
        match error {
            BackendError::NoSpace { .. } => self.no_space = true,
            // What made it fail is of more use than that it failed.
            BackendError::TransactionFailed if self.no_space => {
                return BackendError::NoSpace { map_bytes: self.environment.map_bytes() };
            }
            _ => {}
        }
        error
    }
}

reading!(WriteTxn<'_>);

impl Shared {
    /// What a failed commit means. The caller still holds the write turn.
    #[cold]
    fn failed_commit(
        &self,
        environment: &Environment,
        error: heed::Error,
        no_space_before: bool,
    ) -> CommitError {
        let no_space = match &error {
            heed::Error::Mdb(MdbError::MapFull) => true,
            heed::Error::Mdb(MdbError::BadTxn) => no_space_before,
            heed::Error::Io(source) => environment.is_want_of_room(source),
            _ => false,
        };
        let before_writing = matches!(&error, heed::Error::Mdb(found) if *found != MdbError::Panic);
        let source = EngineError::from(error);
        if before_writing || no_space && !environment.is_broken() {
            return if no_space {
                CommitError::NoSpace { source }
            } else {
                CommitError::TakenBack { source }
            };
        }
        self.poison();
        CommitError::OutcomeUnknown { source }
    }
}

fn check_key(key: &[u8]) -> Result<(), BackendError> {
    match key.len() {
        1..=KEY_LEN_MAX => Ok(()),
        len => Err(BackendError::KeyLength { len, max: KEY_LEN_MAX }),
    }
}
