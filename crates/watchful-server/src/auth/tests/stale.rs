//! Rights that were decided on before users or permissions changed, used after it.

use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::request_op::Request as Op;

use super::*;
use crate::concurrency::{Contender, delete_created_at, first};
use crate::kv::Kv;
use crate::lease::Lease;

fn refused<T>(answer: Result<T, Status>) {
    let Err(status) = answer else { panic!("it was done") };
    assert_eq!(status.message(), "etcdserver: revision of auth store is old");
}

fn put(key: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), ..pb::PutRequest::default() }
}

/// A request that was let in just before a revocation and came to the writer just after it must not be written: whether it
/// may is asked on the way, and once more where it counts. However seldom the two cross like that, here they do.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_a_change_is_not_done_after_it() {
    let place = Place::new().await;
    let shared = place.server.shared();
    let (kv, lease) = (Kv::new(Arc::clone(shared)), Lease::new(Arc::clone(shared)));
    let rights = || {
        let mut request = Request::new(());
        let token = place.authority().tokens().issue("root", 1).unwrap();
        request.metadata_mut().insert("token", token.parse().unwrap());
        shared.rights(&request).unwrap()
    };
    lease.grant(pb::LeaseGrantRequest { id: 7, ttl: 60 }).await.unwrap();
    let stale = rights();
    let made = kv.put(stale.clone(), &put("k"), None).await.unwrap().header.unwrap().revision;
    place.change_nothing_but_the_revision().await;

    let range = pb::RangeRequest { key: "k".into(), ..pb::RangeRequest::default() };
    refused(kv.range(&stale, &range));
    refused(kv.put(stale.clone(), &put("k"), None).await);
    let delete = pb::DeleteRangeRequest { key: "k".into(), ..pb::DeleteRangeRequest::default() };
    refused(kv.delete_range(stale.clone(), &delete, None).await);
    let success = vec![pb::RequestOp { request: Some(Op::RequestPut(put("k"))) }];
    refused(kv.txn(stale.clone(), &pb::TxnRequest { success, ..pb::TxnRequest::default() }, None).await);
    refused(lease.revoke(stale.clone(), &pb::LeaseRevokeRequest { id: 7 }).await);
    refused(Contender::enter(shared, stale.clone(), &"lock".into(), 7, b"").await);
    refused(first(shared, &stale, b"lock"));
    let deleted = delete_created_at(&shared.store, stale.clone(), &"k".into(), made.cast_unsigned()).await;
    refused(deleted);

    let found = kv.range(&rights(), &range).unwrap();
    assert_eq!((found.kvs.len(), found.header.unwrap().revision), (1, made), "nothing was written");
    // Whoever waits or watches goes on, on what is so by then.
    assert!(stale.hold().is_err() && stale.renewed().hold().is_ok());
}

/// A contender whose caller went away while users changed stayed in its queue, and the lock was nobody's for as long as its
/// lease was kept alive: the delete of its key asked whether users were still what they were, and nobody heard the answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_queue_while_users_change_is_gone_from_it() {
    let place = Place::new().await;
    let shared = place.server.shared();
    let mut request = Request::new(());
    let token = place.authority().tokens().issue("root", 1).unwrap();
    request.metadata_mut().insert("token", token.parse().unwrap());
    let lease = Lease::new(Arc::clone(shared));
    lease.grant(pb::LeaseGrantRequest { id: 7, ttl: 60 }).await.unwrap();
    let rights = shared.rights(&request).unwrap();
    let contender = Contender::enter(shared, rights, &"lock".into(), 7, b"").await.unwrap();
    let key = contender.key.clone();
    assert!(shared.store.get(&key).unwrap().is_some());
    place.change_nothing_but_the_revision().await;
    drop(contender);
    let gone = async {
        while shared.store.get(&key).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("its key goes");
}

/// What becomes of a put of `w` by `alice`, who may do that, when `change` crosses with it: and how often it was tried.
async fn put_across(place: &Place, token: &str, change: impl AsyncFn()) -> (Result<(), Status>, usize) {
    let shared = place.server.shared();
    let (kv, mut request) = (Kv::new(Arc::clone(shared)), Request::new(put("w")));
    request.metadata_mut().insert("token", token.parse().unwrap());
    let tries = std::cell::Cell::new(0);
    let put = async |rights| {
        tries.set(tries.get() + 1);
        if tries.get() == 1 {
            change().await;
        }
        kv.put(rights, request.get_ref(), None).await.map(drop)
    };
    (shared.decided(&request, put).await, tries.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crosses_with_a_change_is_decided_again() {
    let place = Place::new().await;
    let token = place.authority().tokens().issue("alice", 1).unwrap();
    let (put, tries) = put_across(&place, &token, async || ()).await;
    assert!(put.is_ok() && tries == 1, "{put:?}");
    let (put, tries) =
        put_across(&place, &token, async || place.change_nothing_but_the_revision().await).await;
    assert!(put.is_ok() && tries == 2, "{put:?}");
    let before = place.server.shared().store.current_revision();
    let revoke = async || {
        let change = place.authority().change(Ends::Nobody, |notes| {
            notes.put_user("alice", user("alice", "", &[]))?;
            notes.raise_revision()
        });
        change.await.unwrap();
    };
    let (put, tries) = put_across(&place, &token, revoke).await;
    assert_eq!((put.unwrap_err().code(), tries), (Code::PermissionDenied, 2));
    assert_eq!(place.server.shared().store.current_revision(), before, "nothing was written");
}
