//! A read view: the store at one revision. It is a value: it holds no lock, no transaction and no page.
//!
//! A long read goes in turns of a few hundred keys. Each takes the index for a moment, then opens a short read
//! transaction and copies the rows out, then looks at the compact revision again: a view that compaction has passed ends
//! with `Compacted`, never with keys missing. Between two turns nothing is held, so a slow reader holds up nobody.

use watchful_revision::{KeyRange, RangeShape, Record, Revision};

use crate::MvccError;
use crate::fetch::{fetch, fetch_each};
use crate::index::{Direction, Walk};
use crate::range::{self, Rows, TURN_KEYS_MAX, Visit};
use crate::request::{RangeOptions, RangeResult};
use crate::rows::{RowBuffer, copy_record, missing};
use crate::store::{Inner, Mvcc};

/// The store at one revision.
///
/// It keeps the store open, and costs nothing else. Compaction may pass it: then every call answers `Compacted`.
#[derive(Clone)]
pub struct ReadView {
    mvcc: Mvcc,
    revision: u64,
}

impl ReadView {
    pub(crate) fn begin(mvcc: &Mvcc, revision: u64) -> Result<Self, MvccError> {
        let current_revision = mvcc.current_revision();
        if revision > current_revision {
            return Err(MvccError::FutureRevision { current_revision });
        }
        let revision = if revision == 0 { current_revision } else { revision };
        let view = Self { mvcc: mvcc.clone(), revision };
        view.check()?;
        Ok(view)
    }

    /// The main revision it shows.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The record of `key`.
    ///
    /// # Errors
    ///
    /// `Compacted` when compaction has passed the view, `Damaged`, or what the backend said.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, MvccError> {
        let visible = self.inner().index.read().visible(key, self.revision);
        let record = match visible {
            Some(revision) => Some(self.read_one(revision)?),
            None => None,
        };
        self.check()?;
        Ok(record)
    }

    /// The keys in `range`. What `options` do is told at [`RangeOptions`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, MvccError> {
        if let (RangeShape::Key(key), true) = (range.shape(), *options == RangeOptions::default()) {
            let records: Vec<Record> = self.get(key)?.into_iter().collect();
            return Ok(RangeResult { count: records.len() as u64, records, more: false });
        }
        range::answer(&mut self.rows(range, range::direction(options)), options)
    }

    /// How many keys `range` holds. Reads no record.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn count(&self, range: &KeyRange) -> Result<u64, MvccError> {
        let options = RangeOptions { count_only: true, ..RangeOptions::default() };
        Ok(self.range(range, &options)?.count)
    }

    /// The keys in `range`, in order, a turn at a time, for ranges that are too large to be held at once.
    #[must_use]
    pub fn scan(&self, range: &KeyRange) -> Scan {
        let walk = Walk::new(range, Direction::Ascending);
        Scan { view: self.clone(), walk, found: Vec::new(), given: 0, has_failed: false }
    }

    fn inner(&self) -> &Inner {
        &self.mvcc.inner
    }

    fn rows(&self, range: &KeyRange, direction: Direction) -> ViewRows<'_> {
        ViewRows { view: self, walk: Walk::new(range, direction) }
    }

    /// Whether compaction has passed the view. Asked after each look: what was seen before is then whole.
    fn check(&self) -> Result<(), MvccError> {
        let compact_revision = self.inner().compact_revision();
        if self.revision < compact_revision { Err(MvccError::Compacted { compact_revision }) } else { Ok(()) }
    }

    fn read_one(&self, revision: Revision) -> Result<Record, MvccError> {
        let txn = self.inner().backend.read()?;
        match txn.get(self.inner().tables.log, &revision.to_bytes())? {
            Some(record) => copy_record(revision, record),
            None => self.check().and(Err(missing(revision))),
        }
    }

    fn read(&self, rows: &[Revision], visit: &mut Visit<'_>) -> Result<(), MvccError> {
        let txn = self.inner().backend.read()?;
        fetch_each(&txn, self.inner().tables.log, rows, |place, record| match record {
            Some(record) => visit(place, record),
            None => self.check().and(Err(missing(rows[place]))),
        })?;
        drop(txn);
        self.check()
    }

    fn turn(&self, walk: &mut Walk, visit: &mut dyn FnMut(&[u8], Revision)) -> Result<bool, MvccError> {
        walk.turn(&self.inner().index.read(), self.revision, TURN_KEYS_MAX, visit);
        self.check()?;
        Ok(!walk.is_done())
    }
}

struct ViewRows<'a> {
    view: &'a ReadView,
    walk: Walk,
}

impl Rows for ViewRows<'_> {
    fn turn(&mut self, visit: &mut dyn FnMut(&[u8], Revision)) -> Result<bool, MvccError> {
        self.view.turn(&mut self.walk, visit)
    }

    fn read(&self, rows: &[Revision], visit: &mut Visit<'_>) -> Result<(), MvccError> {
        self.view.read(rows, visit)
    }
}

/// A turn of a [`Scan`] ends when its records have so many bytes; the one that passes the bound is still given.
const SCAN_BYTES_MAX: usize = 1 << 20;

/// A walk over a range, a turn at a time: each item is the next few hundred records, or a megabyte of them, which share
/// one buffer. It ends after an error.
pub struct Scan {
    view: ReadView,
    walk: Walk,
    /// What the last look at the index found, of which `given` rows have been read.
    found: Vec<Revision>,
    given: usize,
    has_failed: bool,
}

impl Scan {
    fn next_turn(&mut self) -> Result<Option<Vec<Record>>, MvccError> {
        while self.given == self.found.len() {
            if self.walk.is_done() {
                return Ok(None);
            }
            self.found.clear();
            self.given = 0;
            let found = &mut self.found;
            self.view.turn(&mut self.walk, &mut |_, revision| found.push(revision))?;
        }
        let txn = self.view.inner().backend.read()?;
        let rows = &self.found[self.given..];
        let mut buffer = RowBuffer::for_rows(rows.len());
        for (place, record) in fetch(&txn, self.view.inner().tables.log, rows)?.into_iter().enumerate() {
            if buffer.bytes() >= SCAN_BYTES_MAX {
                break;
            }
            match record {
                Some(record) => buffer.push(place, rows[place], record)?,
                None => return self.view.check().and(Err(missing(rows[place]))),
            }
        }
        drop(txn);
        self.view.check()?;
        self.given += buffer.len();
        let mut records = Vec::new();
        buffer.append_to(&mut records);
        Ok(Some(records))
    }
}

impl Iterator for Scan {
    type Item = Result<Vec<Record>, MvccError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let turn = self.next_turn();
        self.has_failed = turn.is_err();
        turn.transpose()
    }
}
