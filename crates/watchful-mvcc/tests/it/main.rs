//! The crate's integration tests: one binary, one module a subject.
#![allow(clippy::unwrap_used, reason = "helpers of tests end a test by panicking, as tests do")]

mod support;

mod against_model;

mod transactions;

mod leases;

mod notes;

mod hashes;

mod reads;

mod history;

mod compaction;

mod doors;

mod damage;
mod damaged_nodes;
mod damaged_trees;

mod exports;

mod opening;

mod salvage;

mod space;
