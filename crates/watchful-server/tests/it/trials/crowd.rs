//! A crowd: many connections with many watches, kill -9 in the middle of a write load, and everybody goes on.
//!
//! The server is a process of its own, and this one is the clients'. The sizes are for an ordinary test run;
//! `WATCHFUL_TEST_CONNECTIONS=10000 WATCHFUL_TEST_WATCHES=100000` make it the one that the promises speak of, which
//! needs 11,000 open files a process.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;
use watchful_revision::KeyRange;
use watchful_testkit::{Model, SplitMix64};

use super::load::{Load, judge, key_name, read_everything};
use crate::support::{Resuming, Server, WireEvents};

const WRITERS: u64 = 16;
const WRITES: u64 = 1_500;

/// How many watches a key has, about.
const WATCHES_A_KEY: u64 = 20;

/// A crowd takes its time, on two cores.
const PATIENCE: Duration = Duration::from_secs(300);

struct Sizes {
    connections: u64,
    watches: u64,
}

impl Sizes {
    fn from_environment() -> Self {
        let number = |name: &str, usual| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} should be a number")),
            Err(_) => usual,
        };
        Self {
            connections: number("WATCHFUL_TEST_CONNECTIONS", 500),
            watches: number("WATCHFUL_TEST_WATCHES", 5_000),
        }
    }

    fn keys(&self) -> u64 {
        (self.watches / WATCHES_A_KEY).max(10)
    }

    /// A connection's watches: one of ten keys with one prefix, the others of a key each.
    fn watches_of(&self, connection: u64) -> Vec<Resuming> {
        let mut random = SplitMix64::new(connection);
        let count = (self.watches / self.connections).max(1);
        let range = |at: u64, key: String| match at {
            0 => KeyRange::prefix(&key[..key.len() - 1]),
            _ => KeyRange::key(key),
        };
        (0..count).map(|at| Resuming::new(range(at, key_name(random.next_u64() % self.keys())), 1)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_goes_on_after_a_kill() {
    let sizes = Sizes::from_environment();
    let started = Instant::now();
    let say = |what: &str| println!("{:6.1} s: {what}", started.elapsed().as_secs_f64());
    let mut server = Server::start();
    let endpoint = server.endpoint();
    let (until, receiver) = watch::channel(None);
    let (standing, mut stands) = mpsc::unbounded_channel();
    let mut crowd: JoinSet<_> = (0..sizes.connections)
        .map(|connection| {
            let watches = sizes.watches_of(connection);
            WireEvents::new(endpoint.clone(), watches, receiver.clone(), standing.clone()).follow()
        })
        .collect();
    all_stand(&mut stands, sizes.connections).await;
    say("every watch is there");

    let mut load = Load::start(&endpoint, WRITERS, sizes.keys());
    load.until_acknowledged(WRITES).await;
    say("killing the server");
    block_in_place(|| {
        server.kill();
        server.start_again();
    });
    say("it is back");
    all_stand(&mut stands, sizes.connections).await;
    say("every watch is there again");
    load.until_acknowledged(WRITES).await;
    let written = load.stop().await;

    let model = judge(&endpoint, &written).await;
    until.send(Some(read_everything(&endpoint).await.0)).unwrap();
    let mut tally = Tally::default();
    while let Some(seen) =
        timeout(PATIENCE, crowd.join_next()).await.expect("the crowd should come to the end")
    {
        tally.take(&seen.unwrap(), &model);
    }
    say(&format!("{tally:?}, of {} writes", model.current_revision() - 1));
    assert_eq!(tally.connections, sizes.connections);
}

/// Waits until every connection has said once more that its watches are there.
async fn all_stand(stands: &mut mpsc::UnboundedReceiver<()>, connections: u64) {
    for _ in 0..connections {
        timeout(PATIENCE, stands.recv()).await.expect("every watch should be made").unwrap();
    }
}

/// What was seen and found right.
#[derive(Debug, Default)]
struct Tally {
    connections: u64,
    watches: u64,
    events: usize,
}

impl Tally {
    fn take(&mut self, seen: &[Resuming], model: &Model) {
        self.connections += 1;
        for watch in seen {
            assert_eq!(watch.streams(), 2, "one stream before the kill, one after it");
            watch.check(model).unwrap();
            self.watches += 1;
            self.events += watch.events();
        }
    }
}
