//! Versions of keys: every write gets a revision, and any kept revision can be read again.
//!
//! **What it is for:** a store's heart: transactions and group commit, reads at a revision, the history that watches
//! catch up from, compaction, leases, notes, backup and check.
//!
//! **What it is not for:** it starts no thread, reads no clock and knows no watcher. Whoever calls it decides which
//! thread writes, when a lease expires, when to compact, and who is told.
//!
//! # What is in it
//!
//! - [`Mvcc`] is an open store. [`Mvcc::begin_group`] takes the turn to write, [`Mvcc::view`] reads.
//! - A [`Group`] runs transactions ([`Txn`]) one after the other and commits them at once. Each transaction that changes
//!   a key takes one revision and comes back as a [`CommittedBatch`].
//! - A [`ReadView`] is the store at one revision. It is a value and holds nothing.
//! - [`Mvcc::read_history`] reads the changes from a revision on, a [`HistoryChunk`] at a time.
//! - [`Group::schedule_compaction`] makes a revision the oldest that can be read; [`Group::compact_slice`] deletes what
//!   that leaves behind.
//! - Notes ([`Txn::set_note`]) are small facts beside the keys, durable with the transaction that sets them.
//! - [`Mvcc::hash`] is the same for the same history, and the same as etcd's.
//! - [`Mvcc::export`] reads everything a store holds, of one commit; [`Loader`] fills an empty store with a history, and
//!   [`load_store`] makes one of it. [`Group::apply_at`] follows another store.
//!
//! # Invariants
//!
//! - One transaction, one main revision, or none if it changed nothing. Revisions have no gaps.
//! - `current_revision` moves after everything it stands for can be read, and never goes back.
//! - Every row at the compact revision and above is kept. A row is deleted only after the revision that permits it is
//!   enforced, and never after the tombstone that ended it.
//! - The log is the truth. The key index, the list of superseded rows and the keys of leases are made from it at open.
//! - No lock is held while the disk is waited for, except the turn to write.
//!
//! # A worked example
//!
//! ```
//! use watchful_mvcc::{Mvcc, MvccError, MvccSettings, PutOptions};
//! use watchful_revision::KeyRange;
//!
//! # let dir = tempfile::tempdir()?;
//! let (mvcc, _) = Mvcc::open(dir.path(), &MvccSettings::default())?;
//!
//! let mut group = mvcc.begin_group()?;
//! group.txn(|txn| txn.put(b"a", b"1", PutOptions::default()))?;            // revision 2
//! group.txn(|txn| txn.put(b"a", b"2", PutOptions::default()))?;            // revision 3
//! group.txn(|txn| txn.delete_range(&KeyRange::key("a"), false))?;          // revision 4
//! let batches = group.commit()?;
//! assert_eq!(batches.len(), 3);
//! assert_eq!(mvcc.current_revision(), 4);
//!
//! assert_eq!(mvcc.view(Some(2))?.get(b"a")?.unwrap().value(), b"1");
//! assert_eq!(mvcc.view(None)?.get(b"a")?, None);
//!
//! // Compacted to 3: the row of revision 2 goes, and nothing below 3 can be read any more.
//! let mut group = mvcc.begin_group()?;
//! group.schedule_compaction(3)?;
//! group.commit()?;
//! assert!(matches!(mvcc.view(Some(2)), Err(MvccError::Compacted { compact_revision: 3 })));
//!
//! let mut group = mvcc.begin_group()?;
//! assert_eq!(group.compact_slice(1000)?.rows, 1);
//! group.commit()?;
//! assert_eq!(mvcc.view(Some(3))?.get(b"a")?.unwrap().value(), b"2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod failpoint;

mod settings;

mod error;

mod store;

mod group;

mod txn;

mod txn_leases;

mod txn_notes;

mod request;

mod compare;

mod view;

mod history;

mod compaction;

mod hash;

mod lease;

mod note;

mod export;

mod load;

mod apply;

mod check;

mod lives;

mod salvage;

mod restore;

mod stats;

mod range;

mod rows;

mod fetch;

mod txn_rows;

mod overlay;

mod index;

mod superseded;

mod scan;

mod open;

mod mark;

mod format;

pub use apply::Change;
pub use check::{CheckReport, check};
pub use compaction::Slice;
pub use error::{CommitFailure, MvccError, Opaque};
pub use export::Export;
pub use group::{CommittedBatch, Group, Row, TxnOutcome};
pub use hash::StoreHash;
pub use history::{HistoryChunk, HistoryLimits, HistoryRow, RowView, Want};
pub use lease::LeaseInfo;
pub use load::{LoadPlan, LoadRow, Loader};
pub use note::{NOTE_NAME_BYTES_MAX, NOTE_VALUE_BYTES_MAX, Note};
pub use request::{
    Compare, CompareResult, CompareTarget, Deleted, OpResponse, PutOptions, RangeOptions, RangeResult,
    RequestOp, SortOrder, SortTarget, TxnRequest, TxnResponse,
};
pub use restore::{load_store, restore_backup};
pub use salvage::{LostRevisions, SalvageReport, salvage, savable};
pub use settings::{Durability, MvccSettings};
pub use stats::{Defragmented, MvccStats};
pub use store::{Mvcc, OpenReport};
pub use txn::Txn;
pub use view::{ReadView, Scan};
