//! The offline check: is a store whole? It reads the data file as a file and never maps it, so no damage can harm the
//! process.

use std::path::Path;

use watchful_backend::{Backend, CheckError, check_file_with};
use watchful_revision::{RecordRef, Revision};

use crate::MvccError;
use crate::error::Opaque;
use crate::format::{
    META_COMPACT_FINISHED, META_COMPACT_SCHEDULED, META_EPOCH, META_FORMAT, META_STORE_ID, TABLE_LEASE,
    TABLE_LOG, TABLE_META, TABLE_NOTE, parse_lease,
};
use crate::note;

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
/// and that above the compact revision no revision is missing, and no change in one.
///
/// The store must be closed. The check reads every page in use once.
///
/// # Errors
///
/// `NotAStore` when there is no store to check, or what the system said. Everything else is in the report.
pub fn check(dir: &Path) -> Result<CheckReport, MvccError> {
    let data_file = if dir.is_dir() { Backend::data_file(dir) } else { dir.to_owned() };
    let mut check = Check::default();
    let pages = check_file_with(&data_file, |table, key, value| match (table, value) {
        (_, Err(_)) => check.report.problem(format!("a value of its table `{table}` is damaged")),
        (TABLE_LOG, Ok(record)) => check.row(key, record),
        (TABLE_LEASE, Ok(value)) => check.lease(key, value),
        (TABLE_NOTE, Ok(value)) => check.note(key, value),
        (TABLE_META, Ok(value)) => check.meta(key, value),
        (table, Ok(_)) => check.report.problem(format!("it has a table `{table}`, which no store has")),
    })
    .map_err(check_error)?;
    let mut report = check.finish();
    (report.pages, report.used_pages) = (pages.pages, pages.used_pages);
    report.problems_left_out += pages.problems_left_out;
    report.problems.extend(pages.problems.iter().map(ToString::to_string));
    Ok(report)
}

fn check_error(error: CheckError) -> MvccError {
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
    /// The revisions after which something is missing, up to a bound.
    gaps: Vec<(Revision, Revision)>,
    has_format: bool,
}

impl Check {
    fn row(&mut self, key: &[u8], record: &[u8]) {
        self.report.rows += 1;
        let revision = match Revision::from_bytes(key) {
            Ok(revision) => revision,
            Err(error) => return self.report.problem(error.to_string()),
        };
        if let Err(error) = RecordRef::parse(revision, record).and_then(|record| record.key_value().map(drop))
        {
            self.report.problem(error.to_string());
        }
        self.follow(revision);
    }

    fn follow(&mut self, revision: Revision) {
        let last = self.last.unwrap_or(Revision::start_of(1));
        let follows = revision == Revision::new(last.main, last.sub + 1) && self.last.is_some()
            || revision == Revision::start_of(last.main + 1);
        if !follows {
            self.gaps.push((last, revision));
        }
        self.last = Some(revision);
    }

    fn lease(&mut self, key: &[u8], value: &[u8]) {
        self.report.leases += 1;
        if parse_lease(key, value).is_none() {
            self.report.problem("a row of its table `lease` has the wrong length".to_owned());
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        self.report.notes += 1;
        if let Err(error) = note::decode(name, value) {
            self.report.problem(error.to_string());
        }
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) {
        let number = value.try_into().map(u64::from_be_bytes);
        match std::str::from_utf8(key) {
            Ok(META_FORMAT) => self.has_format = value == crate::format::FORMAT.to_be_bytes(),
            Ok(META_STORE_ID) if value.len() == 16 => {}
            Ok(META_COMPACT_SCHEDULED) if number.is_ok() => {
                self.report.compact_revision = number.unwrap_or_default();
            }
            Ok(META_EPOCH | META_COMPACT_FINISHED) if number.is_ok() => {}
            _ => self.report.problem(format!("`{}` in its table `meta` is damaged", key.escape_ascii())),
        }
    }

    fn finish(mut self) -> CheckReport {
        let compact_revision = self.report.compact_revision;
        if !self.has_format {
            self.report.problem("it does not have the format that this program reads".to_owned());
        }
        for (last, revision) in std::mem::take(&mut self.gaps) {
            // Compaction leaves gaps below its revision, and one up to the first revision after it.
            let is_compacted = revision.main <= compact_revision
                || revision == Revision::start_of(last.main.max(compact_revision) + 1);
            if !is_compacted {
                self.report.problem(format!("rows between the revisions {last} and {revision} are missing"));
            }
        }
        let newest = self.last.map_or(1, |last| last.main);
        self.report.current_revision = newest.max(compact_revision).max(1);
        self.report
    }
}
