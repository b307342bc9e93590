//! The bbolt file format, version 2: buckets of keys and values in one file, as etcd keeps its store and its snapshots.
//!
//! **What it is for:** moving data in and out of programs that keep it in bbolt. [`Writer`] makes a whole file of buckets
//! that come in order, in bounded memory. [`Reader`] reads one that somebody else has written, and never trusts it.
//!
//! **What it is not for:** it is no database. A file is written once, front to back, and read; nothing is changed in place.
//! It knows nothing of what is in the buckets.
//!
//! ```
//! use watchful_bbolt::{Reader, Value, Writer};
//!
//! let mut writer = Writer::new(tempfile::tempfile()?)?;
//! writer.bucket(b"fruit")?;
//! writer.put(b"apple", b"red")?;
//! writer.put(b"plum", b"blue")?;
//! let (file, bytes) = writer.finish()?;
//! assert_eq!(bytes % 4096, 0);
//!
//! let reader = Reader::open(file)?;
//! let fruit = reader.bucket(b"fruit")?.expect("it was written");
//! let mut entries = reader.entries(&fruit)?;
//! let mut read = Vec::new();
//! while let Some(entry) = entries.next()? {
//!     let Value::Bytes(value) = entry.value else { panic!("no bucket is in this bucket") };
//!     read.push((entry.key.to_vec(), value.to_vec()));
//! }
//! assert_eq!(read, [(b"apple".to_vec(), b"red".to_vec()), (b"plum".to_vec(), b"blue".to_vec())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The file
//!
//! It is made of pages, each known by its number; numbers are little-endian. (bbolt uses the machine's own byte order; a
//! file of a big-endian machine is refused by name.)
//!
//! ```text
//! page      number u64, flags u16 (1 branch, 2 leaf, 4 meta, 16 freelist), count u16, overflow u32: how many of the
//!           pages behind it belong to it; then `count` elements; then what they point to
//! meta      (pages 0 and 1) page head, magic u32 ED0CDAED, version u32 2, page size u32, flags u32 0, the root bucket
//!           (u64 page, u64 sequence), freelist page u64 or all ones for none, first page number not in use u64,
//!           transaction u64, FNV-1a (64 bits) of the 56 bytes before u64
//! leaf      element: flags u32 (1: the value is a bucket), pos u32, key length u32, value length u32;
//!           the key is `pos` bytes behind the start of its element, the value right behind the key
//! branch    element: pos u32, key length u32, page u64; the key is at most the first key of that page
//! bucket    (a leaf's value) root page u64, sequence u64; where the root is 0, a leaf page follows right there
//! freelist  page numbers, u64 each, in order; where there are 65,535 or more, `count` is 65,535 and the first is their number
//! ```
//!
//! The root bucket's values are buckets. Keys are in byte order; of the two metas the one with the higher transaction counts
//! whose checksum is right.
//!
//! # Invariants
//!
//! - What [`Writer`] writes satisfies bbolt's own check: every page is reached once, and a branch has at least two children.
//! - [`Reader`] gives keys in strictly ascending order, and none outside what its branches promise, so a walk reaches no page
//!   twice and ends. Whatever the file holds, it ends with an error that names the page, and not with a panic.
//! - Reads are plain reads of the file at a place. Nothing is mapped, so a file that is cut while it is read is an error too.
#![forbid(unsafe_code)]

mod writer;

mod reader;

mod entries;

mod check;

mod page;

mod meta;

mod tree;

mod format;

mod error;

pub use check::Checked;
pub use entries::{Entries, Entry, Value};
pub use error::{ReadError, WriteError};
pub use format::{KEY_LEN_MAX, PAGE_LEN, VALUE_LEN_MAX};
pub use reader::{Bucket, PAGE_BYTES_MAX, Reader, looks_like_bbolt};
pub use writer::Writer;
