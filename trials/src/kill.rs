//! kill -9 under load: see `watchful_harness::kill`.

use watchful_harness::broken_off;
use watchful_harness::child::{self, Program};
use watchful_harness::kill::{self, Done, Moment};

use crate::compaction;
use crate::tally::Tally;
use crate::trials::{Outcome, Round};

/// What a child of ours is told to do.
pub(crate) const WORK: &str = "kill";

const KILLS: usize = 24;

/// Does a child's work, where this process is one.
pub(crate) fn is_child() -> bool {
    let (Some(work), Some((folder, task))) = (child::work(), child::task()) else { return false };
    match work.as_str() {
        WORK => kill::work(&folder, task),
        compaction::WORK => broken_off::work(&folder, task),
        _ => panic!("a child was told to do {work}"),
    }
    true
}

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    let (seed, mut rng) = (round.rng.next_u64(), round.rng.split());
    let moments = std::iter::repeat_with(|| Moment::any(&mut rng)).take(KILLS);
    count(round.tally, kill::round(Program::Trials(WORK), round.dir, seed, moments));
    Ok(())
}

pub(crate) fn count(tally: &mut Tally, done: Done) {
    let Done { kills, died_there, writes, untold, compactions, exchanges, leases_ended, resumed, backups } =
        done;
    tally.add("kills", kills);
    tally.add("at a chosen place", died_there);
    tally.add("writes", writes);
    tally.add("writes kept that nobody was told of", untold);
    tally.add("compactions broken off", compactions);
    tally.add("exchanges of the file broken off", exchanges);
    tally.add("leases ended", leases_ended);
    tally.add("watches resumed", resumed);
    tally.add("backups", backups);
}
