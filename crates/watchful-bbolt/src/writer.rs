//! Writing a file: front to back, bucket by bucket, in the memory of a few pages.
//!
//! Pages 0 and 1 are left out until everything they point to is written, so a file that is broken off is none. Page 2 says
//! that no page is free. A bucket that fits into a quarter of a page is kept in the root's own leaf, as bbolt does it.

use std::io::{Seek, SeekFrom, Write};

use crate::error::WriteError;
use crate::format::{
    BUCKET_LEN, ELEMENT_BUCKET, FIRST_PAGE, HEAD_LEN, Head, KEY_LEN_MAX, PAGE_FREELIST, PAGE_LEN,
    PAGE_LEN_TOLD, PageId, VALUE_LEN_MAX, put_u64,
};
use crate::meta::Meta;
use crate::tree::Tree;

/// The largest bucket that bbolt keeps in its parent's leaf.
const INLINE_LEN_MAX: usize = PAGE_LEN / 4;

/// A file under way. What was written is a file once [`finish`](Self::finish) has returned; before, it is nothing.
///
/// See the [crate's front page](crate) for an example.
#[derive(Debug)]
pub struct Writer<W> {
    pages: Pages<W>,
    root: Tree,
    bucket: Option<Open>,
}

/// The bucket that keys go to.
#[derive(Debug)]
struct Open {
    name: Vec<u8>,
    tree: Tree,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file at the start of `out`, which should be empty, and is best buffered.
    ///
    /// # Errors
    ///
    /// [`WriteError::Io`].
    pub fn new(mut out: W) -> Result<Self, WriteError> {
        out.write_all(&[0; 2 * PAGE_LEN])?;
        let mut pages = Pages { out, next: FIRST_PAGE };
        let mut freelist = Vec::with_capacity(PAGE_LEN);
        Head { id: FIRST_PAGE, flags: PAGE_FREELIST, count: 0, overflow: 0 }.encode(&mut freelist);
        pages.write(&freelist)?;
        Ok(Self { pages, root: Tree::default(), bucket: None })
    }

    /// Begins the bucket `name`, and ends the one before. Buckets come in the order of their names.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotAfter`], [`WriteError::KeyLength`], [`WriteError::Io`].
    pub fn bucket(&mut self, name: &[u8]) -> Result<(), WriteError> {
        check_key(name)?;
        self.end_bucket()?;
        if !self.root.comes_after(name) {
            return Err(WriteError::NotAfter { key: name.to_owned() });
        }
        self.bucket = Some(Open { name: name.to_owned(), tree: Tree::default() });
        Ok(())
    }

    /// Puts a key into the bucket begun last. Keys come in ascending order.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotAfter`], [`WriteError::KeyLength`], [`WriteError::ValueLength`], [`WriteError::NoBucket`],
    /// [`WriteError::Io`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        check_key(key)?;
        if value.len() > VALUE_LEN_MAX {
            return Err(WriteError::ValueLength { len: value.len() });
        }
        let Some(Open { tree, .. }) = &mut self.bucket else { return Err(WriteError::NoBucket) };
        if !tree.comes_after(key) {
            return Err(WriteError::NotAfter { key: key.to_owned() });
        }
        tree.put(0, key, value, &mut self.pages)
    }

    /// Ends the file. Gives back what it was written to, and tells how many bytes the file has. They may not be on the disk.
    ///
    /// # Errors
    ///
    /// [`WriteError::Io`].
    pub fn finish(mut self) -> Result<(W, u64), WriteError> {
        self.end_bucket()?;
        let root = self.root.finish(&mut self.pages)?;
        let Pages { mut out, next } = self.pages;
        // Two metas of one content: a file has always two, and the one with the higher number counts.
        let meta = |transaction| {
            let (page_len, freelist) = (PAGE_LEN_TOLD, Some(FIRST_PAGE));
            Meta { page_len, root, freelist, pages: next, transaction }
        };
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&meta(2).encode(0))?;
        out.write_all(&meta(1).encode(1))?;
        let bytes = next * PAGE_LEN as u64;
        out.seek(SeekFrom::Start(bytes))?;
        out.flush()?;
        Ok((out, bytes))
    }

    fn end_bucket(&mut self) -> Result<(), WriteError> {
        let Some(Open { name, tree }) = self.bucket.take() else { return Ok(()) };
        let mut value = Vec::with_capacity(BUCKET_LEN);
        match tree.as_page_within(INLINE_LEN_MAX) {
            Some(page) => {
                value.resize(BUCKET_LEN, 0);
                value.extend_from_slice(&page);
            }
            None => {
                put_u64(tree.finish(&mut self.pages)?, &mut value);
                put_u64(0, &mut value);
            }
        }
        self.root.put(ELEMENT_BUCKET, &name, &value, &mut self.pages)
    }
}

fn check_key(key: &[u8]) -> Result<(), WriteError> {
    if (1..=KEY_LEN_MAX).contains(&key.len()) {
        Ok(())
    } else {
        Err(WriteError::KeyLength { len: key.len() })
    }
}

/// Where pages go: one behind the other.
#[derive(Debug)]
pub(crate) struct Pages<W> {
    out: W,
    next: PageId,
}

impl<W: Write> Pages<W> {
    /// The number of the next page.
    pub(crate) fn next(&self) -> PageId {
        self.next
    }

    /// Writes a page that begins with its head, and fills up what is missing to whole pages.
    pub(crate) fn write(&mut self, page: &[u8]) -> Result<(), WriteError> {
        debug_assert!(page.len() >= HEAD_LEN);
        const ZEROES: [u8; PAGE_LEN] = [0; PAGE_LEN];
        let pages = page.len().div_ceil(PAGE_LEN);
        self.out.write_all(page)?;
        self.out.write_all(&ZEROES[..pages * PAGE_LEN - page.len()])?;
        self.next += pages as u64;
        Ok(())
    }
}
