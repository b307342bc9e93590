//! A named function for every promise.
//!
//! Three kinds, by what they look at:
//!
//! - the history of a watch alone: [`ordered`], [`unique`], [`atomic`], [`bookmarkable`], [`filtered`], [`compacted`],
//!   [`compacted_at_start`], [`future_start`], [`becomes_synced`], and two that belong to no single promise: [`lifecycle`] and [`key_history`];
//! - the history and the model: [`reliable`], [`prev_kv`], [`create_flag`], [`compacted_is_true`], [`hand_over`],
//!   [`resumable`], and [`conflated`] for watches that conflate;
//! - the store: [`readable`], [`survives_compaction`], [`revision_never_goes_back`], [`gauges_return_to_zero`],
//!   [`within_budget`], [`writer_not_slowed`], [`durable`].
//!
//! [`check_all`] runs every one of the first two kinds that applies to a watch. For histories too long to keep,
//! [`WatchChecker`] and [`ModelChecker`] take one observation at a time.
//!
//! # Invariants
//!
//! - A checker reports only what is certainly broken. Where it depends on something it cannot know (when a compaction
//!   happened, how far a silent cursor moved), it gives the benefit of the doubt, and its documentation says so.
//! - A history that stops early is no violation: only what the receiver was told it has, is asked for.

mod rule;

mod order;

mod whole;

mod wanted;

mod lifecycle;

mod key_history;

mod watch_checker;

mod against_model;

mod conflated;

mod joined;

mod store;

pub use against_model::{ModelChecker, compacted_is_true, create_flag, prev_kv, reliable};
pub use conflated::conflated;
pub use joined::{hand_over, resumable};
pub use key_history::key_history;
pub use lifecycle::{becomes_synced, compacted, compacted_at_start, lifecycle};
pub use order::{bookmarkable, ordered, unique};
pub use store::{
    BudgetSample, ReadBack, StoreReading, durable, gauges_return_to_zero, readable, revision_never_goes_back,
    revision_never_goes_back_within_epoch, survives_compaction, within_budget, writer_not_slowed,
};
pub use wanted::{filtered, future_start};
pub use watch_checker::{WatchChecker, check_all};
pub use whole::atomic;
