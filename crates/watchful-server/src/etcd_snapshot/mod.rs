//! etcd's own snapshot: a bbolt file with etcd's buckets in it, as `etcdctl snapshot save` gets it from an etcd, and as
//! `etcdctl snapshot restore` takes it.
//!
//! **What it is for:** going to etcd and coming from it, with every revision. [`write`](write::write) makes the file of a
//! store's [`Export`](watchful::Export); [`EtcdSnapshot`] reads one, tells what is in it, and makes a store of it.
//!
//! **What it is not for:** the bytes of bbolt's pages are `watchful_bbolt`'s, and the SHA-256 behind the file is
//! `snapshot.rs`'s and the command line's.
//!
//! `docs/SNAPSHOT_FORMAT.md` has the schema, key by key, and what is left out of it and why.

mod read;

mod write;

mod restore;

mod status;

mod lease;

mod auth;

mod alarm;

mod error;

#[cfg(test)]
mod tests;

pub use error::EtcdSnapshotError;
pub use read::EtcdSnapshot;
pub use status::SnapshotStatus;
pub(crate) use write::{From, write};

/// The buckets of an etcd's store.
mod bucket {
    pub(super) const ALARM: &[u8] = b"alarm";
    pub(super) const AUTH: &[u8] = b"auth";
    pub(super) const AUTH_ROLES: &[u8] = b"authRoles";
    pub(super) const AUTH_USERS: &[u8] = b"authUsers";
    pub(super) const CLUSTER: &[u8] = b"cluster";
    pub(super) const KEY: &[u8] = b"key";
    pub(super) const LEASE: &[u8] = b"lease";
    pub(super) const MEMBERS: &[u8] = b"members";
    pub(super) const MEMBERS_REMOVED: &[u8] = b"members_removed";
    pub(super) const META: &[u8] = b"meta";

    /// All of them, in the order in which a file has them. `test` is etcd's own tests'.
    pub(super) const ALL: [&[u8]; 11] =
        [ALARM, AUTH, AUTH_ROLES, AUTH_USERS, CLUSTER, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META, b"test"];
}

/// The keys in the bucket `meta`.
mod meta {
    pub(super) const CONF_STATE: &[u8] = b"confState";
    pub(super) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
    pub(super) const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
    pub(super) const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";
    pub(super) const STORAGE_VERSION: &[u8] = b"storageVersion";
    pub(super) const TERM: &[u8] = b"term";
}
