//! Threads on real files: see `watchful_harness::threads`.

use watchful_harness::threads::{self, Done, Faults};

use crate::tally::Tally;
use crate::trials::{Outcome, Round};

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    // Now and then what was there before is there, and has leases.
    let opened = 1 + u64::from(round.rng.chance(4));
    count(round.tally, threads::run(round.rng.next_u64(), opened, Faults::None));
    Ok(())
}

pub(crate) fn count(tally: &mut Tally, done: Done) {
    let Done { revisions, watches, events, backups, errors } = done;
    tally.add("revisions", revisions);
    tally.add("watches", watches);
    tally.add("events", events);
    tally.add("backups", backups);
    tally.add("errors told", errors);
}
