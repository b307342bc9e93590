//! Workloads: the steps that a seed makes.
//!
//! - [`kv`] has puts, deletes, ranges, compactions.
//! - [`txn`] has transactions.
//! - [`watch`] has watches of every kind.
//! - [`lease`] has leases.
//! - [`kubernetes`] has what a Kubernetes API server sends.
//! - [`cluster`] has everything that is asked about a server.

mod kv;

mod txn;

mod watch;

mod lease;

mod kubernetes;

mod cluster;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::step::Step;

/// The steps of a seed.
pub(crate) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let random = &mut StdRng::seed_from_u64(seed);
    let mut steps: Vec<Step> = (0..count).map(|_| step(random)).collect();
    // One of those that take seconds.
    if count > 0 {
        let at = random.random_range(0..count);
        steps[at] = lease::expiring(random);
    }
    steps
}

fn step(random: &mut StdRng) -> Step {
    match random.random_range(0..1000) {
        0..200 => kv::put(random),
        200..260 => kv::delete(random),
        260..440 => kv::range(random),
        440..620 => txn::txn(random),
        620..720 => watch::step(random),
        720..800 => lease::step(random),
        800..960 => kubernetes::step(random),
        960..980 => kv::compact(random),
        980..984 => kv::large(random),
        _ => cluster::step(random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_steps_again_and_another_one_others() {
        let text = |seed| format!("{:?}", steps(seed, 200));
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
