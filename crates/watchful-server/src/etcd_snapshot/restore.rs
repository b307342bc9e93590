//! From a snapshot to a store: every change with its revision, leases, users, roles and alarms.
//!
//! What etcd leaves in its rows, and what is made of it:
//!
//! - **A lease that is over** is still named by the rows that were put under it. The newest row of a key may name one too; etcd
//!   says so in its log and lets the key stand without a lease, and so is it here.
//! - **Rows at the compact revision and below** are taken as they are, however far compaction has come. It is gone on with.
//! - **A change without a key** is what `etcdutl snapshot restore --bump-revision` leaves where it has raised the revision. Its
//!   revision is compacted to, nobody can read it, and it is passed over.

use std::path::Path;

use watchful::{LoadRow, Loader, RecordKind, Revision, Settings};

use super::error::schema;
use super::read::{parse_row, parse_row_key};
use super::{EtcdSnapshot, EtcdSnapshotError, alarm, auth, bucket, lease};

/// The least epoch of a store that was moved in: its revisions are somebody else's too.
const EPOCH_MIN: u64 = 2;

impl EtcdSnapshot {
    /// Makes a store in the folder `dir`, which is made or must be empty: the same revisions, history, leases, users, roles
    /// and alarms. Each lease has its full time from the store's first opening on. The epoch is above the snapshot's.
    ///
    /// # Errors
    ///
    /// When something in it is not as etcd writes it, the folder is not empty, or the system fails. There is no store then.
    pub fn restore(&self, dir: &Path) -> Result<(), EtcdSnapshotError> {
        let settings = Settings::default();
        let quota_bytes = settings.quota_bytes.max(self.bytes());
        // A server of ours tells its epoch and one for its term, and so does the one that will serve this.
        let epoch = self.raft_term.max(EPOCH_MIN);
        watchful::load(dir, &settings.with_quota_bytes(quota_bytes), self.plan, epoch, |loader| {
            self.load(loader)
        })
    }

    fn load(&self, loader: &mut Loader<'_, '_>) -> Result<(), EtcdSnapshotError> {
        self.each(bucket::KEY, |key, value| self.load_row(key, value, loader))?;
        self.each(bucket::LEASE, |key, value| lease::load(key, value, loader))?;
        self.each(bucket::AUTH, |key, value| auth::load(key, value, loader))?;
        self.each(bucket::AUTH_ROLES, |name, role| auth::load_role(name, role, loader))?;
        self.each(bucket::AUTH_USERS, |name, user| auth::load_user(name, user, loader))?;
        let mut raised = Vec::new();
        self.each(bucket::ALARM, |key, _| {
            let alarm = alarm::parse(key)?;
            if !raised.contains(&alarm) {
                raised.push(alarm);
            }
            Ok(())
        })?;
        alarm::load(&raised, loader)
    }

    fn load_row(
        &self,
        key: &[u8],
        value: &[u8],
        loader: &mut Loader<'_, '_>,
    ) -> Result<(), EtcdSnapshotError> {
        let (revision, kind) = parse_row_key(key)?;
        let fields = parse_row(revision, value)?;
        if fields.key.is_empty() {
            return self.pass_over(revision);
        }
        let row = match kind {
            RecordKind::Tombstone => LoadRow::Tombstone { key: fields.key },
            RecordKind::Put if fields.mod_revision != revision.main => {
                return Err(schema(format!(
                    "the change at revision {revision} says that it is of revision {}",
                    fields.mod_revision
                )));
            }
            RecordKind::Put => LoadRow::Put(fields.into()),
        };
        Ok(loader.row(revision, &row)?)
    }

    fn pass_over(&self, revision: Revision) -> Result<(), EtcdSnapshotError> {
        match self.plan.compact_revision {
            Some(compact_revision) if revision.main <= compact_revision => Ok(()),
            _ => Err(schema(format!("the change at revision {revision} has no key"))),
        }
    }
}
