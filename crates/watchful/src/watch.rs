//! Watches, as their users hold them: one watch by itself, or many on one stream.
//!
//! Both are an async [`Stream`](futures_core::Stream) and can be waited on from a plain thread. Dropping one cancels it.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use parking_lot::Mutex;
use watchful_revision::KeyRange;
use watchful_sync::{
    Batch, End, EventFilter, Item, KeyRanges, LagPolicy, StreamId, WatchId, WatchSpec, WatcherStatus,
};

use crate::feed::{Command, Feed};
use crate::outbox::Outbox;
use crate::promise::{Reply, block_on_for, block_on_soon, promise};
use crate::token::{ResumeToken, StoreName};
use crate::{Error, View};

/// What to watch, from when, and how.
///
/// ```
/// use watchful::{KeyRange, LagPolicy, WatchOptions};
/// let options = WatchOptions::new(KeyRange::prefix("/app/"))
///     .and(KeyRange::key("/motd"))
///     .start_at(17)
///     .with_prev_kv(true)
///     .with_lag_policy(LagPolicy::Conflate);
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
pub struct WatchOptions {
    ranges: Vec<KeyRange>,
    start: Start,
    filter: EventFilter,
    prev_kv: bool,
    progress_notify: bool,
    lag: LagPolicy,
    outbox_bytes_max: Option<usize>,
}

#[derive(Clone, Debug)]
enum Start {
    Now,
    At(u64),
    Token(ResumeToken),
}

impl WatchOptions {
    /// A watch of `range`, from the next change on.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        Self {
            ranges: vec![range],
            start: Start::Now,
            filter: EventFilter::default(),
            prev_kv: false,
            progress_notify: false,
            lag: LagPolicy::default(),
            outbox_bytes_max: None,
        }
    }

    /// Watches `range` too. Events of all ranges come in one order.
    #[must_use]
    pub fn and(mut self, range: KeyRange) -> Self {
        self.ranges.push(range);
        self
    }

    /// Starts with this main revision: in the past, it begins with history; in the future, it is silent until then. 0
    /// means from the next change on.
    #[must_use]
    pub fn start_at(mut self, revision: u64) -> Self {
        self.start = if revision == 0 { Start::Now } else { Start::At(revision) };
        self
    }

    /// Goes on where another watch stopped.
    #[must_use]
    pub fn resume(mut self, token: ResumeToken) -> Self {
        self.start = Start::Token(token);
        self
    }

    /// Leaves events out by kind.
    #[must_use]
    pub fn with_filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Asks for each key's record just before its event.
    #[must_use]
    pub fn with_prev_kv(mut self, prev_kv: bool) -> Self {
        self.prev_kv = prev_kv;
        self
    }

    /// Asks for progress at the store's interval, where nothing else was sent in it.
    #[must_use]
    pub fn with_progress_notify(mut self, progress_notify: bool) -> Self {
        self.progress_notify = progress_notify;
        self
    }

    /// Chooses what happens when the receiver falls behind.
    ///
    /// With [`LagPolicy::Conflate`] the promises *reliable*, *atomic* and *`prev_kv`* do not hold: what is delivered while
    /// catching up is the newest state of each key, and every delete.
    #[must_use]
    pub fn with_lag_policy(mut self, lag: LagPolicy) -> Self {
        self.lag = lag;
        self
    }

    /// Bounds the outbox, instead of the store's setting. Raised to twice the store's `chunk_bytes_max` where it is less.
    /// For a watch by itself: watches on a stream share the stream's.
    #[must_use]
    pub fn with_outbox_bytes_max(mut self, outbox_bytes_max: usize) -> Self {
        self.outbox_bytes_max = Some(outbox_bytes_max);
        self
    }

    pub(crate) fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    fn spec(&self, store: &StoreName, current_revision: u64) -> Result<WatchSpec, Error> {
        let start_revision = match &self.start {
            Start::Now => current_revision + 1,
            Start::At(revision) => *revision,
            Start::Token(token) => token.next_revision_in(store)?,
        };
        let ranges = KeyRanges::union(self.ranges.iter().cloned()).ok_or(Error::NoRanges)?;
        Ok(WatchSpec::new(ranges, start_revision)
            .with_filter(self.filter)
            .with_prev_kv(self.prev_kv)
            .with_progress_notify(self.progress_notify)
            .with_lag_policy(self.lag))
    }
}

/// What a store gives to those who watch it.
#[derive(Clone)]
pub(crate) struct WatchPlace {
    pub(crate) feed: Arc<Feed>,
    pub(crate) name: StoreName,
    pub(crate) outbox_bytes_max: usize,
    /// Twice the engine's chunk: what an outbox is raised to.
    pub(crate) outbox_bytes_min: usize,
}

/// The receiving end of one outbox. Dropped, the engine forgets it.
struct Receiver {
    outbox: Arc<Outbox>,
    feed: Arc<Feed>,
}

impl Receiver {
    fn attach(place: &WatchPlace, bytes_max: Option<usize>) -> Result<Self, Error> {
        let bytes_max = bytes_max.unwrap_or(place.outbox_bytes_max).max(place.outbox_bytes_min);
        let outbox = Arc::new(Outbox::new(bytes_max));
        let feed = Arc::clone(&place.feed);
        let attached = feed.command(Command::Attach(Arc::clone(&outbox)));
        if attached { Ok(Self { outbox, feed }) } else { Err(Error::Closed) }
    }

    fn poll_item(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.outbox.poll_take(cx).map(|taken| {
            if taken.tell {
                self.feed.command(Command::Drained(Arc::clone(&self.outbox)));
            }
            taken.item
        })
    }

    fn status(&self, watch: WatchId) -> Answer<Option<WatcherStatus>> {
        let (reply, answer) = promise();
        self.feed.command(Command::Status { outbox: Arc::clone(&self.outbox), watch, reply });
        Answer::new(answer)
    }

    fn ask_progress(&self, revision_min: u64) {
        self.feed.command(Command::AskProgress { outbox: Arc::clone(&self.outbox), revision_min });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.feed.command(Command::Detach(Arc::clone(&self.outbox)));
    }
}

/// An answer of the store: awaited in a task or waited for on a thread.
#[must_use = "the answer comes when it is awaited or waited for"]
#[derive(Debug)]
pub struct Answer<T>(Reply<Result<T, Error>>);

impl<T> Answer<T> {
    pub(crate) fn new(reply: Reply<Result<T, Error>>) -> Self {
        Self(reply)
    }

    /// Waits on this thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the store was closed meanwhile; and what the method that was asked says.
    pub fn wait(self) -> Result<T, Error> {
        self.0.wait().unwrap_or(Err(Error::Closed))
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

/// What a watch delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Events, in order: whole revisions, unless the batch is marked as a fragment of one.
    Events(Arc<Batch>),
    /// Everything up to and including this main revision has been delivered.
    Progress {
        /// The revision.
        revision: u64,
    },
}

/// One watch with an outbox of its own. See [`Store::watch`](crate::Store::watch).
///
/// - In a task: [`next`](Watch::next), or as a [`Stream`](futures_core::Stream).
/// - On a thread: [`wait_next`](Watch::wait_next), or [`updates`](Watch::updates) as an iterator.
///
/// The last thing it gives is the [`End`], as an error to match on; then it gives nothing more. Dropping it cancels it.
pub struct Watch {
    receiver: Receiver,
    name: StoreName,
    next_revision: u64,
    over: bool,
}

/// A watch by itself is the only one on its stream.
const ONLY: WatchId = 0;

impl Watch {
    pub(crate) fn open(
        place: &WatchPlace,
        options: &WatchOptions,
        current_revision: u64,
    ) -> Result<Self, Error> {
        let spec = options.spec(&place.name, current_revision)?;
        let receiver = Receiver::attach(place, options.outbox_bytes_max)?;
        let next_revision = spec.start_revision;
        let outbox = Arc::clone(&receiver.outbox);
        receiver.feed.command(Command::Watch { outbox, watch: ONLY, spec });
        Ok(Self { receiver, name: place.name, next_revision, over: false })
    }

    /// The next update. None once the watch is over and its end has been told.
    pub async fn next(&mut self) -> Option<Result<Update, End>> {
        std::future::poll_fn(|cx| self.poll_update(cx)).await
    }

    /// Waits for the next update on this thread.
    pub fn wait_next(&mut self) -> Option<Result<Update, End>> {
        block_on_soon(|cx| self.poll_update(cx))
    }

    /// Waits for the next update on this thread, at most so long. `Err(Elapsed)` when nothing came.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] when the time is over; the watch goes on.
    pub fn wait_next_for(&mut self, timeout: Duration) -> Result<Option<Result<Update, End>>, Elapsed> {
        block_on_for(timeout, |cx| self.poll_update(cx)).ok_or(Elapsed)
    }

    /// The updates as a blocking iterator.
    pub fn updates(&mut self) -> impl Iterator<Item = Result<Update, End>> + '_ {
        std::iter::from_fn(|| self.wait_next())
    }

    /// Where the watch stands: how far behind it is, and what is queued for it. Costs a round trip to the driver. None
    /// when the watch is over.
    pub fn status(&self) -> Answer<Option<WatcherStatus>> {
        self.receiver.status(ONLY)
    }

    /// Asks for an [`Update::Progress`], which comes once the watch has everything up to `revision_min`. It is a barrier:
    /// with a write's own revision, it says that everything up to that write has been delivered.
    pub fn ask_progress(&self, revision_min: u64) {
        self.receiver.ask_progress(revision_min);
    }

    /// The first main revision of which something has not been taken out of this watch yet: what a new watch would start
    /// at to go on.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        self.next_revision
    }

    /// What a later watch needs to go on where this one is, also after a restart.
    #[must_use]
    pub fn resume_token(&self) -> ResumeToken {
        ResumeToken::new(self.name, self.next_revision)
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Update, End>>> {
        while !self.over {
            let Poll::Ready(item) = self.receiver.poll_item(cx) else { return Poll::Pending };
            if let Some(update) = self.take(item) {
                return Poll::Ready(Some(update));
            }
        }
        Poll::Ready(None)
    }

    fn take(&mut self, item: Option<Item>) -> Option<Result<Update, End>> {
        match item {
            Some(Item::Created { .. } | Item::Refused { .. }) => None,
            Some(Item::Events { batch, .. }) => {
                let last = batch.last_revision();
                self.next_revision = if batch.is_fragment() { last } else { last + 1 };
                Some(Ok(Update::Events(batch)))
            }
            Some(Item::Progress { revision, .. }) => {
                self.next_revision = self.next_revision.max(revision + 1);
                Some(Ok(Update::Progress { revision }))
            }
            Some(Item::Ended { end, .. }) => {
                self.over = true;
                Some(Err(end))
            }
            None => {
                self.over = true;
                Some(Err(End::Closed))
            }
        }
    }
}

impl Stream for Watch {
    type Item = Result<Update, End>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_update(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("next_revision", &self.next_revision).field("over", &self.over).finish()
    }
}

/// Nothing came in the time that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing came in the time that was given")]
pub struct Elapsed;

/// Many watches on one outbox. See [`Store::watch_stream`](crate::Store::watch_stream).
///
/// Each watch has an id. What comes out are [`Item`]s that name the ids they are for: one batch for all watches of the
/// same keys. The stream itself ends only with the store.
pub struct WatchStream {
    control: WatchControl,
}

/// The part of a [`WatchStream`] that adds and cancels watches, for use from elsewhere while the stream is being read.
#[derive(Clone)]
pub struct WatchControl {
    receiver: Arc<Receiver>,
    place: Arc<WatchPlace>,
    current_revision: Arc<dyn Fn() -> u64 + Send + Sync>,
    ids: Arc<Mutex<Ids>>,
}

/// Which ids the stream may still give out.
#[derive(Default)]
struct Ids {
    next: WatchId,
    /// Ids that callers chose themselves, at or above `next`, and have not cancelled.
    chosen: BTreeSet<WatchId>,
}

impl Ids {
    fn choose(&mut self) -> WatchId {
        while self.chosen.remove(&self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    /// What was cancelled may be given out again.
    fn cancelled(&mut self, id: WatchId) {
        self.chosen.remove(&id);
    }

    fn chosen(&mut self, id: WatchId) {
        if id >= self.next {
            self.chosen.insert(id);
        }
    }
}

impl WatchStream {
    pub(crate) fn open(
        place: WatchPlace,
        bytes_max: Option<usize>,
        current_revision: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<Self, Error> {
        let receiver = Arc::new(Receiver::attach(&place, bytes_max)?);
        let (place, ids) = (Arc::new(place), Arc::default());
        Ok(Self { control: WatchControl { receiver, place, current_revision, ids } })
    }

    /// Adds and cancels watches; can be cloned and sent elsewhere.
    #[must_use]
    pub fn control(&self) -> &WatchControl {
        &self.control
    }

    /// The next item. None once the store is closed.
    pub async fn next(&mut self) -> Option<Item> {
        std::future::poll_fn(|cx| self.control.receiver.poll_item(cx)).await
    }

    /// Waits for the next item on this thread.
    pub fn wait_next(&mut self) -> Option<Item> {
        block_on_soon(|cx| self.control.receiver.poll_item(cx))
    }

    /// Waits for the next item on this thread, at most so long.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] when the time is over; the stream goes on.
    pub fn wait_next_for(&mut self, timeout: Duration) -> Result<Option<Item>, Elapsed> {
        block_on_for(timeout, |cx| self.control.receiver.poll_item(cx)).ok_or(Elapsed)
    }

    /// The items as a blocking iterator.
    pub fn items(&mut self) -> impl Iterator<Item = Item> + '_ {
        std::iter::from_fn(|| self.wait_next())
    }
}

impl Stream for WatchStream {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.control.receiver.poll_item(cx)
    }
}

impl WatchControl {
    /// Adds a watch under an id that the stream chooses; the first is 0. [`Item::Created`] is the first that comes of it.
    ///
    /// # Errors
    ///
    /// [`Error::NoRanges`], [`Error::TokenRefused`], [`Error::Closed`].
    pub fn watch(&self, options: &WatchOptions) -> Result<WatchId, Error> {
        let spec = options.spec(&self.place.name, (self.current_revision)())?;
        let id = self.ids.lock().choose();
        self.add(id, spec)?;
        Ok(id)
    }

    /// Adds a watch under this id. Where the stream has one of that id, [`Item::Refused`] comes instead of
    /// [`Item::Created`].
    ///
    /// # Errors
    ///
    /// [`Error::NoRanges`], [`Error::TokenRefused`], [`Error::Closed`].
    pub fn watch_as(&self, id: WatchId, options: &WatchOptions) -> Result<(), Error> {
        let spec = options.spec(&self.place.name, (self.current_revision)())?;
        self.ids.lock().chosen(id);
        self.add(id, spec)
    }

    fn add(&self, watch: WatchId, spec: WatchSpec) -> Result<(), Error> {
        let outbox = Arc::clone(&self.receiver.outbox);
        let taken = self.receiver.feed.command(Command::Watch { outbox, watch, spec });
        if taken { Ok(()) } else { Err(Error::Closed) }
    }

    /// Cancels a watch. One [`Item::Ended`] comes, and nothing of it after that; of an unknown watch nothing comes. An id
    /// that the caller chose may be chosen by the stream afterwards.
    pub fn cancel(&self, watch: WatchId) {
        self.ids.lock().cancelled(watch);
        let outbox = Arc::clone(&self.receiver.outbox);
        self.receiver.feed.command(Command::Cancel { outbox, watch });
    }

    /// Asks for one [`Item::Progress`] for the whole stream. It comes when every watch has started and has everything up
    /// to `revision_min`; while there are none, nothing comes.
    pub fn ask_progress(&self, revision_min: u64) {
        self.receiver.ask_progress(revision_min);
    }

    /// The store's name for this stream, which [`Store::watchers`](crate::Store::watchers) tells of each watch; none for
    /// the moment until the store has taken the stream in.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        self.receiver.outbox.stream()
    }

    /// Where one watch stands; none when there is no such watch any more.
    pub fn status(&self, watch: WatchId) -> Answer<Option<WatcherStatus>> {
        self.receiver.status(watch)
    }
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchStream")
    }
}

impl fmt::Debug for WatchControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchControl")
    }
}

/// A list and the watch that goes on from it. See [`Store::list_then_watch`](crate::Store::list_then_watch).
#[derive(Debug)]
pub struct Listed {
    /// The state that was listed, which stays readable until it is compacted.
    pub view: View,
    /// Every key of the ranges at [`View::revision`], in key order within each range.
    pub records: Vec<watchful_revision::Record>,
    /// Every change after that revision.
    pub watch: Watch,
}
