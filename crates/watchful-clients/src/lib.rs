//! Clients of a server that is tried: those that mean harm, the one beside them that means well, and the words that clients
//! share with the testkit.
//!
//! **What it is for:** the server's named tests and the long trials of `cargo xtask stress` do the same things: the tests take
//! one attack after the other, the trial `hostile` mixes them by seed. What the clients do, and what the one that means well
//! has to put up with, is here, once.
//!
//! **What it is not for:** nothing outside tests and trials may depend on it. It starts no server and does not judge one.
//!
//! # What is in it
//!
//! - [`attacks`]: each of them, and whom to attack with it.
//! - [`Bystander`]: puts and watches meanwhile, and notices every put that is not answered and every gap in its watch.
//! - [`people`]: the users that both need, and [`forbidden_keys`], which nobody may have written.
//! - [`bounds`], [`row_of`], [`events_of`]: the testkit's words in etcd's, and back.
//! - [`own_memory`], [`all_are_let_go`]: what the server shows from outside.
//!
//! # Invariants
//!
//! - What is done is decided by a seed; when the server gets to it is not.
//! - Nothing goes on for ever: an attack ends by itself, and the bystander waits for no answer without end.
#![forbid(unsafe_code)]

pub mod attacks;

mod http2;

mod bystander;

mod outside;

mod words;

pub use bystander::{Bystander, Noticed, Tokens, forbidden_keys, people};
pub use outside::{all_are_let_go, own_memory};
pub use words::{bounds, events_of, row_of};

/// However slow the machine is: what takes longer does not come any more.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
