//! Opening: what is looked at before the data file is mapped, what a store keeps about itself, and the one scan of the
//! log that everything in memory is made from.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use watchful_backend::{Backend, BackendError, ReadTxn, WriteTxn};
use watchful_revision::{RecordRef, Revision};

use crate::compaction::CompactionState;
use crate::failpoint::failpoint;
use crate::format::{self, FORMAT, FORMAT_WITHOUT_SUMS, META_EPOCH, Meta, TABLES, Tables};
use crate::group::Writer;
use crate::history::parse_revision;
use crate::lease::Leases;
use crate::mark::{self, Mark};
use crate::scan::{LogRow, LogScan, Misfit, Scanned, TOGETHER};
use crate::stats::Gauges;
use crate::store::{Inner, OpenReport};
use crate::{CommitFailure, Durability, MvccError, MvccSettings, note};

/// Opens the store in `dir`.
pub(crate) fn open(dir: &Path, settings: &MvccSettings) -> Result<(Inner, OpenReport), MvccError> {
    let now = settings.mark(true);
    // An unreadable mark is told below, when the folder is known to be a store's.
    let must_check =
        |_: &Path| mark::read(dir).map_or(true, |left| left.is_some_and(|left| left.may_be_damaged(&now)));
    let opened = Backend::open_checking(dir, &settings.backend(), &TABLES, must_check);
    let backend = opened.inspect_err(|error| {
        if matches!(error, BackendError::NotForced { .. })
            && let Ok(left) = mark::read(dir)
        {
            doubt(dir, left.as_ref(), now.durability);
        }
    })?;
    let tables = Tables::of(&backend)?;
    let (found, left) = (look(dir, &backend, tables)?, mark::read(dir)?);
    if found == Found::WithoutSums {
        // What is damaged stays as it is, with its mark, so that the program that wrote it can still be asked.
        let txn = backend.read()?;
        scan_log(&txn, tables, format::compact_revision_without_sum(&txn, tables)?)?;
        check_notes(&txn, tables)?;
        // To see whether it can be done: the transaction is dropped.
        format::add_sums(&mut backend.write()?, tables)?;
    }
    let was_open = left.as_ref().is_some_and(|left| left.is_open);
    let doubt = || doubt(dir, left.as_ref(), now.durability);
    if found == Found::New || was_open {
        backend.settle().inspect_err(|_| doubt())?;
    }
    let epoch_raised = left.as_ref().is_some_and(|left| left.may_have_lost(&now));
    let before = mark_before_writing(found, was_open, epoch_raised, &now);
    if let Some(mark) = &before {
        mark::write(dir, mark)?;
    }
    make(&backend, tables, found, doubt)?;

    let txn = backend.read()?;
    let mut meta = format::read_meta(&txn, tables)?;
    let leases = read_leases(&txn, tables)?;
    check_notes(&txn, tables)?;
    let scanned = scan_log(&txn, tables, meta.compact_scheduled)?;
    drop(txn);

    failpoint!("mvcc::open::scanned");
    meta.epoch = meta.epoch.saturating_add(u64::from(epoch_raised));
    if was_open {
        write_epoch(&backend, tables, meta.epoch, doubt)?;
    }
    if before.as_ref() != Some(&now) {
        mark::write(dir, &now)?;
    }
    failpoint!("mvcc::open::marked");

    let rows = scanned.rows;
    let inner = assemble(dir, settings, (backend, tables), &meta, leases, scanned);
    let report = OpenReport {
        created: found == Found::New,
        keys: inner.index.read().keys() as u64,
        rows,
        leases: inner.leases.read().len() as u64,
        unclean: was_open,
        epoch_raised,
        compaction_pending: inner.gauges.compaction_pending.load(Ordering::Acquire),
    };
    Ok((inner, report))
}

/// The mark goes before everything that is written. What an unclean end left says so already, and tells more, but for this: what
/// is written unsynced now is not waited for, so a power failure may damage it. That has to be known then, and that the epoch
/// may not have risen yet.
fn mark_before_writing(found: Found, was_open: bool, epoch_raised: bool, now: &Mark) -> Option<Mark> {
    if !was_open {
        return (found != Found::Store).then(|| now.clone());
    }
    let boot_id = if epoch_raised { String::new() } else { now.boot_id.clone() };
    (now.durability == Durability::Unsynced).then(|| Mark { boot_id, ..now.clone() })
}

/// After a failure that leaves open what is on the disk, whoever opens the store next must not trust that the machine has
/// been up all the while. What whoever had it open before left with the system may be lost too, so of that mark's durability
/// and the one of `now` the less durable counts. With [`Durability::Synced`] nothing that was acknowledged is in doubt.
pub(crate) fn doubt(dir: &Path, left: Option<&Mark>, now: Durability) {
    let durabilities = [left.filter(|left| left.is_open).map(|left| left.durability), Some(now)];
    let less_durable = [Durability::Unsynced, Durability::Relaxed];
    if let Some(durability) = less_durable.into_iter().find(|less| durabilities.contains(&Some(*less))) {
        // On a disk that fails, this may fail as well; the failure that led here is the one to tell.
        let _ = mark::write(dir, &Mark { is_open: true, durability, boot_id: String::new() });
    }
}

/// Forces everything that was committed to the disk.
pub(crate) fn sync(inner: &Inner) -> Result<(), MvccError> {
    let synced = inner.backend.sync();
    if let Err(error) = &synced
        && !matches!(error, BackendError::Poisoned)
    {
        doubt(&inner.dir, None, inner.settings.durability);
    }
    Ok(synced?)
}

/// Marks the store as closed, when everything that was committed is on the disk.
pub(crate) fn close(inner: &Inner) -> Result<(), MvccError> {
    sync(inner)?;
    mark::write(&inner.dir, &inner.settings.mark(false))
}

/// What a folder holds when it is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A store that is yet to be made.
    New,
    /// A store of the format before this one.
    WithoutSums,
    Store,
}

/// What is there. Refuses a store of a format that is not known, and something else in a store's place.
fn look(dir: &Path, backend: &Backend, tables: Tables) -> Result<Found, MvccError> {
    let txn = backend.read()?;
    match format::read_format(&txn, tables)? {
        Some(FORMAT) => Ok(Found::Store),
        Some(FORMAT_WITHOUT_SUMS) => Ok(Found::WithoutSums),
        Some(found) => Err(MvccError::FormatVersion { found, supported: FORMAT }),
        None if tables.are_empty(&txn)? => {
            if format::is_before_first_write(backend.stats().commits) {
                Ok(Found::New)
            } else {
                let what = "its tables are empty, though it was written to".to_owned();
                Err(MvccError::DamagedStore { what })
            }
        }
        None => {
            let reason = "it does not say which format it has".to_owned();
            Err(MvccError::NotAStore { path: dir.to_owned(), reason })
        }
    }
}

/// Writes what a new store keeps about itself, or makes a store of the format before this one of this. That is on the disk
/// whatever the durability, so a store that was opened keeps its id.
fn make(backend: &Backend, tables: Tables, found: Found, doubt: impl Fn()) -> Result<(), MvccError> {
    let mut write = backend.write()?;
    match found {
        Found::New => format::write_new(&mut write, tables, random_id())?,
        Found::WithoutSums => format::add_sums(&mut write, tables)?,
        Found::Store => return Ok(()),
    }
    commit_synced(backend, write, doubt)
}

/// After an unclean end, everything that was committed is on the disk before anything is built on it.
fn write_epoch(backend: &Backend, tables: Tables, epoch: u64, doubt: impl Fn()) -> Result<(), MvccError> {
    let mut write = backend.write()?;
    format::write_number(&mut write, tables, META_EPOCH, epoch)?;
    commit_synced(backend, write, doubt)
}

/// On the disk, whatever the durability.
fn commit_synced(backend: &Backend, write: WriteTxn<'_>, doubt: impl Fn()) -> Result<(), MvccError> {
    if let Err(error) = write.commit() {
        let failure = CommitFailure::of(error, 0, 0);
        if failure.is_unknown() {
            doubt();
        }
        return Err(failure.into());
    }
    Ok(backend.sync().inspect_err(|_| doubt())?)
}

fn read_leases(txn: &ReadTxn, tables: Tables) -> Result<Leases, MvccError> {
    let mut leases = Leases::default();
    for row in txn.range(tables.lease, ..)? {
        let (key, value) = row?;
        let (id, ttl_seconds) = format::parse_lease(key, value).ok_or_else(format::damaged_lease)?;
        leases.grant(id, ttl_seconds);
    }
    counted("lease", leases.len() as u64, txn.len(tables.lease)?)?;
    Ok(leases)
}

/// Who asks for a note by a name that was damaged is told that there is none: that nobody has to log in, for one. So all are
/// looked at here.
fn check_notes(txn: &ReadTxn, tables: Tables) -> Result<(), MvccError> {
    let mut notes = 0;
    for row in txn.range(tables.note, ..)? {
        let (name, row) = row?;
        note::decode(name, row)?;
        notes += 1;
    }
    counted("note", notes, txn.len(tables.note)?)
}

fn scan_log(txn: &ReadTxn, tables: Tables, compact_revision: Option<u64>) -> Result<Scanned, MvccError> {
    let mut scan = LogScan::new(compact_revision.unwrap_or(0), txn.len(tables.log)?);
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
    let scanned = scan.finish();
    counted("log", scanned.rows, txn.len(tables.log)?)?;
    Ok(scanned)
}

/// A page that was exchanged for an older one may end a scan early, or lead past rows. The number of a table's rows is kept
/// elsewhere.
fn counted(table: &str, found: u64, said: u64) -> Result<(), MvccError> {
    let what = || format!("its table `{table}` has {found} rows, and should have {said}");
    if found == said { Ok(()) } else { Err(MvccError::DamagedStore { what: what() }) }
}

/// In a log, rows are in order; what does not follow the row before it has lost that row.
fn found_at((revision, misfit): (Revision, Misfit)) -> MvccError {
    let reason = match misfit {
        Misfit::Gap | Misfit::NotAfter => format!("rows before the revision {revision} are missing"),
        Misfit::CutLife => format!("the row before that of revision {revision} of its key is missing"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk failed the sync with which a killed store was opened, and the next open trusted the machine, which had been up all
    /// the while: pages that the system had thrown away were taken for written, and revisions were given out again in the same
    /// epoch.
    #[test]
    fn a_sync_that_fails_at_an_open_leaves_a_mark_that_trusts_nobody() {
        use Durability::{Relaxed, Synced, Unsynced};
        let mark = |durability, is_open| Mark { is_open, durability, boot_id: "boot 1".to_owned() };
        let cases = [
            (Some(mark(Synced, true)), Relaxed, Some(Relaxed)),
            (Some(mark(Unsynced, true)), Synced, Some(Unsynced)),
            (Some(mark(Relaxed, true)), Unsynced, Some(Unsynced)),
            (None, Relaxed, Some(Relaxed)),
            (Some(mark(Synced, true)), Synced, None),
            // What was closed is on the disk.
            (Some(mark(Unsynced, false)), Synced, None),
        ];
        for (left, durability, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let now = mark(durability, true);
            doubt(dir.path(), left.as_ref(), durability);
            let found = mark::read(dir.path()).unwrap();
            assert_eq!(found.as_ref().map(|found| found.durability), expected, "{left:?}, then {now:?}");
            assert!(found.is_none_or(|found| found.may_have_lost(&now)));
        }
    }
}
