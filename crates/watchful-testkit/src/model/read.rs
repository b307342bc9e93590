//! Reads at a revision.

use std::ops::Bound;

use watchful_revision::{KeyRange, LeaseId};

use super::{Model, Row};

/// What a range read asks for, beside the keys. The default is every row, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    /// The most rows to answer; 0 for all.
    pub limit: usize,
    /// Which way the rows are sorted.
    pub order: Order,
    /// What the rows are sorted by. Rows that are equal in it stay in key order, in either direction.
    pub target: SortTarget,
    /// Only rows changed at this main revision or later; 0 for all.
    pub min_mod_revision: u64,
    /// Only rows changed at this main revision or earlier; 0 for all.
    pub max_mod_revision: u64,
    /// Only rows created at this main revision or later; 0 for all.
    pub min_create_revision: u64,
    /// Only rows created at this main revision or earlier; 0 for all.
    pub max_create_revision: u64,
    /// Leave the values empty.
    pub keys_only: bool,
    /// Answer the count alone.
    pub count_only: bool,
}

/// Which way rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// By key. With another target: ascending, but over what is left after the limit has cut in key order.
    #[default]
    None,
    /// Smallest first.
    Ascend,
    /// Largest first.
    Descend,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    Create,
    /// The main revision of the last change.
    Mod,
    /// The value.
    Value,
}

/// The answer to a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeAnswer {
    /// The rows.
    pub rows: Vec<Row>,
    /// How many keys the range holds, whatever the limit and the revision filters.
    pub count: usize,
    /// Whether the limit left rows out.
    pub more: bool,
}

/// Why the store cannot be read, or compacted, at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision has been compacted.
    #[error("the revision has been compacted: the oldest kept is {compact_revision}")]
    Compacted {
        /// The oldest revision that can be read.
        compact_revision: u64,
    },
    /// The revision does not exist yet.
    #[error("the revision is in the future: the newest is {current_revision}")]
    FutureRevision {
        /// The newest revision.
        current_revision: u64,
    },
}

impl Model {
    /// A key as it is now.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Row> {
        self.row_at(key.as_ref(), self.current_revision)
    }

    /// A key as it was at a revision; 0 for now.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the revision cannot be read.
    pub fn get_at(&self, key: impl AsRef<[u8]>, revision: u64) -> Result<Option<Row>, ReadError> {
        Ok(self.row_at(key.as_ref(), self.readable_revision(revision)?))
    }

    /// A range as it was at a revision; 0 for now.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the revision cannot be read.
    pub fn range_at(
        &self,
        range: &KeyRange,
        options: &RangeOptions,
        revision: u64,
    ) -> Result<RangeAnswer, ReadError> {
        Ok(options.answer(self.rows_at(range, self.readable_revision(revision)?)))
    }

    /// Every row as it was at a revision (0 for now), in key order. Unlike [`Model::range_at`] it answers for compacted
    /// revisions too: the model forgets nothing.
    #[must_use]
    pub fn state_at(&self, revision: u64) -> Vec<Row> {
        let main = if revision == 0 { self.current_revision } else { revision };
        self.rows_at(&KeyRange::everything(), main)
    }

    /// The lease a key is attached to now; 0 for none.
    #[must_use]
    pub fn lease_of(&self, key: impl AsRef<[u8]>) -> LeaseId {
        self.get(key).map_or(0, |row| row.lease)
    }

    /// Every row of a range as of main revision `main`, in key order, whatever has been compacted.
    pub(super) fn rows_at(&self, range: &KeyRange, main: u64) -> Vec<Row> {
        let from = (Bound::Included(range.start()), Bound::Unbounded);
        let keys = self.by_key.range::<[u8], _>(from).map(|(key, _)| key);
        keys.take_while(|key| range.contains(key)).filter_map(|key| self.row_at(key, main)).collect()
    }

    /// A key as of main revision `main`, whatever has been compacted.
    pub(super) fn row_at(&self, key: &[u8], main: u64) -> Option<Row> {
        let places = self.by_key.get(key)?;
        let visible = places.partition_point(|&place| self.log[place].row.revision.main <= main);
        let newest = &self.log[*places[..visible].last()?];
        newest.is_put().then(|| newest.row.clone())
    }

    fn readable_revision(&self, revision: u64) -> Result<u64, ReadError> {
        let (current_revision, compact_revision) = (self.current_revision, self.compact_revision());
        match revision {
            0 => Ok(current_revision),
            _ if revision > current_revision => Err(ReadError::FutureRevision { current_revision }),
            _ if revision < compact_revision => Err(ReadError::Compacted { compact_revision }),
            _ => Ok(revision),
        }
    }
}

impl RangeOptions {
    /// The answer, given every row of the range in key order.
    pub(super) fn answer(&self, mut rows: Vec<Row>) -> RangeAnswer {
        let count = rows.len();
        if self.count_only {
            return RangeAnswer { count, ..RangeAnswer::default() };
        }
        if self.cuts_before_sorting() {
            // etcd reads one row more than the limit, to know whether there are more, and sorts that one too.
            rows.truncate(self.limit.saturating_add(1));
        }
        rows.retain(|row| self.keeps(row));
        self.sort(&mut rows);
        let more = self.limit > 0 && rows.len() > self.limit;
        if more {
            rows.truncate(self.limit);
        }
        if self.keys_only {
            rows.iter_mut().for_each(|row| row.value.clear());
        }
        RangeAnswer { rows, count, more }
    }

    fn cuts_before_sorting(&self) -> bool {
        self.limit > 0 && self.order == Order::None && !self.has_revision_filters()
    }

    fn has_revision_filters(&self) -> bool {
        let filters = [
            self.min_mod_revision,
            self.max_mod_revision,
            self.min_create_revision,
            self.max_create_revision,
        ];
        filters != [0; 4]
    }

    fn keeps(&self, row: &Row) -> bool {
        let within = |at: u64, min: u64, max: u64| at >= min && (max == 0 || at <= max);
        within(row.mod_revision(), self.min_mod_revision, self.max_mod_revision)
            && within(row.create_revision, self.min_create_revision, self.max_create_revision)
    }

    /// Rows come in key order and the sorts are stable, so equal rows stay in key order.
    fn sort(&self, rows: &mut [Row]) {
        let compare = |a: &Row, b: &Row| match self.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision().cmp(&b.mod_revision()),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        match self.order {
            Order::None | Order::Ascend => rows.sort_by(compare),
            Order::Descend => rows.sort_by(|a, b| compare(b, a)),
        }
    }
}
