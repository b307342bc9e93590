//! What travels to a receiver: batches of events, progress, and the ends of watches.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use watchful_revision::{Event, EventKind};

use crate::{WatchId, WatchIds};

/// What one transaction changed, as the writer publishes it: one revision, all its events, in order of `sub`.
#[derive(Clone, Debug)]
pub struct Published {
    revision: u64,
    events: Vec<Event>,
    charge_bytes: usize,
}

impl Published {
    /// The events of `revision`. A watch that asked for `prev_kv` gets what the events carry.
    #[must_use]
    pub fn new(revision: u64, events: Vec<Event>) -> Self {
        let charge_bytes = events.iter().map(Event::charge_bytes).sum();
        Self { revision, events, charge_bytes }
    }

    /// The transaction's main revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Its events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What keeping it counts as.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        self.charge_bytes
    }
}

/// Events for the watches of one group: whole revisions in order, unless it is marked a fragment.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    events: Vec<Event>,
    first_revision: u64,
    last_revision: u64,
    head: u64,
    fragment: bool,
    conflated: bool,
    charge_bytes: usize,
    encoding: Encoding,
}

/// What receivers made of a batch's events, for all of them. It says nothing that the events do not say.
#[derive(Debug, Default)]
struct Encoding(OnceLock<Bytes>);

impl PartialEq for Encoding {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Encoding {}

impl Batch {
    pub(crate) fn new(events: Vec<Event>, head: u64) -> Self {
        let charge_bytes = events.iter().map(Event::charge_bytes).sum();
        Self::charged(events, head, charge_bytes)
    }

    /// As [`Batch::new`], of events whose charges are known.
    pub(crate) fn charged(events: Vec<Event>, head: u64, charge_bytes: usize) -> Self {
        debug_assert_eq!(charge_bytes, events.iter().map(Event::charge_bytes).sum::<usize>());
        let first_revision = events.first().map_or(0, |event| event.revision().main);
        let last_revision = events.last().map_or(0, |event| event.revision().main);
        let encoding = Encoding::default();
        let (fragment, conflated) = (false, false);
        Self { events, first_revision, last_revision, head, fragment, conflated, charge_bytes, encoding }
    }

    /// A batch without events, which says that the fragmented revision `main` is whole: its last part held nothing
    /// for this group.
    pub(crate) fn closing(main: u64, head: u64) -> Self {
        Self { first_revision: main, last_revision: main, ..Self::new(Vec::new(), head) }
    }

    pub(crate) fn into_fragment(mut self, fragment: bool) -> Self {
        self.fragment = fragment;
        self
    }

    /// Marks the batch as conflated: it stands for every revision from `first` to `last`.
    pub(crate) fn into_conflated(mut self, first: u64, last: u64) -> Self {
        (self.first_revision, self.last_revision, self.conflated) = (first, last, true);
        self
    }

    /// The events. None only where a fragmented revision turned out to have nothing more for this watch: such a batch
    /// says that the revision is whole.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The main revision of the first event; of a conflated batch, the first revision it stands for.
    #[must_use]
    pub fn first_revision(&self) -> u64 {
        self.first_revision
    }

    /// The main revision of the last event; of a conflated batch, the last revision it stands for.
    #[must_use]
    pub fn last_revision(&self) -> u64 {
        self.last_revision
    }

    /// The engine's head when the batch was built: for a live batch its own revision, for one from history the newest
    /// revision that was known. Never below [`last_revision`](Self::last_revision).
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Whether the last revision goes on in the next batch, because it is too large for one.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment
    }

    /// Whether superseded puts were left out ([`LagPolicy::Conflate`](crate::LagPolicy::Conflate)).
    #[must_use]
    pub fn is_conflated(&self) -> bool {
        self.conflated
    }

    /// What the batch counts as in each outbox that holds it.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        self.charge_bytes
    }

    /// The events as some receiver has encoded them, for every other receiver that would encode them alike. It lives as
    /// long as the batch, and [`charge_bytes`](Self::charge_bytes) does not count it: who fills it keeps the count.
    #[must_use]
    pub fn encoding(&self) -> &OnceLock<Bytes> {
        &self.encoding.0
    }

    /// Whether an event of this kind is in it.
    #[must_use]
    pub fn has(&self, kind: EventKind) -> bool {
        self.events.iter().any(|event| event.kind() == kind)
    }
}

/// One element of an outbox.
#[derive(Clone, Debug)]
pub enum Item {
    /// The watch is registered. Comes before anything else of that watch.
    Created {
        /// The watch.
        watch: WatchId,
        /// The engine's head at that moment.
        head: u64,
    },
    /// The watch could not be registered.
    Refused {
        /// The watch id that was asked for.
        watch: WatchId,
        /// Why.
        refusal: Refusal,
    },
    /// Events, for all these watches alike.
    Events {
        /// The events, shared with every other member of the group.
        batch: Arc<Batch>,
        /// Whose they are.
        watches: WatchIds,
    },
    /// These watches have everything up to and including this main revision.
    Progress {
        /// The revision.
        revision: u64,
        /// Whose progress it is; none means every watch of the stream, which somebody asked for.
        watches: Option<WatchIds>,
    },
    /// The watches are over. The last item of each.
    Ended {
        /// Which watches.
        watches: WatchIds,
        /// Why.
        end: End,
    },
}

impl Item {
    /// What an item without events counts as.
    pub const CONTROL_BYTES: usize = 64;

    /// What the item counts as in an outbox.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        match self {
            Self::Events { batch, .. } => batch.charge_bytes(),
            _ => Self::CONTROL_BYTES,
        }
    }
}

/// Why a watch was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The stream already has a watch of this id.
    DuplicateWatchId,
}

/// Why a watch is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// Revisions it was owed are compacted away. Nothing up to there was lost silently: list again, then watch.
    #[error("revisions the watch was owed are compacted away: the oldest that is kept is {compact_revision}")]
    Compacted {
        /// The oldest revision a new watch can start at.
        compact_revision: u64,
    },
    /// It fell behind and had asked to be cancelled then.
    #[error(
        "the watch fell behind and was to be cancelled then: it was given everything below {next_revision}"
    )]
    Lagged {
        /// The first revision it was not given: a new watch can go on from there.
        next_revision: u64,
    },
    /// It was cancelled on request.
    #[error("the watch was cancelled")]
    Cancelled,
    /// History it was owed cannot be read: the disk failed or a record is damaged.
    #[error("history the watch was owed cannot be read: {reason}")]
    Unreadable {
        /// What failed, for people.
        reason: Arc<str>,
    },
    /// The store was closed. The engine itself never says so; whoever owns it does.
    #[error("the store was closed")]
    Closed,
}
