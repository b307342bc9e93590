//! Clients over gRPC, and the few requests that every suite makes.

use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::{LeaseGrantRequest, PutRequest};

use super::process::DEADLINE;

/// A connection to a server that runs.
pub(crate) async fn connect(endpoint: &str) -> Channel {
    Endpoint::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap()
}

/// A connection to a server that runs now, or soon will.
pub(crate) async fn connect_when_up(endpoint: &str) -> Channel {
    let deadline = Instant::now() + DEADLINE;
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap().connect_timeout(DEADLINE);
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(error) if Instant::now() > deadline => {
                panic!("{} did not come back: {error}", endpoint.uri())
            }
            // A refusal comes at once; ask again, but not as fast as the machine can, and not all together.
            Err(_) => tokio::time::sleep(Duration::from_millis(rand::random_range(20..300))).await,
        }
    }
}

pub(crate) async fn kv(endpoint: &str) -> KvClient<Channel> {
    KvClient::new(connect(endpoint).await)
}

/// Puts. Answers with the revision of the put.
pub(crate) async fn put(kv: &mut KvClient<Channel>, key: &str, value: &str) -> u64 {
    put_leased(kv, key, value, 0).await
}

/// Puts a key that hangs on a lease. Answers with the revision of the put.
pub(crate) async fn put_leased(kv: &mut KvClient<Channel>, key: &str, value: &str, lease: i64) -> u64 {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    let answer = kv.put(PutRequest { key, value, lease, ..Default::default() }).await.unwrap().into_inner();
    answer.header.unwrap().revision.cast_unsigned()
}

/// Grants a lease of `ttl` seconds. Answers with its id.
pub(crate) async fn grant(channel: &Channel, ttl: i64) -> i64 {
    let request = LeaseGrantRequest { ttl, id: 0 };
    LeaseClient::new(channel.clone()).lease_grant(request).await.unwrap().into_inner().id
}
