//! A client that watches everything from the first revision on and never reads: it costs bounded memory, and nobody else
//! notices.
//!
//! An etcd 3.4.23 fails this: its progress overtakes events that are still on their way (etcd 15220).

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use watchful_clients::own_memory;
use watchful_revision::KeyRange;

use super::load::read_everything;
use crate::support::{DEADLINE, Resuming, Server, WireEvents, kv, model_of, put, read_history};

const VALUE_BYTES: usize = 60_000;
const WRITERS: usize = 8;
const WRITES_BEFORE: usize = 50;
const WRITES_AFTER: usize = 200;

/// The writes come to 114 MiB, 91 of them after the first look. The server may keep its budgets of them, 64 MiB and an
/// outbox, and what a server needs to serve eight writers; it must not keep them all.
const GROWTH_BYTES_MAX: u64 = 72 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_costs_bounded_memory_and_misses_nothing() {
    let server = Server::start();
    let endpoint = server.endpoint();
    write(&endpoint, WRITES_BEFORE).await;
    let (until, receiver) = watch::channel(None);
    let (standing, mut stands) = mpsc::unbounded_channel();
    let everything = || vec![Resuming::new(KeyRange::everything(), 1)];
    let follower = || WireEvents::new(endpoint.clone(), everything(), receiver.clone(), standing.clone());
    let (open, gate) = oneshot::channel();
    let deaf = tokio::spawn(follower().deaf_until(gate).follow());
    let others: Vec<_> = (0..3).map(|_| tokio::spawn(follower().follow())).collect();
    for _ in &others {
        timeout(DEADLINE, stands.recv()).await.expect("the others should be served").unwrap();
    }
    let before = own_memory(server.process_id());
    write(&endpoint, WRITES_AFTER).await;
    let grown = own_memory(server.process_id()).saturating_sub(before);

    let (revision, _) = read_everything(&endpoint).await;
    let model = model_of(&read_history(&endpoint, revision).await);
    until.send(Some(revision)).unwrap();
    for other in others {
        let seen = timeout(DEADLINE, other).await.expect("nobody else should notice").unwrap();
        seen[0].check(&model).unwrap();
    }
    if !server.is_etcd() {
        assert!(grown <= GROWTH_BYTES_MAX, "the server grew by {} MiB", grown >> 20);
    }
    assert!(!deaf.is_finished());
    // It reads at last, and nothing is missing.
    open.send(()).unwrap();
    let seen = timeout(DEADLINE, deaf).await.expect("it should get everything").unwrap();
    assert_eq!(seen[0].streams(), 1);
    seen[0].check(&model).unwrap();
}

/// Lets each of the writers put as many values as this, each to a key of its own.
async fn write(endpoint: &str, writes: usize) {
    let writers: JoinSet<()> = (0..WRITERS)
        .map(|writer| {
            let endpoint = endpoint.to_owned();
            async move {
                let mut client = kv(&endpoint).await;
                for at in 0..writes {
                    let value = format!("{at:0VALUE_BYTES$}");
                    put(&mut client, &format!("writer/{writer}"), &value).await;
                }
            }
        })
        .collect();
    timeout(DEADLINE * 2, writers.join_all()).await.expect("the writers should get on");
}
