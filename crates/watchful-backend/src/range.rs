//! Walks over the entries of a table, in either direction.

use std::ops::{Bound, RangeBounds};

use heed::types::Bytes;
use heed::{RoRange, RoRevRange};

use crate::backend::Table;
use crate::environment::Environment;
use crate::error::BackendError;
use crate::prefetch::Ahead;
use crate::read::{Entry, View};

/// The entries of a range of keys, in order. It ends after an error.
pub struct Range<'t> {
    entries: RoRange<'t, Bytes, Bytes>,
    environment: &'t Environment,
    ahead: Ahead,
}

impl<'t> Range<'t> {
    pub(crate) fn begin(
        view: View<'t>,
        table: Table,
        range: &impl RangeBounds<[u8]>,
    ) -> Result<Self, BackendError> {
        let environment = view.environment;
        let entries = environment.tables[table.0].range(view.txn, &as_pair(range));
        let entries = entries.map_err(|error| environment.error("beginning a walk", error))?;
        Ok(Self { entries, environment, ahead: Ahead::default() })
    }
}

impl<'t> Iterator for Range<'t> {
    type Item = Result<Entry<'t>, BackendError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.entries.next()?;
        if let Ok((key, value)) = &next {
            self.ahead.come_to(key, value);
        }
        Some(next.map_err(|error| self.environment.error("walking a table", error)))
    }
}

/// The entries of a range of keys, the last first. It ends after an error.
pub struct RevRange<'t> {
    entries: RoRevRange<'t, Bytes, Bytes>,
    environment: &'t Environment,
}

impl<'t> RevRange<'t> {
    pub(crate) fn begin(
        view: View<'t>,
        table: Table,
        range: &impl RangeBounds<[u8]>,
    ) -> Result<Self, BackendError> {
        let environment = view.environment;
        let entries = environment.tables[table.0].rev_range(view.txn, &as_pair(range));
        let entries = entries.map_err(|error| environment.error("beginning a walk", error))?;
        Ok(Self { entries, environment })
    }
}

impl<'t> Iterator for RevRange<'t> {
    type Item = Result<Entry<'t>, BackendError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.entries.next()?;
        Some(next.map_err(|error| self.environment.error("walking a table", error)))
    }
}

/// LMDB cannot look for an empty key. Since no key is empty, a range from it is one from the first key, and a range up
/// to it holds nothing.
pub(crate) fn as_pair(range: &impl RangeBounds<[u8]>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let start = match range.start_bound() {
        Bound::Included(b"") | Bound::Excluded(b"") => Bound::Unbounded,
        start => start,
    };
    let end = match range.end_bound() {
        Bound::Included(b"") | Bound::Excluded(b"") => Bound::Excluded(&b"\0"[..]),
        end => end,
    };
    (start, end)
}
