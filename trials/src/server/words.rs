//! The testkit's operations as etcd's requests, and etcd's answers in the testkit's words.

use tonic::Status;
use tonic::transport::Channel;
use watchful_clients::{bounds, row_of};
use watchful_testkit::{Compare, CompareTarget, Comparison, Op, OpResult, RangeAnswer, Txn};
use watchful_wire::etcdserverpb::compare::{
    CompareResult as WireResult, CompareTarget as WireTarget, TargetUnion,
};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::request_op::Request;
use watchful_wire::etcdserverpb::response_op::Response;
use watchful_wire::etcdserverpb::{
    self as pb, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};

/// Makes one call. Answers with the store's revision, and one result an operation.
pub(super) async fn call(channel: &Channel, ops: &[Op]) -> Result<(u64, Vec<OpResult>), Status> {
    let mut kv = KvClient::new(channel.clone());
    let [op] = ops else { panic!("one call is one operation, and that may be a transaction") };
    let (header, result) = match request(op) {
        Asked::Op(Request::RequestPut(request)) => {
            let mut answer = kv.put(request).await?.into_inner();
            (answer.header.take(), put(&answer))
        }
        Asked::Op(Request::RequestDeleteRange(request)) => {
            let mut answer = kv.delete_range(request).await?.into_inner();
            (answer.header.take(), deleted(&answer))
        }
        Asked::Op(Request::RequestRange(request)) => {
            let mut answer = kv.range(request).await?.into_inner();
            (answer.header.take(), ranged(&answer))
        }
        Asked::Op(Request::RequestTxn(request)) | Asked::Txn(request) => {
            let mut answer = kv.txn(request).await?.into_inner();
            (answer.header.take(), txn(&answer))
        }
    };
    Ok((revision_of(header), vec![result]))
}

enum Asked {
    Op(Request),
    Txn(TxnRequest),
}

pub(super) fn revision_of(header: Option<ResponseHeader>) -> u64 {
    header.expect("every answer has a header").revision.cast_unsigned()
}

fn request(op: &Op) -> Asked {
    Asked::Op(match op {
        Op::Put { key, value, lease, .. } => Request::RequestPut(PutRequest {
            key: key.clone(),
            value: value.clone(),
            lease: *lease,
            prev_kv: true,
            ..PutRequest::default()
        }),
        Op::DeleteRange(range) => {
            let (key, range_end) = bounds(range);
            Request::RequestDeleteRange(DeleteRangeRequest {
                key: key.into(),
                range_end: range_end.into(),
                prev_kv: true,
            })
        }
        Op::Range { range, .. } => {
            let (key, range_end) = bounds(range);
            Request::RequestRange(RangeRequest {
                key: key.into(),
                range_end: range_end.into(),
                ..RangeRequest::default()
            })
        }
        Op::Txn(txn) => return Asked::Txn(txn_request(txn)),
    })
}

fn txn_request(txn: &Txn) -> TxnRequest {
    let ops = |ops: &[Op]| {
        let asked = ops.iter().map(|op| match request(op) {
            Asked::Op(request) => request,
            Asked::Txn(txn) => Request::RequestTxn(txn),
        });
        asked.map(|request| RequestOp { request: Some(request) }).collect()
    };
    TxnRequest {
        compare: txn.compares.iter().map(compare).collect(),
        success: ops(&txn.then_ops),
        failure: ops(&txn.else_ops),
    }
}

fn compare(compare: &Compare) -> pb::Compare {
    let (key, range_end) = bounds(&compare.range);
    let result = match compare.comparison {
        Comparison::Equal => WireResult::Equal,
        Comparison::Greater => WireResult::Greater,
        Comparison::Less => WireResult::Less,
        Comparison::NotEqual => WireResult::NotEqual,
    };
    let CompareTarget::Version(version) = compare.target else { panic!("only versions are compared") };
    pb::Compare {
        result: result.into(),
        target: WireTarget::Version.into(),
        key: key.into(),
        range_end: range_end.into(),
        target_union: Some(TargetUnion::Version(version.cast_signed())),
    }
}

fn put(answer: &PutResponse) -> OpResult {
    OpResult::Put { prev: answer.prev_kv.as_ref().map(row_of) }
}

fn deleted(answer: &DeleteRangeResponse) -> OpResult {
    OpResult::Deleted { prev: answer.prev_kvs.iter().map(row_of).collect() }
}

fn ranged(answer: &RangeResponse) -> OpResult {
    let count = usize::try_from(answer.count).expect("a count is not negative");
    OpResult::Range(RangeAnswer { rows: answer.kvs.iter().map(row_of).collect(), count, more: answer.more })
}

fn txn(answer: &TxnResponse) -> OpResult {
    let result = |answer: &ResponseOp| match answer.response.as_ref().expect("every operation is answered") {
        Response::ResponsePut(answer) => put(answer),
        Response::ResponseDeleteRange(answer) => deleted(answer),
        Response::ResponseRange(answer) => ranged(answer),
        Response::ResponseTxn(answer) => txn(answer),
    };
    OpResult::Txn { succeeded: answer.succeeded, results: answer.responses.iter().map(result).collect() }
}
