//! Is the whole file sound? Every page in use is read, and counted once.

use std::cell::RefCell;

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

/// The pages that were reached so far: a bit each.
#[derive(Debug)]
pub(crate) struct Claims(RefCell<Vec<u64>>);

impl Claims {
    fn of(pages: u64) -> Self {
        let words = usize::try_from(pages.div_ceil(64)).unwrap_or(usize::MAX);
        Self(RefCell::new(vec![0; words]))
    }

    /// Claims `pages` pages from `id` on, which the file has.
    pub(crate) fn claim(&self, id: PageId, pages: u64) -> Result<(), ReadError> {
        let mut words = self.0.borrow_mut();
        for page in id..id + pages {
            let word = usize::try_from(page / 64).ok().and_then(|word| words.get_mut(word));
            let word = word.ok_or_else(|| damaged(page, "it is no page of the file"))?;
            let bit = 1 << (page % 64);
            if *word & bit != 0 {
                return Err(damaged(page, "it is used twice, or is used and free"));
            }
            *word |= bit;
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.0.borrow().iter().map(|word| u64::from(word.count_ones())).sum()
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
