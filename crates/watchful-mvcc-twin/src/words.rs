//! The testkit's words as a store's requests, and a store's answers in the testkit's words.

use watchful_mvcc::{
    CommittedBatch, Compare, CompareResult, CompareTarget, OpResponse, PutOptions, RangeOptions, RangeResult,
    RequestOp, SortOrder, SortTarget, TxnRequest,
};
use watchful_revision::{Record, Revision};
use watchful_testkit as kit;

/// A transaction of these operations, which asks for everything that it can be answered.
pub fn request(ops: &[kit::Op]) -> TxnRequest {
    TxnRequest { then: ops.iter().map(request_op).collect(), ..TxnRequest::default() }
}

fn request_op(op: &kit::Op) -> RequestOp {
    match op {
        kit::Op::Put { key, value, lease, ignore_value, ignore_lease } => RequestOp::Put {
            key: key.clone(),
            value: value.clone(),
            options: PutOptions {
                lease: *lease,
                ignore_value: *ignore_value,
                ignore_lease: *ignore_lease,
                prev_kv: true,
            },
        },
        kit::Op::DeleteRange(range) => RequestOp::DeleteRange { range: Some(range.clone()), prev_kv: true },
        kit::Op::Range { range, options: wanted, revision } => {
            RequestOp::Range { range: Some(range.clone()), revision: *revision, options: options(wanted) }
        }
        kit::Op::Txn(txn) => RequestOp::Txn(TxnRequest {
            compares: txn.compares.iter().map(compare).collect(),
            then: txn.then_ops.iter().map(request_op).collect(),
            or_else: txn.else_ops.iter().map(request_op).collect(),
        }),
    }
}

/// A condition.
pub fn compare(compare: &kit::Compare) -> Compare {
    let target = match &compare.target {
        kit::CompareTarget::Version(version) => CompareTarget::Version(*version),
        kit::CompareTarget::Create(revision) => CompareTarget::Create(*revision),
        kit::CompareTarget::Mod(revision) => CompareTarget::Mod(*revision),
        kit::CompareTarget::Value(value) => CompareTarget::Value(value.clone()),
        kit::CompareTarget::Lease(lease) => CompareTarget::Lease(*lease),
    };
    let result = match compare.comparison {
        kit::Comparison::Equal => CompareResult::Equal,
        kit::Comparison::Greater => CompareResult::Greater,
        kit::Comparison::Less => CompareResult::Less,
        kit::Comparison::NotEqual => CompareResult::NotEqual,
    };
    Compare { range: Some(compare.range.clone()), target, result }
}

/// What a range read asks for.
pub fn options(options: &kit::RangeOptions) -> RangeOptions {
    RangeOptions {
        limit: options.limit as u64,
        target: match options.target {
            kit::SortTarget::Key => SortTarget::Key,
            kit::SortTarget::Version => SortTarget::Version,
            kit::SortTarget::Create => SortTarget::Create,
            kit::SortTarget::Mod => SortTarget::Mod,
            kit::SortTarget::Value => SortTarget::Value,
        },
        order: match options.order {
            kit::Order::None => SortOrder::None,
            kit::Order::Ascend => SortOrder::Ascend,
            kit::Order::Descend => SortOrder::Descend,
        },
        min_mod_revision: options.min_mod_revision,
        max_mod_revision: options.max_mod_revision,
        min_create_revision: options.min_create_revision,
        max_create_revision: options.max_create_revision,
        keys_only: options.keys_only,
        count_only: options.count_only,
    }
}

/// The answer to one operation.
pub fn result(response: &OpResponse) -> kit::OpResult {
    match response {
        OpResponse::Put(prev) => kit::OpResult::Put { prev: prev.as_ref().map(kit::Row::from) },
        OpResponse::Delete(deleted) => {
            assert_eq!(deleted.count, deleted.prev.len() as u64);
            kit::OpResult::Deleted { prev: rows(&deleted.prev) }
        }
        OpResponse::Range(answer) => kit::OpResult::Range(range_answer(answer)),
        OpResponse::Txn(nested) => kit::OpResult::Txn {
            succeeded: nested.succeeded,
            results: nested.responses.iter().map(result).collect(),
        },
    }
}

/// The answer to a range read.
pub fn range_answer(answer: &RangeResult) -> kit::RangeAnswer {
    kit::RangeAnswer {
        rows: rows(&answer.records),
        count: usize::try_from(answer.count).unwrap(),
        more: answer.more,
    }
}

/// Rows.
pub fn rows(records: &[Record]) -> Vec<kit::Row> {
    records.iter().map(kit::Row::from).collect()
}

/// The changes of a batch, told as the model tells its events.
pub fn told(batch: &CommittedBatch) -> Vec<(Record, Option<Revision>)> {
    batch.rows.iter().map(|row| (row.record.clone(), row.prev)).collect()
}
