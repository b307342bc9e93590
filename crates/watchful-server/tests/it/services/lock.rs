//! The Lock service: one holder at a time, the others in the order they came, and nothing held beyond a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::{LeaseRevokeRequest, RangeRequest};
use watchful_wire::v3lockpb::lock_client::LockClient;
use watchful_wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest};

use crate::support::{DEADLINE, Server, connect, grant};

async fn lock(channel: &Channel, name: &str, lease: i64) -> Result<LockResponse, Status> {
    let request = LockRequest { name: name.to_owned().into(), lease };
    LockClient::new(channel.clone()).lock(request).await.map(tonic::Response::into_inner)
}

async fn unlock(channel: &Channel, key: &[u8]) {
    let request = UnlockRequest { key: key.to_vec().into() };
    LockClient::new(channel.clone()).unlock(request).await.unwrap();
}

/// A call in a task of its own.
fn waiting(channel: &Channel, name: &'static str, lease: i64) -> JoinHandle<Result<LockResponse, Status>> {
    let channel = channel.clone();
    tokio::spawn(async move { lock(&channel, name, lease).await })
}

/// Waits until as many contenders as this stand in line, the holder among them.
async fn until_in_line(channel: &Channel, name: &str, count: i64) {
    let mut kv = KvClient::new(channel.clone());
    let (key, range_end) = (format!("{name}/").into(), format!("{name}0").into());
    let request = RangeRequest { key, range_end, count_only: true, ..Default::default() };
    let in_line = async {
        while kv.range(request.clone()).await.unwrap().into_inner().count != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, in_line).await.expect("the contenders should stand in line");
}

#[tokio::test]
async fn a_lock_is_a_key_under_its_name_on_the_callers_lease() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let lease = grant(&channel, 600).await;
    let held = lock(&channel, "name", lease).await.unwrap();
    assert_eq!(held.key, format!("name/{lease:x}"));
    assert_eq!(held.header.unwrap().revision, 2);
    let range = RangeRequest { key: held.key.clone(), ..Default::default() };
    let kv = KvClient::new(channel.clone()).range(range).await.unwrap().into_inner().kvs.remove(0);
    assert_eq!((kv.lease(), kv.value()), (lease, &b""[..]));
    // Its owner has it already.
    assert_eq!(lock(&channel, "name", lease).await.unwrap().key, held.key);
    unlock(&channel, &held.key).await;
    until_in_line(&channel, "name", 0).await;
    // There is nothing wrong with letting go of what nobody holds.
    unlock(&channel, &held.key).await;
}

#[tokio::test]
async fn those_who_wait_get_it_in_the_order_they_came() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let mut line = Vec::new();
    for at in 0..5 {
        // The later ones have the lower lease ids: it is not their keys that order them.
        let lease = grant_with_id(&channel, 1000 - at).await;
        line.push(waiting(&channel, "name", lease));
        until_in_line(&channel, "name", at + 1).await;
    }
    for (at, holder) in line.into_iter().enumerate() {
        let held = timeout(DEADLINE, holder).await.expect("its turn should come").unwrap().unwrap();
        assert_eq!(held.key, format!("name/{:x}", 1000 - at));
        unlock(&channel, &held.key).await;
    }
}

async fn grant_with_id(channel: &Channel, id: i64) -> i64 {
    let request = watchful_wire::etcdserverpb::LeaseGrantRequest { ttl: 600, id };
    LeaseClient::new(channel.clone()).lease_grant(request).await.unwrap().into_inner().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_it_at_once() {
    let server = Server::start();
    let inside = Arc::new(AtomicU32::new(0));
    let mut contenders = Vec::new();
    for _ in 0..8 {
        let channel = connect(&server.endpoint()).await;
        let inside = Arc::clone(&inside);
        contenders.push(tokio::spawn(async move {
            for _ in 0..5 {
                let lease = grant(&channel, 600).await;
                let held = lock(&channel, "name", lease).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else is inside");
                // Long enough for somebody else to come in, if anybody can.
                grant(&channel, 600).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                unlock(&channel, &held.key).await;
            }
        }));
    }
    for contender in contenders {
        timeout(DEADLINE, contender).await.expect("everybody's turn should come").unwrap();
    }
}

#[tokio::test]
async fn names_do_not_disturb_each_other() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let lease = grant(&channel, 600).await;
    let other = grant(&channel, 600).await;
    lock(&channel, "name", lease).await.unwrap();
    timeout(DEADLINE, lock(&channel, "name2", other)).await.expect("another name is free").unwrap();
}

#[tokio::test]
async fn a_lock_ends_with_its_lease() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    // The one that ends by itself outlives a machine that stands still for some seconds while its holder waits in line.
    let (revoked, expiring, last) =
        (grant(&channel, 600).await, grant(&channel, 7).await, grant(&channel, 600).await);
    lock(&channel, "name", revoked).await.unwrap();
    let second = waiting(&channel, "name", expiring);
    until_in_line(&channel, "name", 2).await;
    LeaseClient::new(channel.clone()).lease_revoke(LeaseRevokeRequest { id: revoked }).await.unwrap();
    timeout(DEADLINE, second).await.expect("the lock should be free").unwrap().unwrap();
    // The second holder is never heard of again.
    let third = timeout(DEADLINE, waiting(&channel, "name", last)).await.expect("the lock should be free");
    assert_eq!(third.unwrap().unwrap().key, format!("name/{last:x}"));
}

#[tokio::test]
async fn a_lock_without_a_lease_gets_one_that_ends() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let held = lock(&channel, "name", 0).await.unwrap();
    let range = RangeRequest { key: held.key.clone(), ..Default::default() };
    let kv = KvClient::new(channel.clone()).range(range).await.unwrap().into_inner().kvs.remove(0);
    assert_ne!(kv.lease(), 0);
    assert_eq!(held.key, format!("name/{:x}", kv.lease()));
}

#[tokio::test]
async fn a_lease_that_does_not_exist_locks_nothing() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let refused = lock(&channel, "name", 77).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "etcdserver: requested lease not found"));
    until_in_line(&channel, "name", 0).await;
}

#[tokio::test]
async fn who_stops_waiting_does_not_stand_in_the_way() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let leases = [grant(&channel, 600).await, grant(&channel, 600).await, grant(&channel, 600).await];
    let held = lock(&channel, "name", leases[0]).await.unwrap();
    let given_up = waiting(&channel, "name", leases[1]);
    until_in_line(&channel, "name", 2).await;
    let third = waiting(&channel, "name", leases[2]);
    until_in_line(&channel, "name", 3).await;
    given_up.abort();
    until_in_line(&channel, "name", 2).await;
    unlock(&channel, &held.key).await;
    let next = timeout(DEADLINE, third).await.expect("the third should not wait for the second");
    assert_eq!(next.unwrap().unwrap().key, format!("name/{:x}", leases[2]));
}

#[tokio::test]
async fn who_loses_the_lease_while_waiting_is_told() {
    let server = Server::start();
    if server.is_etcd() {
        // 3.4.23 gives the lock to one whose key is gone; later ones do as we do.
        return;
    }
    let channel = connect(&server.endpoint()).await;
    let (holder, loser) = (grant(&channel, 600).await, grant(&channel, 600).await);
    let held = lock(&channel, "name", holder).await.unwrap();
    let waiting = waiting(&channel, "name", loser);
    until_in_line(&channel, "name", 2).await;
    LeaseClient::new(channel.clone()).lease_revoke(LeaseRevokeRequest { id: loser }).await.unwrap();
    until_in_line(&channel, "name", 1).await;
    unlock(&channel, &held.key).await;
    let outcome = timeout(DEADLINE, waiting).await.expect("it should be told").unwrap();
    let refused = outcome.expect_err("what hangs on no lease is not held");
    assert_eq!(refused.message(), "mutex: session is expired");
}

#[tokio::test]
async fn a_lock_that_is_held_is_not_given_away() {
    let server = Server::start();
    let channel = connect(&server.endpoint()).await;
    let (holder, other) = (grant(&channel, 600).await, grant(&channel, 600).await);
    lock(&channel, "name", holder).await.unwrap();
    let mut other = waiting(&channel, "name", other);
    until_in_line(&channel, "name", 2).await;
    assert!(timeout(Duration::from_millis(300), &mut other).await.is_err(), "it is held by another");
    other.abort();
}
