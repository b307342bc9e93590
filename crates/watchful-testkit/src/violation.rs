//! What a checker reports.

use std::fmt;

/// The promises, numbered as the design numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Revisions never go back on a watch.
    Ordered,
    /// No revision comes twice on a watch.
    Unique,
    /// Exactly the model's events, from the start to the last progress.
    Reliable,
    /// A revision is never split over two batches, unless it is marked.
    Atomic,
    /// A new watch from where the last one ended goes on without loss or repeat.
    Resumable,
    /// Progress r means everything up to r was delivered, and never goes back.
    Bookmarkable,
    /// Only the keys and kinds that were asked for.
    Filtered,
    /// The value just before this operation.
    PrevKv,
    /// The create flag is set where the key was absent just before, and only there.
    CreateFlag,
    /// A watch behind compaction is told so once, and then ends; nothing comes after the end of a watch.
    Compacted,
    /// What compaction must keep is kept.
    SurvivesCompaction,
    /// `current_revision` never goes back.
    RevisionNeverGoesBack,
    /// A watch of quiet keys gets progress.
    BecomesSynced,
    /// No gap and no repeat where history meets live events.
    HandOver,
    /// A watch from the future sees nothing before it.
    FutureStart,
    /// Nothing is left behind.
    GaugesReturnToZero,
    /// What was delivered can be read at once.
    Readable,
    /// Watchers do not slow the writer.
    WriterNotSlowed,
    /// Memory stays inside its budgets.
    WithinBudget,
    /// What was acknowledged survives; the rest appears whole or not at all.
    Durable,
    /// A conflated watch loses only puts that were superseded. It has no number: promises 3, 4 and 8 do not hold for
    /// such a watch, and this one takes their place.
    Conflated,
}

impl Promise {
    /// The promise's number; none for the rule that conflated watches have instead.
    #[must_use]
    pub fn number(self) -> Option<u8> {
        match self {
            Self::Conflated => None,
            numbered => Some(numbered as u8 + 1),
        }
    }

    /// The name of its checker.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Unique => "unique",
            Self::Reliable => "reliable",
            Self::Atomic => "atomic",
            Self::Resumable => "resumable",
            Self::Bookmarkable => "bookmarkable",
            Self::Filtered => "filtered",
            Self::PrevKv => "prev_kv",
            Self::CreateFlag => "create_flag",
            Self::Compacted => "compacted",
            Self::SurvivesCompaction => "survives_compaction",
            Self::RevisionNeverGoesBack => "revision_never_goes_back",
            Self::BecomesSynced => "becomes_synced",
            Self::HandOver => "hand_over",
            Self::FutureStart => "future_start",
            Self::GaugesReturnToZero => "gauges_return_to_zero",
            Self::Readable => "readable",
            Self::WriterNotSlowed => "writer_not_slowed",
            Self::WithinBudget => "within_budget",
            Self::Durable => "durable",
            Self::Conflated => "conflated",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "promise {number} ({})", self.name()),
            None => write!(f, "the rule of {} watches", self.name()),
        }
    }
}

/// A promise was broken: which, where, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{promise} is broken at {place}: expected {expected}; found {found}")]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// Where, for people: an observation of the history, a key, a gauge.
    pub place: String,
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl Violation {
    /// A violation. Tests of a layer may report their own this way.
    #[must_use]
    pub fn new(
        promise: Promise,
        place: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self { promise, place: place.to_string(), expected: expected.to_string(), found: found.to_string() }
    }

    /// The same violation, as one of a promise that is a combination of others.
    #[must_use]
    pub fn seen_as(self, promise: Promise) -> Self {
        let place = format!("{} (by {})", self.place, self.promise.name());
        Self { promise, place, ..self }
    }
}
