//! Which images are made at one moment: those that have broken stores before, one by one, and some at random.

use std::collections::HashSet;

use watchful_testkit::SplitMix64;

use super::judge::Expected;
use super::platter::{Image, Moment, Part, Platter};

/// What a power failure keeps of what was not forced to the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Everything is kept.
    Nothing,
    /// Nothing is.
    Everything,
    /// What was written up to this moment.
    After(Moment),
    /// All is lost but what was written at this moment.
    AllBut(Moment),
    /// Only what was written at this moment is lost.
    Only(Moment),
    /// The two pages that say where everything is, and names and lengths; no other page.
    Pages,
    /// Everything but the two pages that say where everything is.
    Heads,
    /// The lengths.
    Lengths,
    /// These of the loose changes, the first by the lowest bit.
    Subset(u64),
    /// Each change as a whole by chance, once in so many.
    Changes { seed: u64, one_in: u64 },
    /// Each sector of each change by chance.
    Sectors { seed: u64, one_in: u64 },
}

/// Up to so many loose changes every subset is tried.
const SUBSETS_MAX: usize = 4;

/// The first two pages, in sectors.
const HEAD_SECTORS: u64 = 16;

impl Loss {
    /// What is worth trying at a moment with these loose changes.
    pub(crate) fn all(loose: &[Moment], rng: &mut SplitMix64, random: usize) -> Vec<Self> {
        let mut all = vec![Self::Nothing, Self::Everything];
        if loose.is_empty() {
            all.truncate(1);
            return all;
        }
        if loose.len() <= SUBSETS_MAX {
            all.extend((1..(1_u64 << loose.len()) - 1).map(Self::Subset));
        } else {
            let some = *rng.pick(loose);
            let newest = loose[loose.len() - 1];
            all.extend([Self::After(some), Self::AllBut(some), Self::Only(some)]);
            all.extend([Self::AllBut(newest), Self::Only(newest)]);
        }
        all.extend([Self::Pages, Self::Heads, Self::Lengths]);
        for _ in 0..random {
            let (seed, one_in) = (rng.next_u64(), 2 + rng.below(3));
            all.push(if rng.chance(3) {
                Self::Changes { seed, one_in }
            } else {
                Self::Sectors { seed, one_in }
            });
        }
        all
    }

    /// Two of them: the first or the second, and some other.
    pub(crate) fn some(loose: &[Moment], rng: &mut SplitMix64) -> Vec<Self> {
        let first = *rng.pick(&[Self::Nothing, Self::Everything]);
        let mut some = vec![first];
        if !loose.is_empty() {
            let all = Self::all(loose, rng, 6);
            some.push(*rng.pick(&all[2..]));
        }
        some
    }

    pub(crate) fn image(self, platter: &Platter, loose: &[Moment], garbage: u8) -> Image {
        platter.image(garbage, |moment, part| self.keeps(loose, moment, part))
    }

    fn keeps(self, loose: &[Moment], moment: Moment, part: Part) -> bool {
        let is_head = matches!(part, Part::Sector(sector) | Part::Forgotten(sector) if sector < HEAD_SECTORS);
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::After(last) => moment <= last,
            Self::AllBut(only) => moment == only,
            Self::Only(lost) => moment != lost,
            Self::Pages => is_head || matches!(part, Part::Length | Part::Name),
            Self::Heads => !is_head,
            Self::Lengths => part != Part::Length,
            Self::Subset(kept) => {
                loose.iter().position(|at| *at == moment).is_some_and(|at| kept >> at & 1 == 1)
            }
            Self::Changes { seed, one_in } => chance(seed, u64::from(moment), one_in),
            Self::Sectors { seed, one_in } => {
                let which = match part {
                    Part::Sector(sector) | Part::Forgotten(sector) => sector + 2,
                    Part::Length => 1,
                    Part::Name => 0,
                };
                chance(seed, u64::from(moment) << 32 | which, one_in)
            }
        }
    }
}

/// The same answer each time it is asked: lost once in so many.
fn chance(seed: u64, of: u64, one_in: u64) -> bool {
    !SplitMix64::new(seed ^ of.wrapping_mul(0x9e37_79b9_7f4a_7c15)).chance(one_in)
}

/// Images that were seen, so that none is opened twice.
#[derive(Default)]
pub(crate) struct Seen(HashSet<u64>);

impl Seen {
    /// Whether this image, with this expectation, is new.
    pub(crate) fn is_new(&mut self, image: &Image, expected: &Expected<'_>) -> bool {
        self.0.insert(image.hash ^ expected.hash().wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}
