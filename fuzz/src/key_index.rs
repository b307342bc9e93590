//! The key index of `watchful-mvcc` against its twin.
//!
//! The index is that crate's own affair, and so is its twin, which its tests use; so both are built here once more, from the
//! same files.

use arbitrary::{Result, Unstructured};
use index::{Direction, KeyIndex, Newest, Spot, Version, Walk};
use twin::{Change, Pair};
use watchful_revision::KeyRange;

use crate::input::{many, weighted};

#[path = "../../crates/watchful-mvcc/src/index/mod.rs"]
#[allow(dead_code, unused_imports, reason = "more of it is used where it belongs")]
mod index;

#[path = "../../crates/watchful-mvcc/src/index/twin.rs"]
#[allow(dead_code, reason = "more of it is used where it belongs")]
mod twin;

/// The most changes. Some add four hundred keys.
const CHANGES_MAX: usize = 100;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let (Ok(at), Ok(start), Ok(turn)) = (u.int_in_range(0..=400), key(&mut u), u.int_in_range(1..=100))
    else {
        return;
    };
    let ranges = [KeyRange::everything(), KeyRange::from_key(&start), KeyRange::prefix(&start[..1])];
    let mut pair = Pair::new();
    for change in many(&mut u, CHANGES_MAX, change) {
        pair.run(&change);
    }
    for range in &ranges {
        twin::check(&pair.index, &pair.twin, at, range, turn);
    }
    twin::check(&pair.index, &pair.twin, u64::MAX, &ranges[0], turn);
}

fn key(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = if u.ratio(6, 7)? { u.int_in_range(1..=6)? } else { u.int_in_range(1..=199)? };
    (0..len).map(|_| Ok(*u.choose(&[0_u8, 1, b'a', b'b', 0xff])?)).collect()
}

fn change(u: &mut Unstructured<'_>) -> Result<Change> {
    Ok(match weighted(u, &[8, 3, 4, 1, 1])? {
        0 => Change::Put(key(u)?),
        1 => Change::Delete(key(u)?),
        2 => Change::Forget(usize::from(u.arbitrary::<u16>()?)),
        3 => Change::Fill { prefix: key(u)?, keys: u.int_in_range(1..=399)? },
        _ => Change::Clear { prefix: key(u)?[..1].to_vec() },
    })
}
