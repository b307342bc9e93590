//! A store that can be closed and opened again, and what is asked of it in one go.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use watchful_mvcc::{
    Durability, HistoryLimits, HistoryRow, Mvcc, MvccError, MvccSettings, OpenReport, RangeOptions, Want,
};
use watchful_revision::{KeyRange, Revision};
use watchful_testkit as kit;

use crate::steps::run_step;
use crate::words::rows;

/// A store that can be closed and opened again. The tests wait for no disk.
pub struct Store {
    dir: TempDir,
    /// What it is opened with.
    pub settings: MvccSettings,
    mvcc: Option<Mvcc>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// A new store with [`settings`].
    pub fn new() -> Self {
        Self::with(settings())
    }

    /// A new store with settings of its own.
    pub fn with(settings: MvccSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mvcc = Mvcc::open(dir.path(), &settings).unwrap().0;
        Self { dir, settings, mvcc: Some(mvcc) }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its file of data.
    pub fn data_file(&self) -> PathBuf {
        self.path().join("data.mdb")
    }

    /// Closes it. Nothing but [`Store::reopen`] may be asked of it then.
    pub fn close(&mut self) {
        self.mvcc = None;
    }

    /// Closes it where it is open, and opens it.
    pub fn reopen(&mut self) -> OpenReport {
        self.close();
        let (mvcc, report) = Mvcc::open(self.dir.path(), &self.settings).unwrap();
        self.mvcc = Some(mvcc);
        report
    }

    /// Runs one script line a transaction (see `watchful_testkit::script`) and commits each.
    pub fn run(&self, script: &str) {
        for step in kit::script::parse(script) {
            let mut group = self.begin_group().unwrap();
            run_step(&mut group, &step).unwrap();
            group.commit().unwrap();
        }
    }

    /// Compacts to `revision` and deletes all that leaves behind. Tells how many rows that were.
    pub fn compact(&self, revision: u64) -> usize {
        self.run(&format!("compact {revision}"));
        let mut group = self.begin_group().unwrap();
        let slice = group.compact_slice(usize::MAX).unwrap();
        assert!(slice.is_done);
        group.commit().unwrap();
        slice.rows
    }

    /// Every key at a revision, as `key=value`.
    pub fn all_at(&self, revision: u64) -> Vec<String> {
        let rows = rows_at(self, revision);
        rows.iter().map(|row| format!("{}={}", row.key.escape_ascii(), row.value.escape_ascii())).collect()
    }
}

impl std::ops::Deref for Store {
    type Target = Mvcc;

    fn deref(&self) -> &Mvcc {
        self.mvcc.as_ref().unwrap()
    }
}

/// Settings that wait for no disk.
pub fn settings() -> MvccSettings {
    MvccSettings::default().with_durability(Durability::Unsynced).with_quota_bytes(64 << 20)
}

/// Every key at a revision.
pub fn rows_at(mvcc: &Mvcc, revision: u64) -> Vec<kit::Row> {
    let view = mvcc.view(Some(revision)).unwrap();
    rows(&view.range(&KeyRange::everything(), &RangeOptions::default()).unwrap().records)
}

/// Reads history in chunks within `limits` until the current revision.
///
/// # Errors
///
/// As [`Mvcc::read_history`].
pub fn read_all(mvcc: &Mvcc, from: u64, limits: &HistoryLimits) -> Result<Vec<HistoryRow>, MvccError> {
    let mut next = Revision::start_of(from);
    let mut rows = Vec::new();
    let current = mvcc.current_revision();
    while next.main <= current {
        let chunk = mvcc.read_history(next, current, limits, &mut |row| Want::TakeWithPrev {
            charge_bytes: row.encoded_len(),
        })?;
        assert!(chunk.next > next, "a chunk always moves on");
        next = chunk.next;
        rows.extend(chunk.into_rows(Into::into));
    }
    Ok(rows)
}
