//! Ranges, puts and transactions: what the differential test cannot see, because the etcd at hand does not have it, and
//! what a client must be able to go on from.

use tonic::Code;
use watchful_server::ServerSettings;
use watchful_wire::etcdserverpb::compare::{CompareTarget, TargetUnion};
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};

use crate::support::TestServer;

fn everything() -> RangeRequest {
    RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() }
}

async fn streamed(server: &TestServer, request: RangeRequest) -> (usize, RangeResponse) {
    let mut parts = server.kv().range_stream(request).await.unwrap().into_inner();
    let (mut count, mut whole) = (0, RangeResponse::default());
    while let Some(part) = parts.message().await.unwrap() {
        let part = part.range_response.unwrap();
        count += 1;
        whole.kvs.extend(part.kvs);
        (whole.header, whole.more, whole.count) = (part.header, part.more, part.count);
    }
    (count, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_range_is_the_range_in_parts() {
    let server = TestServer::start().await;
    for number in 0..300 {
        server.put(&format!("key/{number:03}"), vec![7; 2_000]).await;
    }
    for limit in [0, 1, 9, 10, 11, 299, 300, 301] {
        let request = RangeRequest { limit, ..everything() };
        let whole = server.kv().range(request.clone()).await.unwrap().into_inner();
        let (parts, streamed) = streamed(&server, request).await;
        assert_eq!(streamed, whole, "limit {limit}");
        assert_eq!(parts > 1, limit == 0 || limit > 10, "limit {limit}: {parts} parts");
    }
    let count_only = RangeRequest { count_only: true, ..everything() };
    let (parts, counted) = streamed(&server, count_only).await;
    assert_eq!((parts, counted.count, counted.kvs.len()), (1, 300, 0));
    server.stop().await;
}

/// Every part is of the revision of the first, whatever is written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_range_is_of_one_revision() {
    let server = TestServer::start().await;
    for number in 0..100 {
        server.put(&format!("key/{number:03}"), "old").await;
    }
    let at = server.put("key/000", "old").await;
    let mut parts = server.kv().range_stream(everything()).await.unwrap().into_inner();
    let mut seen = parts.message().await.unwrap().unwrap().range_response.unwrap().kvs;
    server.put("key/099", "new").await;
    server.put("key/100", "new").await;
    let mut header = None;
    while let Some(part) = parts.message().await.unwrap() {
        let part = part.range_response.unwrap();
        seen.extend(part.kvs);
        header = part.header.or(header);
    }
    assert_eq!((seen.len(), header.unwrap().revision), (100, at));
    assert!(seen.iter().all(|kv| kv.value() == b"old"));
    server.stop().await;
}

/// A list and a watch from its revision on: nothing between is lost, so the header has to name the very revision that was
/// read, while others write.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_the_revision_it_was_read_at() {
    let server = TestServer::start().await;
    let writer = {
        let mut kv = server.kv();
        tokio::spawn(async move {
            for number in 0..500 {
                let key = format!("key/{:02}", number % 50).into();
                kv.put(PutRequest { key, value: "v".into(), ..PutRequest::default() }).await.unwrap();
            }
        })
    };
    for _ in 0..50 {
        let listed = server.kv().range(everything()).await.unwrap().into_inner();
        let at = listed.header.unwrap().revision;
        let again = RangeRequest { revision: at, ..everything() };
        let again = server.kv().range(again).await.unwrap().into_inner();
        assert_eq!(listed.kvs, again.kvs, "at {at}");
        assert!(listed.kvs.iter().all(|kv| kv.mod_revision() <= at));
    }
    writer.await.unwrap();
    server.stop().await;
}

fn put(key: &'static str) -> RequestOp {
    RequestOp {
        request: Some(Op::RequestPut(PutRequest {
            key: key.into(),
            value: "v".into(),
            ..PutRequest::default()
        })),
    }
}

#[tokio::test]
async fn requests_above_the_limits_are_refused_as_etcd_does() {
    let server = TestServer::start_with(|mut settings: ServerSettings| {
        settings.limits.request_bytes_max = 1_000;
        settings.limits.txn_ops_max = 3;
        settings
    })
    .await;
    let code = |value: usize| {
        let mut kv = server.kv();
        async move {
            let request =
                PutRequest { key: "k".into(), value: vec![0; value].into(), ..PutRequest::default() };
            kv.put(request).await.map_err(|status| (status.code(), status.message().to_owned()))
        }
    };
    assert!(code(900).await.is_ok());
    let refused = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    assert_eq!(code(1_001).await.unwrap_err(), refused);
    let unread = code(1_000 + (512 << 10)).await.unwrap_err();
    assert_eq!(unread.0, Code::ResourceExhausted, "{unread:?}");

    let ops = |success: Vec<RequestOp>| TxnRequest { success, ..TxnRequest::default() };
    assert!(server.kv().txn(ops(vec![put("a"), put("b"), put("c")])).await.is_ok());
    let refused = server.kv().txn(ops(vec![put("a"), put("b"), put("c"), put("d")])).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: too many operations in txn request");
    server.stop().await;
}

/// What the operations of a transaction say of revisions: etcd's clients read the last one's.
#[tokio::test]
async fn operations_name_the_revision_they_saw() {
    use watchful_wire::etcdserverpb::response_op::Response;
    let server = TestServer::start().await;
    let range = || RequestOp { request: Some(Op::RequestRange(everything())) };
    let delete = RequestOp {
        request: Some(Op::RequestDeleteRange(DeleteRangeRequest {
            key: "nothing".into(),
            ..DeleteRangeRequest::default()
        })),
    };
    let request = TxnRequest { success: vec![range(), delete, put("a"), range()], ..TxnRequest::default() };
    let answer = server.kv().txn(request).await.unwrap().into_inner();
    let revisions: Vec<i64> = answer
        .responses
        .into_iter()
        .map(|op| match op.response.unwrap() {
            Response::ResponseRange(range) => range.header.unwrap().revision,
            Response::ResponsePut(put) => put.header.unwrap().revision,
            Response::ResponseDeleteRange(delete) => delete.header.unwrap().revision,
            Response::ResponseTxn(_) => panic!("none was asked for"),
        })
        .collect();
    assert_eq!((revisions, answer.header.unwrap().revision), (vec![1, 1, 2, 2], 2));
    server.stop().await;
}

/// A condition on a value with a result that is none of the four held for a key that is not there. The differential test
/// found it: etcd passes over such a result only once there is a value.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_a_value_never_holds_for_a_key_that_is_not_there() {
    let server = TestServer::start().await;
    server.put("here", "").await;
    let holds = async |key: &'static str, target: CompareTarget| {
        let (result, target) = (77, target as i32);
        let target_union = Some(TargetUnion::Value("".into()));
        let compare = Compare { key: key.into(), result, target, target_union, ..Compare::default() };
        let txn = TxnRequest { compare: vec![compare], ..TxnRequest::default() };
        server.kv().txn(txn).await.unwrap().into_inner().succeeded
    };
    assert!(holds("here", CompareTarget::Value).await);
    assert!(!holds("nowhere", CompareTarget::Value).await);
    assert!(holds("nowhere", CompareTarget::Version).await);
    server.stop().await;
}
