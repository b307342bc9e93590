//! The tables of a store and their bytes, except for the records, which `watchful_revision` describes. Every number is
//! big-endian.
//!
//! | table | key | value |
//! |---|---|---|
//! | `log` | revision: `main` (8 bytes), `sub` (4) | the record of one change |
//! | `lease` | lease id, 8 bytes, two's complement | time to live in seconds, 8 bytes, two's complement; CRC-32C of id and time, 4 bytes |
//! | `note` | a name, 1 to 511 bytes | CRC-32C of name and value (4 bytes), then the value |
//! | `meta` | a name, see below | see below |
//!
//! | name in `meta` | value |
//! |---|---|
//! | `format` | 4 bytes, now 2. It is read before anything else; a store of a format that is not known is refused |
//! | `store_id` | 16 random bytes, given once, when the store is made |
//! | `epoch` | 8 bytes. Starts at 1; raised whenever revisions may be given out again |
//! | `compact_scheduled` | 8 bytes: the revision compacted to. Not there before the first compaction |
//! | `compact_finished` | 8 bytes: the revision up to which superseded rows are deleted. Not there before |
//!
//! Behind each value in `meta` but that of `format` are four bytes more: the CRC-32C of the name and the value. A compact
//! revision that is not the one which was enforced would answer reads from a history with holes.
//!
//! In format 1 neither these nor those of leases were there. A store of format 1 is made one of format 2 when it is opened,
//! in one transaction.
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
pub(crate) const FORMAT: u32 = 2;

/// The format before, which is made into this one at open.
pub(crate) const FORMAT_WITHOUT_SUMS: u32 = 1;

const SUM_LEN: usize = 4;

/// The tables of a store.
pub(crate) const TABLES: [&str; 4] = [TABLE_LOG, TABLE_META, TABLE_LEASE, TABLE_NOTE];

/// Whether a store whose newest commit is this one was never written to but for its making: a commit for each table, and one for
/// what a store keeps about itself, which a power failure may have left without its pages. With a later one, tables that are
/// empty are damage: they are pages of an earlier moment.
pub(crate) fn is_before_first_write(commit: u64) -> bool {
    commit <= TABLES.len() as u64 + 1
}

pub(crate) const TABLE_LOG: &str = "log";
pub(crate) const TABLE_META: &str = "meta";
pub(crate) const TABLE_LEASE: &str = "lease";
pub(crate) const TABLE_NOTE: &str = "note";

pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_STORE_ID: &str = "store_id";
pub(crate) const META_EPOCH: &str = "epoch";
pub(crate) const META_COMPACT_SCHEDULED: &str = "compact_scheduled";
pub(crate) const META_COMPACT_FINISHED: &str = "compact_finished";

/// Every name that there is in `meta`.
pub(crate) const META_NAMES: [&str; 5] =
    [META_FORMAT, META_STORE_ID, META_EPOCH, META_COMPACT_SCHEDULED, META_COMPACT_FINISHED];

/// The highest main revision that a loaded history, or a compact revision, may have. Clients see revisions as signed numbers, and
/// as many as there were can follow before one is negative. No store that only counts gets there.
pub(crate) const REVISION_MAX: u64 = 1 << 62;

/// Whether a number in `meta` can be one that a store has written.
pub(crate) fn is_possible(name: &str, number: u64) -> bool {
    ![META_COMPACT_SCHEDULED, META_COMPACT_FINISHED].contains(&name) || number <= REVISION_MAX
}

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

    pub(crate) fn are_empty(self, txn: &ReadTxn) -> Result<bool, MvccError> {
        for table in [self.log, self.meta, self.lease, self.note] {
            if !txn.is_empty(table)? {
                return Ok(false);
            }
        }
        Ok(true)
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
    check_names(txn, tables)?;
    let number = |name| read_number(txn, tables, name);
    let store_id = txn.get(tables.meta, META_STORE_ID.as_bytes())?;
    let store_id = store_id.and_then(|row| parse_meta(META_STORE_ID, row)).and_then(|id| id.try_into().ok());
    let store_id = store_id.ok_or_else(|| damaged(META_STORE_ID))?;
    Ok(Meta {
        store_id,
        epoch: number(META_EPOCH)?.ok_or_else(|| damaged(META_EPOCH))?,
        compact_scheduled: number(META_COMPACT_SCHEDULED)?,
        compact_finished: number(META_COMPACT_FINISHED)?,
    })
}

/// A name that is none was another before it was damaged, and whoever looks for that one would take it for not written yet.
fn check_names(txn: &ReadTxn, tables: Tables) -> Result<(), MvccError> {
    for row in txn.range(tables.meta, ..)? {
        let (name, _) = row?;
        if !META_NAMES.iter().any(|known| known.as_bytes() == name) {
            let what =
                format!("`{}` in its table `meta` is no name that a store has there", name.escape_ascii());
            return Err(MvccError::DamagedStore { what });
        }
    }
    Ok(())
}

/// The compact revision of a store of format 1.
pub(crate) fn compact_revision_without_sum(txn: &ReadTxn, tables: Tables) -> Result<Option<u64>, MvccError> {
    check_names(txn, tables)?;
    let Some(row) = txn.get(tables.meta, META_COMPACT_SCHEDULED.as_bytes())? else { return Ok(None) };
    let number = row.try_into().map(u64::from_be_bytes).ok();
    let number = number.filter(|number| is_possible(META_COMPACT_SCHEDULED, *number));
    number.map(Some).ok_or_else(|| damaged(META_COMPACT_SCHEDULED))
}

/// Writes what a new store keeps about itself.
pub(crate) fn write_new(txn: &mut WriteTxn<'_>, tables: Tables, store_id: [u8; 16]) -> Result<(), MvccError> {
    txn.put(tables.meta, META_FORMAT.as_bytes(), &FORMAT.to_be_bytes())?;
    write_meta(txn, tables, META_STORE_ID, &store_id)?;
    write_number(txn, tables, META_EPOCH, 1)
}

/// Makes a store of format 1 one of format 2: every value in `meta`, and every lease, gets its sum.
pub(crate) fn add_sums(txn: &mut WriteTxn<'_>, tables: Tables) -> Result<(), MvccError> {
    for name in [META_STORE_ID, META_EPOCH, META_COMPACT_SCHEDULED, META_COMPACT_FINISHED] {
        let Some(value) = txn.get(tables.meta, name.as_bytes())?.map(<[u8]>::to_vec) else { continue };
        let len = if name == META_STORE_ID { 16 } else { 8 };
        let number = value.as_slice().try_into().map(u64::from_be_bytes);
        if value.len() != len || number.is_ok_and(|number| !is_possible(name, number)) {
            return Err(damaged(name));
        }
        write_meta(txn, tables, name, &value)?;
    }
    let mut leases = Vec::new();
    for row in txn.range(tables.lease, ..)? {
        let (key, value) = row?;
        leases.push(parse_lease_without_sum(key, value).ok_or_else(damaged_lease)?);
    }
    for (id, ttl_seconds) in leases {
        txn.put(tables.lease, &id.to_be_bytes(), &lease_row(id, ttl_seconds))?;
    }
    Ok(txn.put(tables.meta, META_FORMAT.as_bytes(), &FORMAT.to_be_bytes())?)
}

pub(crate) fn read_number(txn: &ReadTxn, tables: Tables, name: &str) -> Result<Option<u64>, MvccError> {
    let Some(bytes) = txn.get(tables.meta, name.as_bytes())? else { return Ok(None) };
    parse_number(name, bytes).map(Some).ok_or_else(|| damaged(name))
}

/// The number in a row of the table `meta`. `None` when it is not one.
pub(crate) fn parse_number(name: &str, row: &[u8]) -> Option<u64> {
    let number = u64::from_be_bytes(parse_meta(name, row)?.try_into().ok()?);
    is_possible(name, number).then_some(number)
}

/// The value in a row of the table `meta`. `None` when its sum is not the one behind it.
pub(crate) fn parse_meta<'r>(name: &str, row: &'r [u8]) -> Option<&'r [u8]> {
    summed(name.as_bytes(), row)
}

fn summed<'r>(key: &[u8], row: &'r [u8]) -> Option<&'r [u8]> {
    let (value, sum) = row.split_last_chunk::<SUM_LEN>()?;
    (u32::from_be_bytes(*sum) == checksum(key, value)).then_some(value)
}

/// The CRC-32C of a row's key and its value.
pub(crate) fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

pub(crate) fn write_number(
    txn: &mut WriteTxn<'_>,
    tables: Tables,
    name: &str,
    number: u64,
) -> Result<(), MvccError> {
    write_meta(txn, tables, name, &number.to_be_bytes())
}

fn write_meta(txn: &mut WriteTxn<'_>, tables: Tables, name: &str, value: &[u8]) -> Result<(), MvccError> {
    Ok(txn.put(tables.meta, name.as_bytes(), &with_sum(name.as_bytes(), value))?)
}

/// What is stored of a number in `meta`.
pub(crate) fn number_row(name: &str, number: u64) -> Vec<u8> {
    with_sum(name.as_bytes(), &number.to_be_bytes())
}

/// What is stored of a lease.
pub(crate) fn lease_row(id: i64, ttl_seconds: i64) -> Vec<u8> {
    with_sum(&id.to_be_bytes(), &ttl_seconds.to_be_bytes())
}

fn with_sum(key: &[u8], value: &[u8]) -> Vec<u8> {
    [value, &checksum(key, value).to_be_bytes()].concat()
}

/// A row of the table `lease`: the id and the time to live. `None` when it is not one.
pub(crate) fn parse_lease(key: &[u8], value: &[u8]) -> Option<(i64, i64)> {
    parse_lease_without_sum(key, summed(key, value)?)
}

/// The same in format 1.
pub(crate) fn parse_lease_without_sum(key: &[u8], value: &[u8]) -> Option<(i64, i64)> {
    Some((i64::from_be_bytes(key.try_into().ok()?), i64::from_be_bytes(value.try_into().ok()?)))
}

pub(crate) fn damaged_lease() -> MvccError {
    MvccError::DamagedStore { what: "a row of its table `lease`".to_owned() }
}

fn damaged(name: &str) -> MvccError {
    MvccError::DamagedStore { what: format!("`{name}` in its table `meta` is missing or damaged") }
}
