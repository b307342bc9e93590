//! Those who call the server, and write down what they were told.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::Status;
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
pub(super) struct Link {
    pub(super) channel: Channel,
    /// So many kills were over when it was made.
    kills_over: u64,
}

impl Link {
    pub(super) async fn make(shared: &Shared) -> Self {
        let endpoint = Endpoint::from_shared(shared.endpoint.clone()).expect("it was connected to before");
        loop {
            // Whoever is being killed may still be connected to.
            let kills_over = shared.kills.over.load(Ordering::SeqCst);
            match endpoint.connect().await {
                Ok(channel) => return Self { channel, kills_over },
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Nobody knows what became of a call that was lost with its connection, and a connection is lost with its server only.
    /// Whatever the server itself answers is known, and none of it may be an error here.
    pub(super) fn check_lost(&self, shared: &Shared, status: &Status) -> Result<(), String> {
        // A status that came over the wire has no cause on this side of it.
        if status.source().is_none() {
            return Err(format!("the server answers with an error: {status}"));
        }
        if shared.kills.begun.load(Ordering::SeqCst) == self.kills_over {
            return Err(format!("a connection broke, and nobody killed the server: {status}"));
        }
        Ok(())
    }
}

/// Calls until the end.
pub(super) async fn work(shared: Arc<Shared>, client: u64, mut rng: SplitMix64) -> Result<(), String> {
    let mut link = Link::make(&shared).await;
    for number in 0_u64.. {
        if shared.end.borrow().is_some() {
            break;
        }
        let ops = ops(&mut rng, &format!("{client}.{number}"));
        let sent = shared.book.now();
        match words::call(&link.channel, &ops).await {
            Ok(answer) => {
                shared.book.note(ops, sent, Some(answer));
                shared.answered.fetch_add(1, Ordering::SeqCst);
            }
            Err(status) => {
                link.check_lost(&shared, &status).map_err(|why| format!("{why}, to {ops:?}"))?;
                shared.book.note(ops, sent, None);
                link = Link::make(&shared).await;
            }
        }
    }
    Ok(())
}

/// Grants a lease now and then. Answers with those that it was told are granted.
pub(super) async fn grant_leases(shared: Arc<Shared>) -> Result<Vec<i64>, String> {
    let mut granted = Vec::new();
    let mut link = Link::make(&shared).await;
    while shared.end.borrow().is_none() {
        let request = LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 };
        match LeaseClient::new(link.channel.clone()).lease_grant(request).await {
            Ok(answer) => granted.push(answer.into_inner().id),
            Err(status) => {
                link.check_lost(&shared, &status).map_err(|why| format!("{why}, to a grant"))?;
                link = Link::make(&shared).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(granted)
}

/// No lease was lost, and each has its time, or its full time again.
pub(super) async fn check_leases(shared: &Shared, granted: &[i64]) -> Outcome {
    let mut client = LeaseClient::new(Link::make(shared).await.channel);
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
