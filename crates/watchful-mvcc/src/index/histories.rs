//! The older versions of keys, each key's in a queue of its own, the queues in slots that are used again.
//!
//! Versions come in at the newer end and go, by compaction, from the older end, so both ends must be cheap: a key that
//! is changed a million times between two compactions loses them in a million steps.

use std::collections::VecDeque;

use watchful_revision::Revision;

use super::entry::{NO_HISTORY, Packed, Version};

#[derive(Default)]
pub(super) struct Histories {
    slots: Vec<VecDeque<Packed>>,
    free: Vec<u32>,
    versions: usize,
    capacity: usize,
}

/// One slot in so many is kept free when the slots are made longer.
const GROW_PART: usize = 8;

impl Histories {
    /// How many older versions there are.
    pub(super) fn versions(&self) -> usize {
        self.versions
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<VecDeque<Packed>>()
            + self.free.capacity() * size_of::<u32>()
            + self.capacity * size_of::<Packed>()
    }

    /// Adds `version` to the history in `slot`, and tells the slot, which is a new one when there was none.
    pub(super) fn push(&mut self, slot: u32, version: Version) -> u32 {
        let slot = if slot == NO_HISTORY { self.take_slot() } else { slot };
        self.change(slot, |versions| {
            if versions.len() == versions.capacity() {
                versions.reserve_exact((versions.len() / GROW_PART).max(2));
            }
            versions.push_back(Packed::new(version));
        });
        slot
    }

    /// Adds a whole history, for bulk building.
    pub(super) fn insert(&mut self, versions: VecDeque<Packed>) -> u32 {
        let slot = self.take_slot();
        self.change(slot, |slot| *slot = versions);
        slot
    }

    /// Removes the version at `revision`. Tells the slot to keep: none when nothing is left in it.
    pub(super) fn remove(&mut self, slot: u32, revision: Revision) -> Option<u32> {
        if slot == NO_HISTORY {
            return None;
        }
        self.change(slot, |versions| {
            let at = versions.partition_point(|version| version.version().revision < revision);
            if versions.get(at).is_some_and(|version| version.version().revision == revision) {
                versions.remove(at);
            }
            if versions.len() < versions.capacity() / 4 {
                versions.shrink_to(versions.len() + versions.len() / GROW_PART);
            }
        });
        if self.slots[slot as usize].is_empty() {
            self.change(slot, |versions| *versions = VecDeque::new());
            self.free.push(slot);
            return None;
        }
        Some(slot)
    }

    /// The last version in `slot` for which `is_before` holds. It holds for none after the first for which it does not.
    pub(super) fn last(&self, slot: u32, is_before: impl Fn(Revision) -> bool) -> Option<Version> {
        let versions = self.slots.get(slot as usize)?;
        let after = versions.partition_point(|version| is_before(version.version().revision));
        Some(versions[after.checked_sub(1)?].version())
    }

    fn take_slot(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / GROW_PART).max(64));
        }
        self.slots.push(VecDeque::new());
        // A slot takes 32 bytes, so 2^32 of them would take 128 GiB of memory.
        u32::try_from(self.slots.len() - 1).unwrap_or(NO_HISTORY - 1)
    }

    fn change(&mut self, slot: u32, change: impl FnOnce(&mut VecDeque<Packed>)) {
        let versions = &mut self.slots[slot as usize];
        let (len, capacity) = (versions.len(), versions.capacity());
        change(versions);
        self.versions = self.versions + versions.len() - len;
        self.capacity = self.capacity + versions.capacity() - capacity;
    }
}
