//! One page of a tree, read and checked: every element lies inside and behind the one before, and its keys are in order.

use std::ops::Range;

use crate::error::{ReadError, damaged};
use crate::format::{
    ELEMENT_BUCKET, ELEMENT_LEN, HEAD_LEN, Head, PAGE_BRANCH, PAGE_LEAF, PageId, u32_at, u64_at,
};

/// A branch or a leaf.
#[derive(Debug)]
pub(crate) struct Page {
    id: PageId,
    is_leaf: bool,
    count: usize,
    bytes: Vec<u8>,
}

impl Page {
    /// Checks the bytes of a page, which are all it has: with those behind it that belong to it.
    ///
    /// An inline page is known by the page that it is in.
    pub(crate) fn parse(id: PageId, bytes: Vec<u8>) -> Result<Self, ReadError> {
        let head = Head::parse(&bytes).ok_or_else(|| damaged(id, "a page in it is too short for one"))?;
        let is_leaf = match head.flags {
            PAGE_LEAF => true,
            PAGE_BRANCH => false,
            flags => {
                return Err(damaged(id, format!("its flags are {flags:#x}, which is no branch and no leaf")));
            }
        };
        let count = usize::from(head.count);
        if HEAD_LEN + count * ELEMENT_LEN > bytes.len() {
            return Err(damaged(id, format!("it has room for less than its {count} elements")));
        }
        if count == 0 && !is_leaf {
            return Err(damaged(id, "it is a branch without children"));
        }
        let page = Self { id, is_leaf, count, bytes };
        page.check_elements()?;
        Ok(page)
    }

    /// No two elements may share bytes: what a page holds would be more than its bytes, and with buckets in buckets any
    /// times more. bbolt writes what the elements point to in their order.
    fn check_elements(&self) -> Result<(), ReadError> {
        let (mut last, mut last_end) = (&[][..], 0);
        for at in 0..self.count {
            let outside = || damaged(self.id, format!("element {at} points out of the page"));
            let (key_range, value_range) = self.ranges(at).ok_or_else(outside)?;
            if key_range.start < last_end {
                let what = format!("element {at} begins before the end of the one before");
                return Err(damaged(self.id, what));
            }
            last_end = value_range.end;
            let key = self.key(at);
            if key.is_empty() || key <= last {
                return Err(damaged(
                    self.id,
                    format!("the key of element {at} does not come after the one before"),
                ));
            }
            if self.is_leaf && !matches!(self.flags(at), 0 | ELEMENT_BUCKET) {
                return Err(damaged(self.id, format!("element {at} has flags that no element has")));
            }
            last = key;
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> PageId {
        self.id
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.is_leaf
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The key of an element; empty where there is none.
    pub(crate) fn key(&self, at: usize) -> &[u8] {
        self.ranges(at).map_or(&[], |(key, _)| &self.bytes[key])
    }

    /// The value of a leaf's element; empty where there is none.
    pub(crate) fn value(&self, at: usize) -> &[u8] {
        self.ranges(at).map_or(&[], |(_, value)| &self.bytes[value])
    }

    /// Whether the value of a leaf's element is a bucket.
    pub(crate) fn is_bucket(&self, at: usize) -> bool {
        self.flags(at) == ELEMENT_BUCKET
    }

    /// The page that a branch's element points to.
    pub(crate) fn child(&self, at: usize) -> PageId {
        u64_at(&self.bytes, HEAD_LEN + at * ELEMENT_LEN + 8).unwrap_or_default()
    }

    fn flags(&self, at: usize) -> u32 {
        u32_at(&self.bytes, HEAD_LEN + at * ELEMENT_LEN).unwrap_or_default()
    }

    /// Where an element's key and value are; none when they are not in the page, or in the midst of the elements.
    fn ranges(&self, at: usize) -> Option<(Range<usize>, Range<usize>)> {
        if at >= self.count {
            return None;
        }
        let element_at = HEAD_LEN + at * ELEMENT_LEN;
        let number = |offset| usize::try_from(u32_at(&self.bytes, element_at + offset)?).ok();
        let (pos, key_len, value_len) = match self.is_leaf {
            true => (number(4)?, number(8)?, number(12)?),
            false => (number(0)?, number(4)?, 0),
        };
        let key_start = element_at.checked_add(pos)?;
        let value_start = key_start.checked_add(key_len)?;
        let end = value_start.checked_add(value_len)?;
        let is_inside = key_start >= HEAD_LEN + self.count * ELEMENT_LEN && end <= self.bytes.len();
        is_inside.then_some((key_start..value_start, value_start..end))
    }
}
