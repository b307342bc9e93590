//! Clients of a server that is tried: those that mean harm, and the one beside them that means well.
//!
//! **What it is for:** the server's named tests take one attack after the other, and the trial `hostile` of `cargo xtask
//! stress` mixes them by seed. What the clients do, and what the one that means well has to put up with, is here, once.
//!
//! **What it is not for:** nothing outside tests and trials may depend on it. It starts no server and does not judge one.
//!
//! # What is in it
//!
//! - [`attacks`]: each of them, and whom to attack with it.
//! - [`Bystander`]: puts and watches meanwhile, and notices every put that is not answered and every gap in its watch.
//! - [`people`]: the users that both need, and [`forbidden_keys`], which nobody may have written.
//! - [`own_memory`], [`gauge`]: what the server shows from outside.
//!
//! # Invariants
//!
//! - What is done is decided by a seed; when the server gets to it is not.
//! - Nothing goes on for ever: an attack ends by itself, and the bystander waits for no answer without end.
#![forbid(unsafe_code)]

pub mod attacks;

mod http2;

mod bystander;

pub use bystander::{Bystander, Noticed, Tokens, forbidden_keys, gauge, own_memory, people};
