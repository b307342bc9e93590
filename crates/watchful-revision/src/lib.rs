//! The words every layer of Watchful speaks, and their bytes: a [`Revision`] orders every change, a [`KeyRange`] says
//! which keys are meant, a [`Record`] is one stored change, and an [`Event`] is a change on its way to a watcher.
//!
//! **What it is for:** a store, an index, a sync engine and a server can be written apart and still agree on what a
//! revision is and how it sorts, on where a range ends, and on the bytes of a record.
//!
//! **What it is not for:** it opens no file, starts no thread and reads no clock. It does not know who watches, and
//! it keeps nothing.
//!
//! # Invariants
//!
//! - The bytes of revisions sort as revisions do ([`Revision::to_bytes`]).
//! - A [`KeyRange`] is never empty and has one form only: two ranges are equal if, and only if, they hold the same
//!   keys.
//! - A [`Record`] has passed its checksum. The checksum covers the revision the record is stored under, so a record
//!   that was moved to another revision is found out too.
//! - The key-value part of a record is the protobuf message etcd sends, byte for byte, so it can be spliced from disk
//!   to socket ([`Record::key_value_bytes`]).
//!
//! # A worked example
//!
//! A store's first write puts `a`, and in the same transaction deletes `b`. They share main revision 2 and are told
//! apart by `sub`:
//!
//! ```
//! use watchful_revision::{Put, Record, RecordKind, Revision, encode_put, encode_tombstone};
//!
//! let first = Revision::new(2, 0);
//! let mut bytes = Vec::new();
//! let put = Put { key: b"a", value: b"1", create_revision: 2, version: 1, lease: 0 };
//! encode_put(first, &put, &mut bytes)?;
//!
//! let record = Record::parse(first, bytes.into())?;
//! assert_eq!((record.key(), record.value(), record.version()), (&b"a"[..], &b"1"[..], 1));
//!
//! let second = Revision::new(2, 1);
//! let mut bytes = Vec::new();
//! encode_tombstone(second, b"b", &mut bytes)?;
//! assert_eq!(Record::parse(second, bytes.into())?.kind(), RecordKind::Tombstone);
//! assert!(first < second && first.to_bytes() < second.to_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod revision;

mod key_range;

mod record;

mod key_value;

mod event;

mod etcd_row;

pub use etcd_row::EtcdRow;
pub use event::{Event, EventKind};
pub use key_range::{EmptyRange, KeyRange, RangeShape, prefix_end};
pub use key_value::{KeyValue, KeyValueRef, MalformedKeyValue};
pub use record::{
    CopiedRecord, Put, RECORD_FORMAT, RECORD_HEADER_LEN, Record, RecordError, RecordKind, RecordRef,
    TooLarge, encode_put, encode_tombstone,
};
pub use revision::{MalformedRevision, REVISION_LEN, Revision};

/// The name of a lease, as etcd numbers them. 0 means no lease.
pub type LeaseId = i64;
