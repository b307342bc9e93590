//! Keys, ranges, operations and steps out of an input's bytes.
//!
//! As the testkit's strategies make them: keys of at most three bytes out of four, so that they collide, are prefixes of each
//! other and lie at the ends of the key space; and some of what is asked for is refused.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use watchful_revision::{KeyRange, LeaseId};
use watchful_testkit::script::Step;
use watchful_testkit::{Compare, CompareTarget, Comparison, Op, Order, RangeOptions, SortTarget, Txn};

const BYTES: [u8; 4] = [0, b'a', b'b', 0xff];

/// One of so many things, each as often as its weight says.
pub(crate) fn weighted(u: &mut Unstructured<'_>, weights: &[u8]) -> Result<usize> {
    let all: u8 = weights.iter().sum();
    let mut at = u.arbitrary::<u8>()? % all;
    let taken = weights.iter().position(|weight| {
        let is_it = at < *weight;
        at = at.wrapping_sub(*weight);
        is_it
    });
    Ok(taken.unwrap_or_default())
}

/// As many as `one` makes until the input ends, but not more than `count_max`.
pub(crate) fn many<T>(
    u: &mut Unstructured<'_>,
    count_max: usize,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    while all.len() < count_max && !u.is_empty() {
        match one(u) {
            Ok(it) => all.push(it),
            Err(_) => break,
        }
    }
    all
}

/// Up to three bytes, and at least so many.
pub(crate) fn short(u: &mut Unstructured<'_>, len_min: usize) -> Result<Bytes> {
    // One byte of the input for all of it: four lengths, and two bits for each byte.
    let seed = usize::from(u.arbitrary::<u8>()?);
    let len = (seed % 4).max(len_min);
    Ok((0..len).map(|at| BYTES[seed >> (2 + 2 * at) & 3]).collect())
}

pub(crate) fn key(u: &mut Unstructured<'_>) -> Result<Bytes> {
    short(u, 1)
}

pub(crate) fn key_range(u: &mut Unstructured<'_>) -> Result<KeyRange> {
    Ok(match weighted(u, &[4, 3, 3, 1, 1])? {
        0 => KeyRange::key(key(u)?),
        1 => KeyRange::prefix(short(u, 0)?),
        2 => {
            let (a, b) = (key(u)?, key(u)?);
            KeyRange::between(a.clone().min(b.clone()), a.clone().max(b)).unwrap_or(KeyRange::key(a))
        }
        3 => KeyRange::from_key(key(u)?),
        _ => KeyRange::everything(),
    })
}

fn lease(u: &mut Unstructured<'_>) -> Result<LeaseId> {
    Ok(if u.ratio(6, 7)? { 0 } else { u.int_in_range(1..=3)? })
}

/// Mostly 0 for now.
pub(crate) fn revision(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.ratio(2, 3)? { Ok(0) } else { some_revision(u) }
}

fn some_revision(u: &mut Unstructured<'_>) -> Result<u64> {
    u.int_in_range(1..=24)
}

pub(crate) fn range_options(u: &mut Unstructured<'_>) -> Result<RangeOptions> {
    let bound = |u: &mut Unstructured<'_>| if u.ratio(5, 6)? { Ok(0) } else { some_revision(u) };
    let targets =
        [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];
    Ok(RangeOptions {
        limit: u.int_in_range(0..=3)?,
        order: *u.choose(&[Order::None, Order::Ascend, Order::Descend])?,
        target: *u.choose(&targets)?,
        min_mod_revision: bound(u)?,
        max_mod_revision: bound(u)?,
        min_create_revision: bound(u)?,
        max_create_revision: bound(u)?,
        keys_only: u.ratio(1, 10)?,
        count_only: u.ratio(1, 10)?,
    })
}

fn compare(u: &mut Unstructured<'_>) -> Result<Compare> {
    let comparisons = [Comparison::Equal, Comparison::Greater, Comparison::Less, Comparison::NotEqual];
    Ok(Compare {
        range: key_range(u)?,
        comparison: *u.choose(&comparisons)?,
        target: match u.int_in_range(0..=4)? {
            0 => CompareTarget::Version(u.int_in_range(0..=3)?),
            1 => CompareTarget::Create(some_revision(u)?),
            2 => CompareTarget::Mod(some_revision(u)?),
            3 => CompareTarget::Value(short(u, 0)?),
            _ => CompareTarget::Lease(u.int_in_range(0..=3)?),
        },
    })
}

/// An operation, with transactions inside it so deep.
pub(crate) fn op(u: &mut Unstructured<'_>, depth: usize) -> Result<Op> {
    Ok(match weighted(u, &[8, 3, 2, if depth > 0 { 2 } else { 0 }])? {
        0 => put(u)?,
        1 => Op::DeleteRange(key_range(u)?),
        2 => Op::Range { range: key_range(u)?, options: range_options(u)?, revision: revision(u)? },
        _ => Op::Txn(nested(u, depth - 1)?),
    })
}

fn put(u: &mut Unstructured<'_>) -> Result<Op> {
    let (ignore_value, ignore_lease) = (u.ratio(1, 10)?, u.ratio(1, 10)?);
    // Of ten puts that keep the old value, nine give none, as they must.
    let is_wrong = u.ratio(1, 10)?;
    Ok(Op::Put {
        key: if u.ratio(1, 40)? { Bytes::new() } else { key(u)? },
        value: if ignore_value && !is_wrong { Bytes::new() } else { short(u, 0)? },
        lease: if ignore_lease && !is_wrong { 0 } else { lease(u)? },
        ignore_value,
        ignore_lease,
    })
}

fn nested(u: &mut Unstructured<'_>, depth: usize) -> Result<Txn> {
    let (compares, then_ops, else_ops) =
        (u.int_in_range(0..=2)?, u.int_in_range(0..=3)?, u.int_in_range(0..=3)?);
    Ok(Txn {
        compares: (0..compares).map(|_| compare(u)).collect::<Result<_>>()?,
        then_ops: ops(u, then_ops, depth)?,
        else_ops: ops(u, else_ops, depth)?,
    })
}

/// So many operations.
pub(crate) fn ops(u: &mut Unstructured<'_>, count: usize, depth: usize) -> Result<Vec<Op>> {
    (0..count).map(|_| op(u, depth)).collect()
}

/// A step of a script: mostly transactions, some compactions, and leases that come and go.
pub(crate) fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match weighted(u, &[16, 1, 2, 1])? {
        0 => {
            let count = if u.ratio(3, 5)? { 1 } else { u.int_in_range(0..=5)? };
            Step::Txn(ops(u, count, 2)?)
        }
        1 => Step::Compact(revision(u)?),
        2 => Step::Grant { id: u.int_in_range(1..=3)?, ttl: u.int_in_range(1..=99)? },
        _ => Step::Revoke { id: u.int_in_range(1..=3)? },
    })
}
