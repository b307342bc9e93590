//! The shape of the tree: links, heights, and which range of each subtree ends last. It knows no groups.

use std::cmp::Ordering;

use super::bounds::Bounds;
use super::head::{Head, HeadMaker};

/// The place of a range in the arena. Half the size of a pointer, and a link needs no unsafe code.
pub(super) type Slot = u32;

/// The link to nothing.
pub(super) const NIL: Slot = Slot::MAX;

pub(super) const LEFT: usize = 0;
pub(super) const RIGHT: usize = 1;

/// What a descent looks at, apart from the bounds: one line of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Node {
    pub(super) start_head: Head,
    pub(super) end_head: Head,
    /// The head of the end of `last`.
    pub(super) last_head: Head,
    pub(super) children: [Slot; 2],
    /// The range that ends last among this node's own and those below it.
    pub(super) last: Slot,
    /// 1 for a leaf.
    pub(super) height: u8,
}

const _: () = assert!(size_of::<Node>() == 64, "a step of a descent fetches one line of the cache");

/// A key to look for, with its head.
pub(super) struct Probe<'a> {
    key: &'a [u8],
    head: Head,
}

/// The arena: a node and bounds for each slot. Of a free slot neither means anything.
#[derive(Default)]
pub(super) struct Shape {
    nodes: Vec<Node>,
    bounds: Vec<Bounds>,
    heads: HeadMaker,
}

impl Shape {
    /// Puts a range into a slot: a free one, or the one after the last. It is in no tree yet.
    pub(super) fn place(&mut self, slot: Slot, bounds: Bounds) {
        let start_head = self.heads.head(bounds.start());
        let end_head = self.heads.head_of_end(bounds.end());
        let (children, last, last_head, height) = ([NIL; 2], slot, end_head, 1);
        let node = Node { start_head, end_head, last_head, children, last, height };
        if slot as usize == self.nodes.len() {
            self.nodes.push(node);
            self.bounds.push(bounds);
        } else {
            self.nodes[slot as usize] = node;
            self.bounds[slot as usize] = bounds;
        }
    }

    /// Finds the slot of a range in the tree under `root`.
    pub(super) fn find(&self, root: Slot, bounds: &Bounds) -> Option<Slot> {
        let head = self.heads.head(bounds.start());
        let mut slot = root;
        while slot != NIL {
            slot = match self.cmp(head, bounds, slot) {
                Ordering::Less => self.child(slot, LEFT),
                Ordering::Equal => return Some(slot),
                Ordering::Greater => self.child(slot, RIGHT),
            };
        }
        None
    }

    /// Adds a placed range to the tree under `root` and returns the new root. The tree does not hold the range yet.
    pub(super) fn insert(&mut self, root: Slot, new: Slot) -> Slot {
        if root == NIL {
            return new;
        }
        let side = self.side(new, root);
        let child = self.insert(self.child(root, side), new);
        self.node_mut(root).children[side] = child;
        self.rebalance(root)
    }

    /// Takes a range out of the tree under `root`, which holds it, and returns the new root.
    pub(super) fn remove(&mut self, root: Slot, gone: Slot) -> Slot {
        if root == gone {
            return self.join(self.child(gone, LEFT), self.child(gone, RIGHT));
        }
        let side = self.side(gone, root);
        let child = self.remove(self.child(root, side), gone);
        self.node_mut(root).children[side] = child;
        self.rebalance(root)
    }

    /// Makes the heads anew for the tree under `root`, from where the keys of its middle half begin to differ. So a
    /// range far from all others (everything, say) does not spoil the heads of the rest.
    pub(super) fn make_heads(&mut self, root: Slot) {
        let [left, right] = self.node(root).children;
        if left == NIL || right == NIL {
            return;
        }
        self.heads = HeadMaker::between(self.bounds(left).start(), self.bounds(right).start());
        for (node, bounds) in self.nodes.iter_mut().zip(&self.bounds) {
            node.start_head = self.heads.head(bounds.start());
            node.end_head = self.heads.head_of_end(bounds.end());
        }
        for slot in 0..self.nodes.len() {
            self.nodes[slot].last_head = self.nodes[self.nodes[slot].last as usize].end_head;
        }
    }

    pub(super) fn probe<'a>(&self, key: &'a [u8]) -> Probe<'a> {
        Probe { key, head: self.heads.head(key) }
    }

    /// Whether some range of the tree under `node` ends after the key.
    pub(super) fn last_ends_after(&self, node: &Node, probe: &Probe<'_>) -> bool {
        decide(node.last_head.cmp(&probe.head), || self.bounds(node.last).ends_after(probe.key))
    }

    /// Whether the range of `slot`, whose node is at hand, ends after the key.
    pub(super) fn ends_after(&self, slot: Slot, node: &Node, probe: &Probe<'_>) -> bool {
        decide(node.end_head.cmp(&probe.head), || self.bounds(slot).ends_after(probe.key))
    }

    /// Whether the range of `slot`, whose node is at hand, starts after the key.
    pub(super) fn starts_after(&self, slot: Slot, node: &Node, probe: &Probe<'_>) -> bool {
        decide(node.start_head.cmp(&probe.head), || self.bounds(slot).start() > probe.key)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let slots = self.nodes.capacity() * size_of::<Node>() + self.bounds.capacity() * size_of::<Bounds>();
        slots + self.bounds.iter().map(Bounds::heap_bytes).sum::<usize>()
    }

    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot as usize]
    }

    pub(super) fn bounds(&self, slot: Slot) -> &Bounds {
        &self.bounds[slot as usize]
    }

    #[cfg(test)]
    pub(super) fn heads(&self) -> &HeadMaker {
        &self.heads
    }

    fn node_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    fn child(&self, slot: Slot, side: usize) -> Slot {
        self.node(slot).children[side]
    }

    fn height(&self, slot: Slot) -> u8 {
        if slot == NIL { 0 } else { self.node(slot).height }
    }

    fn side(&self, sought: Slot, slot: Slot) -> usize {
        let order = self.cmp(self.node(sought).start_head, self.bounds(sought), slot);
        if order.is_lt() { LEFT } else { RIGHT }
    }

    /// Compares a range, and the head of its start, with that of a slot.
    fn cmp(&self, head: Head, bounds: &Bounds, slot: Slot) -> Ordering {
        head.cmp(&self.node(slot).start_head).then_with(|| bounds.cmp(self.bounds(slot)))
    }

    /// Makes one tree of two sisters whose mother is gone: the first of the right takes her place.
    fn join(&mut self, left: Slot, right: Slot) -> Slot {
        if left == NIL || right == NIL {
            return if left == NIL { right } else { left };
        }
        let (rest, first) = self.take_first(right);
        self.node_mut(first).children = [left, rest];
        self.rebalance(first)
    }

    /// Takes the first range out of a tree: what is left of the tree, and the range.
    fn take_first(&mut self, root: Slot) -> (Slot, Slot) {
        let [left, right] = self.node(root).children;
        if left == NIL {
            return (right, root);
        }
        let (rest, first) = self.take_first(left);
        self.node_mut(root).children[LEFT] = rest;
        (self.rebalance(root), first)
    }

    /// Makes a node right again whose children are right and differ in height by two at most.
    fn rebalance(&mut self, slot: Slot) -> Slot {
        let [left, right] = self.node(slot).children.map(|child| self.height(child));
        if left > right + 1 {
            self.lift(slot, LEFT)
        } else if right > left + 1 {
            self.lift(slot, RIGHT)
        } else {
            self.refresh(slot);
            slot
        }
    }

    /// Lifts the child on the higher side above its mother; its inner child first, where that is what makes it high.
    fn lift(&mut self, slot: Slot, side: usize) -> Slot {
        let child = self.child(slot, side);
        let [outer, inner] = [side, 1 - side].map(|side| self.height(self.child(child, side)));
        if inner > outer {
            self.node_mut(slot).children[side] = self.rotate(child, 1 - side);
        }
        self.rotate(slot, side)
    }

    fn rotate(&mut self, slot: Slot, side: usize) -> Slot {
        let child = self.child(slot, side);
        self.node_mut(slot).children[side] = self.child(child, 1 - side);
        self.refresh(slot);
        self.node_mut(child).children[1 - side] = slot;
        self.refresh(child);
        child
    }

    /// Works out a node's height and last end from its children, which are right.
    fn refresh(&mut self, slot: Slot) {
        let mut node = Node { last: slot, height: 1, ..*self.node(slot) };
        node.last_head = node.end_head;
        for child in node.children.into_iter().filter(|child| *child != NIL) {
            let child = self.node(child);
            node.height = node.height.max(child.height + 1);
            let ends = || self.bounds(child.last).cmp_end(self.bounds(node.last));
            if child.last_head.cmp(&node.last_head).then_with(ends).is_gt() {
                (node.last, node.last_head) = (child.last, child.last_head);
            }
        }
        *self.node_mut(slot) = node;
    }
}

/// Whether one key is greater than another, from the order of their heads; the keys are asked only where those are equal.
fn decide(heads: Ordering, keys: impl FnOnce() -> bool) -> bool {
    match heads {
        Ordering::Less => false,
        Ordering::Equal => keys(),
        Ordering::Greater => true,
    }
}
