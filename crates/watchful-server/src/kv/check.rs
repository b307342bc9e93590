//! What a request is refused for before the store sees it, in etcd's order.

use tonic::Status;
use watchful_wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

use crate::answers;

pub(super) fn range(request: &RangeRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(answers::empty_key());
    }
    let is_known =
        SortOrder::try_from(request.sort_order).is_ok() && SortTarget::try_from(request.sort_target).is_ok();
    if is_known { Ok(()) } else { Err(answers::invalid_sort_option()) }
}

/// A streamed range comes in key order and unfiltered: anything else needs the whole of it first.
pub(super) fn range_stream(request: &RangeRequest) -> Result<(), Status> {
    range(request)?;
    let is_by_key = request.sort_order() == SortOrder::None
        || request.sort_target() == SortTarget::Key && request.sort_order() == SortOrder::Ascend;
    if !is_by_key {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if super::request::has_filters(request) {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}

pub(super) fn put(request: &PutRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(answers::empty_key());
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(answers::value_provided());
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(answers::lease_provided());
    }
    Ok(())
}

pub(super) fn delete_range(request: &DeleteRangeRequest) -> Result<(), Status> {
    if request.key.is_empty() { Err(answers::empty_key()) } else { Ok(()) }
}

/// A nested transaction may have as many operations as the one around it left. That bounds the depth too: each level
/// takes at least one.
pub(super) fn txn(request: &TxnRequest, ops_max: usize) -> Result<(), Status> {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let Some(left) = ops_max.checked_sub(ops) else { return Err(answers::too_many_ops()) };
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(answers::empty_key());
    }
    request.success.iter().chain(&request.failure).try_for_each(|op| check_op(op, left))
}

fn check_op(op: &RequestOp, ops_max: usize) -> Result<(), Status> {
    match &op.request {
        Some(Op::RequestRange(request)) => range(request),
        Some(Op::RequestPut(request)) => put(request),
        Some(Op::RequestDeleteRange(request)) => delete_range(request),
        Some(Op::RequestTxn(request)) => txn(request, ops_max),
        None => Err(answers::key_not_found()),
    }
}
