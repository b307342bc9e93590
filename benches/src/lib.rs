//! What Watchful's claims are measured with: one module a workload, each with its question, ceiling, peer and goal.
//!
//! **What it is for:** `cargo xtask bench` answers "how fast, how large, how late?" as ratios within one run, ours and
//! the peer in turn, and says which goals are missed. `docs/BENCHMARKS.md` tells the results.
//!
//! **What it is not for:** it proves nothing about correctness, beyond refusing to time wrong answers: every workload
//! checks what it is given.
//!
//! # Invariants
//!
//! - Each workload runs in a process of its own, with a bound on its time; memory is bounded for the whole process.
//! - A figure is the median of its rounds, and its spread is shown.
//! - Folders lie on the real disk, and are gone at the end.
#![forbid(unsafe_code)]

mod cli;

mod catalogue;

mod measure;

mod child;

mod progress;

mod workloads;

mod api;

mod laws;

mod rounds;

mod report;

mod plots;

mod scale;

mod gear;

mod machine;

mod disk;

mod memory;

mod keys;

pub use cli::main;
pub use keys::{KEYS_SEED, key_of};
pub use memory::LiveBytes;

/// What a workload can fail with: it stops the run.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
