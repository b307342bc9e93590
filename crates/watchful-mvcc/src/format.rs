//! The tables of a store and their bytes, except for the records, which `watchful_revision` describes. Every number is
//! big-endian.
//!
//! | table | key | value |
//! |---|---|---|
//! | `log` | revision: `main` (8 bytes), `sub` (4) | the record of one change |
//! | `lease` | lease id, 8 bytes, two's complement | time to live in seconds, 8 bytes, two's complement |
//! | `note` | a name, 1 to 511 bytes | CRC-32C of name and value (4 bytes), then the value |
//! | `meta` | a name, see below | see below |
//!
//! | name in `meta` | value |
//! |---|---|
//! | `format` | 4 bytes, now 1. It is read before anything else; a store of another format is refused |
//! | `store_id` | 16 random bytes, given once, when the store is made |
//! | `epoch` | 8 bytes. Starts at 1; raised whenever revisions may be given out again |
//! | `compact_scheduled` | 8 bytes: the revision compacted to. Not there before the first compaction |
//! | `compact_finished` | 8 bytes: the revision up to which superseded rows are deleted. Not there before |
//!
//! There is no counter of revisions: the newest is that of the log's last row, or the compact revision if that is more.
//! It cannot go back, because compaction never deletes a row of the newest revision, nor of the one compacted to.
//!
//! Beside the data file lie two small files: the backend's `LOCK`, and `MARK` (see [`mark`](crate::mark)).
//!
//! Stores that were written before there were notes do not have the table `note`. It is made at open, empty.
//!
//! Lease ids sort in `lease` as unsigned numbers do, so negative ones come last; nothing depends on that order.

use watchful_backend::{Backend, ReadTxn, Table, WriteTxn};

use crate::MvccError;

/// The format this program reads and writes.
pub(crate) const FORMAT: u32 = 1;

/// The tables of a store.
pub(crate) const TABLES: [&str; 4] = [TABLE_LOG, TABLE_META, TABLE_LEASE, TABLE_NOTE];

pub(crate) const TABLE_LOG: &str = "log";
pub(crate) const TABLE_META: &str = "meta";
pub(crate) const TABLE_LEASE: &str = "lease";
pub(crate) const TABLE_NOTE: &str = "note";

pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_STORE_ID: &str = "store_id";
pub(crate) const META_EPOCH: &str = "epoch";
pub(crate) const META_COMPACT_SCHEDULED: &str = "compact_scheduled";
pub(crate) const META_COMPACT_FINISHED: &str = "compact_finished";

/// The handles of a store's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    pub(crate) log: Table,
    pub(crate) meta: Table,
    pub(crate) lease: Table,
    pub(crate) note: Table,
}

impl Tables {
    pub(crate) fn of(backend: &Backend) -> Result<Self, MvccError> {
        let table = |name: &str| {
            backend
                .table(name)
                .ok_or_else(|| MvccError::DamagedStore { what: format!("there is no table {name}") })
        };
        let (log, meta) = (table(TABLE_LOG)?, table(TABLE_META)?);
        Ok(Self { log, meta, lease: table(TABLE_LEASE)?, note: table(TABLE_NOTE)? })
    }
}

/// What a store keeps about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) store_id: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) compact_scheduled: Option<u64>,
    pub(crate) compact_finished: Option<u64>,
}

/// Reads the format of a store: none when it has none yet.
pub(crate) fn read_format(txn: &ReadTxn, tables: Tables) -> Result<Option<u32>, MvccError> {
    let Some(bytes) = txn.get(tables.meta, META_FORMAT.as_bytes())? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| damaged(META_FORMAT))?;
    Ok(Some(u32::from_be_bytes(bytes)))
}

/// Reads what a store of this program's format keeps about itself.
pub(crate) fn read_meta(txn: &ReadTxn, tables: Tables) -> Result<Meta, MvccError> {
    let number = |name| read_number(txn, tables, name);
    let store_id = txn.get(tables.meta, META_STORE_ID.as_bytes())?;
    let store_id = store_id.and_then(|id| id.try_into().ok()).ok_or_else(|| damaged(META_STORE_ID))?;
    Ok(Meta {
        store_id,
        epoch: number(META_EPOCH)?.ok_or_else(|| damaged(META_EPOCH))?,
        compact_scheduled: number(META_COMPACT_SCHEDULED)?,
        compact_finished: number(META_COMPACT_FINISHED)?,
    })
}

/// Writes what a new store keeps about itself.
pub(crate) fn write_new(txn: &mut WriteTxn<'_>, tables: Tables, store_id: [u8; 16]) -> Result<(), MvccError> {
    txn.put(tables.meta, META_FORMAT.as_bytes(), &FORMAT.to_be_bytes())?;
    txn.put(tables.meta, META_STORE_ID.as_bytes(), &store_id)?;
    write_number(txn, tables, META_EPOCH, 1)
}

pub(crate) fn read_number(txn: &ReadTxn, tables: Tables, name: &str) -> Result<Option<u64>, MvccError> {
    let Some(bytes) = txn.get(tables.meta, name.as_bytes())? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| damaged(name))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

pub(crate) fn write_number(
    txn: &mut WriteTxn<'_>,
    tables: Tables,
    name: &str,
    number: u64,
) -> Result<(), MvccError> {
    Ok(txn.put(tables.meta, name.as_bytes(), &number.to_be_bytes())?)
}

/// A row of the table `lease`: the id and the time to live. `None` when it is not one.
pub(crate) fn parse_lease(key: &[u8], value: &[u8]) -> Option<(i64, i64)> {
    Some((i64::from_be_bytes(key.try_into().ok()?), i64::from_be_bytes(value.try_into().ok()?)))
}

fn damaged(name: &str) -> MvccError {
    MvccError::DamagedStore {
        what: format!("`{name}` in its table `meta` is missing or has the wrong length"),
    }
}
