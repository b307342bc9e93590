//! What a transaction does to leases.

use std::collections::BTreeSet;

use watchful_revision::LeaseId;

use crate::MvccError;
use crate::index::Newest;
use crate::lease::LeaseChange;
use crate::txn::Txn;

impl Txn<'_, '_> {
    /// Grants the lease `id`, with a time to live that is only kept, not counted down.
    ///
    /// # Errors
    ///
    /// `LeaseIdMissing` when the id is 0, `LeaseExists`, `NoSpace`.
    pub fn lease_grant(&mut self, id: LeaseId, ttl_seconds: i64) -> Result<(), MvccError> {
        self.group.check_quota()?;
        if id == 0 {
            return Err(MvccError::LeaseIdMissing);
        }
        if self.lease_exists(id) {
            return Err(MvccError::LeaseExists { id });
        }
        self.group.writer.lease_changes.push(LeaseChange { id, ttl_seconds: Some(ttl_seconds) });
        Ok(())
    }

    /// Revokes the lease `id` and deletes every key on it, in key order. Answers how many those were.
    ///
    /// # Errors
    ///
    /// `LeaseNotFound`.
    pub fn lease_revoke(&mut self, id: LeaseId) -> Result<u64, MvccError> {
        if !self.lease_exists(id) {
            return Err(MvccError::LeaseNotFound { id });
        }
        let keys = self.lease_keys(id);
        for key in &keys {
            if let Some(newest) = self.newest(key).filter(Newest::is_live) {
                self.write_tombstone(key, newest.revision())?;
            }
        }
        self.group.writer.lease_changes.push(LeaseChange { id, ttl_seconds: None });
        Ok(keys.len() as u64)
    }

    /// Whether there is a lease `id`, after what the transaction did so far.
    #[must_use]
    pub fn lease_exists(&self, id: LeaseId) -> bool {
        self.group.lease_exists(id)
    }

    /// The lease `key` hangs on; 0 for none.
    #[must_use]
    pub fn lease_of(&self, key: &[u8]) -> LeaseId {
        match self.group.writer.overlay.newest(key) {
            Some(row) => row.lease,
            None => self.group.inner.leases.read().of(key),
        }
    }

    /// Gives each key on the lease `id` to `visit`, in no order, after what the transaction did so far, until it fails. None
    /// where there is no such lease. `visit` must not use the store.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn each_lease_key<E>(
        &self,
        id: LeaseId,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let overlay = &self.group.writer.overlay;
        if let Some(committed) = self.group.inner.leases.read().keys(id) {
            committed.filter(|key| overlay.newest(key).is_none()).try_for_each(&mut visit)?;
        }
        overlay.latest().filter(|row| row.lease == id).try_for_each(|row| visit(overlay.key(row)))
    }

    fn lease_keys(&self, id: LeaseId) -> BTreeSet<Box<[u8]>> {
        let mut keys = BTreeSet::new();
        let Ok(()) = self.each_lease_key(id, |key| {
            keys.insert(key.into());
            Ok::<_, std::convert::Infallible>(())
        });
        keys
    }
}
