//! The facade on trial: a store beside the testkit's model, under threads, in processes that are killed, and in histories
//! of concurrent clients.
//!
//! **What it is for:** the facade's tests and the long trials of `cargo xtask stress` do the same things, once for a second
//! and once for hours. What they do is here, once; the judge is `watchful-testkit`.
//!
//! **What it is not for:** nothing outside tests and trials may depend on it, and whatever goes wrong in it is a panic: it
//! has found something, and whoever runs it says which seed.
//!
//! # What is in it
//!
//! - [`Twin`]: a store that can be closed and opened again, and the model of what was done to it. [`Receiver`]: a watch that
//!   writes down what it saw. [`request`], [`result`], [`observation`]: the facade's words in the testkit's, and back.
//! - [`threads`]: writers, watchers of every manner, compactions, leases, backups and exchanges of the file, all at once.
//! - [`kill`]: the same in a process that is killed, wherever it is; and [`broken_off`] in the middle of a large compaction.
//! - [`linear`]: concurrent clients whose calls and answers are written down.
//! - [`child`]: this program once more, as a process that can be killed.
//!
//! # Invariants
//!
//! - Everything that is decided, is decided by a seed. Threads and processes meet as they like.
//! - Nothing waits for ever: what must come and does not is a failure after [`PATIENCE`].
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a trial that meets an error has failed")]
#![allow(
    clippy::missing_panics_doc,
    reason = "whatever goes wrong in a trial is a panic: the front page says so"
)]

mod wait;

mod words;

mod receiver;

mod gauges;

mod twin;

pub mod threads;

pub mod child;

pub mod kill;

pub mod broken_off;

pub mod linear;

pub use gauges::{check_budgets, check_nothing_is_left, gauges};
pub use receiver::Receiver;
pub use twin::{Twin, check, narrow, settings, word};
pub use wait::{PATIENCE, answered, block_on, defragment, eventually};
pub use watchful_mvcc_twin::{request, result, rows};
pub use words::{everything, get, kit_batch, lines, observation, rows_at, watch_options};
