//! Leases: etcd's bounds and answers, and keys that go with their lease.

use std::time::Duration;

use tonic::Code;
use watchful::ManualClock;
use watchful_wire::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest,
    WatchCreateRequest,
};

use crate::support::TestServer;

#[tokio::test]
async fn a_lease_is_bounded_as_in_etcd() {
    let server = TestServer::start().await;
    let grant = |id, ttl| {
        let mut lease = server.lease();
        async move { lease.lease_grant(LeaseGrantRequest { id, ttl }).await.map(tonic::Response::into_inner) }
    };
    assert_eq!(grant(7, 1).await.unwrap().ttl, 2, "raised to the least");
    assert_eq!(grant(8, -5).await.unwrap().ttl, 2);
    assert_eq!(grant(7, 10).await.unwrap_err().message(), "etcdserver: lease already exists");
    let too_large = grant(9, 9_000_000_001).await.unwrap_err();
    assert_eq!(
        (too_large.code(), too_large.message()),
        (Code::OutOfRange, "etcdserver: too large lease TTL")
    );
    assert_ne!(grant(0, 10).await.unwrap().id, 0);

    let gone = server.lease().lease_revoke(LeaseRevokeRequest { id: 99 }).await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "etcdserver: requested lease not found"));
    let asked = LeaseTimeToLiveRequest { id: 99, keys: true };
    let left = server.lease().lease_time_to_live(asked).await.unwrap().into_inner();
    assert_eq!((left.id, left.ttl, left.granted_ttl), (99, -1, 0));
    let alive = tokio_stream::iter([7, 99].map(|id| LeaseKeepAliveRequest { id }));
    let mut answers = server.lease().lease_keep_alive(alive).await.unwrap().into_inner();
    let mut ttls = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        ttls.push((answer.id, answer.ttl));
    }
    assert_eq!(ttls, [(7, 2), (99, 0)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_with_their_lease_and_watchers_are_told() {
    let clock = ManualClock::default();
    let own = clock.clone();
    let server = TestServer::start_with(move |mut settings| {
        settings.store = settings.store.with_clock(own);
        settings
    })
    .await;
    server.lease().lease_grant(LeaseGrantRequest { id: 7, ttl: 5 }).await.unwrap();
    let put = PutRequest { key: "a".into(), value: "v".into(), lease: 7, ..PutRequest::default() };
    server.kv().put(put).await.unwrap();
    let mut watch = server.watch().await;
    watch
        .created(WatchCreateRequest { key: "a".into(), prev_kv: true, ..WatchCreateRequest::default() })
        .await;
    clock.advance(Duration::from_secs(5));
    let answer = watch.next().await;
    let [event] = answer.events.list() else { panic!("{answer:?}") };
    assert_eq!((event.r#type, event.prev_kv.as_ref().unwrap().lease()), (1, 7));
    server.stop().await;
}
