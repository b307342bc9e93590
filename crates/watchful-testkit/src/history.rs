//! What one receiver asked for, and what it saw.
//!
//! A test turns whatever its layer hands out (an outbox's items, a stream's responses) into [`Observation`]s, and the
//! checkers do the rest.

use watchful_revision::{Event, EventKind, KeyRange};

use crate::Model;

/// What a watch was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// The keys; an event is owed if any range holds its key.
    pub ranges: Vec<KeyRange>,
    /// The first main revision owed. It must be resolved: where the caller asked for "from now on", this is the store's
    /// revision at registration, plus one. 0 is the same as 1: everything.
    pub start_revision: u64,
    /// The kinds of events that were not wanted.
    pub filters: Filters,
    /// Whether events carry what was before.
    pub prev_kv: bool,
    /// What happens when the receiver is slow.
    pub policy: Policy,
}

impl WatchSpec {
    /// A watch of one range from `start_revision` on, without filters, previous values or conflation.
    #[must_use]
    pub fn new(range: KeyRange, start_revision: u64) -> Self {
        Self {
            ranges: vec![range],
            start_revision,
            filters: Filters::default(),
            prev_kv: false,
            policy: Policy::Replay,
        }
    }

    /// The same watch with previous values.
    #[must_use]
    pub fn with_prev_kv(self) -> Self {
        Self { prev_kv: true, ..self }
    }

    /// The same watch with filters.
    #[must_use]
    pub fn with_filters(self, filters: Filters) -> Self {
        Self { filters, ..self }
    }

    /// The same watch with another policy.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Whether an event of this key and kind is owed at all.
    #[must_use]
    pub fn wants(&self, key: &[u8], kind: EventKind) -> bool {
        self.filters.keep(kind) && self.ranges.iter().any(|range| range.contains(key))
    }
}

/// The kinds of events that a watch does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// No puts.
    pub no_put: bool,
    /// No deletes.
    pub no_delete: bool,
}

impl Filters {
    /// Whether events of this kind are wanted.
    #[must_use]
    pub fn keep(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}

/// What happens to a watch whose receiver is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It gets everything, later.
    #[default]
    Replay,
    /// It gets the newest put of each key, and every delete.
    Conflate,
    /// It ends.
    Cancel,
}

/// One thing that a receiver saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The watch exists.
    Created,
    /// Events.
    Batch(Batch),
    /// "You have everything up to `revision`."
    Progress {
        /// The revision.
        revision: u64,
    },
    /// The watch fell behind compaction and is gone.
    Compacted {
        /// The oldest revision that could still be read.
        compact_revision: u64,
    },
    /// The receiver was too slow, had asked for [`Policy::Cancel`], and the watch is gone.
    Lagged,
    /// The watch was cancelled and is gone.
    Cancelled,
}

impl Observation {
    /// A whole batch that spans just the revisions of its events.
    #[must_use]
    pub fn batch(events: Vec<Event>) -> Self {
        Self::Batch(Batch::of(events))
    }

    /// The last main revision that it speaks of: a batch's or a progress's.
    #[must_use]
    pub fn last_revision(&self) -> Option<u64> {
        match self {
            Self::Batch(batch) => Some(batch.last_revision),
            Self::Progress { revision } => Some(*revision),
            Self::Created | Self::Compacted { .. } | Self::Lagged | Self::Cancelled => None,
        }
    }

    /// Whether the watch is gone with it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Compacted { .. } | Self::Lagged | Self::Cancelled)
    }

    /// The events; none but in a batch.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        match self {
            Self::Batch(batch) => &batch.events,
            _ => &[],
        }
    }
}

/// Events that came together.
///
/// A batch says: these are all the events you are owed of the main revisions `first_revision` to `last_revision`, but
/// for a fragment, where more of `last_revision` follows in the next batch. That next batch begins at the same revision,
/// even if it turns out to hold nothing more of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The first main revision it spans.
    pub first_revision: u64,
    /// The last main revision it spans.
    pub last_revision: u64,
    /// The events.
    pub events: Vec<Event>,
    /// Whether more of the last revision follows.
    pub fragment: bool,
    /// Whether superseded puts may have been left out.
    pub conflated: bool,
}

impl Batch {
    /// A whole batch that spans just the revisions of its events.
    ///
    /// # Panics
    ///
    /// When there are no events: such a batch needs its span said.
    #[must_use]
    pub fn of(events: Vec<Event>) -> Self {
        let revisions = events.iter().map(|event| event.revision().main);
        let last_revision = revisions.clone().max().expect("a batch without events needs its span said");
        Self {
            first_revision: revisions.min().unwrap_or(last_revision),
            last_revision,
            events,
            fragment: false,
            conflated: false,
        }
    }

    /// The same batch, marked as a fragment.
    #[must_use]
    pub fn fragment(self) -> Self {
        Self { fragment: true, ..self }
    }

    /// The same batch, marked as conflated, with its span.
    #[must_use]
    pub fn conflated(self, first_revision: u64, last_revision: u64) -> Self {
        Self { conflated: true, first_revision, last_revision, ..self }
    }
}

/// Everything one receiver saw of one watch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    observations: Vec<Observation>,
}

impl Observed {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sees one thing more.
    pub fn push(&mut self, observation: Observation) {
        self.observations.push(observation);
    }

    /// What was seen, in order.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.observations.iter().flat_map(Observation::events)
    }

    /// The first main revision that the receiver still lacks, wholly or in part: where a new watch goes on from.
    #[must_use]
    pub fn next_revision(&self, spec: &WatchSpec) -> u64 {
        let mut cursor = Cursor::of(spec);
        self.observations.iter().for_each(|observation| cursor.pass(observation));
        cursor.next_revision
    }

    /// What a receiver that never lags would see of `model`, from the watch's registration on: one batch a revision,
    /// and progress at the end.
    #[must_use]
    pub fn ideal(spec: &WatchSpec, model: &Model) -> Self {
        Self::ideal_in_batches(spec, model, 1)
    }

    /// The same, with up to `revisions` revisions in one batch.
    #[must_use]
    pub fn ideal_in_batches(spec: &WatchSpec, model: &Model, revisions: u64) -> Self {
        let mut observed = Self { observations: vec![Observation::Created] };
        let (compact_revision, current_revision) = (model.compact_revision(), model.current_revision());
        let mut next = spec.start_revision.max(1);
        if next < compact_revision {
            observed.push(Observation::Compacted { compact_revision });
            return observed;
        }
        while next <= current_revision {
            let last = current_revision.min(next + revisions.max(1) - 1);
            let owed = model.events(&spec.ranges, spec.filters, next, last);
            let events: Vec<_> = owed.iter().map(|event| event.to_event(spec.prev_kv)).collect();
            if !events.is_empty() {
                observed.push(Observation::batch(events));
            }
            next = last + 1;
        }
        if spec.start_revision <= current_revision {
            observed.push(Observation::Progress { revision: current_revision });
        }
        observed
    }
}

impl FromIterator<Observation> for Observed {
    fn from_iter<I: IntoIterator<Item = Observation>>(observations: I) -> Self {
        Self { observations: observations.into_iter().collect() }
    }
}

impl Extend<Observation> for Observed {
    fn extend<I: IntoIterator<Item = Observation>>(&mut self, observations: I) {
        self.observations.extend(observations);
    }
}

/// How far a receiver has got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The first main revision that is not wholly there.
    pub(crate) next_revision: u64,
    /// The revision of which a part is there, and marked as such.
    pub(crate) open_revision: Option<u64>,
}

impl Cursor {
    pub(crate) fn of(spec: &WatchSpec) -> Self {
        Self { next_revision: spec.start_revision.max(1), open_revision: None }
    }

    pub(crate) fn pass(&mut self, observation: &Observation) {
        match observation {
            Observation::Batch(batch) if batch.fragment => {
                self.open_revision = Some(batch.last_revision);
                self.next_revision = self.next_revision.max(batch.last_revision);
            }
            Observation::Batch(Batch { last_revision: revision, .. })
            | Observation::Progress { revision } => {
                self.open_revision = None;
                self.next_revision = self.next_revision.max(revision + 1);
            }
            Observation::Created
            | Observation::Compacted { .. }
            | Observation::Lagged
            | Observation::Cancelled => {}
        }
    }
}
