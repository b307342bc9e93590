//! The program's client commands, each against a real server of the same program, as text and as JSON.
//!
//! Most tests are transcripts: what somebody at a shell would type, and what they would see.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

mod keys;

mod transactions;

mod leases;

mod users;

mod watching;

mod operating;

mod salvage;

mod mistakes;
