//! Opening: what is looked at before the data file is mapped, what a store keeps about itself, and the one scan of the
//! log that everything in memory is made from.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use watchful_backend::{Backend, BackendError, ReadTxn};
use watchful_revision::{RecordRef, Revision};

use crate::compaction::CompactionState;
use crate::format::{self, FORMAT, META_EPOCH, Meta, TABLES, Tables};
use crate::group::Writer;
use crate::history::parse_revision;
use crate::lease::Leases;
use crate::mark::{self, Mark};
use crate::scan::{LogRow, LogScan, Misfit, Scanned, TOGETHER};
use crate::stats::Gauges;
use crate::store::{Inner, OpenReport};
use crate::{CommitFailure, Durability, MvccError, MvccSettings};

/// Opens the store in `dir`.
pub(crate) fn open(dir: &Path, settings: &MvccSettings) -> Result<(Inner, OpenReport), MvccError> {
    let now = settings.mark(true);
    // An unreadable mark is told below, when the folder is known to be a store's.
    let must_check =
        |_: &Path| mark::read(dir).map_or(true, |left| left.is_some_and(|left| left.may_be_damaged(&now)));
    let backend = Backend::open_checking(dir, &settings.backend(), &TABLES, must_check)?;
    let tables = Tables::of(&backend)?;
    let is_new = is_new(dir, &backend, tables)?;
    let left = mark::read(dir)?;
    if is_new || left.as_ref().is_some_and(|left| left.is_open) {
        backend.settle()?;
    }
    if is_new {
        // The mark goes first, as it does before everything that is written.
        mark::write(dir, &now)?;
        make(&backend, tables)?;
    }

    let txn = backend.read()?;
    let mut meta = format::read_meta(&txn, tables)?;
    let leases = read_leases(&txn, tables)?;
    let scanned = scan_log(&txn, tables, &meta)?;
    drop(txn);

    let epoch_raised = left.as_ref().is_some_and(|left| left.may_have_lost(&now));
    meta.epoch = meta.epoch.saturating_add(u64::from(epoch_raised));
    if left.as_ref().is_some_and(|left| left.is_open) {
        if now.durability == Durability::Unsynced {
            // What is written now is not waited for, so a power failure may damage it: that has to be known then, and that
            // the epoch may not have risen yet.
            let boot_id = if epoch_raised { String::new() } else { now.boot_id.clone() };
            mark::write(dir, &Mark { boot_id, ..now.clone() })?;
        }
        write_epoch(&backend, tables, meta.epoch)?;
    }
    if !is_new || left.is_some() {
        mark::write(dir, &now)?;
    }

    let rows = scanned.rows;
    let inner = assemble(dir, settings, (backend, tables), &meta, leases, scanned);
    let report = OpenReport {
        created: is_new,
        keys: inner.index.read().keys() as u64,
        rows,
        leases: inner.leases.read().len() as u64,
        unclean: left.is_some_and(|left| left.is_open),
        epoch_raised,
        compaction_pending: inner.gauges.compaction_pending.load(Ordering::Acquire),
    };
    Ok((inner, report))
}

/// After a failure that leaves open what is on the disk, whoever opens the store next must not trust that the machine has
/// been up all the while. With [`Durability::Synced`] nothing that was acknowledged is in doubt.
pub(crate) fn doubt(inner: &Inner) {
    if inner.settings.durability != Durability::Synced {
        let mark = Mark { boot_id: String::new(), ..inner.settings.mark(true) };
        // On a disk that fails, this may fail as well; the failure that led here is the one to tell.
        let _ = mark::write(&inner.dir, &mark);
    }
}

/// Forces everything that was committed to the disk.
pub(crate) fn sync(inner: &Inner) -> Result<(), MvccError> {
    let synced = inner.backend.sync();
    if let Err(error) = &synced
        && !matches!(error, BackendError::Poisoned)
    {
        doubt(inner);
    }
    Ok(synced?)
}

/// Marks the store as closed, when everything that was committed is on the disk.
pub(crate) fn close(inner: &Inner) -> Result<(), MvccError> {
    sync(inner)?;
    mark::write(&inner.dir, &inner.settings.mark(false))
}

/// Whether the store is yet to be made. Refuses a store of another format, and something else in a store's place.
fn is_new(dir: &Path, backend: &Backend, tables: Tables) -> Result<bool, MvccError> {
    let txn = backend.read()?;
    match format::read_format(&txn, tables)? {
        Some(FORMAT) => Ok(false),
        Some(found) => Err(MvccError::FormatVersion { found, supported: FORMAT }),
        None if txn.is_empty(tables.log)? && txn.is_empty(tables.meta)? => Ok(true),
        None => {
            let reason = "it does not say which format it has".to_owned();
            Err(MvccError::NotAStore { path: dir.to_owned(), reason })
        }
    }
}

/// Writes what a new store keeps about itself. That is on the disk whatever the durability, so a store that was opened keeps
/// its id.
fn make(backend: &Backend, tables: Tables) -> Result<(), MvccError> {
    let mut write = backend.write()?;
    format::write_new(&mut write, tables, random_id())?;
    commit(write)?;
    Ok(backend.sync()?)
}

/// After an unclean end, everything that was committed is on the disk before anything is built on it.
fn write_epoch(backend: &Backend, tables: Tables, epoch: u64) -> Result<(), MvccError> {
    let mut write = backend.write()?;
    format::write_number(&mut write, tables, META_EPOCH, epoch)?;
    commit(write)?;
    Ok(backend.sync()?)
}

fn commit(write: watchful_backend::WriteTxn<'_>) -> Result<(), MvccError> {
    write.commit().map_err(|error| CommitFailure::of(error, 0, 0).into())
}

fn read_leases(txn: &ReadTxn, tables: Tables) -> Result<Leases, MvccError> {
    let mut leases = Leases::default();
    for row in txn.range(tables.lease, ..)? {
        let (key, value) = row?;
        let (id, ttl_seconds) = format::parse_lease(key, value)
            .ok_or_else(|| MvccError::DamagedStore { what: "a row of its table `lease`".to_owned() })?;
        leases.grant(id, ttl_seconds);
    }
    Ok(leases)
}

fn scan_log(txn: &ReadTxn, tables: Tables, meta: &Meta) -> Result<Scanned, MvccError> {
    let mut scan = LogScan::new(meta.compact_scheduled.unwrap_or(0), txn.len(tables.log)?);
    let mut rows = Vec::with_capacity(TOGETHER);
    for row in txn.range(tables.log, ..)? {
        let (key, record) = row?;
        let record = RecordRef::parse(parse_revision(key)?, record)?;
        let (revision, kind) = (record.revision(), record.kind());
        rows.push(LogRow { revision, kind, fields: record.key_value()? });
        if rows.len() == TOGETHER {
            scan.add(&rows).map_err(found_at)?;
            rows.clear();
        }
    }
    scan.add(&rows).map_err(found_at)?;
    Ok(scan.finish())
}

/// In a log, rows are in order; what does not follow the row before it has lost that row.
fn found_at((revision, misfit): (Revision, Misfit)) -> MvccError {
    let reason = match misfit {
        Misfit::Gap | Misfit::NotAfter => format!("rows before the revision {revision} are missing"),
        Misfit::TooMany => "it has more keys than an index can hold".to_owned(),
    };
    MvccError::Damaged { revision, reason }
}

fn assemble(
    dir: &Path,
    settings: &MvccSettings,
    (backend, tables): (Backend, Tables),
    meta: &Meta,
    mut leases: Leases,
    scanned: Scanned,
) -> Inner {
    for (key, lease) in &scanned.leased {
        leases.attach(key, *lease);
    }
    let compact_revision = meta.compact_scheduled.unwrap_or(0);
    let writer = Writer {
        superseded: scanned.superseded,
        compaction: CompactionState { scheduled: meta.compact_scheduled, finished: meta.compact_finished },
        ..Writer::default()
    };
    let inner = Inner {
        index: RwLock::new(scanned.index),
        leases: RwLock::new(leases),
        current_revision: AtomicU64::new(scanned.newest.max(compact_revision).max(1)),
        compact_revision: AtomicU64::new(compact_revision),
        gauges: Gauges::default(),
        backend,
        tables,
        store_id: meta.store_id,
        epoch: meta.epoch,
        settings: settings.clone(),
        dir: dir.to_owned(),
        writer: Mutex::new(writer),
    };
    inner.writer.lock().set_gauges(&inner);
    inner
}

/// Sixteen bytes from the seeds that the system gives the standard library's hash maps.
fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    for half in id.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().build_hasher().finish().to_be_bytes());
    }
    id
}
