//! A large store with leases and users, there and back. `MOVING_KEYS=1000000` moves so many keys; the test says what it took.

use std::fs;
use std::path::Path;
use std::time::Instant;

use tonic::transport::Channel;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::request_op::Request;
use watchful_wire::etcdserverpb::{PutRequest, RequestOp, TxnRequest};

use super::round_trips::{grant, turn_auth_on};
use super::{assert_same, hash, save};
use crate::support::{Etcdctl, Server, kv};

const KEYS: &str = "MOVING_KEYS";
const KEYS_DEFAULT: u64 = 20_000;
const KEYS_A_TXN: u64 = 100;
const TXNS_AT_ONCE: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_store_there_and_back() {
    let keys = std::env::var(KEYS).map_or(KEYS_DEFAULT, |keys| keys.parse().unwrap());
    let watchful = Server::watchful();
    let Some(etcdctl) = Etcdctl::of(&watchful) else { return };
    let lease = i64::from_str_radix(&grant(&etcdctl, "5000"), 16).unwrap();
    fill(&kv(&watchful.endpoint()).await, keys, lease).await;
    turn_auth_on(&etcdctl);
    tokio::task::block_in_place(|| there_and_back(&watchful, &etcdctl, keys));
}

/// Each tenth key hangs on the lease.
async fn fill(client: &KvClient<Channel>, keys: u64, lease: i64) {
    let mut txns = tokio::task::JoinSet::new();
    for first in (0..keys).step_by(usize::try_from(KEYS_A_TXN).unwrap()) {
        if txns.len() as u64 == TXNS_AT_ONCE {
            txns.join_next().await.unwrap().unwrap();
        }
        let mut client = client.clone();
        let success = (first..keys.min(first + KEYS_A_TXN)).map(|number| put(number, lease)).collect();
        txns.spawn(async move {
            client.txn(TxnRequest { success, ..Default::default() }).await.unwrap();
        });
    }
    txns.join_all().await;
}

fn put(number: u64, lease: i64) -> RequestOp {
    let (key, value) = (format!("/registry/things/{number:08}"), format!("{number:0100}"));
    let lease = if number.is_multiple_of(10) { lease } else { 0 };
    let put = PutRequest { key: key.into(), value: value.into(), lease, ..Default::default() };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

fn there_and_back(watchful: &Server, etcdctl: &Etcdctl, keys: u64) {
    let before = resident_peak(watchful);
    let started = Instant::now();
    let first = save(watchful, etcdctl, "first");
    let (took, peak) = (started.elapsed(), resident_peak(watchful));
    let bytes = fs::metadata(&first).unwrap().len();
    println!("save: {keys} keys, {bytes} bytes, {took:?}; peak of the server {before} -> {peak} KiB");
    let Some(etcd) = Server::etcd_of(&first) else { return };
    let theirs = Etcdctl::of(&etcd).unwrap();
    assert_eq!(hash(&theirs), hash(etcdctl));
    let second = save(&etcd, &theirs, "second");
    let dir = watchful.scratch().join("restored");
    println!("restore: {}", timed_restore(&second, &dir));
    let back = Server::watchful_of(&second);
    let ours = Etcdctl::of(&back).unwrap();
    assert_eq!(hash(&ours), hash(etcdctl));
    assert_same(&first, &save(&back, &ours, "third"));
}

/// The most memory that a server had so far, in KiB.
fn resident_peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Restores, and says how long it took.
fn timed_restore(snapshot: &Path, dir: &Path) -> String {
    let started = Instant::now();
    let (file, dir) = (snapshot.to_str().unwrap(), dir.to_str().unwrap());
    let restored = super::run_watchful(&["restore", file, "--data-dir", dir]);
    assert!(restored.status.success(), "{restored:?}");
    format!("{:?}", started.elapsed())
}
