//! The entries of one bucket, in order.
//!
//! A page is taken only where its keys lie between those that the branch above has for it and for the page behind it. As
//! keys only go up, no page can come twice and no walk can turn in a circle; a tree is at most [`DEPTH_MAX`] deep.

use crate::check::Claims;
use crate::error::{ReadError, damaged};
use crate::page::Page;
use crate::reader::{Bucket, Reader, Root};

/// The deepest tree that is read. bbolt's have two children a branch at the least, so this is deeper than any.
const DEPTH_MAX: usize = 32;

/// A walk through a bucket.
#[derive(Debug)]
pub struct Entries<'r> {
    reader: &'r Reader,
    /// From the root to the leaf under way.
    levels: Vec<Level>,
    claims: Option<&'r Claims>,
}

#[derive(Debug)]
struct Level {
    page: Page,
    /// The next element.
    next: usize,
    /// The first key that belongs to a page behind this one; none in the last.
    end: Option<Vec<u8>>,
}

/// A key, and what is there.
#[derive(Debug)]
pub struct Entry<'e> {
    /// The key.
    pub key: &'e [u8],
    /// What is there.
    pub value: Value<'e>,
}

/// What is kept under a key.
#[derive(Debug)]
pub enum Value<'e> {
    /// A value.
    Bytes(&'e [u8]),
    /// A bucket of its own.
    Bucket(Bucket),
}

impl<'r> Entries<'r> {
    pub(crate) fn begin(
        reader: &'r Reader,
        bucket: &Bucket,
        claims: Option<&'r Claims>,
    ) -> Result<Self, ReadError> {
        let page = match &bucket.root {
            Root::Page(id) => reader.page(*id, claims)?,
            Root::Inline { page, inside } => {
                let page = Page::parse(*inside, page.clone())?;
                if !page.is_leaf() {
                    return Err(damaged(*inside, "a bucket in it has a branch there"));
                }
                page
            }
        };
        let levels = vec![Level { page, next: 0, end: None }];
        Ok(Self { reader, levels, claims })
    }

    /// The next entry; none after the last.
    ///
    /// # Errors
    ///
    /// [`ReadError::Damaged`], [`ReadError::PageTooLarge`], [`ReadError::Io`]. Nothing comes after one.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows the page it is in, which an Iterator's cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        if let Err(error) = self.go_to_next() {
            self.levels.clear();
            return Err(error);
        }
        let Some(Level { page, next, .. }) = self.levels.last_mut() else { return Ok(None) };
        let at = *next;
        *next += 1;
        let value = match page.is_bucket(at) {
            true => Value::Bucket(Bucket::parse(page.value(at), page.id())?),
            false => Value::Bytes(page.value(at)),
        };
        Ok(Some(Entry { key: page.key(at), value }))
    }

    /// Goes to the last element of every page, down to the leaf.
    fn go_to_last(&mut self) -> Result<(), ReadError> {
        while let Some(level) = self.levels.last_mut().filter(|level| level.page.count() > 0) {
            let last = level.page.count() - 1;
            level.next = last + 1;
            if level.page.is_leaf() {
                level.next = last;
                break;
            }
            self.descend(last)?;
        }
        Ok(())
    }

    /// Climbs to the leaf with the next entry.
    fn go_to_next(&mut self) -> Result<(), ReadError> {
        while let Some(level) = self.levels.last_mut() {
            if level.next == level.page.count() {
                self.levels.pop();
            } else if level.page.is_leaf() {
                return Ok(());
            } else {
                let at = level.next;
                level.next += 1;
                self.descend(at)?;
            }
        }
        Ok(())
    }

    fn descend(&mut self, at: usize) -> Result<(), ReadError> {
        let depth = self.levels.len();
        let Some(Level { page: parent, end, .. }) = self.levels.last() else { return Ok(()) };
        let id = parent.child(at);
        if depth == DEPTH_MAX {
            return Err(damaged(id, format!("it is more than {DEPTH_MAX} pages away from its root")));
        }
        let start = parent.key(at);
        let end = if at + 1 < parent.count() { Some(parent.key(at + 1).to_vec()) } else { end.clone() };
        let page = self.reader.page(id, self.claims)?;
        if page.count() == 0 {
            return Err(damaged(id, "it is empty, and is no root"));
        }
        let is_past = |end: &Vec<u8>| page.key(page.count() - 1) >= &end[..];
        if page.key(0) < start || end.as_ref().is_some_and(is_past) {
            return Err(damaged(id, format!("it has keys that page {} has elsewhere", parent.id())));
        }
        self.levels.push(Level { page, next: 0, end });
        Ok(())
    }
}

pub(crate) fn last_key(reader: &Reader, bucket: &Bucket) -> Result<Option<Vec<u8>>, ReadError> {
    let mut entries = Entries::begin(reader, bucket, None)?;
    entries.go_to_last()?;
    Ok(entries.next()?.map(|entry| entry.key.to_vec()))
}
