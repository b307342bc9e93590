//! The crate from outside: what is written is read, and whatever is read, it ends with an answer.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

mod round_trip;

mod refusals;

mod damage;
