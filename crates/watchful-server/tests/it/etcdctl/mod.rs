//! `etcdctl` 3.4.23, as a person or a script uses it: every command that a server answers, and what it prints.
//!
//! Not here: comparing a transaction by lease (this etcdctl panics on it before it asks anybody).

mod put_and_get;

mod delete;

mod transactions;

mod watch;

mod leases;

mod locks;

mod mirror;

mod cluster;

mod upkeep;

mod auth;

mod certificates;

mod load;

use crate::support::{Etcdctl, Server};

/// A server and its etcdctl; none where there is no etcdctl, which has then been said.
fn server_and_etcdctl() -> Option<(Server, Etcdctl)> {
    let server = Server::start();
    let etcdctl = Etcdctl::of(&server)?;
    Some((server, etcdctl))
}
