//! The offline check: is this data file whole?

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::layout::TreeCounts;
use super::pages::{NoMeta, PageFile};
use super::walk::{DamagedValue, Piece, Walk};

/// What a check keeps at most. A file that is torn in the middle may have one on every page, and nobody reads them all.
const PROBLEMS_MAX: usize = 1000;

/// What a check found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many bytes a page has.
    pub page_bytes: u32,
    /// How many pages the newest commit spans.
    pub pages: u64,
    /// How many of them are in use.
    pub used_pages: u64,
    /// How many of them are free.
    pub free_pages: u64,
    /// The newest commit.
    pub commit: u64,
    /// Whether the commit before could be followed too, as far as the page that begins it tells. It is not looked into,
    /// its pages may be in use again, and nothing falls back to it: this is for the curious.
    pub is_older_usable: bool,
    /// The tables, in the order of their names.
    pub tables: Vec<TableReport>,
    /// What is wrong, up to a thousand things.
    pub problems: Vec<Problem>,
    /// How many more things are wrong.
    pub problems_left_out: u64,
}

/// One table of a checked file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableReport {
    /// Its name.
    pub name: String,
    /// How many entries were found.
    pub entries: u64,
}

/// One thing that is wrong with a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The page it is about.
    pub page: u64,
    /// What it is; reads on from "page n:".
    pub what: String,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}: {}", self.page, self.what)
    }
}

/// Why a file could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The file could not be read.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin as a data file does.
    #[error("{} is not the data file of a store: {reason}", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
}

/// Problems, up to a bound.
#[derive(Default)]
pub(super) struct Problems {
    kept: Vec<Problem>,
    left_out: u64,
}

impl Problems {
    pub(super) fn add(&mut self, page: u64, what: String) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(Problem { page, what });
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64 + self.left_out
    }

    pub(super) fn first(&self) -> Option<&Problem> {
        self.kept.first()
    }
}

/// Reads the whole data file at `path` and tells whether its pages fit together: every page that the newest commit
/// refers to is there, once, and of the right kind; keys are in order; counts are right; no page is in use and free.
///
/// It never maps the file, so no damage can harm the process, and never writes to it. It reads every page in use once
/// and keeps one byte a page. The file must not be written meanwhile: check a store that is closed, or a copy.
///
/// It does not know what the values mean: [`check_file_with`] shows them to somebody who does.
///
/// # Errors
///
/// [`CheckError`] when the file cannot be read, or nothing in it can be found. Everything else is in the report.
pub fn check_file(path: &Path) -> Result<CheckReport, CheckError> {
    check_file_with(path, |_, _, _| {})
}

/// As [`check_file`], and shows `visit` every entry that can be found: its table's name, its key, and its value or that
/// the value is damaged. The entries of a table come in order, unless they are damaged.
///
/// # Errors
///
/// As [`check_file`].
pub fn check_file_with(
    path: &Path,
    mut visit: impl FnMut(&str, &[u8], Result<&[u8], DamagedValue>),
) -> Result<CheckReport, CheckError> {
    let io_error = |source| CheckError::Io { path: path.to_owned(), source };
    let (file, metas) = PageFile::open(path).map_err(|error| error.into_check_error(path))?;
    let meta = metas.newest;
    let mut visitor = |seen: Piece<'_>| {
        if let Piece::Entry { table, key, value, .. } = seen {
            visit(table, key, value);
        }
    };
    let mut walk = Walk::new(&file, &meta, &mut visitor);
    if let Some((page, what)) = metas.misfit {
        walk.problems.add(page, what);
    }
    walk.all(&meta).map_err(io_error)?;
    Ok(CheckReport {
        page_bytes: meta.page_bytes,
        pages: meta.last_page + 1,
        used_pages: 2 + walk.marks.used(),
        free_pages: walk.marks.free(),
        commit: meta.commit,
        is_older_usable: metas.is_older_usable,
        tables: walk.tables.into_iter().map(TableReport::new).collect(),
        problems: walk.problems.kept,
        problems_left_out: walk.problems.left_out,
    })
}

impl TableReport {
    fn new((name, counts): (String, TreeCounts)) -> Self {
        Self { name, entries: counts.entries }
    }
}

impl NoMeta {
    pub(super) fn into_check_error(self, path: &Path) -> CheckError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => CheckError::Io { path, source },
            Self::Short { needed_bytes } => {
                CheckError::NotAStore { path, reason: format!("it has fewer than {needed_bytes} bytes") }
            }
            Self::Misfit(reason) => CheckError::NotAStore { path, reason },
        }
    }
}
