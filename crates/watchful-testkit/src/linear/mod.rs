//! Whether a history of concurrent clients is one that a single store could have had, one call at a time: linearizability,
//! of histories of any length.
//!
//! In general that is hard to decide, because the order of calls that overlapped has to be guessed. Here the store tells it:
//! a write answers with its own revision, and a read with the revision it was answered at. So every call that was answered
//! has its place: a write at `r` comes right before the reads at `r`, and those among each other may come in any order.
//! What is left to look at is
//!
//! - that each answer is the one that the [`Model`] gives at its place;
//! - that the places keep to time: a call that was answered before another was sent has no later place;
//! - which of the calls whose outcome nobody knows (the server was killed, the answer was not waited for) happened: some of
//!   those that were sent in time must explain each revision that no answer tells of. Only there is anything guessed, and
//!   a history of the store's own events, where there is one, leaves little to guess.
//!
//! The cost is the model's, and a sort of the calls.
//!
//! # A worked example
//!
//! One client puts `a` and is answered with revision 2; then another reads `a`, and does not find it, at revision 1:
//!
//! ```
//! use watchful_testkit::linear::{Answer, Call, check};
//! use watchful_testkit::{Op, OpResult, RangeAnswer};
//! use watchful_revision::KeyRange;
//!
//! let put = Call {
//!     ops: vec![Op::put("a", "1")],
//!     sent: 0,
//!     answer: Some(Answer { at: 1, revision: 2, results: vec![OpResult::Put { prev: None }] }),
//! };
//! let read = |sent| Call {
//!     ops: vec![Op::range(KeyRange::key("a"))],
//!     sent,
//!     answer: Some(Answer { at: 9, revision: 1, results: vec![OpResult::Range(RangeAnswer::default())] }),
//! };
//! // At once with the put, that is as it should be; after it, it is stale.
//! assert!(check(&[put.clone(), read(0)], &[]).is_ok());
//! assert!(check(&[put, read(2)], &[]).is_err());
//! ```

mod place;

mod search;

use watchful_revision::Event;

use crate::{Model, Op, OpResult, Row};

/// One call of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked for: one transaction.
    pub ops: Vec<Op>,
    /// When it was sent: its place among everything that was sent and answered.
    pub sent: u64,
    /// The answer; none where nobody knows what became of the call. One that surely did nothing is no part of a history.
    pub answer: Option<Answer>,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When: its place among everything that was sent and answered, after its call's.
    pub at: u64,
    /// The store's revision: the call's own, where it changed something.
    pub revision: u64,
    /// One result an operation. Of a row's revision only the main one is looked at: etcd's API tells no more.
    pub results: Vec<OpResult>,
}

impl Answer {
    /// Whether the call took a revision.
    fn has_changed(&self) -> bool {
        self.results.iter().any(changes)
    }
}

fn changes(result: &OpResult) -> bool {
    match result {
        OpResult::Put { .. } => true,
        OpResult::Deleted { prev } => !prev.is_empty(),
        OpResult::Range(_) => false,
        OpResult::Txn { results, .. } => results.iter().any(changes),
    }
}

/// A history that no single store can have had, as far as it could be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no order of the calls explains the history, from revision {revision} on: {why}")]
pub struct NotLinear {
    /// Up to here it could be explained.
    pub revision: u64,
    /// What could not.
    pub why: String,
}

/// Checks a history that began with an empty store. `events` is what the store itself tells of its history, from revision 2
/// on: what it tells must be what was done, up to the last revision that any call was told of, and it leaves little to guess.
/// Where there is none, it is empty. Answers with the model at the end.
///
/// # Errors
///
/// [`NotLinear`], with what could not be explained.
pub fn check(calls: &[Call], events: &[Event]) -> Result<Model, NotLinear> {
    let places = place::places(calls)?;
    search::search(calls, &places, events)
}

/// Without what is not looked at.
fn told(result: &OpResult) -> OpResult {
    let row = |row: &Row| {
        let mut row = row.clone();
        row.revision.sub = 0;
        row
    };
    let rows = |rows: &[Row]| rows.iter().map(row).collect();
    match result {
        OpResult::Put { prev } => OpResult::Put { prev: prev.as_ref().map(row) },
        OpResult::Deleted { prev } => OpResult::Deleted { prev: rows(prev) },
        OpResult::Range(answer) => {
            let mut answer = answer.clone();
            answer.rows = rows(&answer.rows);
            OpResult::Range(answer)
        }
        OpResult::Txn { succeeded, results } => {
            OpResult::Txn { succeeded: *succeeded, results: results.iter().map(told).collect() }
        }
    }
}
