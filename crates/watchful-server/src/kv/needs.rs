//! What a request needs of the rights of its caller, as in etcd: to write what it puts and deletes, to read what it reads,
//! compares or wants back, on both sides of a transaction, whichever is taken.

use bytes::Bytes;
use tonic::Status;
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

use crate::auth::Need;
use crate::rights::Rights;

pub(super) fn range(rights: &Rights, request: &RangeRequest) -> Result<(), Status> {
    rights.may(&Need::Read(&request.key, &request.range_end))
}

/// The lease that it names, if any, is asked about in the transaction: see [`attached`].
pub(super) fn put(rights: &Rights, request: &PutRequest) -> Result<(), Status> {
    rights.may(&Need::Write(&request.key, b""))?;
    if request.prev_kv { rights.may(&Need::Read(&request.key, b"")) } else { Ok(()) }
}

pub(super) fn delete_range(rights: &Rights, request: &DeleteRangeRequest) -> Result<(), Status> {
    let DeleteRangeRequest { key, range_end, prev_kv } = request;
    rights.may(&Need::Write(key, range_end))?;
    if *prev_kv { rights.may(&Need::Read(key, range_end)) } else { Ok(()) }
}

pub(super) fn txn(rights: &Rights, request: &TxnRequest) -> Result<(), Status> {
    for compare in &request.compare {
        rights.may(&Need::Read(&compare.key, &compare.range_end))?;
    }
    request.success.iter().chain(&request.failure).try_for_each(|op| operation(rights, op))
}

fn operation(rights: &Rights, op: &RequestOp) -> Result<(), Status> {
    match &op.request {
        Some(Op::RequestRange(request)) => range(rights, request),
        Some(Op::RequestPut(request)) => put(rights, request),
        Some(Op::RequestDeleteRange(request)) => delete_range(rights, request),
        Some(Op::RequestTxn(request)) => txn(rights, request),
        None => Ok(()),
    }
}

/// The keys that a transaction puts onto leases, on whichever side.
pub(super) fn attached(request: &TxnRequest) -> Vec<(Bytes, i64)> {
    let mut found = Vec::new();
    collect_attached(request, &mut found);
    found
}

fn collect_attached(request: &TxnRequest, found: &mut Vec<(Bytes, i64)>) {
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Op::RequestPut(PutRequest { key, lease, .. })) if *lease != 0 => {
                found.push((key.clone(), *lease));
            }
            Some(Op::RequestTxn(nested)) => collect_attached(nested, found),
            _ => {}
        }
    }
}
