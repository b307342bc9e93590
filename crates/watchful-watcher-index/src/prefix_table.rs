//! Watchers of prefixes: a map for each length of prefix, and a stab cuts the key to each length in turn.
//!
//! A map of its own for each length, and not one for all: short prefixes are few, so their maps stay in the cache, and
//! a cut that finds nothing there costs little. The price is a look-up for each length in use, so the lengths are
//! bounded; see [`LENGTHS_MAX`].

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::GroupId;
use crate::key_map::{shared_bytes_len, table_bytes};
use crate::postings::{Postings, Removal};

/// How many different lengths of prefix the table takes. People cut their keys at a handful of places; sixty-four
/// look-ups in small maps cost about as much as one descent of a large interval tree, so beyond that the tree is better.
pub(crate) const LENGTHS_MAX: usize = 64;

#[derive(Default)]
pub(crate) struct PrefixTable {
    /// Ascending by length. No map is empty.
    lengths: Vec<OfLength>,
    hasher: RandomState,
}

struct OfLength {
    len: usize,
    groups: HashMap<Arc<[u8]>, Postings, RandomState>,
}

impl PrefixTable {
    /// Whether a prefix of this length has a place here.
    pub(crate) fn takes(&self, len: usize) -> bool {
        self.lengths.len() < LENGTHS_MAX || self.place(len).is_ok()
    }

    /// Adds the pair; false if it was there already. Ask [`takes`](Self::takes) first.
    pub(crate) fn insert(&mut self, prefix: Arc<[u8]>, group: GroupId) -> bool {
        debug_assert!(self.takes(prefix.len()));
        let place = self.place(prefix.len()).unwrap_or_else(|place| self.add_length(place, prefix.len()));
        let mut absent = false;
        let groups = self.lengths[place].groups.entry(prefix).or_insert_with(|| {
            absent = true;
            Postings::One(group)
        });
        absent || groups.insert(group)
    }

    pub(crate) fn remove(&mut self, prefix: &[u8], group: GroupId) -> bool {
        let Ok(place) = self.place(prefix.len()) else {
            return false;
        };
        let groups = &mut self.lengths[place].groups;
        let removal = groups.get_mut(prefix).map_or(Removal::Absent, |postings| postings.remove(group));
        if removal == Removal::Last {
            groups.remove(prefix);
        }
        if groups.is_empty() {
            self.lengths.remove(place);
        }
        removal != Removal::Absent
    }

    /// Appends the groups of every prefix of `key`.
    pub(crate) fn stab(&self, key: &[u8], found: &mut Vec<GroupId>) {
        for of_length in &self.lengths {
            let Some(prefix) = key.get(..of_length.len) else {
                return;
            };
            if let Some(groups) = of_length.groups.get(prefix) {
                found.extend_from_slice(groups.as_slice());
            }
        }
    }

    /// Appends the groups of this one prefix.
    pub(crate) fn groups_of(&self, prefix: &[u8], found: &mut Vec<GroupId>) {
        let groups = self.place(prefix.len()).ok().and_then(|place| self.lengths[place].groups.get(prefix));
        found.extend_from_slice(groups.map_or(&[], Postings::as_slice));
    }

    /// The tables and, whole, the prefixes' own buffers, which are shared with the ranges they came from.
    pub(crate) fn memory_bytes(&self) -> usize {
        let lengths = self.lengths.capacity() * size_of::<OfLength>();
        lengths + self.lengths.iter().map(OfLength::memory_bytes).sum::<usize>()
    }

    fn place(&self, len: usize) -> Result<usize, usize> {
        self.lengths.binary_search_by_key(&len, |of_length| of_length.len)
    }

    fn add_length(&mut self, place: usize, len: usize) -> usize {
        let groups = HashMap::with_hasher(self.hasher.clone());
        self.lengths.insert(place, OfLength { len, groups });
        place
    }
}

impl OfLength {
    fn memory_bytes(&self) -> usize {
        let of_entry = |(prefix, groups): (_, &Postings)| shared_bytes_len(prefix) + groups.heap_bytes();
        let entries: usize = self.groups.iter().map(of_entry).sum();
        entries + table_bytes(self.groups.capacity(), size_of::<(Arc<[u8]>, Postings)>())
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTHS_MAX, PrefixTable};
    use crate::GroupId;

    /// Where a prefix is kept changes no answer, so this cannot be seen from outside.
    #[test]
    fn the_table_takes_so_many_lengths_and_room_comes_back() {
        let mut table = PrefixTable::default();
        for len in 1..=LENGTHS_MAX {
            assert!(table.takes(len));
            table.insert(vec![b'a'; len].into(), GroupId(1));
        }
        assert!(table.takes(LENGTHS_MAX) && !table.takes(LENGTHS_MAX + 1));
        assert!(table.remove(b"aa", GroupId(1)));
        assert!(table.takes(LENGTHS_MAX + 1));
    }
}
