//! A stream's answers: what comes out of the outbox, one message a watch.

mod run;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio_stream::wrappers::WatchStream as WatchChanges;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};
use watchful::{Batch, End, StreamItem, WatchId, WatchIds, WatchStream};
use watchful_wire::etcdserverpb::WatchRequest;
use watchful_wire::{Events, WatchResponse};

use super::fragments::{Held, Joined, Pieces, piece_end};
use super::permitted::{Permitted, Watched, reason};
use super::{NO_WATCH, encoded, requests};
use crate::answers as errors;
use crate::auth::Credentials;
use crate::state::Shared;
use crate::streams::Registered;
use run::Run;

/// The most answers that wait for room in the connection without having come out of the outbox: refusals. Beyond it no
/// request is read.
const REFUSALS_MAX: usize = 16;

/// The most requests that are read before answers get their turn.
const REQUESTS_A_POLL: usize = 64;

/// The answers of one gRPC watch stream. See the [module](super).
pub(crate) struct Answers {
    shared: Arc<Shared>,
    stream: WatchStream,
    /// None once the client has said all it will; its watches go on.
    requests: Option<Streaming<WatchRequest>>,
    watches: Watches,
    permitted: Permitted,
    changes: WatchChanges<u64>,
    held: Held,
    refusals: VecDeque<WatchResponse>,
    dealing: Option<Dealing>,
    /// What came out of the outbox after a run, and is no part of it.
    next: Option<StreamItem>,
    peer: Option<SocketAddr>,
    registered: Option<Registered>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    is_over: bool,
}

/// The most watches that were asked for and not answered yet. Beyond it no request is read.
const ASKED_MAX: usize = 1024;

/// What has to be known of a stream's watches beside what the store knows: only of those that are unlike the others.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// What was asked for, in order: the store answers each, in the same order, that it is created or refused.
    asked: VecDeque<Asked>,
    /// Watches that get large answers in parts.
    fragment: HashSet<WatchId>,
}

/// A watch that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The revision that the answer `created` tells, for a watch that starts after it: a client that is cut off before
    /// the first event goes on from there.
    pub(super) created_at: Option<u64>,
    /// Whether it takes large answers in parts.
    pub(super) fragment: bool,
    /// What it sees, where that has to be remembered.
    pub(super) watched: Option<Watched>,
}

impl Watches {
    pub(super) fn asked_for(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// The watch is there: the oldest of those that were asked for.
    fn created(&mut self, id: WatchId) -> Option<Asked> {
        let asked = self.asked.pop_front()?;
        match asked.fragment {
            true => self.fragment.insert(id),
            // It may be the id of one that is over.
            false => self.fragment.remove(&id),
        };
        Some(asked)
    }

    fn refused(&mut self) {
        self.asked.pop_front();
    }

    fn forget(&mut self, id: WatchId) {
        self.fragment.remove(&id);
    }
}

/// An item on its way to the watches it is for, one after the other.
struct Dealing {
    item: Dealt,
    watches: WatchIds,
    receivers: usize,
    /// The watch that was served last.
    last: Option<WatchId>,
    /// What that watch is still to get, if its answer goes out in pieces.
    pieces: VecDeque<Pieces>,
    /// A revision that was put together for the watch before: likely the same for the next.
    joined: Option<Joined>,
}

enum Dealt {
    Events(Arc<Batch>),
    Run(Run),
    Progress(u64),
    Ended(End),
}

impl Answers {
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: WatchStream,
        requests: Streaming<WatchRequest>,
        credentials: Credentials,
        peer: Option<SocketAddr>,
    ) -> Self {
        shared.counts.watch_streams.add(1);
        let stopping = Box::pin(shared.stopping.clone().cancelled_owned());
        let permitted = Permitted::new(&shared, credentials);
        let changes = WatchChanges::from_changes(shared.authority.changes());
        Self {
            shared,
            permitted,
            changes,
            stream,
            requests: Some(requests),
            watches: Watches::default(),
            held: Held::default(),
            refusals: VecDeque::new(),
            dealing: None,
            next: None,
            peer,
            registered: None,
            stopping,
            is_over: false,
        }
    }

    /// Reads what the client asks for, as long as there is room for refusals.
    ///
    /// # Errors
    ///
    /// What is wrong with a request that cannot be read, or is not let in. Where the client broke off nobody hears of it.
    fn read_requests(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        for _ in 0..REQUESTS_A_POLL {
            if self.refusals.len() >= REFUSALS_MAX || self.watches.asked.len() >= ASKED_MAX {
                return Ok(());
            }
            let Some(requests) = &mut self.requests else { return Ok(()) };
            match Pin::new(requests).poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(request))) => {
                    let control = self.stream.control();
                    let (watches, permitted) = (&mut self.watches, &mut self.permitted);
                    let refused = requests::obey(&self.shared, control, watches, permitted, request);
                    self.refusals.extend(refused);
                }
                Poll::Ready(Some(Err(status))) => return Err(status),
                Poll::Ready(None) => self.requests = None,
            }
        }
        // There may be more: come back once answers had their turn.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WatchResponse, Status>>> {
        if let Err(status) = self.read_requests(cx) {
            (self.requests, self.is_over) = (None, true);
            return Poll::Ready(Some(Err(status)));
        }
        // What was there is looked at below. This is to be polled again when there is more.
        while let Poll::Ready(Some(_)) = Pin::new(&mut self.changes).poll_next(cx) {}
        loop {
            if let Err(status) = self.permitted.look(&self.shared, self.stream.control()) {
                self.is_over = true;
                return Poll::Ready(Some(Err(status)));
            }
            if let Some(answer) = self.refusals.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if let Some(answer) = self.deal() {
                return Poll::Ready(Some(Ok(answer)));
            }
            match self.poll_item(cx) {
                Poll::Ready(Some(item)) => {
                    if let Some(answer) = self.take(item, cx) {
                        return Poll::Ready(Some(Ok(answer)));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(self.stop()),
                Poll::Pending if self.stopping.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(self.stop());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The server stops: an error that clients know to be passing, so that they go on with their watches elsewhere or
    /// later.
    fn stop(&mut self) -> Option<Result<WatchResponse, Status>> {
        self.is_over = true;
        Some(Err(errors::stopped()))
    }

    /// Takes an item in: those for many watches are dealt out, the others are answered at once.
    fn take(&mut self, item: StreamItem, cx: &mut Context<'_>) -> Option<WatchResponse> {
        match item {
            StreamItem::Created { watch, head } => {
                self.register();
                let asked = self.watches.created(watch);
                let revision = asked.as_ref().and_then(|asked| asked.created_at).unwrap_or(head);
                let watched = asked.and_then(|asked| asked.watched);
                self.permitted.created(self.stream.control(), watch, watched);
                Some(WatchResponse { created: true, ..self.answer(watch, revision) })
            }
            StreamItem::Refused { .. } => {
                self.watches.refused();
                Some(requests::refusal(&self.shared, requests::DUPLICATE_ID))
            }
            StreamItem::Progress { revision, watches: None } => Some(self.answer(NO_WATCH, revision)),
            StreamItem::Progress { revision, watches: Some(watches) } => {
                self.begin(Dealt::Progress(revision), watches);
                None
            }
            StreamItem::Events { batch, watches } => {
                let dealt = self.with_those_after(batch, &watches, cx);
                self.begin(dealt, watches);
                None
            }
            StreamItem::Ended { watches, end } => {
                self.begin(Dealt::Ended(end), watches);
                None
            }
        }
    }

    /// Notes what is to be dealt out next. That is done after another look at what is permitted: the item may be of after the
    /// last one.
    fn begin(&mut self, item: Dealt, watches: WatchIds) {
        let receivers = watches.len();
        let pieces = VecDeque::new();
        self.dealing = Some(Dealing { item, watches, receivers, last: None, pieces, joined: None });
    }

    /// The next answer of the item that is being dealt out; none once it is done.
    fn deal(&mut self) -> Option<WatchResponse> {
        loop {
            let dealing = self.dealing.as_mut()?;
            if let (Some(watch), Some(pieces)) = (dealing.last, dealing.pieces.pop_front()) {
                if self.permitted.is_denied(watch) {
                    dealing.pieces.clear();
                    continue;
                }
                return Some(self.piece(watch, pieces));
            }
            let Some(watch) = dealing.watches.next_after(dealing.last) else {
                self.dealing = None;
                return None;
            };
            dealing.last = Some(watch);
            if self.permitted.is_denied(watch) && !matches!(dealing.item, Dealt::Ended(_)) {
                continue;
            }
            let answer = match &dealing.item {
                Dealt::Progress(revision) => {
                    let revision = *revision;
                    Some(self.answer(watch, revision))
                }
                Dealt::Ended(end) => {
                    let end = end.clone();
                    Some(self.ended(watch, &end))
                }
                Dealt::Run(Run { events, count, head }) => {
                    let (events, count, head) = (events.clone(), *count, *head);
                    Some(self.with_events(watch, head, events, count))
                }
                Dealt::Events(batch) => {
                    let batch = Arc::clone(batch);
                    self.events(watch, &batch)
                }
            };
            if answer.is_some() {
                return answer;
            }
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        match self.next.take() {
            Some(item) => Poll::Ready(Some(item)),
            None => Pin::new(&mut self.stream).poll_next(cx),
        }
    }

    /// A batch for one watch: as it is, in pieces, or, where a revision has to be whole and goes on, nothing yet.
    fn events(&mut self, watch: WatchId, batch: &Arc<Batch>) -> Option<WatchResponse> {
        if self.watches.fragment.contains(&watch) {
            let mut pieces = self.held.pass(watch, batch);
            let first = pieces.pop_front()?;
            if let Some(dealing) = &mut self.dealing {
                dealing.pieces = pieces;
            }
            return Some(self.piece(watch, first));
        }
        if self.held.is_empty() && !batch.is_fragment() {
            let events = self.encoded(batch);
            return Some(self.with_events(watch, batch.head(), events, batch.events().len()));
        }
        let parts = self.held.add(watch, batch)?;
        let count = parts.iter().map(|part| part.events().len()).sum();
        let events = self.joined(parts);
        Some(self.with_events(watch, batch.head(), events, count))
    }

    fn encoded(&self, batch: &Arc<Batch>) -> Events {
        let receivers = self.dealing.as_ref().map_or(1, |dealing| dealing.receivers);
        encoded::whole(batch, receivers, &self.shared.encoded, &self.shared.counts)
    }

    /// The parts of a revision in one encoding.
    fn joined(&mut self, parts: Vec<Arc<Batch>>) -> Events {
        let before = self.dealing.as_mut().and_then(|dealing| dealing.joined.take());
        let joined = before
            .filter(|joined| joined.is_of(&parts))
            .unwrap_or_else(|| Joined::new(parts, &self.shared.counts));
        let events = joined.events();
        if let Some(dealing) = &mut self.dealing {
            dealing.joined = Some(joined);
        }
        events
    }

    /// The next piece of a batch, for a watch that takes pieces. What is left is noted.
    fn piece(&mut self, watch: WatchId, pieces: Pieces) -> WatchResponse {
        let Pieces { batch, from, goes_on } = pieces;
        let to = piece_end(batch.events(), from, self.shared.settings.limits.request_bytes_max);
        let is_last = to == batch.events().len();
        let events = match (from, is_last) {
            (0, true) => self.encoded(&batch),
            _ => encoded::part(&batch, from, to, &self.shared.counts),
        };
        let answer = self.with_events(watch, batch.head(), events, to - from);
        if let Some(dealing) = self.dealing.as_mut().filter(|_| !is_last) {
            dealing.pieces.push_front(Pieces { batch, from: to, goes_on });
        }
        WatchResponse { fragment: !is_last || goes_on, ..answer }
    }

    fn with_events(&self, watch: WatchId, revision: u64, events: Events, count: usize) -> WatchResponse {
        let counts = &self.shared.counts;
        counts.watch_copied_bytes.add(events.encoded_len() as u64);
        counts.watch_events.add(count as u64);
        WatchResponse { events, ..self.answer(watch, revision) }
    }

    fn ended(&mut self, watch: WatchId, end: &End) -> WatchResponse {
        self.watches.forget(watch);
        self.held.forget(watch);
        let is_denied = self.permitted.ended(watch);
        let canceled = |revision| WatchResponse { canceled: true, ..self.answer(watch, revision) };
        let current = self.shared.store.current_revision();
        match end {
            // As in etcd, the header of this one tells no revision.
            End::Compacted { compact_revision } => {
                WatchResponse { compact_revision: compact_revision.cast_signed(), ..canceled(0) }
            }
            End::Cancelled if is_denied => {
                WatchResponse { cancel_reason: reason(&errors::permission_denied()), ..canceled(current) }
            }
            End::Cancelled => canceled(current),
            other => WatchResponse { cancel_reason: format!("watchful: {other}"), ..canceled(current) },
        }
    }

    fn answer(&self, watch_id: WatchId, revision: u64) -> WatchResponse {
        let header = Some(self.shared.header_at(revision));
        WatchResponse { header, watch_id, ..WatchResponse::default() }
    }

    /// Notes whose stream this is, once the store has a name for it: which it has before anything comes out.
    fn register(&mut self) {
        let (None, Some(peer), Some(stream)) = (&self.registered, self.peer, self.stream.control().stream())
        else {
            return;
        };
        self.registered = Some(self.shared.streams.register(stream, peer));
    }
}

impl Stream for Answers {
    type Item = Result<WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let answer = self.poll_answer(cx);
        if let Poll::Ready(Some(Ok(_))) = &answer {
            self.shared.counts.watch_responses.add(1);
        }
        answer
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // Before the store's stream goes, and its name with it.
        self.registered = None;
        self.shared.counts.watch_streams.add(-1);
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("peer", &self.peer).finish_non_exhaustive()
    }
}
