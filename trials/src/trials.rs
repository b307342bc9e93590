//! The trials there are. A new one is a module and a line in [`ALL`].

use std::error::Error;
use std::path::Path;

use watchful_testkit::SplitMix64;

use crate::hostile;
use crate::tally::Tally;

/// Why a round failed. A panic is a failure as well.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A kind of trial.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// One line: what is done, and what has to hold.
    pub(crate) about: &'static str,
    /// A round takes a second or so, never longer than ten.
    pub(crate) round: fn(&mut Round<'_>) -> Outcome,
}

/// One round of a trial: whatever it decides, it decides by `rng`.
pub(crate) struct Round<'a> {
    pub(crate) rng: SplitMix64,
    /// A folder of its own, which stays if the round fails.
    pub(crate) dir: &'a Path,
    pub(crate) tally: &'a mut Tally,
}

pub(crate) const ALL: &[Trial] = &[Trial {
    name: "hostile",
    about: "clients that mean harm, mixed; memory stays bounded, and one who means well is served without a gap",
    round: hostile::round,
}];
