//! kill -9 in the middle of a write load, three times over.

use tokio::sync::{mpsc, watch};
use tokio::task::block_in_place;
use tokio::time::timeout;
use watchful_revision::KeyRange;

use super::load::{Load, judge, key_name, read_everything};
use crate::support::{DEADLINE, Resuming, Server, WireEvents};

const WRITERS: u64 = 8;
const KEYS: u64 = 60;
const KILLS: usize = 3;
const WRITES_BETWEEN: u64 = 400;

/// Watches of all kinds: of one key, of some, and of all.
fn watches(connection: u64) -> Vec<Resuming> {
    let key = KeyRange::key(key_name(connection));
    let prefix = KeyRange::prefix(format!("key/000{}", connection % 6));
    let rest = KeyRange::from_key(key_name(connection * 2));
    vec![
        Resuming::new(key, 1),
        Resuming::new(prefix, 1).without_prev_kv(),
        Resuming::new(rest, 1),
        Resuming::new(KeyRange::everything(), 1).without_prev_kv(),
    ]
}

/// No acknowledged write is missing, and every watch goes on where it was, with no gap and no repeat.
///
/// An etcd 3.4.23 may fail this: its progress overtakes events that are still on their way (etcd 15220).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_and_watches_go_on() {
    let mut server = Server::start();
    let endpoint = server.endpoint();
    let (until, receiver) = watch::channel(None);
    let (standing, _) = mpsc::unbounded_channel();
    let followers: Vec<_> = (0..10)
        .map(|connection| {
            let watches = watches(connection);
            let following = WireEvents::new(endpoint.clone(), watches, receiver.clone(), standing.clone());
            tokio::spawn(following.follow())
        })
        .collect();

    let mut load = Load::start(&endpoint, WRITERS, KEYS);
    for _ in 0..KILLS {
        load.until_acknowledged(WRITES_BETWEEN).await;
        block_in_place(|| {
            server.kill();
            server.start_again();
        });
    }
    load.until_acknowledged(WRITES_BETWEEN).await;
    let written = load.stop().await;

    let failed: usize = written.iter().map(|written| written.failed).sum();
    assert!(failed > 0, "a kill that no writer noticed was not in the middle of anything");
    let model = judge(&endpoint, &written).await;
    until.send(Some(read_everything(&endpoint).await.0)).unwrap();
    for follower in followers {
        let seen = timeout(DEADLINE, follower).await.expect("every watch should come to the end").unwrap();
        for watch in seen {
            assert!(watch.streams() > 1, "a watch did not notice the kills");
            watch.check(&model).unwrap();
        }
    }
}
