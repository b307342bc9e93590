//! A1 to A11: one load generator over etcd's API, against Watchful and etcd in turn.
//!
//! **What it is for:** what a client gets from each server, and what the server's process spends on it. Client and server
//! share the machine's cores, so a rate understates a lead; the server's time on a core for each operation does not.
//!
//! **What it is not for:** it compares no answers (`cargo xtask differential` does). It checks that each operation did what it
//! was for, and that each watcher got each event exactly once and in order, so that no number is traded for a promise.
//!
//! # Its parts
//!
//! - `server`: a server as a process of its own, on a port of its own, with a folder on a disk.
//! - `connection`, `fields`: gRPC straight on HTTP/2, and messages read in place, so that little of what is measured is ours.
//! - `calls`, `watching`: operations with their checks; streams of watchers with theirs.
//! - `closed_loop`, `open_loop`: callers that each wait for their answer; calls that come when they are due.
//! - `turns`: rounds of both servers, and the rows they make.
//!
//! # Invariants
//!
//! - Everything that is waited for has a bound on its time.
//! - Traffic goes to 127.0.0.1 only, and only servers that were started here are ended.

mod server;

mod process;

mod connection;

mod fields;

mod calls;

mod watching;

mod closed_loop;

mod open_loop;

mod turns;

pub(crate) mod unary;

pub(crate) mod burst;

pub(crate) mod one_put;

pub(crate) mod catch_up;

pub(crate) mod idle;

pub(crate) mod laggard;

pub(crate) mod start_up;

pub(crate) mod own_keys;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use self::server::Side;
use crate::Outcome;
use crate::gear::Gear;

/// How many keys there are, where nothing else is said.
const KEYS: u64 = 10_000;

const VALUE_LEN: usize = 256;

/// What all keys begin with.
const PREFIX: &[u8] = b"k";

/// The first key after all of them.
const PREFIX_END: &[u8] = b"l";

/// Streams of watchers, each on a connection of its own.
const STREAMS: usize = 10;

/// When something that is waited for is given up.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Whether the servers are there that workloads start: that is better known now than when their turn comes.
pub(crate) fn look_for_servers(gear: &Gear) -> Outcome {
    Side::Watchful.look_for(gear)?;
    if gear.beside_etcd { Side::Etcd.look_for(gear) } else { Ok(()) }
}

/// Key number `number`, of 8 bytes.
fn key(number: u64) -> Vec<u8> {
    format!("k{number:07}").into_bytes()
}

/// One thread spends less on handing tasks from one to the other than two do: for calls.
fn one_thread() -> Outcome<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// For watchers, whose events one thread could not take as fast as a server sends them.
fn two_threads() -> Outcome<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Waits for `work`, and gives up after a bound.
async fn in_time<T>(what: &str, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let outcome = tokio::time::timeout(WAIT_MAX, work).await;
    outcome.map_err(|_| format!("{what}: not done after {WAIT_MAX:?}"))?
}
