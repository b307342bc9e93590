//! Is the whole file sound? Every page in use is read, and counted once.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::entries::{Entries, Value};
use crate::error::{ReadError, damaged};
use crate::format::{FIRST_PAGE, HEAD_LEN, Head, PAGE_FREELIST, PageId, u64_at};
use crate::reader::{Bucket, Reader};

/// What a check has found in a file where nothing is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// How many pages the file has.
    pub pages: u64,
    /// How many of them are on the list of free pages; 0 where there is no such list.
    pub free_pages: u64,
    /// How many are neither in use nor on the list. Where there is no list, these are the free ones; where there is one,
    /// they are lost, which harms nothing.
    pub other_pages: u64,
    /// How many buckets there are, at all depths.
    pub buckets: u64,
    /// How many keys with values there are, in all of them.
    pub keys: u64,
}

/// How deep buckets may lie in buckets. etcd has one level.
const BUCKET_DEPTH_MAX: usize = 16;

/// The pages that were reached so far: a bit each, in words of which only those are there that have one. A file with holes may
/// have any number of pages without holding anything.
#[derive(Debug)]
pub(crate) struct Claims {
    pages: u64,
    words: RefCell<HashMap<u64, u64>>,
}

impl Claims {
    fn of(pages: u64) -> Self {
        Self { pages, words: RefCell::default() }
    }

    /// Claims `pages` pages from `id` on, which the file has.
    pub(crate) fn claim(&self, id: PageId, pages: u64) -> Result<(), ReadError> {
        let mut words = self.words.borrow_mut();
        for page in id..id.saturating_add(pages) {
            if page >= self.pages {
                return Err(damaged(page, "it is no page of the file"));
            }
            let (word, bit) = (words.entry(page / 64).or_default(), 1 << (page % 64));
            if *word & bit != 0 {
                return Err(damaged(page, "it is used twice, or is used and free"));
            }
            *word |= bit;
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.words.borrow().values().map(|word| u64::from(word.count_ones())).sum()
    }
}

pub(crate) fn run(reader: &Reader) -> Result<Checked, ReadError> {
    let meta = reader.meta();
    let claims = Claims::of(meta.pages);
    claims.claim(0, FIRST_PAGE)?;
    let mut checked = Checked { pages: meta.pages, ..Checked::default() };
    check_bucket(reader, &reader.root(), &claims, 0, &mut checked)?;
    if let Some(freelist) = meta.freelist {
        checked.free_pages = check_freelist(reader, freelist, &claims)?;
    }
    checked.other_pages = meta.pages - claims.count();
    Ok(checked)
}

fn check_bucket(
    reader: &Reader,
    bucket: &Bucket,
    claims: &Claims,
    depth: usize,
    checked: &mut Checked,
) -> Result<(), ReadError> {
    let mut entries = Entries::begin(reader, bucket, Some(claims))?;
    while let Some(entry) = entries.next()? {
        match entry.value {
            Value::Bytes(_) => checked.keys += 1,
            Value::Bucket(_) if depth == BUCKET_DEPTH_MAX => {
                let what = format!("buckets lie in buckets, more than {BUCKET_DEPTH_MAX} deep");
                return Err(damaged(reader.meta().root, what));
            }
            Value::Bucket(bucket) => {
                checked.buckets += 1;
                check_bucket(reader, &bucket, claims, depth + 1, checked)?;
            }
        }
    }
    Ok(())
}

/// Claims the free pages, and tells how many there are.
fn check_freelist(reader: &Reader, id: PageId, claims: &Claims) -> Result<u64, ReadError> {
    let bytes = reader.page_bytes_of(id, Some(claims))?;
    let head = Head::parse(&bytes).filter(|head| head.flags == PAGE_FREELIST);
    let head = head.ok_or_else(|| damaged(id, "it should be the freelist, and is not"))?;
    let (count, first) = match head.count {
        // More than the head has room to tell: the first number tells it.
        u16::MAX => (u64_at(&bytes, HEAD_LEN).unwrap_or_default(), HEAD_LEN + 8),
        count => (u64::from(count), HEAD_LEN),
    };
    let room = bytes.len().saturating_sub(first) / 8;
    if count > room as u64 {
        return Err(damaged(id, "it has room for fewer free pages than it tells"));
    }
    let numbers = bytes[first..].chunks_exact(8).take(usize::try_from(count).unwrap_or(room));
    for number in numbers {
        let page = u64_at(number, 0).unwrap_or_default();
        if !(FIRST_PAGE..reader.meta().pages).contains(&page) {
            return Err(damaged(id, format!("it lists page {page}, which the file does not have")));
        }
        claims.claim(page, 1)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There was a bit for every page that a file claimed, so a file of 16 TiB with nothing in it but holes took 512 MB.
    #[test]
    fn pages_that_nothing_uses_take_no_memory() {
        let claims = Claims::of(1 << 51);
        for (id, pages) in [(0, 2), (1 << 50, 1), ((1 << 51) - 1, 1)] {
            claims.claim(id, pages).unwrap();
            assert!(claims.claim(id, pages).is_err(), "page {id} is used twice");
        }
        assert!(claims.claim(1 << 51, 1).is_err());
        assert_eq!((claims.words.borrow().len(), claims.count()), (3, 4));
    }
}
