//! Workloads: the steps that a seed makes.
//!
//! - [`kv`] has puts, deletes, ranges, compactions.
//! - [`txn`] has transactions.
//! - [`watch`] has watches of every kind.
//! - [`lease`] has leases.
//! - [`kubernetes`] has what a Kubernetes API server sends.
//! - [`cluster`] has everything that is asked about a server.
//! - [`users`] has users, roles and permissions, and who asks for all of the above.

mod kv;

mod txn;

mod watch;

mod lease;

mod kubernetes;

mod cluster;

mod users;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::caller::{Caller, ROOT};
use crate::step::Step;

pub(crate) use watch::STREAMS;

/// Whether a seed is one with users.
pub(crate) fn has_users(seed: u64) -> bool {
    seed % 3 == 1
}

/// Whether the tokens of a seed with users are JSON web tokens: each change of users, roles and permissions makes them old.
pub(crate) fn has_web_tokens(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// The steps of a seed, about as many as `count`. With users, they are asked for from a third of them on.
pub(crate) fn steps(seed: u64, count: usize, with_users: bool) -> Vec<Step> {
    let random = &mut StdRng::seed_from_u64(seed);
    let mut steps: Vec<Step> =
        if with_users { steps_with_users(random, count) } else { (0..count).map(|_| step(random)).collect() };
    // One of those that take seconds.
    if !steps.is_empty() {
        let at = random.random_range(0..steps.len());
        let expiring = lease::expiring(random);
        if with_users {
            steps.insert(at, Step::As { caller: Caller::User(ROOT), step: Box::new(expiring) });
        } else {
            steps[at] = expiring;
        }
    }
    steps
}

fn steps_with_users(random: &mut StdRng, count: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for at in 0..count {
        if at == count / 3 {
            steps.extend(users::begin(random));
        }
        if random.random_bool(0.15) {
            steps.extend(users::steps(random));
        } else {
            let caller = users::caller(random);
            steps.push(Step::As { caller, step: Box::new(step(random)) });
        }
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
        let text = |seed| format!("{:?}", steps(seed, 200, false));
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        let with_users = |seed| format!("{:?}", steps(seed, 200, true));
        assert_eq!(with_users(1), with_users(1));
        assert!(with_users(1).contains("Enable"));
    }
}
