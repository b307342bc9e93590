//! What the suites share: programs that run beside a test and never outlive it, the server as such a program, other
//! people's tools, and clients over gRPC.

mod process;

mod server;

mod peers;

mod etcdctl;

mod session;

mod certificates;

mod client;

mod watching;

pub(crate) use certificates::Authority;
pub(crate) use client::{connect, connect_when_up, grant, kv, put, put_leased};
pub(crate) use etcdctl::{Etcdctl, json_bytes, json_number};
pub(crate) use peers::{peer, skip};
pub(crate) use process::{DEADLINE, Process};
pub(crate) use server::{Server, clean};
pub(crate) use session::Session;
pub(crate) use watching::{Resuming, WireEvents, model_of, read_history, writes_of};
