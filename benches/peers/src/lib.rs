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
//! for each watcher. The others are features of this crate, all off by default; [`open_others`] opens those that are
//! built in, and [`MISSING`] names the rest.
//!
//! # Invariants
//!
//! - A peer's settings are its own defaults, but for what [`Durability`] asks for.
//! - One [`put`](Storage::put) or [`append`](Storage::append) is one commit.
//! - Whoever asks for no feature builds LMDB, and nothing else that keeps bytes.

mod storage;

mod lmdb;

#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "fjall")]
mod fjall;

mod others;

mod broadcast;

mod unread;

#[cfg(feature = "sled")]
mod sled;

pub use self::broadcast::{Broadcast, Message};
#[cfg(feature = "fjall")]
pub use self::fjall::Fjall;
pub use self::lmdb::Lmdb;
pub use self::others::{MISSING, open_others};
#[cfg(feature = "redb")]
pub use self::redb::Redb;
#[cfg(feature = "sled")]
pub use self::sled::Sled;
pub use self::storage::{Durability, Row, Storage};
pub use self::unread::{Had, Unread};

/// What a peer can fail with: it stops the run.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cfg(test)]
mod tests;
