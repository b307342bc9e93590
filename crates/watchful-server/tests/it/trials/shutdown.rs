//! SIGTERM in the middle of a write load: what was accepted is finished, and a second start finds everything.

use std::os::unix::process::ExitStatusExt;

use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{LeaseTimeToLiveRequest, WatchCreateRequest, WatchRequest};

use super::load::{Load, judge};
use crate::support::{DEADLINE, Server, connect, grant, kv, put, put_leased};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_a_write_load_loses_nothing() {
    let mut server = Server::start();
    let endpoint = server.endpoint();
    let mut load = Load::start(&endpoint, 16, 50);
    for _ in 0..2 {
        load.until_acknowledged(300).await;
        block_in_place(|| {
            ends_well(&mut server);
            server.start_again();
        });
    }
    load.until_acknowledged(300).await;
    judge(&endpoint, &load.stop().await).await;
}

/// etcd ends with SIGTERM as its cause, as a program does that has no handler; we end with 0.
fn ends_well(server: &mut Server) {
    let is_etcd = server.is_etcd();
    let ended = server.terminate();
    let by_signal = is_etcd && ended.status.signal() == Some(15);
    assert!(ended.status.success() || by_signal, "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_watch_are_told_and_hold_nothing_up() {
    let mut server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    let create = WatchCreateRequest { key: "a".into(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    requests.send(create).await.unwrap();
    let watching = WatchClient::new(channel).watch(ReceiverStream::new(receiver)).await;
    let mut answers = watching.unwrap().into_inner();
    assert!(answers.message().await.unwrap().unwrap().created);
    // A second connection stays open and silent.
    let _idle = connect(&server.endpoint()).await;
    block_in_place(|| ends_well(&mut server));
    let end = async { while let Ok(Some(_)) = answers.message().await {} };
    timeout(DEADLINE, end).await.expect("a watcher should be told of the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_finds_keys_and_leases() {
    let mut server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let lease = grant(&channel, 600).await;
    let mut client = kv(&server.endpoint()).await;
    put_leased(&mut client, "leased", "1", lease).await;
    put(&mut client, "free", "2").await;
    block_in_place(|| {
        ends_well(&mut server);
        server.start_again();
    });
    let (revision, rows) = super::load::read_everything(&server.endpoint()).await;
    let found: Vec<_> = rows.iter().map(|row| (&row.key[..], &row.value[..], row.lease)).collect();
    assert_eq!((revision, found), (3, vec![(&b"free"[..], &b"2"[..], 0), (b"leased", b"1", lease)]));
    let request = LeaseTimeToLiveRequest { id: lease, keys: true };
    let channel = connect(&server.endpoint()).await;
    let told = LeaseClient::new(channel).lease_time_to_live(request).await.unwrap().into_inner();
    assert_eq!((told.granted_ttl, told.keys), (600, vec!["leased".into()]));
    assert!(told.ttl > 0);
}
