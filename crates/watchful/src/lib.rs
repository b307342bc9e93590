//! A key-value store that you can watch: every write gets a revision, any kept revision can be read again, and a watcher
//! receives every change to its keys exactly once, in order, from any kept revision on.
//!
//! **What it is for:** "list, then watch, and never miss one" inside your own process: control planes, configuration,
//! service discovery, caches. A slow or far-behind watcher costs bounded memory, never slows a writer, and never loses
//! an event silently.
//!
//! **What it is not for:** it is one process on one machine: no replication, no consensus. It is no SQL database, and no
//! queue that deletes what was read.
//!
//! # The first minute
//!
//! ```
//! use watchful::{KeyRange, Settings, Store, Update, WatchOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path(), Settings::default())?;
//! store.put("/app/color", "red").wait()?;
//!
//! // The state now, and every change after it: nothing between is lost.
//! let mut listed = store.list_then_watch(&WatchOptions::new(KeyRange::prefix("/app/")))?;
//! assert_eq!(listed.records[0].value(), b"red");
//!
//! store.put("/app/color", "blue").wait()?;
//! let Some(Ok(Update::Events(batch))) = listed.watch.wait_next() else { panic!("the watch goes on") };
//! assert_eq!((batch.last_revision(), batch.events()[0].value()), (3, &b"blue"[..]));
//!
//! // Any kept revision can be read again.
//! assert_eq!(store.view_at(2)?.get("/app/color")?.unwrap().value(), b"red");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a task it is `store.put(…).await?` and `watch.next().await`; any runtime will do, and none is needed.
//!
//! # Its types
//!
//! - [`Store`]: open, read, write, watch. [`Settings`] has defaults that need no touching.
//! - [`Write`]: a write, awaited or waited for. [`Txn`]: a transaction from the inside. [`TxnRequest`]: one as data.
//! - [`View`]: the store at one revision.
//! - [`Export`]: everything a store holds, to take elsewhere. [`load`]: a store made of a history from elsewhere.
//! - [`Watch`] and [`WatchStream`]: one watch, or many on one outbox. [`Update`], [`Batch`], [`Event`]: what they give.
//!   [`End`]: why one is over. [`ResumeToken`]: where to go on.
//!
//! # Invariants
//!
//! - Commit, make visible, publish, acknowledge: in this order and no other. What was acknowledged, or seen on a watch,
//!   can be read.
//! - A writer waits for no watcher, and never looks at who watches.
//! - Each promise of `docs/GUARANTEES.md` has a checker, which every kind of test runs.
#![forbid(unsafe_code)]

/// Compiles and runs what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod failpoint;

mod store;

mod settings;

mod write;

mod txn;

mod view;

mod watch;

mod token;

mod lease;

mod note;

mod clock;

mod stats;

mod distribution;

mod copies;

mod export;

mod load;

mod upkeep;

mod error;

mod commit;

mod compacted;

mod writer;

mod feed;

mod driver;

mod reader;

mod outbox;

mod patience;

mod budget;

mod promise;

mod sync;

#[cfg(test)]
mod loom_models;

pub use clock::{Clock, ManualClock, SystemClock};
pub use copies::{CheckReport, LostRevisions, SalvageReport, check, restore, salvage, savable};
pub use distribution::Distribution;
pub use error::{Error, Other};
pub use export::Export;
pub use lease::LeaseStatus;
pub use load::{Loader, load};
pub use settings::{CompactionPolicy, Settings};
pub use stats::Stats;
pub use store::Store;
pub use token::ResumeToken;
pub use txn::{Committed, Txn};
pub use view::View;
pub use watch::{Answer, Elapsed, Listed, Update, Watch, WatchControl, WatchOptions, WatchStream};
pub use watchful_mvcc::{
    Compare, CompareResult, CompareTarget, Defragmented, Deleted, Durability, LoadPlan, LoadRow, MvccStats,
    NOTE_NAME_BYTES_MAX, NOTE_VALUE_BYTES_MAX, Note, OpResponse, PutOptions, RangeOptions, RangeResult,
    RequestOp, SortOrder, SortTarget, StoreHash, TxnRequest, TxnResponse,
};
pub use watchful_revision::{
    Event, EventKind, KeyRange, KeyValue, LeaseId, Put, RangeShape, Record, RecordKind, RecordRef, Revision,
};
pub use watchful_sync::{
    Batch, End, EventFilter, Gauges, Item as StreamItem, KeyRanges, LagPolicy, Refusal, Standings, StreamId,
    WatchId, WatchIds, WatcherStanding, WatcherStatus,
};
pub use write::Write;
