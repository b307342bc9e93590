//! Histories of concurrent clients in process: see `watchful_harness::linear`.

use std::sync::atomic::AtomicU64;

use watchful_harness::linear::{self, Done, Size};

use crate::tally::Tally;
use crate::trials::{Outcome, Round};

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    let size = size(round);
    let book = linear::run(round.dir, round.rng.next_u64(), size, &AtomicU64::new(0));
    count(round.tally, linear::check(round.dir, book));
    Ok(())
}

pub(crate) fn size(round: &mut Round<'_>) -> Size {
    let mut some = |from, below| from + round.rng.below(below);
    Size { lives: some(1, 4), clients: some(2, 7), calls: some(20, 400) }
}

pub(crate) fn count(tally: &mut Tally, done: Done) {
    let Done { calls, unknown, refused, revisions } = done;
    tally.add("calls", calls);
    tally.add("of unknown outcome", unknown);
    tally.add("refused by a closed store", refused);
    tally.add("revisions", revisions);
}
