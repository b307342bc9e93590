//! Watchers of single keys: by far the most, so this map decides what a watcher costs in memory.
//!
//! An entry is 24 bytes and one of control, and a table is 44 to 87 % full, so a key takes 29 to 57 bytes. With the
//! groups held in the entry as [`Postings`](crate::postings::Postings) are (16 bytes in place of 8) a million keys
//! took 69 bytes each; so the rare key with several groups says only that it is crowded, and its groups are kept aside.
//!
//! Locks: a shard of `entries` first, then `crowds`. A reader holds the shard while it looks at the crowd, so a group
//! that stays is never missed while another comes or goes.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::{DashMap, Entry, OccupiedEntry};
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::GroupId;
use crate::postings::{insert_into, remove_from};

#[derive(Default)]
pub(crate) struct KeyMap {
    entries: DashMap<Arc<[u8]>, Groups, RandomState>,
    /// The groups of exactly those keys whose entry is [`Groups::Crowd`]: two or more each.
    crowds: RwLock<HashMap<Arc<[u8]>, Vec<GroupId>, RandomState>>,
}

#[derive(Clone, Copy)]
enum Groups {
    One(GroupId),
    Crowd,
}

/// The fewest shards a dashmap can have.
const SHARDS_MIN: usize = 2;

impl KeyMap {
    /// A map with as few shards as can be. On a machine of 64 cores the usual number is 256 shards of 128 bytes.
    pub(crate) fn small() -> Self {
        let entries =
            DashMap::with_capacity_and_hasher_and_shard_amount(0, RandomState::default(), SHARDS_MIN);
        Self { entries, crowds: RwLock::default() }
    }

    pub(crate) fn insert(&self, key: Arc<[u8]>, group: GroupId) -> bool {
        match self.entries.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Groups::One(group));
                true
            }
            Entry::Occupied(entry) => self.insert_more(entry, group),
        }
    }

    fn insert_more(&self, mut entry: OccupiedEntry<'_, Arc<[u8]>, Groups>, group: GroupId) -> bool {
        let mut crowds = self.crowds.write();
        match *entry.get() {
            Groups::One(own) if own == group => false,
            Groups::One(own) => {
                crowds.insert(Arc::clone(entry.key()), vec![own, group]);
                *entry.get_mut() = Groups::Crowd;
                true
            }
            Groups::Crowd => crowds.get_mut(entry.key()).is_some_and(|crowd| insert_into(crowd, group)),
        }
    }

    pub(crate) fn remove(&self, key: Arc<[u8]>, group: GroupId) -> bool {
        let Entry::Occupied(entry) = self.entries.entry(key) else {
            return false;
        };
        match *entry.get() {
            Groups::One(own) if own == group => {
                entry.remove();
                true
            }
            Groups::One(_) => false,
            Groups::Crowd => self.remove_from_crowd(entry, group),
        }
    }

    fn remove_from_crowd(&self, mut entry: OccupiedEntry<'_, Arc<[u8]>, Groups>, group: GroupId) -> bool {
        let mut crowds = self.crowds.write();
        let Some(crowd) = crowds.get_mut(entry.key()) else {
            return false;
        };
        let removed = remove_from(crowd, group);
        if let [last] = crowd[..] {
            crowds.remove(entry.key());
            *entry.get_mut() = Groups::One(last);
        }
        removed
    }

    /// Appends the groups of `key`. Allocates nothing but what `found` needs.
    pub(crate) fn stab(&self, key: &[u8], found: &mut Vec<GroupId>) {
        self.entries.view(key, |key, groups| match groups {
            Groups::One(group) => found.push(*group),
            Groups::Crowd => found.extend(self.crowds.read().get(key).into_iter().flatten()),
        });
    }

    /// The tables and, whole, the keys' own buffers, which are shared with the ranges they came from.
    pub(crate) fn memory_bytes(&self) -> usize {
        let keys: usize = self.entries.iter().map(|entry| shared_bytes_len(entry.key())).sum();
        let entry = size_of::<(Arc<[u8]>, Groups)>();
        let crowds = self.crowds.read();
        let lists: usize = crowds.values().map(|crowd| crowd.capacity() * size_of::<GroupId>()).sum();
        let crowd = size_of::<(Arc<[u8]>, Vec<GroupId>)>();
        keys + table_bytes(self.entries.capacity(), entry) + table_bytes(crowds.capacity(), crowd) + lists
    }
}

/// What a hash table takes for its entries: they fill at most seven eighths, and each has a byte of control.
pub(crate) fn table_bytes(capacity: usize, entry_bytes: usize) -> usize {
    capacity.div_ceil(7) * 8 * (entry_bytes + 1)
}

/// What an `Arc<[u8]>` points to: two counts and the bytes.
pub(crate) fn shared_bytes_len(bytes: &Arc<[u8]>) -> usize {
    2 * size_of::<usize>() + bytes.len()
}

const _: () = assert!(size_of::<(Arc<[u8]>, Groups)>() == 24, "the memory a watcher may take rests on this");
