//! A small text form for what is done to a store, so that a test reads like a story.
//!
//! One step a line; what follows `#` is for people:
//!
//! | Line | Step |
//! |---|---|
//! | `put a 1`, `put a 1 lease=7`, `put a ignore_value lease=7`, `put a 2 ignore_lease` | a put; without a value it is empty |
//! | `del a`, `del a..c`, `del a*` | a delete of a range |
//! | `get a`, `get a* @5 limit=2 by=mod desc` | a read, now or at a revision |
//! | `txn { put a 1; del b }` | several operations in one transaction |
//! | `txn { if version a = 0; put a 1; else; get a }` | the same with compares |
//! | `compact 5`, `grant 7 60`, `revoke 7` | compaction, a lease of 60 seconds, its end |
//! | `!reopen`, `!crash after commit` | a step of the test's own: a name and its words |
//!
//! **Ranges** are `a` (one key), `a*` (a prefix), `a..c` (half-open), `a..` (from a key on) and `*` (every key).
//! **Words** end at a space or at one of `{};`; any byte can be written `\x00`, and `""` is the empty word.
//! **Reads** take `limit=`, `by=` (`key`, `version`, `create`, `mod`, `value`), `asc`, `desc`, `min_mod=`, `max_mod=`,
//! `min_create=`, `max_create=`, `keys_only` and `count_only`. **Compares** are `if FIELD RANGE OP TARGET` with the fields
//! `version`, `create`, `mod`, `value` and `lease`, and the operators `=`, `!=`, `<` and `>`.
//!
//! A line that means nothing panics with its number: scripts are written by hand, in tests.

mod parse;

use std::fmt::Write as _;

use watchful_revision::LeaseId;

use crate::{Applied, Model, Op, OpResult, RangeAnswer};

pub use parse::{parse, parse_bytes, parse_range};

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One transaction. With compares, it is a single [`Op::Txn`].
    Txn(Vec<Op>),
    /// Compaction.
    Compact(u64),
    /// A new lease.
    Grant {
        /// Its id.
        id: LeaseId,
        /// Its time to live, in seconds.
        ttl: i64,
    },
    /// The end of a lease.
    Revoke {
        /// Its id.
        id: LeaseId,
    },
    /// Something that only the test knows: the words after `!`.
    Call {
        /// The first word.
        name: String,
        /// The others.
        arguments: Vec<String>,
    },
}

/// Runs a script on a model, and answers one line a step, as [`run_step`] does.
///
/// ```
/// use watchful_testkit::{Model, script};
/// let answers = script::run(&mut Model::new(), "put a 1\nput a 2\ndel b\nget a @2");
/// assert_eq!(answers, "2\n3\n- deleted 0\n- [a=1 (create 2, mod 2.0, version 1)] of 1\n");
/// ```
///
/// # Panics
///
/// When a line means nothing.
pub fn run(model: &mut Model, script: &str) -> String {
    let steps = parse(script);
    steps.iter().fold(String::new(), |answers, step| answers + &run_step(model, step) + "\n")
}

/// Runs one step on a model and describes what came of it, as [`describe`] does for a transaction; `ok` for a step
/// without an answer, `error: …` for one that was refused. A [`Step::Call`] does nothing here.
pub fn run_step(model: &mut Model, step: &Step) -> String {
    let done = |result: Result<(), String>| result.map(|()| "ok".to_owned());
    let answer = match step {
        Step::Txn(ops) => {
            model.apply(ops).map(|applied| describe(&applied)).map_err(|error| error.to_string())
        }
        Step::Compact(revision) => done(model.compact(*revision).map_err(|error| error.to_string())),
        Step::Grant { id, ttl } => done(model.lease_grant(*id, *ttl).map_err(|error| error.to_string())),
        Step::Revoke { id } => {
            model.lease_revoke(*id).map(|applied| describe(&applied)).map_err(|error| error.to_string())
        }
        Step::Call { .. } => done(Ok(())),
    };
    answer.unwrap_or_else(|error| format!("error: {error}"))
}

/// A transaction's answer in one line: its revision (`-` for none), then the answers of its operations but plain puts.
///
/// A delete is `deleted 2`; a read is its rows in brackets and how many keys the range holds; a nested transaction is
/// `then(…)` or `else(…)`.
#[must_use]
pub fn describe(applied: &Applied) -> String {
    let mut line = applied.revision.map_or("-".to_owned(), |revision| revision.to_string());
    for result in &applied.results {
        describe_result(result, &mut line);
    }
    line
}

fn describe_result(result: &OpResult, line: &mut String) {
    match result {
        OpResult::Put { .. } => {}
        OpResult::Deleted { prev } => write!(line, " deleted {}", prev.len()).unwrap_or_default(),
        OpResult::Range(answer) => describe_range(answer, line),
        OpResult::Txn { succeeded, results } => {
            line.push_str(if *succeeded { " then(" } else { " else(" });
            results.iter().for_each(|result| describe_result(result, line));
            line.push_str(" )");
        }
    }
}

fn describe_range(answer: &RangeAnswer, line: &mut String) {
    let rows: Vec<String> = answer.rows.iter().map(ToString::to_string).collect();
    let more = if answer.more { ", more" } else { "" };
    write!(line, " [{}] of {}{more}", rows.join(", "), answer.count).unwrap_or_default();
}
