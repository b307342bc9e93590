//! Leases, as etcd keeps them: by id, each as a message `leasepb.Lease`.
//!
//! What was left of a lease's time when it was kept, which etcd may have noted, is not looked at: it has its full time again
//! from the start on, as after a restart.

use std::io::{Seek, Write};

use prost::Message;
use watchful::{Export, Loader};
use watchful_bbolt::Writer;

use super::EtcdSnapshotError;
use super::error::schema;

/// etcd's `leasepb.Lease`, which is no part of its API.
#[derive(Clone, PartialEq, Message)]
struct Lease {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
    #[prost(int64, tag = "3")]
    remaining_ttl: i64,
}

pub(super) fn write<W: Write + Seek>(
    export: &Export<'_>,
    file: &mut Writer<W>,
) -> Result<(), EtcdSnapshotError> {
    for lease in export.leases()? {
        let (id, ttl) = lease?;
        file.put(&id.to_be_bytes(), &Lease { id, ttl, remaining_ttl: 0 }.encode_to_vec())?;
    }
    Ok(())
}

/// Loads one.
pub(super) fn load(key: &[u8], value: &[u8], loader: &mut Loader<'_, '_>) -> Result<(), EtcdSnapshotError> {
    let lease = Lease::decode(value).ok().filter(|lease| key == lease.id.to_be_bytes() && lease.id != 0);
    let lease = lease.ok_or_else(|| schema(format!("the lease at `{}` is none", key.escape_ascii())))?;
    // One that etcd would raise to its least.
    Ok(loader.lease(lease.id, lease.ttl.max(1))?)
}
