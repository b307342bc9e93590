//! What the trials' own judges are held against.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod linear;
