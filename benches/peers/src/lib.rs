//! The peers: what Watchful is held against, in the same run.
//!
//! **What it is for:** other people's storage behind one door, [`Storage`], so that each does the same rows in the same
//! groups; and a naive fan-out.
//!
//! **What it is not for:** it times nothing and checks nothing. That is the work of `watchful-benches`, which looks at
//! what it is given.
//!
//! # Types
//!
//! [`Lmdb`] is LMDB alone, the ceiling of every write, and always there. [`Broadcast`] is one channel with a receiver
//! for each watcher. The others are features of this crate, all off by default.
//!
//! # Invariants
//!
//! - A peer's settings are its own defaults, but for what [`Durability`] asks for.
//! - One [`put`](Storage::put) or [`append`](Storage::append) is one commit.
#![deny(unsafe_op_in_unsafe_fn)]

mod storage;

mod lmdb;

mod broadcast;

pub use broadcast::{Broadcast, Message};
pub use lmdb::Lmdb;
pub use storage::{Durability, Row, Storage};

/// What a peer can fail with: it stops the run.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
