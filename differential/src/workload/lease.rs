//! Leases: granted, used, kept alive, asked about, listed, revoked, and left to end.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
};

use crate::keys;
use crate::leases::CHOSEN;
use crate::request::Request;
use crate::step::Step;

/// Beyond how many leases with ids of the server's own nobody asks for them.
const CHOSEN_MAX: i64 = 12;

/// A time that no run outlives.
const LONG: i64 = 5000;

/// The most that etcd grants.
const LONGEST: i64 = 9_000_000_000;

pub(super) fn step(random: &mut StdRng) -> Step {
    let id = any(random);
    Step::Ask(match random.random_range(0..100) {
        0..25 => Request::LeaseGrant(LeaseGrantRequest { id: chosen(random), ttl: LONG }),
        // Leases are listed by when they end: further apart than a run is long, or in the order of their grants.
        25..35 => Request::LeaseGrant(LeaseGrantRequest { id: 0, ttl: LONG * random.random_range(1..4) }),
        35..38 => {
            let ttl = *[LONGEST, LONGEST + 1, i64::MAX].choose(random).unwrap_or(&LONGEST);
            Request::LeaseGrant(LeaseGrantRequest { id: chosen(random), ttl })
        }
        38..42 => return Step::BriefLease { ttl: *[0, 1, 2, -1, i64::MIN].choose(random).unwrap_or(&1) },
        42..55 => Request::LeaseRevoke(LeaseRevokeRequest { id }),
        55..70 => Request::LeaseKeepAlive(LeaseKeepAliveRequest { id }),
        70..90 => Request::LeaseTimeToLive(LeaseTimeToLiveRequest { id, keys: random.random_bool(0.7) }),
        _ => Request::LeaseLeases(LeaseLeasesRequest {}),
    })
}

/// A lease that ends by itself, with some keys.
pub(super) fn expiring(random: &mut StdRng) -> Step {
    let keys = (0..random.random_range(0..4)).map(|_| keys::plain(random)).collect();
    Step::ExpiringLease { id: 900, keys }
}

/// The lease of a put: mostly none.
pub(super) fn for_put(random: &mut StdRng) -> i64 {
    if random.random_bool(0.8) { 0 } else { any(random) }
}

/// Whether the id is the name of a lease that a server chose the id of.
pub(super) fn is_chosen_by_server(id: i64) -> bool {
    (CHOSEN + 1..CHOSEN + CHOSEN_MAX).contains(&id)
}

/// A lease that may be there.
pub(super) fn any(random: &mut StdRng) -> i64 {
    match random.random_range(0..20) {
        0..12 => chosen(random),
        12..17 => CHOSEN + random.random_range(1..CHOSEN_MAX),
        17 => 0,
        18 => -1,
        _ => 123_456,
    }
}

fn chosen(random: &mut StdRng) -> i64 {
    match random.random_range(0..30) {
        0 => -3,
        1 => i64::MAX,
        _ => random.random_range(1..7),
    }
}
