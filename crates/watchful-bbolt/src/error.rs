//! What can be wrong with a file that is read, and with what is given to be written.

use std::io;

use crate::format::PageId;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system could not read it.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// It is something else, or both pages that begin it are damaged.
    #[error("this is no bbolt file: {reason}")]
    NotBbolt {
        /// Why.
        reason: String,
    },
    /// It is shorter than it says.
    #[error("the file was cut short: it has {bytes} bytes, and its {pages} pages take {needed_bytes}")]
    CutShort {
        /// The file's length.
        bytes: u64,
        /// How many pages its newest meta tells.
        pages: u64,
        /// How many bytes they take.
        needed_bytes: u64,
    },
    /// A page is not what it should be.
    #[error("page {page} is damaged: {what}")]
    Damaged {
        /// The page.
        page: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A page is larger than is read into memory.
    #[error("page {page} has {bytes} bytes, and the most that is read at once is {bytes_max}")]
    PageTooLarge {
        /// The page.
        page: u64,
        /// Its bytes, with the pages that belong to it.
        bytes: u64,
        /// [`PAGE_BYTES_MAX`](crate::PAGE_BYTES_MAX).
        bytes_max: u64,
    },
}

/// Why a file could not be written. It is of no use then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The system could not write it.
    #[error("the file cannot be written")]
    Io(#[from] io::Error),
    /// Keys, and buckets by their names, have to come in ascending order, each once.
    #[error("the key `{}` does not come after the one before it", key.escape_ascii())]
    NotAfter {
        /// The key, or the bucket's name.
        key: Vec<u8>,
    },
    /// Keys and names have 1 to 32,768 bytes.
    #[error("a key has {len} bytes, and has to have 1 to {}", crate::KEY_LEN_MAX)]
    KeyLength {
        /// Its length.
        len: usize,
    },
    /// Values have less than 2 GiB.
    #[error("a value has {len} bytes, and the most is {}", crate::VALUE_LEN_MAX)]
    ValueLength {
        /// Its length.
        len: usize,
    },
    /// A key came before any bucket.
    #[error("a key was put before any bucket was begun")]
    NoBucket,
}

pub(crate) fn damaged(page: PageId, what: impl Into<String>) -> ReadError {
    ReadError::Damaged { page, what: what.into() }
}
