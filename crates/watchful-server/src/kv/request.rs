//! etcd's requests in the store's words.
//!
//! The wire's numbers have a sign and the store's have none. What a negative one means follows from etcd's comparisons
//! and is said where it is translated.

use tonic::Status;
use watchful::{
    Compare, CompareResult, CompareTarget, KeyRange, PutOptions, RangeOptions, RequestOp, SortOrder,
    SortTarget, Store, TxnRequest,
};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::compare::{
    CompareResult as PbResult, CompareTarget as PbTarget, TargetUnion as Union,
};
use watchful_wire::etcdserverpb::range_request::{SortOrder as PbOrder, SortTarget as PbSort};
use watchful_wire::etcdserverpb::request_op::Request as Op;

use crate::answers;

pub(super) fn put_options(request: &pb::PutRequest) -> PutOptions {
    PutOptions {
        lease: request.lease,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
        prev_kv: request.prev_kv,
    }
}

pub(super) fn range_options(request: &pb::RangeRequest) -> RangeOptions {
    let (min_mod_revision, max_mod_revision) = bounds(request.min_mod_revision, request.max_mod_revision);
    let (min_create_revision, max_create_revision) =
        bounds(request.min_create_revision, request.max_create_revision);
    RangeOptions {
        // As in etcd, a limit below zero is none.
        limit: u64::try_from(request.limit).unwrap_or(0),
        target: match request.sort_target() {
            PbSort::Key => SortTarget::Key,
            PbSort::Version => SortTarget::Version,
            PbSort::Create => SortTarget::Create,
            PbSort::Mod => SortTarget::Mod,
            PbSort::Value => SortTarget::Value,
        },
        order: match request.sort_order() {
            PbOrder::None => SortOrder::None,
            PbOrder::Ascend => SortOrder::Ascend,
            PbOrder::Descend => SortOrder::Descend,
        },
        min_mod_revision,
        max_mod_revision,
        min_create_revision,
        max_create_revision,
        keys_only: request.keys_only,
        count_only: request.count_only,
    }
}

/// A lower bound below zero leaves nothing out, and counts as a filter all the same: 1 does so too. An upper bound below
/// zero leaves everything out, which a lower bound beyond all revisions does.
fn bounds(min: i64, max: i64) -> (u64, u64) {
    match (u64::try_from(min), u64::try_from(max)) {
        (_, Err(_)) => (u64::MAX, 0),
        (Err(_), Ok(max)) => (1, max),
        (Ok(min), Ok(max)) => (min, max),
    }
}

pub(super) fn has_filters(request: &pb::RangeRequest) -> bool {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    bounds.iter().any(|bound| *bound != 0)
}

/// Whether a put is in the transaction, on whichever side: that is what needs room.
pub(super) fn has_put(request: &pb::TxnRequest) -> bool {
    let is_put = |op: &pb::RequestOp| match &op.request {
        Some(Op::RequestPut(_)) => true,
        Some(Op::RequestTxn(nested)) => has_put(nested),
        _ => false,
    };
    request.success.iter().chain(&request.failure).any(is_put)
}

pub(super) fn txn(request: &pb::TxnRequest, store: &Store) -> Result<TxnRequest, Status> {
    let ops = |ops: &[pb::RequestOp]| ops.iter().map(|op| request_op(op, store)).collect::<Result<_, _>>();
    Ok(TxnRequest {
        compares: request.compare.iter().filter_map(compare).collect(),
        then: ops(&request.success)?,
        or_else: ops(&request.failure)?,
    })
}

fn request_op(op: &pb::RequestOp, store: &Store) -> Result<RequestOp, Status> {
    Ok(match &op.request {
        Some(Op::RequestRange(request)) => RequestOp::Range {
            range: KeyRange::from_etcd(&request.key, &request.range_end).ok(),
            revision: revision_in_txn(request.revision, store),
            options: range_options(request),
        },
        Some(Op::RequestPut(request)) => RequestOp::Put {
            key: request.key.clone(),
            value: request.value.clone(),
            options: put_options(request),
        },
        Some(Op::RequestDeleteRange(request)) => RequestOp::DeleteRange {
            range: KeyRange::from_etcd(&request.key, &request.range_end).ok(),
            prev_kv: request.prev_kv,
        },
        Some(Op::RequestTxn(request)) => RequestOp::Txn(txn(request, store)?),
        // Refused before.
        None => return Err(answers::key_not_found()),
    })
}

/// Outside of transactions etcd reads a revision below zero as the newest; inside, it compares it with the compact
/// revision first. No store can be read below 0, so there it is the oldest that cannot be read; 0 where nothing was
/// compacted, which means the newest.
fn revision_in_txn(revision: i64, store: &Store) -> u64 {
    u64::try_from(revision).unwrap_or_else(|_| store.compact_revision().saturating_sub(1))
}

/// A condition; none where it holds whatever the store has.
fn compare(compare: &pb::Compare) -> Option<Compare> {
    let range = KeyRange::from_etcd(&compare.key, &compare.range_end).ok();
    let Some(result) = result(compare.result) else {
        // etcd passes over a result it does not know. But a key that is not there has no value to compare, so what is
        // left of such a condition is that there is one.
        let is_there =
            || Compare { range, result: CompareResult::Greater, target: CompareTarget::Version(0) };
        return (compare.target == PbTarget::Value as i32).then(is_there);
    };
    let number = |found: Option<i64>| found.unwrap_or(0);
    let union = compare.target_union.as_ref();
    let (target, given) = match PbTarget::try_from(compare.target) {
        Ok(PbTarget::Value) => {
            let value =
                union.and_then(|it| if let Union::Value(value) = it { Some(value.clone()) } else { None });
            return Some(Compare { range, result, target: CompareTarget::Value(value.unwrap_or_default()) });
        }
        Ok(PbTarget::Lease) => {
            let lease = union.and_then(|it| if let Union::Lease(lease) = it { Some(*lease) } else { None });
            return Some(Compare { range, result, target: CompareTarget::Lease(number(lease)) });
        }
        Ok(PbTarget::Version) => (
            CompareTarget::Version as fn(u64) -> CompareTarget,
            union.and_then(|it| if let Union::Version(version) = it { Some(*version) } else { None }),
        ),
        Ok(PbTarget::Create) => (
            CompareTarget::Create as fn(u64) -> CompareTarget,
            union.and_then(|it| if let Union::CreateRevision(create) = it { Some(*create) } else { None }),
        ),
        Ok(PbTarget::Mod) => (
            CompareTarget::Mod as fn(u64) -> CompareTarget,
            union.and_then(|it| if let Union::ModRevision(revision) = it { Some(*revision) } else { None }),
        ),
        // Of a target it does not know, etcd says that it is equal.
        Err(_) => return (result != CompareResult::Equal).then(never),
    };
    Some(numbers(range, result, target, number(given)))
}

fn result(result: i32) -> Option<CompareResult> {
    Some(match PbResult::try_from(result).ok()? {
        PbResult::Equal => CompareResult::Equal,
        PbResult::Greater => CompareResult::Greater,
        PbResult::Less => CompareResult::Less,
        PbResult::NotEqual => CompareResult::NotEqual,
    })
}

/// A version or revision of the store is never below zero: it is not equal to such a number, and greater.
fn numbers(
    range: Option<KeyRange>,
    result: CompareResult,
    target: fn(u64) -> CompareTarget,
    given: i64,
) -> Compare {
    match (u64::try_from(given), result) {
        (Ok(given), result) => Compare { range, result, target: target(given) },
        (Err(_), CompareResult::Equal | CompareResult::Less) => never(),
        (Err(_), CompareResult::NotEqual | CompareResult::Greater) => {
            Compare { range, result: CompareResult::NotEqual, target: target(u64::MAX) }
        }
    }
}

/// A condition that never holds: no key has so many versions.
fn never() -> Compare {
    Compare { range: None, result: CompareResult::Equal, target: CompareTarget::Version(u64::MAX) }
}
