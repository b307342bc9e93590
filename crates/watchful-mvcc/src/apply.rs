//! The third door: one transaction with a given revision, for a store that follows another.

use watchful_revision::{KeyRange, LeaseId};

use crate::MvccError;
use crate::group::Group;
use crate::request::PutOptions;

/// One change of a transaction that another store has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key was created or changed.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// The lease it was attached to, which must be here too; 0 for none.
        lease: LeaseId,
    },
    /// The key was deleted.
    Delete {
        /// The key.
        key: &'a [u8],
    },
}

impl Group<'_> {
    /// Applies the transaction that took the main revision `revision` in another store, change by change. Create
    /// revisions and versions follow from what is here, so they are the same in both stores.
    ///
    /// # Errors
    ///
    /// `NotNext` when another revision is next here; `Diverged` when the transaction cannot have come from a store like
    /// this one; and what [`Txn::put`](crate::Txn::put) answers. The store is as it was before.
    pub fn apply_at(&mut self, revision: u64, changes: &[Change<'_>]) -> Result<(), MvccError> {
        let next = self.current_revision() + 1;
        if revision != next {
            return Err(MvccError::NotNext { given: revision, next });
        }
        if changes.is_empty() {
            return Err(MvccError::Diverged { given: revision });
        }
        self.txn(|txn| -> Result<(), MvccError> {
            for change in changes {
                match *change {
                    Change::Put { key, value, lease } => {
                        txn.put(key, value, PutOptions { lease, ..PutOptions::default() })?;
                    }
                    Change::Delete { key } => {
                        if txn.delete_range(&KeyRange::key(key), false)?.count != 1 {
                            return Err(MvccError::Diverged { given: revision });
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}
