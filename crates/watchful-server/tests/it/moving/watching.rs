//! Watchers of an etcd go on at the server that took its place, from where they were.

use tokio::sync::{mpsc, watch};
use tokio::task::block_in_place;
use tokio::time::timeout;
use watchful_revision::KeyRange;

use super::save;
use crate::support::{
    DEADLINE, Etcdctl, Resuming, Server, WireEvents, connect, kv, model_of, put, read_history,
};

/// Every event once and in order, though half of them came from the one server and half from the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_of_an_etcd_go_on_where_it_was_moved_to() {
    let Some(mut etcd) = Server::etcd() else { return };
    let Some(etcdctl) = Etcdctl::of(&etcd) else { return };
    let endpoint = etcd.endpoint();
    let (until, receiver) = watch::channel(None);
    let (standing, mut stands) = mpsc::unbounded_channel();
    let watches = vec![
        Resuming::new(KeyRange::everything(), 1).without_prev_kv(),
        Resuming::new(KeyRange::prefix("a"), 1),
    ];
    let following = tokio::spawn(WireEvents::new(endpoint.clone(), watches, receiver, standing).follow());
    timeout(DEADLINE, stands.recv()).await.expect("the watches should stand").unwrap();

    let mut client = kv(&endpoint).await;
    for number in 0..50 {
        put(&mut client, &format!("a{}", number % 7), "from etcd").await;
    }
    let watchful = block_in_place(|| {
        let snapshot = save(&etcd, &etcdctl, "moved");
        let port = etcd.port();
        etcd.terminate();
        Server::watchful_of_at(&snapshot, port)
    });
    let mut client = kv(&endpoint).await;
    let mut newest = 0;
    for number in 0..50 {
        newest = put(&mut client, &format!("a{}", number % 7), "from us").await;
    }
    assert_eq!(newest, 101, "revisions go on from the etcd's");
    until.send(Some(newest)).unwrap();

    let model = model_of(&read_history(&endpoint, newest).await);
    let seen = timeout(DEADLINE, following).await.expect("every watch should come to the end").unwrap();
    for watch in seen {
        assert!(watch.streams() > 1, "a watch did not notice the move");
        watch.check(&model).unwrap();
    }
    drop((connect(&endpoint).await, watchful));
}
