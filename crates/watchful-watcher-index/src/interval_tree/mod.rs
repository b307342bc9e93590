//! Watchers of ranges between two keys or from a key on: an interval tree in one arena.
//!
//! A balanced (AVL) search tree of the ranges, ordered by start and then end. Each node knows which range of its
//! subtree ends last, so a stab passes over a subtree that ends before the key: it costs the logarithm of the number of
//! ranges, and that once more for each range found. The tree is the textbook's (Cormen et al., "Introduction to
//! Algorithms", interval trees).
//!
//! # Invariants
//!
//! - A range has one node, whatever the number of its groups.
//! - The heights of two sisters differ by at most one.
//! - `Node::last` is the range that ends last of a node's own and those below it.
//! - Heads only save time: answers rest on the bounds (see `head`).

mod bounds;
mod head;
mod shape;

#[cfg(test)]
mod tests;

use watchful_revision::KeyRange;

use crate::GroupId;
use crate::postings::{Postings, Removal};
use bounds::Bounds;
use shape::{LEFT, NIL, Probe, RIGHT, Shape, Slot};

pub(crate) struct IntervalTree {
    root: Slot,
    shape: Shape,
    /// By slot; none for a free one.
    groups: Vec<Option<Postings>>,
    free: Vec<Slot>,
    /// How many slots there are when the heads are next made anew.
    heads_due: usize,
}

/// The heads are first made at so many ranges, and again whenever there are so many times more: often enough to suit
/// the keys there are, and each range pays for a third of a making on average.
const HEADS_FIRST: usize = 4;
const HEADS_AGAIN: usize = 4;

impl Default for IntervalTree {
    fn default() -> Self {
        Self {
            root: NIL,
            shape: Shape::default(),
            groups: Vec::new(),
            free: Vec::new(),
            heads_due: HEADS_FIRST,
        }
    }
}

impl IntervalTree {
    /// Adds the pair; false if it was there already.
    pub(crate) fn insert(&mut self, range: &KeyRange, group: GroupId) -> bool {
        let bounds = Bounds::of(range);
        match self.shape.find(self.root, &bounds) {
            Some(slot) => self.groups[slot as usize].as_mut().is_some_and(|groups| groups.insert(group)),
            None => {
                let slot = self.place(bounds, group);
                self.root = self.shape.insert(self.root, slot);
                self.make_heads_if_due();
                true
            }
        }
    }

    /// Removes the pair; false if it was not there.
    pub(crate) fn remove(&mut self, range: &KeyRange, group: GroupId) -> bool {
        let Some(slot) = self.find(range) else {
            return false;
        };
        let groups = &mut self.groups[slot as usize];
        let removal = groups.as_mut().map_or(Removal::Absent, |groups| groups.remove(group));
        if removal == Removal::Last {
            *groups = None;
            self.root = self.shape.remove(self.root, slot);
            self.free.push(slot);
        }
        removal != Removal::Absent
    }

    /// Whether the tree has this range, under any group.
    pub(crate) fn holds(&self, range: &KeyRange) -> bool {
        self.find(range).is_some()
    }

    /// Appends the groups of every range that holds `key`.
    pub(crate) fn stab(&self, key: &[u8], found: &mut Vec<GroupId>) {
        self.stab_under(self.root, &self.shape.probe(key), found);
    }

    /// Appends the groups of this one range.
    pub(crate) fn groups_of(&self, range: &KeyRange, found: &mut Vec<GroupId>) {
        if let Some(slot) = self.find(range) {
            found.extend_from_slice(self.groups_at(slot));
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let slots = self.shape.memory_bytes()
            + self.groups.capacity() * size_of::<Option<Postings>>()
            + self.free.capacity() * size_of::<Slot>();
        slots + self.groups.iter().flatten().map(Postings::heap_bytes).sum::<usize>()
    }

    fn find(&self, range: &KeyRange) -> Option<Slot> {
        // Nearly every index has no such range, and is asked for each new prefix.
        if self.root == NIL { None } else { self.shape.find(self.root, &Bounds::of(range)) }
    }

    fn place(&mut self, bounds: Bounds, group: GroupId) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            Slot::try_from(self.groups.len() - 1)
                .expect("four thousand million ranges do not fit into memory")
        });
        self.groups[slot as usize] = Some(Postings::One(group));
        self.shape.place(slot, bounds);
        slot
    }

    fn make_heads_if_due(&mut self) {
        if self.groups.len() >= self.heads_due {
            self.heads_due = self.groups.len().saturating_mul(HEADS_AGAIN);
            self.shape.make_heads(self.root);
        }
    }

    /// Recursion to the left, a loop to the right; no deeper than the tree is high.
    fn stab_under(&self, root: Slot, probe: &Probe<'_>, found: &mut Vec<GroupId>) {
        let mut slot = root;
        while slot != NIL {
            let node = self.shape.node(slot);
            if !self.shape.last_ends_after(node, probe) {
                return;
            }
            self.stab_under(node.children[LEFT], probe, found);
            if self.shape.starts_after(slot, node, probe) {
                return;
            }
            if self.shape.ends_after(slot, node, probe) {
                found.extend_from_slice(self.groups_at(slot));
            }
            slot = node.children[RIGHT];
        }
    }

    fn groups_at(&self, slot: Slot) -> &[GroupId] {
        self.groups[slot as usize].as_ref().map_or(&[], Postings::as_slice)
    }
}
