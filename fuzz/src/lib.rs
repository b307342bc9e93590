//! Fuzz targets: whatever reads bytes or takes steps, held against a twin that is obviously right.
//!
//! **What it is for:** `cargo xtask fuzz [TARGET]... [--seconds N]` runs each target under libFuzzer, which keeps the inputs that
//! reach code that none reached before. `cargo test -p watchful-fuzz` runs the inputs of `seeds/` and of `regressions/`, and a
//! few by chance, without a fuzzer.
//!
//! **What it is not for:** what has to do with threads, processes and disks: `watchful-trials`. A bug that is found here gets a
//! test beside the code, and its input may stay in `regressions/`.
//!
//! # What is in it
//!
//! - [`ALL`] is the list of [`Target`]s. A target is one function of bytes that panics where something is wrong.
//! - An input is bytes as they are where bytes are read (records, files, JSON); elsewhere it is made into steps, by `arbitrary`.
//! - `src/bin/fuzz.rs` is the fuzzer's program, which needs a C++ compiler for libFuzzer; `src/bin/replay.rs` runs one input.
//!
//! # Invariants
//!
//! - A target does the same for the same input, but for the scheduling of threads in those that have any.
//! - It leaves nothing behind: files are in folders that go with it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a target panics where something is wrong, as a test does")]
#![allow(clippy::duplicate_mod, reason = "the key index brings its twin along when it brings its tests")]

mod input;

mod key_values;

mod records;

mod key_ranges;

mod watcher_index;

mod key_index;

mod schedules;

mod transactions;

mod store;

mod requests;

mod bbolt;

mod snapshots;

/// Something to try.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// One line: what is tried, and what has to hold.
    pub about: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// The longest input worth trying.
    pub len_max: usize,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target {
        name: "key-values",
        about: "the borrowed view reads any bytes as prost does",
        run: key_values::run,
        len_max: 400,
    },
    Target {
        name: "records",
        about: "what goes in comes out; damaged bytes are an error, never a panic",
        run: records::run,
        len_max: 400,
    },
    Target {
        name: "key-ranges",
        about: "a range holds what its two ends say, and has one form",
        run: key_ranges::run,
        len_max: 100,
    },
    Target {
        name: "watcher-index",
        about: "who watches a key, against a plain list",
        run: watcher_index::run,
        len_max: 2000,
    },
    Target {
        name: "key-index",
        about: "which versions a key has, against plain lists",
        run: key_index::run,
        len_max: 1000,
    },
    Target {
        name: "schedules",
        about: "the sync engine in any order of commits, reads, full outboxes, compactions, damage",
        run: schedules::run,
        len_max: 1500,
    },
    Target {
        name: "transactions",
        about: "transactions, nested and refused, on a real folder: each answer is the model's",
        run: transactions::run,
        len_max: 1500,
    },
    Target {
        name: "store",
        about: "the store on a real folder against the model, with compaction broken off and reopening",
        run: store::run,
        len_max: 1500,
    },
    Target {
        name: "requests",
        about: "every gRPC and JSON request of the server: an answer of its own, never a panic, nothing left over",
        run: requests::run,
        len_max: 1500,
    },
    Target {
        name: "bbolt",
        about: "a bbolt file of any bytes is read or refused, in the time that its length allows",
        run: bbolt::run,
        len_max: 1000,
    },
    Target {
        name: "snapshots",
        about: "an etcd's snapshot of any rows is moved in whole, or refused",
        run: snapshots::run,
        len_max: 1000,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
