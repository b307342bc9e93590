//! What a Kubernetes API server sends: every write is a transaction that expects a revision, lists go by pages, and
//! watches start where a list ended.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::etcdserverpb::RangeRequest;

use super::{lease, watch};
use crate::keys::{self, REGISTRY};
use crate::request::Request;
use crate::step::Step;
use crate::tokens::{compacted, current};

pub(super) fn step(random: &mut StdRng) -> Step {
    let key = keys::object(random);
    // How many revisions the API server's cache is behind.
    let stale = if random.random_bool(0.8) { 0 } else { random.random_range(1..5) };
    match random.random_range(0..100) {
        0..25 => Step::CreateIfAbsent { key, value: keys::value(random), lease: lease_of_event(random) },
        25..55 => {
            Step::UpdateIfUnchanged { key, value: keys::value(random), lease: lease_of_event(random), stale }
        }
        55..70 => Step::DeleteIfUnchanged { key, stale },
        70..84 => Step::Pages {
            prefix: if random.random_bool(0.3) { REGISTRY.into() } else { keys::resource(random) },
            limit: random.random_range(1..6),
            revision: list_revision(random),
        },
        84..90 => count(random),
        90..96 => Step::ListThenWatch { stream: watch::stream(random), prefix: keys::resource(random) },
        _ => Step::CompactOnce { revision: current(-random.random_range(0..40)) },
    }
}

fn lease_of_event(random: &mut StdRng) -> i64 {
    if random.random_bool(0.9) { 0 } else { lease::any(random) }
}

fn list_revision(random: &mut StdRng) -> i64 {
    *[0, 0, 0, current(0), current(-7), compacted(0), compacted(-1)].choose(random).unwrap_or(&0)
}

/// What its metrics ask for.
fn count(random: &mut StdRng) -> Step {
    let prefix = keys::resource(random);
    let range_end = keys::prefix_end(&prefix);
    Step::Ask(Request::Range(RangeRequest { key: prefix, range_end, count_only: true, ..Default::default() }))
}
