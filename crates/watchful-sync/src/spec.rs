//! What a caller asks for when it watches.

use watchful_revision::EventKind;

use crate::KeyRanges;

/// One watch, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// Which keys.
    pub ranges: KeyRanges,
    /// The first main revision that is owed. At or below the head it starts with history; above it, the watch is silent
    /// until then.
    pub start_revision: u64,
    /// Everything else, which watches of one group have in common.
    pub options: GroupOptions,
}

impl WatchSpec {
    /// A watch of `ranges` from `start_revision` on, with nothing left out and everything replayed.
    #[must_use]
    pub fn new(ranges: impl Into<KeyRanges>, start_revision: u64) -> Self {
        Self { ranges: ranges.into(), start_revision, options: GroupOptions::default() }
    }

    /// Leaves events out by kind.
    #[must_use]
    pub fn with_filter(mut self, filter: EventFilter) -> Self {
        self.options.filter = filter;
        self
    }

    /// Asks for the key's record just before each event.
    #[must_use]
    pub fn with_prev_kv(mut self, prev_kv: bool) -> Self {
        self.options.prev_kv = prev_kv;
        self
    }

    /// Asks for progress at the store's interval.
    #[must_use]
    pub fn with_progress_notify(mut self, progress_notify: bool) -> Self {
        self.options.progress_notify = progress_notify;
        self
    }

    /// Chooses what happens when the watch falls behind.
    #[must_use]
    pub fn with_lag_policy(mut self, lag: LagPolicy) -> Self {
        self.options.lag = lag;
        self
    }
}

/// What watches of one group have in common beside their ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupOptions {
    /// Events that are left out.
    pub filter: EventFilter,
    /// Whether each event carries the key's record just before it.
    pub prev_kv: bool,
    /// Whether progress is sent at an interval.
    pub progress_notify: bool,
    /// What happens on lag.
    pub lag: LagPolicy,
}

/// Events to leave out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventFilter {
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
}

impl EventFilter {
    /// Whether events of `kind` get through.
    #[must_use]
    pub fn takes(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}

/// What happens to a watch whose receiver is slower than the writers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LagPolicy {
    /// Every event is delivered, however late: the watch catches up from history.
    #[default]
    Replay,
    /// While it catches up, a put that a newer change of its key supersedes is skipped; deletes are kept.
    Conflate,
    /// Once it was synced and its outbox is full, the watch ends with [`End::Lagged`](crate::End::Lagged).
    Cancel,
}
