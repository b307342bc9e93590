//! The proof of the server from outside: `watchful` as a process of its own, spoken to over the network by clients that
//! nobody here wrote (`etcdctl`, `clients`), over gRPC (`services`), and through crashes, refusals and crowds (`trials`).
//!
//! A test whose tool is not on this machine says loudly that it checked nothing; with `REQUIRE_PEERS=1`, as in CI, it
//! fails instead. With `WATCHFUL_TESTS_AGAINST=etcd` the suites run against a real etcd from the PATH: what is expected
//! of us is what they find there.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

mod etcdctl;

mod services;

mod clients;

mod moving;

mod trials;
