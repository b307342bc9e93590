//! Transactions: every compare, nested, with keys that are given twice, and with too much in them.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use watchful_wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};

use super::{kv, lease};
use crate::keys;
use crate::request::Request;
use crate::step::Step;
use crate::tokens::current;

/// How deep transactions are put into each other.
const DEPTH_MAX: usize = 3;

/// etcd's own limit, at its default.
const OPERATIONS_MAX: usize = 128;

pub(super) fn txn(random: &mut StdRng) -> Step {
    let mut txn = if random.random_bool(0.02) { many(random) } else { any_txn(random, 0) };
    if deletes_to_the_end(&txn) {
        keep_nothing(&mut txn);
    }
    Step::Ask(Request::Txn(txn))
}

fn any_txn(random: &mut StdRng, depth: usize) -> TxnRequest {
    let compares = random.random_range(0..3);
    let (successes, failures) = (random.random_range(0..4), random.random_range(0..3));
    TxnRequest {
        compare: (0..compares).map(|_| compare(random)).collect(),
        success: (0..successes).map(|_| operation(random, depth)).collect(),
        failure: (0..failures).map(|_| operation(random, depth)).collect(),
    }
}

/// Whether it deletes, at any depth, from some key on. That is the delete beside which etcd lets a put of the same key
/// stand; and where the put keeps the value or lease of what the delete has taken, etcd panics.
fn deletes_to_the_end(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|operation| match &operation.request {
        Some(Operation::RequestDeleteRange(delete)) => delete.range_end == "\0",
        Some(Operation::RequestTxn(inner)) => deletes_to_the_end(inner),
        _ => false,
    })
}

/// Lets no put keep a value or a lease.
fn keep_nothing(txn: &mut TxnRequest) {
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut operation.request {
            Some(Operation::RequestPut(put)) => (put.ignore_value, put.ignore_lease) = (false, false),
            Some(Operation::RequestTxn(inner)) => keep_nothing(inner),
            _ => {}
        }
    }
}

/// About as many operations as are allowed, so that one more is too many.
fn many(random: &mut StdRng) -> TxnRequest {
    let count = OPERATIONS_MAX + random.random_range(0..2);
    let put = |at: usize| PutRequest { key: format!("b/{}", at % 3).into(), ..Default::default() };
    let distinct = |at: usize| RangeRequest { key: format!("many/{at}").into(), ..Default::default() };
    let operation = |at: usize, twice: bool| match (at, twice) {
        (0, _) | (1, true) => Operation::RequestPut(put(0)),
        _ => Operation::RequestRange(distinct(at)),
    };
    let twice = random.random_bool(0.3);
    let inner = (0..count).map(|at| RequestOp { request: Some(operation(at, twice)) }).collect();
    let outer = TxnRequest { success: inner, ..Default::default() };
    if random.random_bool(0.5) {
        return outer;
    }
    let nested = RequestOp { request: Some(Operation::RequestTxn(outer)) };
    TxnRequest { success: vec![nested], ..Default::default() }
}

fn operation(random: &mut StdRng, depth: usize) -> RequestOp {
    let request = match random.random_range(0..100) {
        0..40 => Operation::RequestPut(kv::any_put(random)),
        40..55 => Operation::RequestDeleteRange(kv::any_delete(random)),
        55..80 => Operation::RequestRange(range(random)),
        80..99 if depth < DEPTH_MAX => Operation::RequestTxn(any_txn(random, depth + 1)),
        80..99 => Operation::RequestRange(range(random)),
        _ => return RequestOp { request: None },
    };
    RequestOp { request: Some(request) }
}

/// Not at a revision below zero: there the two answer otherwise (`txn-range-below-zero`), and the stores part ways.
fn range(random: &mut StdRng) -> RangeRequest {
    let range = kv::any_range(random);
    RangeRequest { revision: range.revision.max(0), ..range }
}

fn compare(random: &mut StdRng) -> Compare {
    let (key, range_end) =
        if random.random_bool(0.7) { (keys::key(random), Bytes::new()) } else { keys::range(random) };
    let target = random.random_range(0..5);
    // Now and then what is compared with is of another kind than what is compared.
    let target_union = match random.random_range(0..50) {
        0 => None,
        1 => target_union(random, 4 - target),
        _ => target_union(random, target),
    };
    let mut result = odd_one(random, 4);
    // Each server chooses ids of its own, and which of two is the greater is chance.
    if matches!(target_union, Some(TargetUnion::Lease(lease)) if lease::is_chosen_by_server(lease)) {
        result = if result % 2 == 0 { CompareResult::Equal as i32 } else { CompareResult::NotEqual as i32 };
    }
    let target = if random.random_bool(0.01) { 9 } else { target };
    Compare { result, target, key, range_end, target_union }
}

/// A value of an enum of `known` values, and seldom one that is unknown.
fn odd_one(random: &mut StdRng, known: i32) -> i32 {
    if random.random_bool(0.01) { 77 } else { random.random_range(0..known) }
}

fn target_union(random: &mut StdRng, target: i32) -> Option<TargetUnion> {
    let revision = |random: &mut StdRng| match random.random_range(0..10) {
        0..3 => 0,
        3..9 => current(-random.random_range(0..20)),
        _ => -1,
    };
    Some(match CompareTarget::try_from(target).ok()? {
        CompareTarget::Version => TargetUnion::Version(random.random_range(0..4)),
        CompareTarget::Create => TargetUnion::CreateRevision(revision(random)),
        CompareTarget::Mod => TargetUnion::ModRevision(revision(random)),
        CompareTarget::Value => TargetUnion::Value(keys::value(random)),
        CompareTarget::Lease => TargetUnion::Lease(lease::any(random)),
    })
}
