//! The engine's state and the facts it takes. Each file of this module is one subject:
//!
//! - `members`: who is registered, and in which group;
//! - `standings`: every move of a member between its standings;
//! - `waiting`: who is owed history and waits, for a read or for room;
//! - `endings`: how a watch ends;
//! - `live`: a published batch on its way to synced members, and the head;
//! - `scans`: which part of history is read next, and for whom;
//! - `catch_up`: what a chunk of history does, and the hand-over from history to live;
//! - `dealt`: a chunk's rows by group, and the batches that are built of them;
//! - `kept`: chunks that were dealt a moment ago, for those who had no room then;
//! - `progress`: "you have everything up to r";
//! - `status`: what a person or a test may ask.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use watchful_watcher_index::WatcherIndex;

use crate::history::OptionsMap;
use crate::id_map::IdMap;
use crate::slab::Slab;
use crate::{Item, Published, ReadRequest, StreamId, WatchId, WatchSpec};

mod members;

mod standings;

mod waiting;

mod endings;

mod live;

mod scans;

mod catch_up;

mod dealt;

mod kept;

mod progress;

mod status;

pub use status::{Gauges, Standings, WatcherStanding, WatcherStatus};

use kept::Kept;
use members::{Group, Member};
use scans::Scan;
use waiting::Waiting;

/// How many reads may be out at once, beside the head's own, which never waits: one that is being read, and one that waits for the reader, so that the reader
/// does not idle while the engine hands a chunk out.
const READS_OUT_MAX: usize = 2;

/// The engine's bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The most that one chunk may charge an outbox. Half a MiB is some 1,500 events of 256 bytes: enough that handing a
    /// chunk from thread to thread (about 70 µs) is a small part of reading it.
    pub chunk_bytes_max: usize,
    /// The most revisions one chunk passes, so that a read without a match ends too (about 2 ms).
    pub chunk_revisions_max: u64,
    /// The most that is kept of what was published while reads are out. What is not kept is read again.
    pub recent_bytes_max: usize,
    /// The most that is kept of chunks that have been dealt, by charge, while others wait that may be owed them.
    pub kept_bytes_max: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            chunk_bytes_max: 512 << 10,
            chunk_revisions_max: 16_384,
            recent_bytes_max: 8 << 20,
            kept_bytes_max: 16 << 20,
        }
    }
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Work {
    /// Read history and answer with [`Engine::history`].
    Read(ReadRequest),
    /// Put the item at the end of the stream's outbox, and wake its receiver.
    Deliver {
        /// The stream.
        stream: StreamId,
        /// What to put there.
        item: Item,
    },
    /// Somebody on this stream waits for room: report with [`Engine::drained`] once half of the outbox is free, also
    /// when nothing further is delivered.
    Blocked {
        /// The stream.
        stream: StreamId,
    },
}

/// Decides what each watcher is owed next. See the crate's front page.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    /// The last main revision that was handed out.
    head: u64,
    /// How far the head's own scan has come inside revision `head + 1`; 0 unless that revision is larger than a chunk.
    head_sub: u32,
    /// The newest main revision there is, handed out or not.
    published: u64,
    compact_revision: u64,
    index: Arc<WatcherIndex>,
    options: Arc<OptionsMap>,
    prev_groups: usize,
    streams: Slab<Stream>,
    groups: Slab<Group>,
    members: Slab<Member>,
    synced: usize,
    waiting: Waiting,
    /// By start, group, stream and member: those that are owed the same are neighbours.
    future: BTreeSet<(u64, u32, u32, u32)>,
    scans: Slab<Scan>,
    /// The head's own read, while it is out.
    head_read: Option<HeadRead>,
    reads_out: usize,
    /// Counts reads, so that scans take turns and a stream is reserved once a read.
    reads_asked: u64,
    recent: Recent,
    kept: Kept,
    streams_attached: u64,
    /// Streams whose question for progress may have an answer by now. It is given at the end of a turn, when everything
    /// up to the head has been queued for everybody.
    progress_due: Vec<u32>,
    /// Streams whose question has no answer yet.
    progress_waiting: BTreeSet<u32>,
    /// Streams that were detached since the last turn. Their names are free after it, when nothing that was meant for
    /// them is on its way any more: taking that back for each by itself cost a look at all work a stream.
    gone: Vec<u32>,
    work: Vec<Work>,
    /// How many members were looked at in search of siblings.
    #[cfg(test)]
    looks: std::cell::Cell<u64>,
}

/// The head's own read.
#[derive(Debug, Default)]
struct HeadRead {
    /// The head was moved by a compaction meanwhile: what comes back is not looked at.
    stale: bool,
    /// Groups that came since it was asked for: its matcher may have passed their keys before they were in the index.
    newcomers: HashSet<u32, foldhash::fast::RandomState>,
}

/// One receiver.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Tells it from another stream that had the same name before.
    serial: u64,
    watches: IdMap,
    outbox_bytes_max: usize,
    queued_bytes: usize,
    reserved_bytes: usize,
    /// The last read that reserved room here.
    reserved_by: u64,
    /// How many of its members are not synced.
    unsynced: usize,
    /// Somebody asked for progress, and it is to be at least this revision.
    progress_asked: Option<u64>,
    /// There was no room for one of its members, and its receiver is to report. None is read for until half of the
    /// outbox is free.
    blocked: bool,
    gone: bool,
}

/// Batches published while reads were out, without gaps, up to the newest that was given.
#[derive(Debug, Default)]
struct Recent {
    batches: VecDeque<Arc<Published>>,
    bytes: usize,
}

impl Engine {
    /// An engine for a log whose newest revision is `head`, compacted at `compact_revision` (0 for never).
    #[must_use]
    pub fn new(settings: EngineSettings, head: u64, compact_revision: u64) -> Self {
        Self {
            settings,
            head,
            head_sub: 0,
            published: head,
            compact_revision,
            index: Arc::new(WatcherIndex::new()),
            options: Arc::default(),
            prev_groups: 0,
            streams: Slab::new(),
            groups: Slab::new(),
            members: Slab::new(),
            synced: 0,
            waiting: Waiting::default(),
            future: BTreeSet::new(),
            scans: Slab::new(),
            head_read: None,
            reads_out: 0,
            reads_asked: 0,
            recent: Recent::default(),
            kept: Kept::default(),
            streams_attached: 0,
            progress_due: Vec::new(),
            progress_waiting: BTreeSet::new(),
            gone: Vec::new(),
            work: Vec::new(),
            #[cfg(test)]
            looks: std::cell::Cell::default(),
        }
    }

    /// A receiver came. Its outbox holds at most `outbox_bytes_max`, raised to two chunks where it is less: below that
    /// a chunk could never be reserved.
    pub fn attach(&mut self, outbox_bytes_max: usize) -> StreamId {
        self.streams_attached += 1;
        StreamId(self.streams.insert(Stream {
            serial: self.streams_attached,
            watches: IdMap::default(),
            outbox_bytes_max: outbox_bytes_max.max(2 * self.settings.chunk_bytes_max),
            queued_bytes: 0,
            reserved_bytes: 0,
            reserved_by: 0,
            unsynced: 0,
            progress_asked: None,
            blocked: false,
            gone: false,
        }))
    }

    /// The receiver is gone, and all its watches with it. Nothing is delivered to it any more. Its name may be given to
    /// another after the next turn.
    pub fn detach(&mut self, stream: StreamId) {
        let Some(gone) = self.streams.get_mut(stream.0).filter(|stream| !stream.gone) else { return };
        gone.gone = true;
        let watches = std::mem::take(&mut gone.watches);
        let mut members: Vec<u32> = watches.iter().map(|(_, member)| member).collect();
        members.sort_unstable();
        members.dedup();
        for member in members {
            self.remove_member(member);
        }
        self.progress_waiting.remove(&stream.0);
        self.gone.push(stream.0);
    }

    /// A watch came: [`Item::Created`] or [`Item::Refused`] is the first it hears.
    pub fn watch(&mut self, stream: StreamId, watch: WatchId, spec: WatchSpec) {
        self.skip_ahead();
        self.register(stream.0, watch, spec);
    }

    /// The watch is not wanted any more. It hears one [`Item::Ended`], and nothing after it. An unknown one hears
    /// nothing.
    pub fn cancel(&mut self, stream: StreamId, watch: WatchId) {
        self.cancel_watch(stream.0, watch);
    }

    /// The receiver took items that counted as `bytes` out of its outbox.
    pub fn drained(&mut self, stream: StreamId, bytes: usize) {
        let Some(to) = self.streams.get_mut(stream.0) else { return };
        to.queued_bytes = to.queued_bytes.saturating_sub(bytes);
        self.room_came(stream.0);
    }

    /// A transaction was published. They come in order of revision; gaps are allowed, see [`Engine::published_up_to`].
    pub fn published(&mut self, batch: Arc<Published>) {
        self.published = self.published.max(batch.revision());
        if batch.revision() <= self.head {
            return;
        }
        if self.head_read.is_none() && batch.revision() == self.head + 1 && self.head_sub == 0 {
            self.hand_out(&batch);
        }
        self.keep_recent(batch);
    }

    /// The newest published revision is at least `revision`, whether its batch was kept for the engine or not. What was
    /// not kept is read from history.
    pub fn published_up_to(&mut self, revision: u64) {
        self.published = self.published.max(revision);
    }

    /// The store was compacted: nothing below `revision` is to be had any more.
    pub fn compacted(&mut self, revision: u64) {
        self.compact_to(revision);
    }

    /// The answer to a [`Work::Read`].
    pub fn history(&mut self, answer: Result<crate::HistoryChunk, crate::HistoryFailure>) {
        self.reads_out = self.reads_out.saturating_sub(1);
        self.take_history(answer);
        if self.reads_out == 0 {
            self.recent.forget_up_to(self.head);
        }
    }

    /// What is to be done now. Call it after each fact, or after several.
    #[must_use]
    pub fn turn(&mut self) -> Vec<Work> {
        self.move_head();
        self.start_reads();
        self.answer_progress();
        self.forget_gone();
        if self.reads_out == 0 && self.waiting.is_empty() {
            self.kept.clear();
        }
        std::mem::take(&mut self.work)
    }

    /// The last main revision that was handed out.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Takes back what was queued for streams that were detached, all in one pass, and frees their names.
    fn forget_gone(&mut self) {
        if self.gone.is_empty() {
            return;
        }
        let streams = &self.streams;
        self.work.retain(|work| match work {
            Work::Deliver { stream, .. } | Work::Blocked { stream } => {
                streams.get(stream.0).is_some_and(|to| !to.gone)
            }
            Work::Read(_) => true,
        });
        for stream in std::mem::take(&mut self.gone) {
            self.streams.remove(stream);
        }
    }

    fn push(&mut self, stream: u32, item: Item) {
        let Some(to) = self.streams.get_mut(stream).filter(|to| !to.gone) else { return };
        to.queued_bytes += item.charge_bytes();
        self.work.push(Work::Deliver { stream: StreamId(stream), item });
    }

    fn keep_recent(&mut self, batch: Arc<Published>) {
        let wanted = self.reads_out > 0 || batch.revision() > self.head;
        if !wanted {
            self.recent.clear();
            return;
        }
        self.recent.push(batch, self.settings.recent_bytes_max);
    }
}

impl Stream {
    /// Whether `bytes` more fit. An empty outbox takes anything, so that one large revision cannot be stuck for ever.
    fn has_room(&self, bytes: usize) -> bool {
        let taken = self.queued_bytes + self.reserved_bytes;
        taken == 0 || taken + bytes <= self.outbox_bytes_max
    }
}

impl Recent {
    /// Keeps `batch`, the newest. Older ones go where it does not follow on them, and from the front when it is too
    /// much.
    fn push(&mut self, batch: Arc<Published>, bytes_max: usize) {
        if self.batches.back().is_some_and(|last| last.revision() + 1 != batch.revision()) {
            self.clear();
        }
        self.bytes += batch.charge_bytes();
        self.batches.push_back(batch);
        while self.bytes > bytes_max && self.pop_front() {}
    }

    fn pop_front(&mut self) -> bool {
        let Some(batch) = self.batches.pop_front() else { return false };
        self.bytes -= batch.charge_bytes();
        true
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn forget_up_to(&mut self, revision: u64) {
        while self.batches.front().is_some_and(|batch| batch.revision() <= revision) {
            self.pop_front();
        }
    }

    /// The batches from `first` to `last`, if all of them are here.
    fn all_of(&self, first: u64, last: u64) -> Option<Vec<Arc<Published>>> {
        if first > last {
            return Some(Vec::new());
        }
        let start = self.batches.front()?.revision();
        let skip = usize::try_from(first.checked_sub(start)?).ok()?;
        let count = usize::try_from(last - first + 1).ok()?;
        let found: Vec<_> = self.batches.iter().skip(skip).take(count).cloned().collect();
        (found.len() == count).then_some(found)
    }
}
