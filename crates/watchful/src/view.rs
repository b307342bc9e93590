//! The store at one revision.

use watchful_mvcc::{RangeOptions, RangeResult, ReadView};
use watchful_revision::{KeyRange, Record};

use crate::Error;

/// The store at one main revision: a value that holds no lock and pins no page.
///
/// It can be read until compaction passes its revision; then every call ends with [`Error::Compacted`], never with keys
/// missing. It keeps the store's folder open.
#[derive(Clone)]
pub struct View {
    inner: ReadView,
}

impl View {
    pub(crate) fn new(inner: ReadView) -> Self {
        Self { inner }
    }

    /// The main revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.revision()
    }

    /// One key. Two look-ups: some 2 µs among a million keys.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`]; [`Error::Other`] for a damaged record or a disk that fails.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Record>, Error> {
        Ok(self.inner.get(key.as_ref())?)
    }

    /// A range, sorted, filtered and cut as `options` say. The answer is in memory whole: use [`View::scan`] for a range
    /// that is larger than that.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, Error> {
        Ok(self.inner.range(range, options)?)
    }

    /// How many keys the range holds. Reads no records.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn count(&self, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.inner.count(range)?)
    }

    /// A range in key order, a few hundred records at a time, each read in a short transaction of its own.
    pub fn scan(&self, range: &KeyRange) -> impl Iterator<Item = Result<Vec<Record>, Error>> + use<> {
        self.inner.scan(range).map(|turn| turn.map_err(Error::from))
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({})", self.revision())
    }
}
