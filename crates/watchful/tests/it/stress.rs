//! All promises at once, under load: `watchful_harness::threads` says what is done and what must hold. `cargo xtask stress
//! threads` does it for as long as it is let.
//!
//! The seed is printed and can be given in `WATCHFUL_SEED`; threads still meet as they like. `WATCHFUL_STRESS_ROUNDS`
//! makes it longer.

use std::hash::{BuildHasher, RandomState};

use watchful_harness::threads::{self, Faults};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_promise_holds_under_load() {
    let seed = number("WATCHFUL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    let rounds = number("WATCHFUL_STRESS_ROUNDS").unwrap_or(2);
    println!("WATCHFUL_SEED={seed}");
    println!("{:?}", threads::run(seed, rounds, Faults::None));
}
