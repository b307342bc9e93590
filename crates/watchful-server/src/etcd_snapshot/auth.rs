//! Users, roles, and whether they count: as they are noted here, and as etcd keeps them. The messages are the same bytes.
//!
//! | note | in etcd |
//! |---|---|
//! | `auth/enabled`: one byte 1, or no note | bucket `auth`, `authEnabled`: one byte, 1 or 0 |
//! | `auth/revision`: 8 bytes, big-endian; no note means 1 | bucket `auth`, `authRevision`: the same |
//! | `auth/user/NAME`: `authpb.User` | bucket `authUsers`, `NAME`: the same |
//! | `auth/role/NAME`: `authpb.Role` | bucket `authRoles`, `NAME`: the same |

use std::io::{Seek, Write};

use watchful::{Export, Loader};
use watchful_bbolt::Writer;

use super::error::schema;
use super::{EtcdSnapshotError, bucket};
use crate::answers;
use crate::auth::notes;

const KEY_ENABLED: &[u8] = b"authEnabled";
const KEY_REVISION: &[u8] = b"authRevision";

const ENABLED: &[u8] = &[1];

/// The revision of a store whose users never changed.
const REVISION_FIRST: [u8; 8] = 1u64.to_be_bytes();

/// Writes the three buckets.
pub(super) fn write<W: Write + Seek>(
    export: &Export<'_>,
    file: &mut Writer<W>,
) -> Result<(), EtcdSnapshotError> {
    file.bucket(bucket::AUTH)?;
    if export.note(notes::ENABLED)?.as_deref() == Some(ENABLED) {
        file.put(KEY_ENABLED, ENABLED)?;
    }
    let revision = export.note(notes::REVISION)?;
    file.put(KEY_REVISION, revision.as_deref().unwrap_or(&REVISION_FIRST))?;
    for (name, prefix) in [(bucket::AUTH_ROLES, notes::ROLE), (bucket::AUTH_USERS, notes::USER)] {
        file.bucket(name)?;
        for note in export.notes(prefix.as_bytes())? {
            let (name, message) = note?;
            file.put(&name[prefix.len()..], &message)?;
        }
    }
    Ok(())
}

/// Loads one entry of the bucket `auth`.
pub(super) fn load(key: &[u8], value: &[u8], loader: &mut Loader<'_, '_>) -> Result<(), EtcdSnapshotError> {
    match key {
        KEY_ENABLED if value == ENABLED => Ok(loader.note(notes::ENABLED, ENABLED)?),
        // etcd too takes everything else for off.
        KEY_ENABLED => Ok(()),
        KEY_REVISION => match <[u8; 8]>::try_from(value) {
            // What no note says. An etcd that has just begun may have written 0, and means 1.
            Ok(REVISION_FIRST | [0, 0, 0, 0, 0, 0, 0, 0]) => Ok(()),
            Ok(revision) => Ok(loader.note(notes::REVISION, revision)?),
            Err(_) => Err(schema("its `authRevision` is no number")),
        },
        // Nothing that counts: no etcd of these versions writes more.
        _ => Ok(()),
    }
}

pub(super) fn load_user(
    name: &[u8],
    user: &[u8],
    loader: &mut Loader<'_, '_>,
) -> Result<(), EtcdSnapshotError> {
    load_named(notes::USER, name, user, loader)
}

pub(super) fn load_role(
    name: &[u8],
    role: &[u8],
    loader: &mut Loader<'_, '_>,
) -> Result<(), EtcdSnapshotError> {
    load_named(notes::ROLE, name, role, loader)
}

/// Loads what a server can read at its start.
fn load_named(
    prefix: &str,
    name: &[u8],
    message: &[u8],
    loader: &mut Loader<'_, '_>,
) -> Result<(), EtcdSnapshotError> {
    let note = [prefix.as_bytes(), name].concat();
    notes::check(&note, message).map_err(|error| schema(answers::chain(&error)))?;
    Ok(loader.note(note, message)?)
}
