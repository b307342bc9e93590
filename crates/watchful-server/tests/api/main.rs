//! The services, called in this process over a real socket: what clients rely on, and what a slow one costs.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod kv;

mod watch;

mod leases;

mod permissions;

mod changing_permissions;

mod upkeep;

mod auth;

mod support;
