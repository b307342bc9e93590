//! A few dozen neighbouring keys with their entries.

use super::entry::Entry;
use super::keys::{Keys, common_len, grow};

/// The most keys in a leaf. Adding a key moves half of its leaf: at 64 keys of 64 bytes that is 3 KiB, about 100 ns.
pub(super) const KEYS_MAX: usize = 64;

/// A leaf with more bytes of keys than this is split before it has [`KEYS_MAX`], so that long keys do not make the move
/// long.
const BYTES_MAX: usize = 8 << 10;

/// Invariant: there is an entry for each key.
#[derive(Default)]
pub(super) struct Leaf {
    pub(super) keys: Keys,
    entries: Vec<Entry>,
    /// Counts how often keys have come and gone, so that a [`Spot`](super::Spot) can tell whether it still holds.
    changes: u32,
}

impl Leaf {
    pub(super) fn with_room(keys: usize, bytes: usize) -> Self {
        Self { keys: Keys::with_room(keys, bytes), entries: Vec::with_capacity(keys), changes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    pub(super) fn entry_mut(&mut self, at: usize) -> &mut Entry {
        &mut self.entries[at]
    }

    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    pub(super) fn insert(&mut self, at: usize, key: &[u8], entry: Entry) {
        self.changes = self.changes.wrapping_add(1);
        self.keys.insert(at, key);
        grow(&mut self.entries, 1);
        self.entries.insert(at, entry);
    }

    /// Adds a key after the last. The leaf's keys must be settled before it is searched.
    pub(super) fn push(&mut self, key: &[u8], entry: Entry) {
        self.keys.push(key);
        self.entries.push(entry);
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.changes = self.changes.wrapping_add(1);
        self.keys.remove(at);
        self.entries.remove(at);
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.len() > KEYS_MAX || self.keys.bytes() > BYTES_MAX && self.len() > 1
    }

    pub(super) fn is_small(&self) -> bool {
        self.len() < KEYS_MAX / 4
    }

    /// Whether the two together make a leaf that is not soon split again.
    pub(super) fn has_room_for(&self, other: &Self) -> bool {
        self.len() + other.len() <= KEYS_MAX * 3 / 4 && self.keys.bytes() + other.keys.bytes() <= BYTES_MAX
    }

    /// Takes the keys from `at` on into a leaf of their own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let right = Self { keys: self.keys.split_off(at), entries: self.entries.split_off(at), changes: 0 };
        self.entries.shrink_to_fit();
        right
    }

    /// Adds all of `other`, whose keys come after this leaf's.
    pub(super) fn append(&mut self, mut other: Self) {
        self.keys.append(&other.keys);
        self.entries.reserve_exact(other.entries.len());
        self.entries.append(&mut other.entries);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The shortest key that is above everything in this leaf and not above anything in `right`. Neither is empty.
    pub(super) fn separator<'a>(&self, right: &'a Self) -> &'a [u8] {
        let (below, above) = (self.keys.get(self.len() - 1), right.keys.get(0));
        &above[..=common_len(below, above)]
    }
}
