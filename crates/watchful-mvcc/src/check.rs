//! The offline check: is a store whole? It reads the data file as a file and never maps it, so no damage can harm the
//! process.

use std::path::{Path, PathBuf};

use watchful_backend::{Backend, CheckError, check_file_with};
use watchful_revision::{RecordRef, Revision};

use crate::error::Opaque;
use crate::format::{
    FORMAT, FORMAT_WITHOUT_SUMS, META_COMPACT_FINISHED, META_COMPACT_SCHEDULED, META_EPOCH, META_FORMAT,
    META_STORE_ID, TABLE_LEASE, TABLE_LOG, TABLE_META, TABLE_NOTE, TABLES, is_before_first_write,
    is_possible, parse_lease, parse_lease_without_sum, parse_meta,
};
use crate::lives::{KeyMark, Life, Lives};
use crate::{MvccError, note};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many pages the data file has, and how many of them are in use.
    pub pages: u64,
    /// How many of them are in use.
    pub used_pages: u64,
    /// How many rows the log has.
    pub rows: u64,
    /// How many leases there are.
    pub leases: u64,
    /// How many notes there are.
    pub notes: u64,
    /// The newest main revision; at least 1.
    pub current_revision: u64,
    /// The oldest main revision that can be read; 0 when the store was never compacted.
    pub compact_revision: u64,
    /// What is wrong, a sentence each, up to a bound.
    pub problems: Vec<String>,
    /// How many more things are wrong.
    pub problems_left_out: u64,
}

/// The most problems of records that are told one by one; those of pages have a bound of their own.
const PROBLEMS_MAX: usize = 1000;

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_left_out += 1;
        }
    }
}

/// Checks the store in the folder `dir`, or the one in a backup's file: its pages, each record's checksum and content,
/// that above the compact revision no revision is missing, and no change in one or of a key. What can still be saved where
/// anything is wrong, [`savable`](crate::savable) tells.
///
/// The store must be closed. The check reads every page in use once. It takes 50 to 100 bytes of memory a key, and half as much
/// again while it makes room for more.
///
/// # Errors
///
/// `NotAStore` when there is no store to check, or what the system said. Everything else is in the report.
pub fn check(dir: &Path) -> Result<CheckReport, MvccError> {
    look(&data_file(dir))
}

pub(crate) fn data_file(dir: &Path) -> PathBuf {
    if dir.is_dir() { Backend::data_file(dir) } else { dir.to_owned() }
}

/// The check alone.
pub(crate) fn look(data_file: &Path) -> Result<CheckReport, MvccError> {
    let mut check = Check::default();
    let pages = check_file_with(data_file, |table, key, value| match (table, value) {
        (_, Err(_)) => check.damaged_value(table, key),
        (TABLE_LOG, Ok(record)) => check.row(key, record),
        (TABLE_LEASE, Ok(value)) => check.lease(key, value),
        (TABLE_NOTE, Ok(value)) => check.note(key, value),
        (TABLE_META, Ok(value)) => check.meta(key, value),
        (_, Ok(_)) => {}
    })
    .map_err(check_error)?;
    check.tables(pages.tables.iter().map(|table| table.name.as_str()));
    check.commit = pages.commit;
    let mut report = check.finish();
    (report.pages, report.used_pages) = (pages.pages, pages.used_pages);
    report.problems_left_out += pages.problems_left_out;
    report.problems.extend(pages.problems.iter().map(ToString::to_string));
    Ok(report)
}

pub(crate) fn check_error(error: CheckError) -> MvccError {
    match error {
        CheckError::NotAStore { path, reason } => MvccError::NotAStore { path, reason },
        other => MvccError::Backend(Opaque::new(other)),
    }
}

/// The table `log` comes before `meta`, so what is missing in it is only known at the end.
#[derive(Default)]
struct Check {
    report: CheckReport,
    last: Option<Revision>,
    /// The revisions after which something is missing.
    gaps: Vec<(Revision, Revision)>,
    lives: Lives,
    /// The rows whose key's row before is missing: those of a history that was compacted, but for those above that.
    cut_lives: Vec<Revision>,
    format: Option<u32>,
    has_store_id: bool,
    has_epoch: bool,
    /// The newest commit.
    commit: u64,
    /// How many values of leases and of `meta` have their sums, and how many have none.
    with_sum: u64,
    without_sum: u64,
}

impl Check {
    fn tables<'t>(&mut self, found: impl Iterator<Item = &'t str> + Clone) {
        for name in [TABLE_LOG, TABLE_META, TABLE_LEASE] {
            if found.clone().all(|table| table != name) {
                self.report.problem(format!("it has no table `{name}`"));
            }
        }
        for table in found.filter(|table| !TABLES.contains(table)) {
            self.report.problem(format!("it has a table `{table}`, which no store has"));
        }
    }

    fn damaged_value(&mut self, table: &str, key: &[u8]) {
        let of = match (table, Revision::from_bytes(key)) {
            (TABLE_LOG, Ok(revision)) => {
                self.report.rows += 1;
                self.follow(revision);
                format!("the record of revision {revision}")
            }
            _ => format!("`{}` in its table `{table}`", key.escape_ascii()),
        };
        self.report.problem(format!("{of} is on a page that is damaged or missing"));
    }

    fn row(&mut self, key: &[u8], record: &[u8]) {
        self.report.rows += 1;
        let revision = match Revision::from_bytes(key) {
            Ok(revision) => revision,
            Err(error) => return self.report.problem(error.to_string()),
        };
        let record = RecordRef::parse(revision, record);
        match record.and_then(|record| Ok((record.kind(), record.key_value()?))) {
            Ok((kind, fields)) => {
                if !self.lives.follow(KeyMark::of(fields.key), Life::of_record(kind, &fields)) {
                    self.cut_lives.push(revision);
                }
            }
            Err(error) => self.report.problem(error.to_string()),
        }
        self.follow(revision);
    }

    fn follow(&mut self, revision: Revision) {
        let last = self.last.unwrap_or(Revision::start_of(1));
        let follows = revision == last.next() && self.last.is_some()
            || revision == Revision::start_of(last.main.saturating_add(1));
        if !follows {
            self.gaps.push((last, revision));
        }
        self.last = Some(revision);
    }

    fn lease(&mut self, key: &[u8], value: &[u8]) {
        self.report.leases += 1;
        if parse_lease(key, value).is_some() {
            self.with_sum += 1;
        } else if parse_lease_without_sum(key, value).is_some() {
            self.without_sum += 1;
        } else {
            self.report.problem(format!("the lease {} in its table `lease` is damaged", key.escape_ascii()));
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        self.report.notes += 1;
        if let Err(error) = note::decode(name, value) {
            self.report.problem(error.to_string());
        }
    }

    fn meta(&mut self, key: &[u8], row: &[u8]) {
        let name = std::str::from_utf8(key).unwrap_or_default();
        if name == META_FORMAT {
            self.format = row.try_into().map(u32::from_be_bytes).ok();
            return;
        }
        let value = match parse_meta(name, row) {
            Some(value) => {
                self.with_sum += 1;
                value
            }
            None => {
                self.without_sum += 1;
                row
            }
        };
        let number = value.try_into().map(u64::from_be_bytes).ok();
        let number = number.filter(|number| is_possible(name, *number));
        match (name, number) {
            (META_STORE_ID, _) if value.len() == 16 => self.has_store_id = true,
            (META_EPOCH, Some(_)) => self.has_epoch = true,
            (META_COMPACT_SCHEDULED, Some(number)) => self.report.compact_revision = number,
            (META_COMPACT_FINISHED, Some(_)) => {}
            _ => self.report.problem(format!("`{}` in its table `meta` is damaged", key.escape_ascii())),
        }
    }

    /// Whether this is a store whose making was broken off before anything was written: the next who opens it goes on.
    fn is_unmade(&self) -> bool {
        let rows = self.report.rows + self.report.leases + self.report.notes;
        let is_known = self.has_store_id || self.has_epoch || self.format.is_some();
        let is_empty = !is_known && rows == 0 && self.with_sum == 0 && self.without_sum == 0;
        is_empty && is_before_first_write(self.commit)
    }

    fn finish(mut self) -> CheckReport {
        if self.is_unmade() {
            self.report.current_revision = 1;
            return self.report;
        }
        let compact_revision = self.report.compact_revision;
        match self.format {
            Some(FORMAT) if self.without_sum == 0 => {}
            Some(FORMAT_WITHOUT_SUMS) if self.with_sum == 0 => {}
            Some(FORMAT | FORMAT_WITHOUT_SUMS) => {
                self.report.problem("what it keeps about itself, or a lease, is damaged: a sum is wrong".to_owned());
            }
            Some(found) => self.report.problem(format!(
                "it has format {found}, and this program reads {FORMAT_WITHOUT_SUMS} and {FORMAT}: use the version that \
                 wrote it"
            )),
            None => self.report.problem("it does not say which format it has".to_owned()),
        }
        for (is_there, name) in [(self.has_store_id, META_STORE_ID), (self.has_epoch, META_EPOCH)] {
            if !is_there {
                self.report.problem(format!("`{name}` in its table `meta` is missing"));
            }
        }
        for (last, revision) in std::mem::take(&mut self.gaps) {
            // Compaction leaves gaps below its revision, and one up to the first revision after it.
            let is_compacted = revision.main <= compact_revision
                || revision == Revision::start_of(last.main.max(compact_revision).saturating_add(1));
            if !is_compacted {
                self.report.problem(format!("rows between the revisions {last} and {revision} are missing"));
            }
        }
        for revision in std::mem::take(&mut self.cut_lives) {
            if revision.main > compact_revision {
                self.report
                    .problem(format!("the row before that of revision {revision} of its key is missing"));
            }
        }
        let newest = self.last.map_or(1, |last| last.main);
        self.report.current_revision = newest.max(compact_revision).max(1);
        self.report
    }
}
