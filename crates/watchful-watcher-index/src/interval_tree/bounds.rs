//! Where a range starts and ends, in the tree's own copy: a prefix has an end only when one is made for it.

use std::cmp::Ordering;

use watchful_revision::KeyRange;

/// A half-open range. Ordered by start, then end; no end is after every end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    start: Box<[u8]>,
    /// None: the range has no end.
    end: Option<Box<[u8]>>,
}

impl Bounds {
    pub(super) fn of(range: &KeyRange) -> Self {
        Self { start: range.start().into(), end: range.end().map(Vec::into_boxed_slice) }
    }

    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(super) fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// Whether the range ends after `key`, so that it holds the key if it starts early enough.
    pub(super) fn ends_after(&self, key: &[u8]) -> bool {
        self.end().is_none_or(|end| key < end)
    }

    pub(super) fn cmp_end(&self, other: &Self) -> Ordering {
        match (self.end(), other.end()) {
            (Some(own), Some(other)) => own.cmp(other),
            (own, other) => own.is_none().cmp(&other.is_none()),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.start.len() + self.end().map_or(0, <[u8]>::len)
    }
}

impl Ord for Bounds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start).then_with(|| self.cmp_end(other))
    }
}

impl PartialOrd for Bounds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
