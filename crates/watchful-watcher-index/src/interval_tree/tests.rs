//! The tree's invariants, looked at after every step. What it answers is tested from outside, in `tests/it`.

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_revision::KeyRange;

use super::IntervalTree;
use super::head::HeadMaker;
use super::shape::{LEFT, NIL, RIGHT, Slot};
use crate::GroupId;

impl IntervalTree {
    fn check(&self) {
        let ranges = self.groups.iter().flatten().count();
        assert_eq!(
            self.check_under(self.root),
            ranges,
            "a range is missing from the tree, or is in it twice"
        );
        assert_eq!(ranges + self.free.len(), self.groups.len(), "a slot is lost");
        assert!(self.groups.iter().flatten().all(|groups| !groups.as_slice().is_empty()));
    }

    /// Checks a subtree and returns how many ranges it has.
    fn check_under(&self, slot: Slot) -> usize {
        if slot == NIL {
            return 0;
        }
        let [left, right] = self.shape.node(slot).children;
        self.check_order(slot);
        self.check_height(slot);
        self.check_last(slot);
        self.check_heads(slot);
        self.check_under(left) + 1 + self.check_under(right)
    }

    fn check_order(&self, slot: Slot) {
        let node = self.shape.node(slot);
        let bounds = self.shape.bounds(slot);
        let is_before = |below: Slot| self.shape.bounds(below) < bounds;
        let is_after = |below: Slot| self.shape.bounds(below) > bounds;
        assert!(self.slots_under(node.children[LEFT]).into_iter().all(is_before));
        assert!(self.slots_under(node.children[RIGHT]).into_iter().all(is_after));
    }

    fn check_height(&self, slot: Slot) {
        let node = self.shape.node(slot);
        let [left, right] = node.children.map(|child| self.height_of(child));
        assert!(left.abs_diff(right) <= 1, "the tree leans: {left} left, {right} right");
        assert_eq!(node.height, left.max(right) + 1);
    }

    fn check_last(&self, slot: Slot) {
        let last = self.shape.node(slot).last;
        let below = self.slots_under(slot);
        assert!(below.contains(&last));
        assert!(below.iter().all(|own| self.shape.bounds(*own).cmp_end(self.shape.bounds(last)).is_le()));
    }

    fn check_heads(&self, slot: Slot) {
        let (node, bounds) = (self.shape.node(slot), self.shape.bounds(slot));
        assert_eq!(node.start_head, self.shape.heads().head(bounds.start()));
        assert_eq!(node.end_head, self.shape.heads().head_of_end(bounds.end()));
        assert_eq!(node.last_head, self.shape.node(node.last).end_head);
    }

    fn height_of(&self, slot: Slot) -> u8 {
        if slot == NIL { 0 } else { self.shape.node(slot).height }
    }

    fn slots_under(&self, slot: Slot) -> Vec<Slot> {
        if slot == NIL {
            return Vec::new();
        }
        let [left, right] = self.shape.node(slot).children;
        [self.slots_under(left), vec![slot], self.slots_under(right)].concat()
    }
}

/// Up to twenty bytes, so that some keys are longer than a head; many begin alike.
fn arb_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)];
    let long = vec(byte.clone(), 0..=3).prop_map(|end| [&[b'a'; 17][..], &end].concat());
    prop_oneof![3 => vec(byte, 0..=4), 1 => long]
}

/// Miri is some hundred times slower.
const STEPS_MAX: usize = if cfg!(miri) { 15 } else { 80 };

fn arb_range() -> impl Strategy<Value = KeyRange> {
    let between = (arb_key(), arb_key()).prop_filter_map("a range holds a key", |(a, b)| {
        let (start, end) = if a < b { (a, b) } else { (b, a) };
        KeyRange::between(start, end).ok()
    });
    prop_oneof![4 => between, 1 => arb_key().prop_map(KeyRange::from_key)]
}

proptest! {
    #[test]
    fn invariants_hold_after_every_step(steps in vec((arb_range(), any::<prop::sample::Index>(), 0..3_u8), 1..STEPS_MAX)) {
        let mut tree = IntervalTree::default();
        let mut there = Vec::new();
        for (range, place, kind) in steps {
            if kind < 2 || there.is_empty() {
                let group = GroupId(u32::from(kind));
                let absent = !there.contains(&(range.clone(), group));
                prop_assert_eq!(tree.insert(&range, group), absent);
                there.extend(absent.then_some((range, group)));
            } else {
                let (range, group) = there.swap_remove(place.index(there.len()));
                prop_assert!(tree.remove(&range, group));
                prop_assert!(!tree.remove(&range, group));
            }
            tree.check();
        }
    }

    #[test]
    fn heads_sort_as_keys_do(low in arb_key(), high in arb_key(), a in arb_key(), b in arb_key()) {
        let heads = HeadMaker::between(&low, &high);
        if heads.head(&a) < heads.head(&b) {
            prop_assert!(a < b);
        }
    }
}

/// Ascending and descending ranges are what a tree without balance is worst at.
#[test]
fn ten_thousand_sorted_ranges_keep_the_tree_low() {
    const HALF: u32 = if cfg!(miri) { 20 } else { 5_000 };
    let range = |at: u32| KeyRange::between(at.to_be_bytes(), (at + 2).to_be_bytes()).unwrap();
    let mut tree = IntervalTree::default();
    for at in 0..HALF {
        tree.insert(&range(at), GroupId(at));
        tree.insert(&range(20_000 - at), GroupId(at));
    }
    assert!(tree.height_of(tree.root) <= 18, "1.44 times the binary logarithm is 19.1");
    for at in (0..HALF).rev() {
        assert!(tree.remove(&range(at), GroupId(at)));
    }
    assert!(tree.height_of(tree.root) <= 17);
    tree.check();
}

#[test]
fn a_slot_is_used_again() {
    let mut tree = IntervalTree::default();
    for at in 0..100_u8 {
        let range = KeyRange::between([at], [at, 7]).unwrap();
        tree.insert(&range, GroupId(1));
        tree.remove(&range, GroupId(1));
    }
    assert_eq!(tree.groups.len(), 1);
}
