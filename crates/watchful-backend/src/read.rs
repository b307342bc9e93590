//! Reading: views of one commit.

use std::fmt;
use std::ops::{Deref, RangeBounds};
use std::sync::Arc;

use heed::{RoTxn, WithoutTls};
use parking_lot::RwLockReadGuard;

use crate::backend::{Shared, Table};
use crate::environment::Environment;
use crate::error::BackendError;
use crate::range::{Range, RevRange};
use crate::seats::NotSeated;

/// A view of one commit, which later commits do not change. It can be sent to another thread, and keeps the backend
/// open.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let backend = watchful_backend::Backend::open(dir.path(), &Default::default(), &["log"])?;
/// fn must_be_send(_: impl Send + 'static) {}
/// must_be_send(backend.read()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The fields are dropped in their order, so a seat is given up when nothing is held of the environment any more.
pub struct ReadTxn {
    txn: RoTxn<'static, WithoutTls>,
    environment: Arc<Environment>,
    seat: Seat,
}

/// A reader's place among the readers, given up when it is dropped. It keeps the backend open.
struct Seat {
    shared: Arc<Shared>,
    commit: u64,
}

impl ReadTxn {
    pub(crate) fn begin(shared: &Arc<Shared>) -> Result<Self, BackendError> {
        let mut seated = shared.seats.enter();
        if matches!(seated, Err(NotSeated::Broken)) {
            shared.reopen_read_only()?;
            seated = shared.seats.enter();
        }
        let (txn, environment) = seated.map_err(|refused| match refused {
            NotSeated::Broken => BackendError::Poisoned,
            NotSeated::Failed(error) => error,
        })?;
        let seat = Seat { shared: Arc::clone(shared), commit: txn.id() as u64 };
        Ok(Self { txn, environment, seat })
    }

    fn view(&self) -> View<'_> {
        View { txn: &self.txn, environment: &self.environment }
    }

    /// The number of the commit this looks at.
    #[must_use]
    pub fn commit(&self) -> u64 {
        self.seat.commit
    }
}

impl fmt::Debug for ReadTxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadTxn").field("commit", &self.seat.commit).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.seats.leave(self.commit);
    }
}

/// A view for as long as it takes to read everything out. See [`Backend::read_long`](crate::Backend::read_long).
///
/// The fields are dropped in their order: the view ends before a defragmentation may begin.
#[derive(Debug)]
pub struct LongRead<'b> {
    txn: ReadTxn,
    _copying: RwLockReadGuard<'b, ()>,
}

impl<'b> LongRead<'b> {
    pub(crate) fn new(txn: ReadTxn, copying: RwLockReadGuard<'b, ()>) -> Self {
        Self { txn, _copying: copying }
    }
}

impl Deref for LongRead<'_> {
    type Target = ReadTxn;

    fn deref(&self) -> &ReadTxn {
        &self.txn
    }
}

/// What both kinds of transaction read through.
#[derive(Clone, Copy)]
pub(crate) struct View<'t> {
    pub(crate) txn: &'t RoTxn<'t>,
    pub(crate) environment: &'t Environment,
}

impl<'t> View<'t> {
    pub(crate) fn get(self, table: Table, key: &[u8]) -> Result<Option<&'t [u8]>, BackendError> {
        // LMDB answers an error for a key that cannot be stored; the truth is that it is not there.
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            return Ok(None);
        }
        let table = &self.environment.tables[table.0];
        table.get(self.txn, key).map_err(|error| self.environment.error("reading", error))
    }

    pub(crate) fn range(
        self,
        table: Table,
        range: &impl RangeBounds<[u8]>,
    ) -> Result<Range<'t>, BackendError> {
        Range::begin(self, table, range)
    }

    pub(crate) fn rev_range(
        self,
        table: Table,
        range: &impl RangeBounds<[u8]>,
    ) -> Result<RevRange<'t>, BackendError> {
        RevRange::begin(self, table, range)
    }

    pub(crate) fn len(self, table: Table) -> Result<u64, BackendError> {
        let table = &self.environment.tables[table.0];
        table.len(self.txn).map_err(|error| self.environment.error("counting", error))
    }

    pub(crate) fn first(self, table: Table) -> Result<Option<Entry<'t>>, BackendError> {
        let table = &self.environment.tables[table.0];
        table.first(self.txn).map_err(|error| self.environment.error("reading", error))
    }

    pub(crate) fn last(self, table: Table) -> Result<Option<Entry<'t>>, BackendError> {
        let table = &self.environment.tables[table.0];
        table.last(self.txn).map_err(|error| self.environment.error("reading", error))
    }
}

/// The most bytes a key may have: LMDB's bound, as it is built here.
pub const KEY_LEN_MAX: usize = 511;

/// A key and its value, in the pages they are stored on.
pub type Entry<'t> = (&'t [u8], &'t [u8]);

/// The reading half of a transaction, which both kinds have.
macro_rules! reading {
    ($($of:tt)*) => {
        impl $($of)* {
            /// The value of `key`, without a copy.
            ///
            /// # Errors
            ///
            /// [`BackendError::Damaged`], or [`BackendError::TransactionFailed`] in a write transaction that has failed.
            ///
            /// # Panics
            ///
            /// When the table is not of this backend; so do the other methods.
            pub fn get(&self, table: $crate::Table, key: &[u8]) -> Result<Option<&[u8]>, $crate::BackendError> {
                self.view().get(table, key)
            }

            /// The entries of the keys in `range`, in order: `..` for all, or a pair of
            /// [`Bound`](std::ops::Bound)s.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get), here and at each step.
            pub fn range(
                &self,
                table: $crate::Table,
                range: impl std::ops::RangeBounds<[u8]>,
            ) -> Result<$crate::Range<'_>, $crate::BackendError> {
                self.view().range(table, &range)
            }

            /// The entries of the keys in `range`, the last first.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get), here and at each step.
            pub fn rev_range(
                &self,
                table: $crate::Table,
                range: impl std::ops::RangeBounds<[u8]>,
            ) -> Result<$crate::RevRange<'_>, $crate::BackendError> {
                self.view().rev_range(table, &range)
            }

            /// How many entries the table has. LMDB keeps the count.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub fn len(&self, table: $crate::Table) -> Result<u64, $crate::BackendError> {
                self.view().len(table)
            }

            /// Whether the table has no entry.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub fn is_empty(&self, table: $crate::Table) -> Result<bool, $crate::BackendError> {
                Ok(self.len(table)? == 0)
            }

            /// The entry with the first key.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub fn first(&self, table: $crate::Table) -> Result<Option<$crate::Entry<'_>>, $crate::BackendError> {
                self.view().first(table)
            }

            /// The entry with the last key.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub fn last(&self, table: $crate::Table) -> Result<Option<$crate::Entry<'_>>, $crate::BackendError> {
                self.view().last(table)
            }
        }
    };
}
pub(crate) use reading;

reading!(ReadTxn);
