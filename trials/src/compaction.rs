//! kill -9 in the middle of one large compaction, again and again: see `watchful_harness::broken_off`.

use watchful_harness::broken_off;
use watchful_harness::child::Program;

use crate::trials::{Outcome, Round};

/// What a child of ours is told to do.
pub(crate) const WORK: &str = "compaction";

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    let turns = 1 + round.rng.below(4);
    broken_off::round(Program::Trials(WORK), round.dir, turns);
    round.tally.add("kills in a compaction", turns);
    Ok(())
}
