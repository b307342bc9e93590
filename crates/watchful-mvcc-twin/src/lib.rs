//! The store of `watchful-mvcc` beside the testkit's model, in the same words.
//!
//! **What it is for:** whoever tries the store, the tests of `watchful-mvcc` and of `watchful`, the long trials and the fuzzer,
//! says what is to be done in the testkit's words ([`Op`](watchful_testkit::Op), scripts), has it done by the store, and
//! compares the answers with the model's. How the one is said in the other's words stands here, once.
//!
//! **What it is not for:** nothing outside tests may depend on this crate.
//!
//! # What is in it
//!
//! - [`request`], [`compare`], [`options`], and back: [`result`], [`range_answer`], [`rows`], [`told`].
//! - [`Store`] is a store in a folder of its own, which waits for no disk.
//! - [`run_step`] and [`run_in_model`] do one step of a script on either side.
//! - [`Twin`] does [`Action`]s to a store and a model, and compares all that can be asked, at every revision.
//!
//! ```
//! use watchful_mvcc_twin::{Action, Twin};
//! use watchful_testkit::script;
//!
//! let mut twin = Twin::default();
//! let steps = script::parse("txn { put a 1; put b 1 }\ndel a\ncompact 3");
//! twin.run(&Action::Group { steps, is_committed: true, slice: Some(1) });
//! twin.run(&Action::Reopen);
//! twin.check(100);
//! twin.check_closed();
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "it is for tests, and panics as they do")]

mod words;

mod store;

mod steps;

mod twin;

pub use steps::{Answer, run_in_model, run_step};
pub use store::{Store, read_all, rows_at, settings};
pub use twin::{Action, Twin};
pub use words::{compare, options, range_answer, request, result, rows, told};
