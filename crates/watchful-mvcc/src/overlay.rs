//! What a group of transactions has changed and not committed yet: a second, small index over the key index.
//!
//! It is filled by every transaction of a group in turn. One that fails is taken back by cutting its rows off the end;
//! nothing else remembers them.
//!
//! A row is found by its key through a hash table, because most transactions name single keys. The keys are put in order
//! only when a transaction of the group asks for a range.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::{Bound, Range};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use watchful_revision::{KeyRange, LeaseId, Revision};

use crate::index::{Newest, Spot};
use crate::superseded::Change;

/// One change that is not committed yet.
pub(crate) struct OverlayRow {
    pub(crate) newest: Newest,
    pub(crate) lease: LeaseId,
    /// The row whose place it takes: none when the key was absent.
    pub(crate) prev: Option<Revision>,
    /// Where the record is in its transaction's buffer.
    pub(crate) record: Range<usize>,
    /// Where the key is in the index, if that is known.
    pub(crate) spot: Option<Spot>,
    key: Range<usize>,
    hash: u64,
    /// The key's row before this one; [`NO_ROW`] when the group has none.
    before: u32,
}

impl OverlayRow {
    pub(crate) fn change(&self) -> Change {
        let version = self.newest.version;
        Change { revision: version.revision, prev: self.prev, tombstone: version.tombstone }
    }
}

/// What was found of a key before it was changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    /// The row whose place the change takes: none when the key was absent.
    pub(crate) prev: Option<Revision>,
    pub(crate) spot: Option<Spot>,
}

const NO_ROW: u32 = u32::MAX;

/// What the overlay knows of a key at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This row is visible.
    Row(Revision),
    /// The key is deleted.
    Gone,
    /// Nothing: the index below tells.
    Below,
}

/// The changes of a group. See the module's front page.
#[derive(Default)]
pub(crate) struct Overlay {
    hasher: RandomState,
    rows: Vec<OverlayRow>,
    /// The newest row of each key.
    newest: HashTable<u32>,
    keys: Vec<u8>,
    /// The keys in order, once a range was asked for. Keys of transactions that were taken back may be among them.
    ordered: OnceCell<BTreeSet<Box<[u8]>>>,
}

/// Buffers are kept from one group to the next up to this many rows and bytes of keys, so that a single put allocates
/// nothing here, and one huge transaction does not hold its memory for ever.
const KEPT_ROWS_MAX: usize = 4096;
const KEPT_BYTES_MAX: usize = 1 << 20;

impl Overlay {
    pub(crate) fn clear(&mut self) {
        self.ordered.take();
        self.rows.clear();
        self.keys.clear();
        if self.rows.capacity() > KEPT_ROWS_MAX || self.keys.capacity() > KEPT_BYTES_MAX {
            *self = Self::default();
        } else {
            self.newest.clear();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> &[OverlayRow] {
        &self.rows
    }

    pub(crate) fn key(&self, row: &OverlayRow) -> &[u8] {
        &self.keys[row.key.clone()]
    }

    /// The newest row of each key.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &OverlayRow> {
        self.newest.iter().map(|&number| &self.rows[number as usize])
    }

    pub(crate) fn newest(&self, key: &[u8]) -> Option<&OverlayRow> {
        if self.rows.is_empty() {
            return None;
        }
        self.find(self.hasher.hash_one(key), key).map(|number| &self.rows[number as usize])
    }

    /// What is seen of `key` at main revision `at`.
    pub(crate) fn seen(&self, key: &[u8], at: u64) -> Seen {
        let mut row = self.newest(key);
        while let Some(found) = row {
            if found.newest.revision().main <= at {
                return if found.newest.is_live() { Seen::Row(found.newest.revision()) } else { Seen::Gone };
            }
            row = self.rows.get(found.before as usize);
        }
        Seen::Below
    }

    /// The keys of the group that lie in `range`, in order. Some of them may not be changed any more.
    pub(crate) fn keys_in<'a>(
        &'a self,
        range: &'a KeyRange,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        let ordered = self.ordered.get_or_init(|| self.latest().map(|row| self.key(row).into()).collect());
        let keys = ordered.range::<[u8], _>((Bound::Included(range.start()), Bound::Unbounded));
        keys.map(|key| &key[..]).take_while(|key| range.contains(key)).collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn push(
        &mut self,
        key: &[u8],
        Before { prev, spot }: Before,
        newest: Newest,
        lease: LeaseId,
        record: Range<usize>,
    ) {
        let hash = self.hasher.hash_one(key);
        // The caller counts the changes of a transaction, and a group's memory ends long before its rows are uncountable.
        let number = u32::try_from(self.rows.len()).unwrap_or(NO_ROW);
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        let key_range = start..self.keys.len();
        let mut row = OverlayRow { newest, lease, prev, record, spot, key: key_range, hash, before: NO_ROW };
        let Self { rows, keys, newest, .. } = self;
        let same = |&number: &u32| keys[rows[number as usize].key.clone()] == *key;
        match newest.entry(hash, same, |&number| rows[number as usize].hash) {
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                row.before = std::mem::replace(entry.get_mut(), number);
            }
            hashbrown::hash_table::Entry::Vacant(entry) => {
                entry.insert(number);
                if let Some(ordered) = self.ordered.get_mut() {
                    ordered.insert(key.into());
                }
            }
        }
        self.rows.push(row);
    }

    /// Takes back every row from number `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.rows.len() > len {
            let Some(row) = self.rows.pop() else { return };
            self.keys.truncate(row.key.start);
            let number = u32::try_from(self.rows.len()).unwrap_or(NO_ROW);
            if let Ok(mut entry) = self.newest.find_entry(row.hash, |&own| own == number) {
                if row.before == NO_ROW {
                    entry.remove();
                } else {
                    *entry.get_mut() = row.before;
                }
            }
        }
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.newest.find(hash, |&number| self.key(&self.rows[number as usize]) == key).copied()
    }
}
