//! Keys, ranges, transactions, scripts and watches for property tests.
//!
//! All over four bytes (0x00, `a`, `b`, 0xff) and at most three of them, so that keys collide, are prefixes of each
//! other, and lie at the ends of the key space. Some of what they make is refused by a store, on purpose: unknown leases,
//! future and compacted revisions, values where none may be.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use watchful_revision::{KeyRange, LeaseId};

use crate::script::Step;
use crate::{
    Compare, CompareTarget, Comparison, Filters, Op, Order, Policy, RangeOptions, SortTarget, Txn, WatchSpec,
};

const BYTES: [u8; 4] = [0, b'a', b'b', 0xff];
/// More revisions than a script of [`steps`] often makes, so that some are in the future.
const REVISION_MAX: u64 = 40;
const LEASE_MAX: LeaseId = 3;

/// A key of one to three bytes.
pub fn key() -> impl Strategy<Value = Bytes> {
    bytes(1)
}

/// A value of no to three bytes.
pub fn value() -> impl Strategy<Value = Bytes> {
    bytes(0)
}

/// A range of every shape.
pub fn key_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        4 => key().prop_map(KeyRange::key),
        3 => bytes(0).prop_map(KeyRange::prefix),
        3 => (key(), key()).prop_filter_map("two different keys", |(a, b)| {
            KeyRange::between(a.clone().min(b.clone()), a.max(b)).ok()
        }),
        1 => key().prop_map(KeyRange::from_key),
        1 => Just(KeyRange::everything()),
    ]
}

/// A lease id: mostly 0, else one of a few that may not exist.
pub fn lease() -> impl Strategy<Value = LeaseId> {
    prop_oneof![6 => Just(0), 1 => 1..=LEASE_MAX]
}

/// A revision: mostly 0 for now, else one that may be compacted or in the future.
pub fn revision() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0), 1 => some_revision()]
}

/// What a range read asks for.
pub fn range_options() -> impl Strategy<Value = RangeOptions> {
    let bound = || prop_oneof![5 => Just(0), 1 => some_revision()];
    let targets =
        vec![SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];
    let sorting = (select(vec![Order::None, Order::Ascend, Order::Descend]), select(targets));
    let only = (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    (0..4_usize, sorting, [bound(), bound(), bound(), bound()], only).prop_map(
        |(limit, (order, target), bounds, (keys_only, count_only))| RangeOptions {
            limit,
            order,
            target,
            min_mod_revision: bounds[0],
            max_mod_revision: bounds[1],
            min_create_revision: bounds[2],
            max_create_revision: bounds[3],
            keys_only,
            count_only,
        },
    )
}

/// A compare of one key or of a range.
pub fn compare() -> impl Strategy<Value = Compare> {
    let comparisons = vec![Comparison::Equal, Comparison::Greater, Comparison::Less, Comparison::NotEqual];
    let target = prop_oneof![
        (0..4_u64).prop_map(CompareTarget::Version),
        some_revision().prop_map(CompareTarget::Create),
        some_revision().prop_map(CompareTarget::Mod),
        value().prop_map(CompareTarget::Value),
        (0..=LEASE_MAX).prop_map(CompareTarget::Lease),
    ];
    (key_range(), select(comparisons), target).prop_map(|(range, comparison, target)| Compare {
        range,
        comparison,
        target,
    })
}

/// One operation: mostly puts, some deletes and reads, and now and then a nested transaction, two deep at most.
pub fn op() -> impl Strategy<Value = Op> {
    simple_op().prop_recursive(
        2,
        12,
        3,
        |inner| prop_oneof![8 => simple_op(), 1 => nested(inner).prop_map(Op::Txn)],
    )
}

/// The operations of one transaction: none to five.
pub fn txn() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![3 => vec(op(), 1..=1), 2 => vec(op(), 0..=5)]
}

/// A script of up to 40 steps: mostly transactions, some compactions, and leases that come and go.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..=40)
}

/// One step of such a script. There are no [`Step::Call`]s among them: add your own with `prop_oneof!`.
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => txn().prop_map(Step::Txn),
        1 => revision().prop_map(Step::Compact),
        2 => (1..=LEASE_MAX, 1..100_i64).prop_map(|(id, ttl)| Step::Grant { id, ttl }),
        1 => (1..=LEASE_MAX).prop_map(|id| Step::Revoke { id }),
    ]
}

/// A watch of one to three disjoint ranges, with its start resolved, and under any policy.
pub fn watch_spec() -> impl Strategy<Value = WatchSpec> {
    let filters = prop_oneof![
        4 => Just(Filters::default()),
        1 => Just(Filters { no_put: true, no_delete: false }),
        1 => Just(Filters { no_put: false, no_delete: true }),
    ];
    let policy = select(vec![Policy::Replay, Policy::Conflate, Policy::Cancel]);
    (vec(key_range(), 1..=3), some_revision(), filters, any::<bool>(), policy).prop_map(
        |(ranges, start_revision, filters, prev_kv, policy)| WatchSpec {
            ranges: disjoint(ranges),
            start_revision,
            filters,
            prev_kv,
            policy,
        },
    )
}

/// A revision that is mostly there by the middle of a script.
fn some_revision() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1..=8_u64, 1 => 1..=REVISION_MAX]
}

fn bytes(len_min: usize) -> impl Strategy<Value = Bytes> {
    vec(select(&BYTES[..]), len_min..=3).prop_map(Bytes::from)
}

fn put() -> impl Strategy<Value = Op> {
    let keeps = (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    // Of ten puts that keep the old value, nine give none, as they must.
    (key(), value(), lease(), keeps, proptest::bool::weighted(0.1)).prop_map(
        |(key, value, lease, (ignore_value, ignore_lease), wrong)| Op::Put {
            key,
            value: if ignore_value && !wrong { Bytes::new() } else { value },
            lease: if ignore_lease && !wrong { 0 } else { lease },
            ignore_value,
            ignore_lease,
        },
    )
}

fn simple_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => put(),
        3 => key_range().prop_map(Op::DeleteRange),
        2 => (key_range(), range_options(), revision())
            .prop_map(|(range, options, revision)| Op::Range { range, options, revision }),
    ]
}

fn nested(op: impl Strategy<Value = Op> + Clone) -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..=2), vec(op.clone(), 0..=3), vec(op, 0..=3))
        .prop_map(|(compares, then_ops, else_ops)| Txn { compares, then_ops, else_ops })
}

fn disjoint(ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    let mut kept: Vec<KeyRange> = Vec::new();
    for range in ranges {
        if !kept.iter().any(|other| other.overlaps(&range)) {
            kept.push(range);
        }
    }
    kept
}
