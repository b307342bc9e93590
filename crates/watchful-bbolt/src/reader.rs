//! Reading a file that somebody else has written: which of its two metas counts, and its pages, one at a time.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use crate::check::{self, Checked, Claims};
use crate::entries::{self, Entries, Value};
use crate::error::{ReadError, damaged};
use crate::format::{BUCKET_LEN, FIRST_PAGE, HEAD_LEN, Head, MAGIC, META_LEN, PageId, u32_at, u64_at};
use crate::meta::{Meta, PAGE_LENS};
use crate::page::Page;

/// The most bytes of a page that are read into memory, with the pages that belong to it: 256 MiB. bbolt puts up to four
/// large values into one leaf, and etcd takes values of 1.5 MiB where it is not told otherwise.
pub const PAGE_BYTES_MAX: u64 = 256 << 20;

/// A bbolt file, open for reading.
///
/// Nothing is taken for granted: each page is checked when it is read. See the [crate's front page](crate) for an example.
#[derive(Debug)]
pub struct Reader {
    file: File,
    meta: Meta,
}

/// A bucket of a file.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(crate) root: Root,
}

#[derive(Clone, Debug)]
pub(crate) enum Root {
    Page(PageId),
    /// A leaf inside another, and the page that it is in.
    Inline {
        page: Vec<u8>,
        inside: PageId,
    },
}

impl Reader {
    /// Opens a file. It may have bytes behind its last page, as etcd's snapshots do.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotBbolt`] when neither of its first two pages begins a bbolt file; [`ReadError::CutShort`];
    /// [`ReadError::Io`].
    pub fn open(file: File) -> Result<Self, ReadError> {
        let bytes = file.metadata()?.len();
        let meta = newest_meta(&file)?;
        let needed_bytes = meta.pages * u64::from(meta.page_len);
        if needed_bytes > bytes {
            return Err(ReadError::CutShort { bytes, pages: meta.pages, needed_bytes });
        }
        Ok(Self { file, meta })
    }

    /// How many bytes the pages take: all of the file, but for what somebody has put behind them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.meta.pages * u64::from(self.meta.page_len)
    }

    /// How many bytes a page has.
    #[must_use]
    pub fn page_bytes(&self) -> u32 {
        self.meta.page_len
    }

    /// The bucket that holds the others.
    #[must_use]
    pub fn root(&self) -> Bucket {
        Bucket { root: Root::Page(self.meta.root) }
    }

    /// The bucket of this name in the root; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Entries::next`].
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket>, ReadError> {
        let mut entries = self.entries(&self.root())?;
        while let Some(entry) = entries.next()? {
            if entry.key == name {
                let Value::Bucket(bucket) = entry.value else { return Ok(None) };
                return Ok(Some(bucket));
            }
        }
        Ok(None)
    }

    /// The entries of a bucket, by key. Memory holds one page a level of its tree.
    ///
    /// # Errors
    ///
    /// As [`Entries::next`].
    pub fn entries(&self, bucket: &Bucket) -> Result<Entries<'_>, ReadError> {
        Entries::begin(self, bucket, None)
    }

    /// The last key of a bucket; none where it is empty. Reads one page a level.
    ///
    /// # Errors
    ///
    /// As [`Entries::next`].
    pub fn last_key(&self, bucket: &Bucket) -> Result<Option<Vec<u8>>, ReadError> {
        entries::last_key(self, bucket)
    }

    /// Reads every page that is in use: that each is whole, is reached once, and is not among the free ones. It takes a bit
    /// of memory for each of them, and some more where they lie far apart.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<Checked, ReadError> {
        check::run(self)
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Reads a page of a tree.
    pub(crate) fn page(&self, id: PageId, claims: Option<&Claims>) -> Result<Page, ReadError> {
        let bytes = self.page_bytes_of(id, claims)?;
        Page::parse(id, bytes)
    }

    /// Reads a page with those that belong to it.
    pub(crate) fn page_bytes_of(&self, id: PageId, claims: Option<&Claims>) -> Result<Vec<u8>, ReadError> {
        if !(FIRST_PAGE..self.meta.pages).contains(&id) {
            return Err(damaged(id, "it is pointed to, and is no page of the file"));
        }
        let (len, at) = (u64::from(self.meta.page_len), id * u64::from(self.meta.page_len));
        let mut bytes = vec![0; self.meta.page_len as usize];
        self.read_at(&mut bytes, at)?;
        let head = Head::parse(&bytes).ok_or_else(|| damaged(id, "it is too short"))?;
        if head.id != id {
            return Err(damaged(id, format!("it says that it is page {}", head.id)));
        }
        let pages = u64::from(head.overflow) + 1;
        if pages > self.meta.pages - id {
            return Err(damaged(id, "it goes on behind the last page of the file"));
        }
        let bytes_all = pages * len;
        if bytes_all > PAGE_BYTES_MAX {
            return Err(ReadError::PageTooLarge { page: id, bytes: bytes_all, bytes_max: PAGE_BYTES_MAX });
        }
        if let Some(claims) = claims {
            claims.claim(id, pages)?;
        }
        if pages > 1 {
            let first = bytes.len();
            bytes.resize(usize::try_from(bytes_all).unwrap_or(usize::MAX), 0);
            self.read_at(&mut bytes[first..], at + len)?;
        }
        Ok(bytes)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<(), ReadError> {
        Ok(self.file.read_exact_at(bytes, at)?)
    }
}

impl Bucket {
    /// A bucket as a leaf of page `inside` has it for a value.
    pub(crate) fn parse(value: &[u8], inside: PageId) -> Result<Self, ReadError> {
        let root = u64_at(value, 0).filter(|_| value.len() >= BUCKET_LEN);
        match root {
            None => Err(damaged(inside, "a bucket in it is too short for one")),
            Some(0) => Ok(Self { root: Root::Inline { page: value[BUCKET_LEN..].to_vec(), inside } }),
            Some(root) => Ok(Self { root: Root::Page(root) }),
        }
    }
}

/// Whether a file's first bytes are those of a bbolt file, damaged as the rest of it may be. They need to be 80 at least.
#[must_use]
pub fn looks_like_bbolt(first_bytes: &[u8]) -> bool {
    u32_at(first_bytes, HEAD_LEN) == Some(MAGIC)
}

type Found = Result<Meta, &'static str>;

/// The meta that counts. bbolt takes the other one where one is damaged, and so is it here.
fn newest_meta(file: &File) -> Result<Meta, ReadError> {
    let first = meta_at(file, 0)?;
    // Where the first is damaged, the second may be at any page size.
    let page_lens = match first {
        Ok(meta) => meta.page_len..=meta.page_len,
        Err(_) => PAGE_LENS,
    };
    let mut second = None;
    for page_len in page_lens.filter(|len| len.is_power_of_two()) {
        let found = meta_at(file, u64::from(page_len))?;
        second = found.ok().filter(|meta| meta.page_len == page_len).or(second);
    }
    match (first, second) {
        (Ok(first), Some(second)) if second.transaction > first.transaction => Ok(second),
        (Ok(meta), _) | (Err(_), Some(meta)) => Ok(meta),
        (Err(reason), None) => Err(ReadError::NotBbolt { reason: format!("its first page {reason}") }),
    }
}

fn meta_at(file: &File, at: u64) -> Result<Found, ReadError> {
    let mut bytes = [0; HEAD_LEN + META_LEN];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(Meta::parse(&bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Err("is not there")),
        Err(error) => Err(error.into()),
    }
}
