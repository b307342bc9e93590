//! Puts, deletes, ranges and compactions, with every option and in every wrong way.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, range_request::SortTarget,
};

use super::lease;
use crate::keys;
use crate::request::Request;
use crate::step::Step;
use crate::tokens::{compacted, current};

pub(super) fn put(random: &mut StdRng) -> Step {
    Step::Ask(Request::Put(any_put(random)))
}

pub(super) fn any_put(random: &mut StdRng) -> PutRequest {
    let (ignore_value, ignore_lease) = (random.random_bool(0.06), random.random_bool(0.06));
    // What is to be kept is seldom given as well, which is an error.
    let (no_value, no_lease) =
        (ignore_value && random.random_bool(0.8), ignore_lease && random.random_bool(0.8));
    PutRequest {
        key: keys::key(random),
        value: if no_value { Bytes::new() } else { keys::value(random) },
        lease: if no_lease { 0 } else { lease::for_put(random) },
        prev_kv: random.random_bool(0.3),
        ignore_value,
        ignore_lease,
    }
}

pub(super) fn delete(random: &mut StdRng) -> Step {
    Step::Ask(Request::DeleteRange(any_delete(random)))
}

pub(super) fn any_delete(random: &mut StdRng) -> DeleteRangeRequest {
    let (mut key, mut range_end) = keys::range(random);
    if !range_end.is_empty() && random.random_bool(0.6) {
        (key, range_end) = (keys::plain(random), Bytes::new());
    }
    DeleteRangeRequest { key, range_end, prev_kv: random.random_bool(0.4) }
}

pub(super) fn range(random: &mut StdRng) -> Step {
    let mut range = any_range(random);
    if random.random_bool(0.01) {
        // Not the target: an unknown one ends etcd 3.4.23.
        (range.sort_order, range.sort_target) = (7, SortTarget::Key as i32);
    }
    Step::Ask(if random.random_bool(0.05) { Request::RangeStream(range) } else { Request::Range(range) })
}

pub(super) fn any_range(random: &mut StdRng) -> RangeRequest {
    // A sort by something else than the key has one right answer only among few keys.
    let sorted = random.random_bool(0.3);
    let (key, range_end) = if sorted { keys::small_range(random) } else { keys::range(random) };
    let mut range = RangeRequest {
        key,
        range_end,
        limit: limit(random),
        revision: revision(random),
        serializable: random.random_bool(0.2),
        keys_only: random.random_bool(0.15),
        count_only: random.random_bool(0.1),
        ..Default::default()
    };
    if sorted {
        sort(random, &mut range);
    }
    if random.random_bool(0.15) {
        filter(random, &mut range);
    }
    range
}

fn sort(random: &mut StdRng, range: &mut RangeRequest) {
    range.sort_order = random.random_range(0..3);
    range.sort_target = random.random_range(0..5);
    if range.keys_only && range.sort_target == SortTarget::Value as i32 && random.random_bool(0.5) {
        range.keys_only = false;
    }
}

fn filter(random: &mut StdRng, range: &mut RangeRequest) {
    for bound in [
        &mut range.min_mod_revision,
        &mut range.max_mod_revision,
        &mut range.min_create_revision,
        &mut range.max_create_revision,
    ] {
        if random.random_bool(0.4) {
            *bound = *[current(-40), current(-10), current(-2), current(0), current(5), -1]
                .choose(random)
                .unwrap_or(&1);
        }
    }
}

fn limit(random: &mut StdRng) -> i64 {
    match random.random_range(0..20) {
        0..12 => 0,
        12..19 => random.random_range(1..6),
        _ => *[-1, i64::MAX, i64::MIN, 1000].choose(random).unwrap_or(&-1),
    }
}

/// A revision to read at.
fn revision(random: &mut StdRng) -> i64 {
    match random.random_range(0..100) {
        0..60 => 0,
        60..90 => current(-random.random_range(0..60)),
        90..92 => compacted(0),
        92..94 => compacted(1),
        94..95 => compacted(-1),
        95..97 => current(random.random_range(1..5)),
        97 => *[i64::MAX, 1, 2].choose(random).unwrap_or(&1),
        _ => *[-1, -5, i64::MIN].choose(random).unwrap_or(&-1),
    }
}

pub(super) fn compact(random: &mut StdRng) -> Step {
    let revision = match random.random_range(0..20) {
        0..10 => current(-random.random_range(5..80)),
        10..12 => current(0),
        12 => compacted(0),
        13 => compacted(1),
        14 => compacted(-1),
        15..17 => current(random.random_range(1..4)),
        17 => 0,
        18 => 1,
        _ => *[-1, i64::MAX, i64::MIN].choose(random).unwrap_or(&-1),
    };
    Step::Ask(Request::Compact(CompactionRequest { revision, physical: random.random_bool(0.5) }))
}

/// Values around the most that a request may hold, and large enough that a watch has to be given them in pieces.
pub(super) fn large(random: &mut StdRng) -> Step {
    const MAX: usize = 1536 * 1024;
    let len = match random.random_range(0..6) {
        0..3 => 700 * 1024,
        3 => MAX,
        4 => MAX + 64 * 1024,
        // Above what the transport takes at all.
        _ => MAX + 600 * 1024,
    };
    let put = PutRequest { key: keys::plain(random), value: vec![b'l'; len].into(), ..Default::default() };
    Step::Ask(Request::Put(put))
}
