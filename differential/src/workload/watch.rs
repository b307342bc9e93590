//! Watches of every kind.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::etcdserverpb::WatchCreateRequest;

use crate::keys;
use crate::request::Request;
use crate::step::Step;
use crate::tokens::{compacted, current};

/// Streams that steps share.
pub(crate) const STREAMS: usize = 4;

pub(super) fn step(random: &mut StdRng) -> Step {
    let stream = stream(random);
    match random.random_range(0..100) {
        0..55 => Step::Ask(Request::Watch { stream, create: create(random) }),
        55..80 => Step::Cancel { stream, nth: random.random_range(0..40) },
        80..88 => Step::Progress { stream },
        88..93 => Step::CloseStream { stream },
        93..95 => Step::ProgressAlone { future: random.random_bool(0.5) },
        _ => {
            let start_revision = *[-1, -7, i64::MIN].choose(random).unwrap_or(&-1);
            Step::WatchAlone { create: WatchCreateRequest { start_revision, ..create(random) } }
        }
    }
}

/// One of the streams that steps share.
pub(super) fn stream(random: &mut StdRng) -> usize {
    random.random_range(0..STREAMS)
}

fn create(random: &mut StdRng) -> WatchCreateRequest {
    let (key, range_end) = keys::range(random);
    let filters = [0, 1].into_iter().filter(|_| random.random_bool(0.12)).collect();
    WatchCreateRequest {
        key,
        range_end,
        start_revision: start(random),
        progress_notify: random.random_bool(0.2),
        filters,
        prev_kv: random.random_bool(0.5),
        watch_id: watch_id(random),
        fragment: random.random_bool(0.3),
    }
}

fn start(random: &mut StdRng) -> i64 {
    match random.random_range(0..100) {
        0..45 => 0,
        45..75 => current(-random.random_range(0..50)),
        75..80 => current(1),
        80..85 => current(random.random_range(2..30)),
        85..90 => compacted(0),
        90..93 => compacted(1),
        93..97 => compacted(-1),
        97 => i64::MAX,
        _ => 1,
    }
}

/// Mostly the server's choice; else one of a few, so that some are used twice.
fn watch_id(random: &mut StdRng) -> i64 {
    match random.random_range(0..20) {
        0..15 => 0,
        15..19 => random.random_range(1..9),
        _ => *[-1, -5, i64::MAX].choose(random).unwrap_or(&-1),
    }
}
