//! The sync engine: it decides what each watcher is owed next. Facts go in (a batch was published, history was read, a
//! receiver has room, a watcher came or went, the store was compacted) and work comes out (read this history, put
//! this item into that outbox).
//!
//! **What it is for:** anything that keeps a log of revisions and has watchers of it, and wants a slow or far-behind
//! watcher to cost bounded memory and nobody else's time. It is etcd's `syncWatchers`, thought through again.
//!
//! **What it is not for:** it has no hands. It opens no file, starts no thread and reads no clock, so every
//! interleaving can be tested with plain values. Somebody else owns the [`Engine`], feeds it and does its [`Work`].
//!
//! # Its words
//!
//! - A **stream** is one receiver with one outbox; many watches share it ([`Engine::attach`]).
//! - Watches with the same ranges and options are one **group**: a batch is built once a group.
//! - The watches of one group on one stream that are owed the same next are one **member**: a batch is queued once a
//!   member, with the ids it is for. All bookkeeping is by member, so a million watches of one key cost one entry.
//! - The **head** is the last revision handed out. Synced members have no cursor of their own: the head is theirs.
//! - A **scan** is the shared reader of the members it passes; a **chunk** is one bounded read.
//!
//! # Invariants
//!
//! 1. A member is in one standing, and only [`Engine`] moves it: future, synced, waiting or riding. All that wait on one
//!    stream are ready, or all of them are blocked: room is the stream's.
//! 2. A chunk is asked for only with room for all of it in the outbox of everyone who rides, so what was read is taken.
//! 3. No read goes past the head as it was when it was asked for, except the head's own.
//! 4. There is at most one scan for each power of two of lag. The one nearer to the head goes on; members of the other
//!    wait until it has left, or are picked up.
//! 5. A member whose next revision is below the compact revision gets one [`End::Compacted`] and is gone.
//! 6. Progress is an item in the same outbox as the events, so it overtakes nothing.
//!
//! # A worked example
//!
//! The store is at revision 4 and one watch of `a*` starts at 2. The engine asks for history 2 to 4. While that is
//! read, revision 5 is published: the engine keeps it. When the chunk for 2 to 4 comes, the watch is given the chunk
//! and 5 in one step, and is synced. Nothing was between.
//!
//! ```
//! use std::sync::Arc;
//! use watchful_revision::{Event, KeyRange, Put, Record, Revision, encode_put};
//! use watchful_sync::{Engine, EngineSettings, HistoryChunk, Item, Published, WatchSpec, Work};
//!
//! let event = |main: u64, key: &[u8]| {
//!     let (at, mut bytes) = (Revision::start_of(main), Vec::new());
//!     let put = Put { key, value: b"v", create_revision: main, version: 1, lease: 0 };
//!     encode_put(at, &put, &mut bytes).expect("a small record");
//!     Event::new(Record::parse(at, bytes.into()).expect("our own record"), None)
//! };
//!
//! let mut engine = Engine::new(EngineSettings::default(), 4, 0);
//! let stream = engine.attach(1 << 20);
//! engine.watch(stream, 7, WatchSpec::new(KeyRange::prefix("a"), 2));
//! let mut work = engine.turn();
//! let Some(Work::Read(read)) = work.pop() else { panic!("it asks for history: {work:?}") };
//! assert_eq!((read.from, read.to), (Revision::start_of(2), 4));
//!
//! engine.published(Arc::new(Published::new(5, vec![event(5, b"a3")])));
//! let mut chunk = HistoryChunk::empty(read.scan, Revision::start_of(5));
//! chunk.push(event(3, b"a1"), false, &read.matcher.matches(b"a1", watchful_revision::EventKind::Put));
//! engine.history(Ok(chunk));
//!
//! let revisions: Vec<u64> = engine
//!     .turn()
//!     .into_iter()
//!     .filter_map(|work| match work {
//!         Work::Deliver { item: Item::Events { batch, .. }, .. } => Some(batch.last_revision()),
//!         _ => None,
//!     })
//!     .collect();
//! assert_eq!(revisions, [3, 5]);
//! ```
#![forbid(unsafe_code)]

mod spec;

mod key_ranges;

mod item;

mod watch_ids;

mod history;

mod engine;

mod id_map;

mod slab;

pub use engine::{Engine, EngineSettings, Gauges, Standings, WatcherStanding, WatcherStatus, Work};
pub use history::{HistoryChunk, HistoryFailure, Matcher, Matches, ReadRequest, ScanId, WantedRows};
pub use item::{Batch, End, Item, Published, Refusal};
pub use key_ranges::KeyRanges;
pub use spec::{EventFilter, LagPolicy, WatchSpec};
pub use watch_ids::WatchIds;

/// The name of one watch on its stream.
pub type WatchId = i64;

/// The name of one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);
