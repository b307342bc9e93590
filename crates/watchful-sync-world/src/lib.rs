//! The sync engine's world: a writer with its queue, a reader of history, receivers and a compactor, as plain values.
//!
//! **What it is for:** the engine does nothing on its own, so a trial of it needs everybody whom it deals with. The engine's own
//! tests say what happens next, one call after the other; a property test and a fuzzer make a [`Schedule`] of it. All of them
//! are judged here, by the model and the checkers of `watchful-testkit`.
//!
//! **What it is not for:** threads, files and time are tried with the facade. Nothing outside tests may depend on this crate.
//!
//! # What is in it
//!
//! - [`World`] is the engine with everything around it.
//! - [`Receiver`] is the other end of an outbox, and [`Watched`] what one watch has seen there.
//! - [`OutRead`] is a read of history that is out, and is done in as many pieces as the trial likes.
//! - [`Schedule`] is a list of [`Step`]s, and runs them.
//!
//! ```
//! use watchful_sync_world::{Fate, Schedule, Step};
//! use watchful_testkit::Op;
//!
//! let commit = Step::Commit { ops: vec![Op::put("a", "1")], fate: Fate::Dropped };
//! Schedule(vec![(commit, true), (Step::Answer { read: 0 }, true)]).run();
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "it is for tests, and panics as they do")]

mod world;

mod receiver;

mod reader;

mod schedule;

pub use reader::OutRead;
pub use receiver::{Large, Receiver, Watched};
pub use schedule::{Fate, Schedule, Start, Step};
pub use world::{CHUNK_BYTES_MAX, World, pick, small_settings};
