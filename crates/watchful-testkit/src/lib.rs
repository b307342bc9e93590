//! The oracle: a plain model of the store and its watches, and a named checker for every promise.
//!
//! **What it is for:** unit, property, stress, fuzz and crash tests of every layer say what they saw in the words of
//! this crate (a [`Row`], a [`ModelEvent`], an [`Observed`] history) and ask the same [`checkers`] whether it was right.
//!
//! **What it is not for:** it is no store. The [`Model`] never forgets a change, looks things up the obvious way, and
//! is meant to be right and readable, not fast. Nothing outside tests may depend on this crate.
//!
//! # What is in it
//!
//! - [`Model`] is the store as it should be: transactions, reads at a revision, compaction, leases, and the events that
//!   a watch is owed.
//! - [`Observed`] is what one receiver saw, and [`WatchSpec`] is what it had asked for.
//! - [`checkers`] has one function a promise. Each returns a [`Violation`] that names the promise, the place, what was
//!   expected and what was found.
//! - [`script`] is a small text form for tests: `put a 1`, `txn { put a 1; del b }`, `compact 5`.
//! - [`strategies`] makes keys, ranges, transactions and whole scripts for property tests, over a tiny alphabet so
//!   that keys collide.
//! - [`RangeList`] is key ranges and whose they are, as a plain list.
//! - [`SplitMix64`] makes the same random numbers again from a seed.
//!
//! # Invariants
//!
//! - The crate depends on `watchful-revision` alone, so every other crate of the workspace may use it in its tests.
//! - It opens no file, starts no thread and reads no clock.
//! - A checker that cannot judge from what it is given passes: what it reports is always broken.
//! - Every checker has a test that shows it a history broken on purpose.
//!
//! # A worked example
//!
//! Three transactions, and a watch of the prefix `a` that missed the second:
//!
//! ```
//! use watchful_testkit::{Model, Observed, Promise, WatchSpec, checkers, script};
//! use watchful_revision::KeyRange;
//!
//! let mut model = Model::new();
//! script::run(&mut model, "put a1 x\nput a2 y\ndel a1");
//! let spec = WatchSpec::new(KeyRange::prefix("a"), 2);
//!
//! let right = Observed::ideal(&spec, &model);
//! assert!(checkers::check_all(&spec, &right, &model).is_ok());
//!
//! let wrong: Observed =
//!     right.observations().iter().filter(|o| o.last_revision() != Some(3)).cloned().collect();
//! let violation = checkers::reliable(&spec, &wrong, &model).unwrap_err();
//! assert_eq!(violation.promise, Promise::Reliable);
//! ```
#![forbid(unsafe_code)]

mod model;

mod history;

mod violation;

pub mod checkers;

pub mod script;

pub mod strategies;

mod range_list;

mod rng;

pub use history::{Batch, Filters, Observation, Observed, Policy, WatchSpec};
pub use model::{
    Applied, ApplyError, Compare, CompareTarget, Comparison, LeaseError, Model, ModelEvent, Op, OpResult,
    Order, RangeAnswer, RangeOptions, ReadError, Row, SortTarget, Txn,
};
pub use range_list::RangeList;
pub use rng::SplitMix64;
pub use violation::{Promise, Violation};
