//! Those who call the server, and write down what they were told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use watchful_harness::linear::ops;
use watchful_testkit::SplitMix64;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::{LeaseGrantRequest, LeaseLeasesRequest, LeaseTimeToLiveRequest};

use super::{Shared, words};
use crate::trials::Outcome;

/// Longer than any round takes, so that none may end.
const TTL_SECONDS: i64 = 3_600;

/// A connection to a server that runs, or soon will again.
pub(super) async fn connect(shared: &Shared) -> Channel {
    let endpoint = Endpoint::from_shared(shared.endpoint.clone()).expect("it was connected to before");
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Calls until the end.
pub(super) async fn work(shared: Arc<Shared>, client: u64, mut rng: SplitMix64) {
    let mut channel = connect(&shared).await;
    for number in 0_u64.. {
        if shared.end.borrow().is_some() {
            return;
        }
        let ops = ops(&mut rng, &format!("{client}.{number}"));
        let sent = shared.book.now();
        let answer = words::call(&channel, &ops).await;
        let is_broken = answer.is_err();
        shared.book.note(ops, sent, answer.ok());
        if is_broken {
            channel = connect(&shared).await;
        } else {
            shared.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Grants a lease now and then. Answers with those that it was told are granted.
pub(super) async fn grant_leases(shared: Arc<Shared>) -> Vec<i64> {
    let mut granted = Vec::new();
    let mut leases = LeaseClient::new(connect(&shared).await);
    while shared.end.borrow().is_none() {
        match leases.lease_grant(LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 }).await {
            Ok(answer) => granted.push(answer.into_inner().id),
            Err(_) => leases = LeaseClient::new(connect(&shared).await),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    granted
}

/// No lease was lost, and each has its time, or its full time again.
pub(super) async fn check_leases(shared: &Shared, granted: &[i64]) -> Outcome {
    let mut client = LeaseClient::new(connect(shared).await);
    let found = client.lease_leases(LeaseLeasesRequest {}).await?.into_inner().leases;
    for lease in granted {
        if !found.iter().any(|found| found.id == *lease) {
            return Err(format!("lease {lease} was granted, and is gone").into());
        }
    }
    for found in found {
        let request = LeaseTimeToLiveRequest { id: found.id, keys: false };
        let told = client.lease_time_to_live(request).await?.into_inner();
        let left = TTL_SECONDS - 120..=TTL_SECONDS;
        if told.granted_ttl != TTL_SECONDS || !left.contains(&told.ttl) {
            return Err(format!("a lease of {TTL_SECONDS} seconds is told as {told:?}").into());
        }
    }
    Ok(())
}
