//! One bucket's tree, built from the bottom up: keys come in order, so a leaf that is full is written and never seen again,
//! and its first key and its number go to the branch above. Memory holds one page a level.
//!
//! A branch keeps its last child back when it is written, for the next one to begin with. So no branch ever has a single
//! child, which bbolt could not stand when it deletes: it looks for the other one.

use std::io::Write;

use crate::error::WriteError;
use crate::format::{
    ELEMENT_LEN, HEAD_LEN, Head, PAGE_BRANCH, PAGE_LEAF, PAGE_LEN, PageId, put_u32, put_u64,
};
use crate::writer::Pages;

/// The tree of one bucket.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    leaf: Leaf,
    /// The branches under way, the lowest first.
    branches: Vec<Branch>,
    last_key: Vec<u8>,
}

#[derive(Debug, Default)]
struct Leaf {
    elements: Vec<Element>,
    /// The keys and values, one behind the other.
    content: Vec<u8>,
}

#[derive(Debug)]
struct Element {
    flags: u32,
    key_len: u32,
    value_len: u32,
}

#[derive(Debug, Default)]
struct Branch {
    children: Vec<Child>,
    keys_len: usize,
}

/// A page that is written, and its first key.
#[derive(Debug)]
struct Child {
    key: Vec<u8>,
    page: PageId,
}

impl Tree {
    /// Whether `key` comes after everything that is in the tree.
    pub(crate) fn comes_after(&self, key: &[u8]) -> bool {
        *key > self.last_key[..]
    }

    /// Adds a key that comes after the others. Its length and the value's were checked.
    pub(crate) fn put<W: Write>(
        &mut self,
        flags: u32,
        key: &[u8],
        value: &[u8],
        pages: &mut Pages<W>,
    ) -> Result<(), WriteError> {
        if !self.leaf.has_room(key.len() + value.len()) {
            self.end_leaf(pages)?;
        }
        self.leaf.push(flags, key, value);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// The whole tree as one page that belongs into its parent's leaf, where it has at most so many bytes.
    pub(crate) fn as_page_within(&self, len_max: usize) -> Option<Vec<u8>> {
        (self.branches.is_empty() && self.leaf.len() <= len_max).then(|| self.leaf.encode(0))
    }

    /// Writes what is left. Tells the root.
    pub(crate) fn finish<W: Write>(mut self, pages: &mut Pages<W>) -> Result<PageId, WriteError> {
        self.end_leaf(pages)?;
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.branches.len();
            let branch = std::mem::take(&mut self.branches[level]);
            if let ([child], true) = (&branch.children[..], is_top) {
                return Ok(child.page);
            }
            let child = branch.write(pages)?;
            self.add_child(level + 1, child, pages)?;
            level += 1;
        }
    }

    fn end_leaf<W: Write>(&mut self, pages: &mut Pages<W>) -> Result<(), WriteError> {
        let leaf = std::mem::take(&mut self.leaf);
        let child = Child { key: leaf.first_key().to_vec(), page: pages.next() };
        pages.write(&leaf.encode(child.page))?;
        self.add_child(0, child, pages)
    }

    /// Where a branch is full, it is written, and its place in the branch above is next.
    fn add_child<W: Write>(
        &mut self,
        mut level: usize,
        mut child: Child,
        pages: &mut Pages<W>,
    ) -> Result<(), WriteError> {
        loop {
            if level == self.branches.len() {
                self.branches.push(Branch::default());
            }
            let Some(full) = self.branches[level].push(child) else { return Ok(()) };
            child = full.write(pages)?;
            level += 1;
        }
    }
}

impl Leaf {
    fn len(&self) -> usize {
        HEAD_LEN + self.elements.len() * ELEMENT_LEN + self.content.len()
    }

    /// An empty leaf has room for anything: what is larger than a page has one of its own, with pages behind it.
    fn has_room(&self, content_len: usize) -> bool {
        self.elements.is_empty() || self.len() + ELEMENT_LEN + content_len <= PAGE_LEN
    }

    fn push(&mut self, flags: u32, key: &[u8], value: &[u8]) {
        self.elements.push(Element { flags, key_len: len_u32(key), value_len: len_u32(value) });
        self.content.extend_from_slice(key);
        self.content.extend_from_slice(value);
    }

    fn first_key(&self) -> &[u8] {
        let len = self.elements.first().map_or(0, |element| element.key_len);
        &self.content[..len as usize]
    }

    fn encode(&self, id: PageId) -> Vec<u8> {
        let mut page = begin(id, PAGE_LEAF, self.elements.len(), self.len());
        let mut content_at = HEAD_LEN + self.elements.len() * ELEMENT_LEN;
        for element in &self.elements {
            let pos = content_at - page.len();
            put_u32(element.flags, &mut page);
            put_u32(u32_of(pos), &mut page);
            put_u32(element.key_len, &mut page);
            put_u32(element.value_len, &mut page);
            content_at += (element.key_len + element.value_len) as usize;
        }
        page.extend_from_slice(&self.content);
        page
    }
}

impl Branch {
    fn len(&self) -> usize {
        HEAD_LEN + self.children.len() * ELEMENT_LEN + self.keys_len
    }

    /// Adds a child. Where it is one too many, gives back the branch that is full, and goes on with its last child and this
    /// one.
    fn push(&mut self, child: Child) -> Option<Self> {
        let mut full = None;
        // With keys that are longer than a page, a branch has pages behind it too.
        if self.children.len() > 2 && self.len() + ELEMENT_LEN + child.key.len() > PAGE_LEN {
            let mut before = std::mem::take(self);
            if let Some(last) = before.children.pop() {
                before.keys_len -= last.key.len();
                self.add(last);
            }
            full = Some(before);
        }
        self.add(child);
        full
    }

    fn add(&mut self, child: Child) {
        self.keys_len += child.key.len();
        self.children.push(child);
    }

    fn write<W: Write>(self, pages: &mut Pages<W>) -> Result<Child, WriteError> {
        let id = pages.next();
        let mut page = begin(id, PAGE_BRANCH, self.children.len(), self.len());
        let mut key_at = HEAD_LEN + self.children.len() * ELEMENT_LEN;
        for child in &self.children {
            let pos = key_at - page.len();
            put_u32(u32_of(pos), &mut page);
            put_u32(len_u32(&child.key), &mut page);
            put_u64(child.page, &mut page);
            key_at += child.key.len();
        }
        for child in &self.children {
            page.extend_from_slice(&child.key);
        }
        pages.write(&page)?;
        let key = self.children.into_iter().next().map(|first| first.key).unwrap_or_default();
        Ok(Child { key, page: id })
    }
}

/// A page's head, in a buffer for the whole.
fn begin(id: PageId, flags: u16, count: usize, len: usize) -> Vec<u8> {
    let mut page = Vec::with_capacity(len);
    let overflow = u32_of((len.div_ceil(PAGE_LEN)).saturating_sub(1));
    // A page that has more elements than fit into one page has long ones: it has few.
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    Head { id, flags, count, overflow }.encode(&mut page);
    page
}

fn len_u32(bytes: &[u8]) -> u32 {
    u32_of(bytes.len())
}

/// Lengths in a page: a key and a value were checked, and a page has one that is large at most.
fn u32_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
