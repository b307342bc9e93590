//! kill -9 under load, some times over: `watchful_harness::kill` says what is done and what must hold. `cargo xtask stress
//! kill` does it for as long as it is let.

use std::hash::{BuildHasher, RandomState};

use watchful_harness::child::{self, Program};
use watchful_harness::kill::{self, Moment};
use watchful_testkit::SplitMix64;

const PROGRAM: Program = Program::Test("open::kill::what_was_acknowledged_survives_kill_9");
const KILLS: usize = 12;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some((folder, seed)) = child::task() {
        return kill::work(&folder, seed);
    }
    let seed = std::env::var("WATCHFUL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    println!("WATCHFUL_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut rng = SplitMix64::new(seed);
    let moments = std::iter::repeat_with(|| Moment::any(&mut rng)).take(KILLS);
    println!("{:?}", kill::round(PROGRAM, dir.path(), seed, moments));
}
