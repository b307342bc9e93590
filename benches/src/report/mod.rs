//! What is told of a run: rows, tables for people, records for machines, and what changed between two records.
//!
//! - `row`: one figure with its rounds, its peer, its goals; whether they are met is worked out from them, never kept.
//! - `table`: rows for the terminal and as Markdown, and how many goals are met.
//! - `record`: runs with their machine and date, as a file; how several make one, and what is taken from an older one.
//! - `compare`: two records side by side.
//! - `text`: how figures are written.
//! - `documents`: a test that the documents show what their records hold.

mod row;

mod table;

mod record;

mod compare;

mod text;

pub(crate) use compare::compare;
pub(crate) use record::{Measured, Record, Run};
pub(crate) use row::{Goal, Row};
pub(crate) use table::{Form, line, print};
pub(crate) use text::{median_and_spread, short, tick};

#[cfg(test)]
mod documents;
