//! A sorted list of keys in flat buffers: what a leaf finds its keys by, and a branch its children.
//!
//! The keys lie one after the other, and beside them, for each, the four bytes after what all keys of the list have in
//! common. A search looks at those *heads* first, which lie in a few neighbouring cache lines, and mostly at one key
//! after that. A box a key would cost 24 bytes more and a cache miss at each step: with a million keys of 64 bytes, two
//! thirds of a put were spent waiting for those.
//!
//! Invariants: keys are in order and none comes twice; every key begins with the same `common` bytes; heads never fall.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

#[derive(Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// How many bytes all keys are known to begin with. There may be more.
    common: usize,
}

/// A key's head, and where the key ends in the buffer of bytes.
#[derive(Clone, Copy)]
struct Place {
    head: u32,
    end: u32,
}

/// The most heads that are counted and not searched.
const COUNTED_MAX: usize = 256;

/// Buffers grow by room for so many keys at a time: doubling would waste a quarter of the index.
const GROW_KEYS: usize = 8;

impl Keys {
    pub(super) fn with_room(keys: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), places: Vec::with_capacity(keys), common: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.places[at].end as usize]
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.places[at - 1].end as usize }
    }

    /// Where `key` is, or where it would go.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let head = head(key, self.common);
        let low = self.first_at(head);
        // What is equal is found without a look at what the keys have in common.
        if self.places.get(low).is_some_and(|own| own.head == head) && self.get(low) == key {
            return Ok(low);
        }
        match self.cmp_common(key) {
            Ordering::Less => Err(0),
            Ordering::Greater => Err(self.len()),
            Ordering::Equal => self.search_between(key, low, head),
        }
    }

    /// The number of heads below `head`. All of a leaf's and a branch's are looked at, which fetches their cache lines at
    /// once; a search by halves would wait for three or four of them in turn.
    fn first_at(&self, head: u32) -> usize {
        if self.len() > COUNTED_MAX {
            return self.places.partition_point(|own| own.head < head);
        }
        self.places.iter().map(|own| usize::from(own.head < head)).sum()
    }

    /// How `key` stands to all keys of the list, as far as what they have in common tells.
    fn cmp_common(&self, key: &[u8]) -> Ordering {
        if self.places.is_empty() {
            return Ordering::Less;
        }
        let common = &self.get(0)[..self.common];
        key[..key.len().min(common.len())].cmp(common)
    }

    /// Searches among the keys with this head, the first of which would be at `low`.
    fn search_between(&self, key: &[u8], mut low: usize, head: u32) -> Result<usize, usize> {
        let mut high = low + self.places[low..].partition_point(|own| own.head == head);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.get(middle).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The places of the keys between two bounds.
    pub(super) fn span(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> Range<usize> {
        let before = |key| self.search(key).unwrap_or_else(|at| at);
        let after = |key| self.search(key).map_or_else(|at| at, |at| at + 1);
        let start = match low {
            Bound::Unbounded => 0,
            Bound::Included(key) => before(key),
            Bound::Excluded(key) => after(key),
        };
        let end = match high {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => after(key),
            Bound::Excluded(key) => before(key),
        };
        start..end.max(start)
    }

    pub(super) fn insert(&mut self, at: usize, key: &[u8]) {
        let common = if self.len() == 0 { key.len() } else { self.common.min(common_len(self.get(0), key)) };
        let start = self.start(at);
        grow(&mut self.bytes, key.len());
        self.bytes.extend_from_slice(key);
        self.bytes[start..].rotate_right(key.len());
        grow(&mut self.places, 1);
        self.places.insert(at, Place { head: head(key, common), end: to_u32(start) });
        for place in &mut self.places[at..] {
            place.end += to_u32(key.len());
        }
        if common != self.common {
            self.common = common;
            self.set_heads();
        }
    }

    /// Adds a key after the last. The list cannot be searched before [`settle`](Self::settle).
    pub(super) fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.places.push(Place { head: 0, end: to_u32(self.bytes.len()) });
    }

    /// Finds out anew what the keys have in common: in order, that is what the first and the last have.
    pub(super) fn settle(&mut self) {
        self.common = if self.len() == 0 { 0 } else { common_len(self.get(0), self.get(self.len() - 1)) };
        self.set_heads();
    }

    fn set_heads(&mut self) {
        let mut start = 0;
        for place in &mut self.places {
            place.head = head(&self.bytes[start..place.end as usize], self.common);
            start = place.end as usize;
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        let key = self.start(at)..self.places[at].end as usize;
        let len = to_u32(key.len());
        self.bytes.drain(key);
        self.places.remove(at);
        for place in &mut self.places[at..] {
            place.end -= len;
        }
    }

    /// Takes the keys from `at` on into a list of their own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let start = self.start(at);
        let mut places = self.places.split_off(at);
        for place in &mut places {
            place.end -= to_u32(start);
        }
        let mut right = Self { bytes: self.bytes.split_off(start), places, common: 0 };
        right.settle();
        self.settle();
        self.bytes.shrink_to_fit();
        self.places.shrink_to_fit();
        right
    }

    /// Adds all of `other`, whose keys come after this list's.
    pub(super) fn append(&mut self, other: &Self) {
        let moved = to_u32(self.bytes.len());
        self.bytes.reserve_exact(other.bytes.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.places.reserve_exact(other.len());
        self.places.extend(other.places.iter().map(|place| Place { end: place.end + moved, ..*place }));
        self.settle();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * size_of::<Place>()
    }
}

/// The four bytes of `key` after the first `common`, as a number that sorts as they do; zeroes where the key ends.
fn head(key: &[u8], common: usize) -> u32 {
    let rest = key.get(common..).unwrap_or_default();
    match rest.first_chunk::<4>() {
        Some(head) => u32::from_be_bytes(*head),
        None => {
            let mut head = [0; 4];
            head[..rest.len()].copy_from_slice(rest);
            u32::from_be_bytes(head)
        }
    }
}

pub(super) fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

pub(super) fn grow<T>(buffer: &mut Vec<T>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        buffer.reserve_exact(more * GROW_KEYS);
    }
}

/// A list holds far less than 4 GiB: some dozen keys of at most [`KEY_LEN_MAX`](super::KEY_LEN_MAX), or separators, of
/// which even the root's do not come near.
fn to_u32(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok());
    #[expect(clippy::cast_possible_truncation, reason = "bounded as the comment says")]
    let len = len as u32;
    len
}
