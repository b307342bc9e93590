//! What a snapshot holds: as `etcdctl snapshot status` tells it, and some more.

use std::collections::HashSet;

use watchful::{RecordKind, Revision};
use watchful_bbolt::Value;

use super::read::{each_of, parse_row, parse_row_key};
use super::{EtcdSnapshot, EtcdSnapshotError, bucket};

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotStatus {
    /// The hash that `etcdctl snapshot status` tells: CRC-32C over each bucket's name, keys and values.
    pub hash: u32,
    /// The newest main revision; at least 1.
    pub revision: u64,
    /// The oldest main revision that can be read; none when the store was never compacted.
    pub compact_revision: Option<u64>,
    /// How many keys there are at the newest revision.
    pub keys: u64,
    /// How many changes are kept.
    pub rows: u64,
    /// How many leases there are.
    pub leases: u64,
    /// How many users there are.
    pub users: u64,
    /// How many roles there are.
    pub roles: u64,
    /// How many bytes its pages have.
    pub bytes: u64,
}

impl EtcdSnapshot {
    /// Reads everything, and tells what there is. Memory holds the keys that are there.
    ///
    /// # Errors
    ///
    /// When something in it is not as etcd writes it.
    pub fn status(&self) -> Result<SnapshotStatus, EtcdSnapshotError> {
        let mut status = SnapshotStatus {
            revision: self.plan.current_revision,
            compact_revision: self.plan.compact_revision,
            bytes: self.bytes(),
            ..SnapshotStatus::default()
        };
        let mut keys = HashSet::new();
        let mut buckets = self.reader.entries(&self.reader.root())?;
        while let Some(entry) = buckets.next()? {
            let (name, Value::Bucket(bucket)) = (entry.key, entry.value) else { continue };
            status.hash = crc32c::crc32c_append(status.hash, name);
            each_of(&self.reader, &bucket, name, &mut |key, value| {
                status.hash = crc32c::crc32c_append(crc32c::crc32c_append(status.hash, key), value);
                if name == bucket::KEY {
                    count_row(key, value, &mut keys)?
                };
                status.count(name);
                Ok(())
            })?;
        }
        status.keys = keys.len() as u64;
        Ok(status)
    }
}

impl SnapshotStatus {
    fn count(&mut self, bucket: &[u8]) {
        match bucket {
            bucket::KEY => self.rows += 1,
            bucket::LEASE => self.leases += 1,
            bucket::AUTH_USERS => self.users += 1,
            bucket::AUTH_ROLES => self.roles += 1,
            _ => {}
        }
    }
}

fn count_row(key: &[u8], value: &[u8], keys: &mut HashSet<Box<[u8]>>) -> Result<(), EtcdSnapshotError> {
    let (revision, kind): (Revision, RecordKind) = parse_row_key(key)?;
    let fields = parse_row(revision, value)?;
    match kind {
        RecordKind::Tombstone => keys.remove(fields.key),
        RecordKind::Put if fields.key.is_empty() || keys.contains(fields.key) => false,
        RecordKind::Put => keys.insert(fields.key.into()),
    };
    Ok(())
}
