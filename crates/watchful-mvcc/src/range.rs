//! The answer to a range: what is read, filtered, sorted, cut, and counted. The rules are etcd's, and the same for a
//! read view and for a transaction; where the rows come from is the only difference.
//!
//! - `count` is the number of keys in the range, whatever the limit and the filters.
//! - Filters by revision and sorting by something other than the key look at the whole range, before the limit.
//! - With [`SortOrder::None`], another target than the key, and no filter, one record more than the limit is taken in
//!   key order; these are sorted by the target, and then cut.
//!
//! Where the answer comes in key order, no more rows are read than it needs; the rest of the range is only counted.

use watchful_revision::{Record, Revision};

use crate::MvccError;
use crate::index::Direction;
use crate::request::{RangeOptions, RangeResult, SortOrder, SortTarget};
use crate::rows::RowBuffer;

/// The most keys that are looked at, and rows that are read, in one turn: between two turns no lock and no read
/// transaction is held.
pub(crate) const TURN_KEYS_MAX: usize = 256;

/// Where a range's rows come from, in turns.
pub(crate) trait Rows {
    /// Shows the keys of the next turn that are there, each with its row. Tells whether there may be more.
    fn turn(&mut self, visit: &mut dyn FnMut(&[u8], Revision)) -> Result<bool, MvccError>;

    /// Reads rows that a turn has shown, and shows each with its place among them, in whatever order is the cheapest.
    fn read(&self, rows: &[Revision], visit: &mut Visit<'_>) -> Result<(), MvccError>;
}

pub(crate) type Visit<'a> = dyn FnMut(usize, &[u8]) -> Result<(), MvccError> + 'a;

/// Which way the keys of a range are best walked for these options.
pub(crate) fn direction(options: &RangeOptions) -> Direction {
    match (options.target, options.order) {
        (SortTarget::Key, SortOrder::Descend) => Direction::Descending,
        _ => Direction::Ascending,
    }
}

/// Answers a range from `rows`, which walk the way [`direction`] says.
pub(crate) fn answer(rows: &mut impl Rows, options: &RangeOptions) -> Result<RangeResult, MvccError> {
    let mut answer = Answer::new(options);
    let mut wanted = Vec::with_capacity(TURN_KEYS_MAX);
    loop {
        wanted.clear();
        let has_more = rows.turn(&mut |_, revision| {
            answer.count += 1;
            if answer.wants(revision, wanted.len()) {
                wanted.push(revision);
            }
        })?;
        if !wanted.is_empty() {
            answer.take(rows, &wanted)?;
        }
        if !has_more {
            return answer.finish();
        }
    }
}

struct Answer<'a> {
    options: &'a RangeOptions,
    records: Vec<Record>,
    count: u64,
    /// How many records are needed: one more than the limit, which tells whether the limit cuts.
    needed: usize,
}

impl<'a> Answer<'a> {
    fn new(options: &'a RangeOptions) -> Self {
        let needed = if options.count_only {
            0
        } else if options.limit == 0 || sorts_whole(options) {
            usize::MAX
        } else {
            usize::try_from(options.limit).map_or(usize::MAX, |limit| limit.saturating_add(1))
        };
        Self { options, records: Vec::new(), count: 0, needed }
    }

    /// Whether the row at `revision` is to be read, after `pending` others of its turn. How many of those stay is not
    /// known where create revisions are filtered, since they are only in the records.
    fn wants(&self, revision: Revision, pending: usize) -> bool {
        let surely = if self.filters_create() { 0 } else { pending };
        self.records.len() + surely < self.needed
            && is_between(revision.main, self.options.min_mod_revision, self.options.max_mod_revision)
    }

    fn filters_create(&self) -> bool {
        self.options.min_create_revision != 0 || self.options.max_create_revision != 0
    }

    fn take(&mut self, rows: &impl Rows, wanted: &[Revision]) -> Result<(), MvccError> {
        let drops_values = self.options.keys_only && self.options.target != SortTarget::Value;
        let mut buffer = RowBuffer::for_rows(wanted.len());
        rows.read(wanted, &mut |place, record| {
            if drops_values {
                buffer.push_without_value(place, wanted[place], record)
            } else {
                buffer.push(place, wanted[place], record)
            }
        })?;
        let first = self.records.len();
        buffer.append_to(&mut self.records);
        if self.filters_create() {
            let (low, high) = (self.options.min_create_revision, self.options.max_create_revision);
            let mut taken = self.records.split_off(first);
            taken.retain(|record| is_between(record.create_revision(), low, high));
            self.records.append(&mut taken);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<RangeResult, MvccError> {
        if self.options.target != SortTarget::Key {
            sort(&mut self.records, self.options);
        }
        let limit = usize::try_from(self.options.limit).unwrap_or(usize::MAX);
        let more = limit != 0 && self.records.len() > limit;
        if more {
            self.records.truncate(limit);
        }
        if self.options.keys_only && self.options.target == SortTarget::Value {
            self.records = without_values(&self.records)?;
        }
        Ok(RangeResult { records: self.records, count: self.count, more })
    }
}

/// Whether the order is known only when the whole range has been read.
fn sorts_whole(options: &RangeOptions) -> bool {
    options.target != SortTarget::Key && (options.order != SortOrder::None || has_filters(options))
}

fn has_filters(options: &RangeOptions) -> bool {
    let bounds = [
        options.min_mod_revision,
        options.max_mod_revision,
        options.min_create_revision,
        options.max_create_revision,
    ];
    bounds.iter().any(|bound| *bound != 0)
}

fn is_between(revision: u64, low: u64, high: u64) -> bool {
    (low == 0 || revision >= low) && (high == 0 || revision <= high)
}

/// The sort keeps the key order of records that are equal in the target.
fn sort(records: &mut [Record], options: &RangeOptions) {
    let compare = |a: &Record, b: &Record| match options.target {
        SortTarget::Key => a.key().cmp(b.key()),
        SortTarget::Version => a.version().cmp(&b.version()),
        SortTarget::Create => a.create_revision().cmp(&b.create_revision()),
        SortTarget::Mod => a.mod_revision().cmp(&b.mod_revision()),
        SortTarget::Value => a.value().cmp(b.value()),
    };
    match options.order {
        SortOrder::Descend => records.sort_by(|a, b| compare(b, a)),
        SortOrder::Ascend | SortOrder::None => records.sort_by(compare),
    }
}

fn without_values(records: &[Record]) -> Result<Vec<Record>, MvccError> {
    let mut buffer = RowBuffer::for_rows(records.len());
    for (place, record) in records.iter().enumerate() {
        buffer.push_without_value(place, record.revision(), record.bytes())?;
    }
    let mut stripped = Vec::new();
    buffer.append_to(&mut stripped);
    Ok(stripped)
}
