//! Walks over a range of keys, in short turns: a bounded number of keys a turn, and between two turns nothing is held,
//! so that the index's owner can let others at it.
//!
//! A walk remembers the last key it looked at and goes on after it. Keys that come and go between turns are seen or not;
//! what is visible at the reader's revision is not among them.

use std::ops::Bound;

use watchful_revision::{KeyRange, Revision};

use super::KeyIndex;
use super::leaf::Leaf;

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// Where a walk is.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    direction: Direction,
    is_done: bool,
}

impl Walk {
    pub(crate) fn new(range: &KeyRange, direction: Direction) -> Self {
        Self {
            low: Bound::Included(range.start().to_vec()),
            high: range.end().map_or(Bound::Unbounded, Bound::Excluded),
            direction,
            is_done: false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// Looks at the next `keys_max` keys, and shows those that are visible at main revision `at`.
    pub(crate) fn turn(
        &mut self,
        index: &KeyIndex,
        at: u64,
        keys_max: usize,
        mut visit: impl FnMut(&[u8], Revision),
    ) {
        let bounds = (self.low.as_ref().map(Vec::as_slice), self.high.as_ref().map(Vec::as_slice));
        let last = match self.direction {
            Direction::Ascending => index.walk_up(bounds, at, keys_max, &mut visit),
            Direction::Descending => index.walk_down(bounds, at, keys_max, &mut visit),
        };
        match (last, self.direction) {
            (None, _) => self.is_done = true,
            (Some(key), Direction::Ascending) => go_on_after(&mut self.low, key),
            (Some(key), Direction::Descending) => go_on_after(&mut self.high, key),
        }
    }
}

/// Reuses the bound's buffer: a long walk takes one turn for every few hundred keys.
fn go_on_after(bound: &mut Bound<Vec<u8>>, key: &[u8]) {
    let mut buffer = match std::mem::replace(bound, Bound::Unbounded) {
        Bound::Included(buffer) | Bound::Excluded(buffer) => buffer,
        Bound::Unbounded => Vec::new(),
    };
    buffer.clear();
    buffer.extend_from_slice(key);
    *bound = Bound::Excluded(buffer);
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
type Visit<'a> = dyn FnMut(&[u8], Revision) + 'a;

/// Both walks tell the last key they looked at when they stopped for `keys_max`, and none when the range is exhausted.
impl KeyIndex {
    fn walk_up(&self, bounds: Bounds<'_>, at: u64, keys_max: usize, visit: &mut Visit<'_>) -> Option<&[u8]> {
        let mut left = keys_max;
        let mut last = None;
        for leaf in self.leaves_up(bounds.0) {
            let span = leaf.keys.span(bounds.0, bounds.1);
            let ends_here = span.end < leaf.len();
            for place in span {
                if left == 0 {
                    return last;
                }
                left -= 1;
                last = Some(leaf.keys.get(place));
                if let Some(revision) = self.visible_version(leaf.entry(place), at) {
                    visit(leaf.keys.get(place), revision);
                }
            }
            if ends_here {
                return None;
            }
        }
        None
    }

    fn walk_down(
        &self,
        bounds: Bounds<'_>,
        at: u64,
        keys_max: usize,
        visit: &mut Visit<'_>,
    ) -> Option<&[u8]> {
        let mut left = keys_max;
        let mut last = None;
        for leaf in self.leaves_down(bounds.1) {
            let span = leaf.keys.span(bounds.0, bounds.1);
            let ends_here = span.start > 0;
            for place in span.rev() {
                if left == 0 {
                    return last;
                }
                left -= 1;
                last = Some(leaf.keys.get(place));
                if let Some(revision) = self.visible_version(leaf.entry(place), at) {
                    visit(leaf.keys.get(place), revision);
                }
            }
            if ends_here {
                return None;
            }
        }
        None
    }

    /// The leaves that can hold keys from `low` on, in order.
    fn leaves_up(&self, low: Bound<&[u8]>) -> impl Iterator<Item = &Leaf> {
        let (branch, leaf) = match low {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) | Bound::Excluded(key) => self.place_of(key),
        };
        let (first, rest) = self.root.children[branch..].split_at(1);
        let first = first.iter().flat_map(move |branch| &branch.children[leaf..]);
        first.chain(rest.iter().flat_map(|branch| &branch.children))
    }

    /// The leaves that can hold keys up to `high`, the last first.
    fn leaves_down(&self, high: Bound<&[u8]>) -> impl Iterator<Item = &Leaf> {
        let last_branch = self.root.len() - 1;
        let (branch, leaf) = match high {
            Bound::Unbounded => (last_branch, self.root.children[last_branch].len() - 1),
            Bound::Included(key) | Bound::Excluded(key) => self.place_of(key),
        };
        let (rest, last) = self.root.children[..=branch].split_at(branch);
        let last = last.iter().flat_map(move |branch| branch.children[..=leaf].iter().rev());
        last.chain(rest.iter().rev().flat_map(|branch| branch.children.iter().rev()))
    }
}
