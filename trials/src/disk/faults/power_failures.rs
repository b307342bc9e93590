//! The power fails as well, at any moment since the fault: what is opened then is held against what was told before.

use std::path::Path;

use watchful::Durability;

use super::{Bound, Case};
use crate::disk::images::Loss;
use crate::disk::judge::{self, Depth, Expected, Rises};
use crate::disk::platter::{Image, Platter};
use crate::disk::tape::{Call, Change};
use crate::disk::work;
use crate::tally::Tally;
use crate::trials::Outcome;

impl Case<'_> {
    /// The power fails too: at moments of the tape, most of them after the fault.
    pub(super) fn judge(&mut self, scratch: &Path, tally: &mut Tally) -> Outcome {
        let mut platter = Platter::new();
        platter.bind(&self.disk)?;
        let mut bound = self.bounds[0];
        let failed_at = self.tape.failed_at().unwrap_or(usize::MAX);
        for (at, change) in self.tape.changes().iter().enumerate() {
            platter.play(change);
            if let Change::Said(said) = change {
                bound = self.bounds[usize::try_from(*said)?];
            }
            let has_failed = at >= failed_at;
            if let Change::Said(_) = change
                && has_failed
                && self.is_doubted()
            {
                self.open_image(scratch, &platter.evicted(), bound, &this_boot()?, tally).map_err(
                    |error| format!("after change {at}, forgetting what could not be forced: {error}"),
                )?;
            }
            if !self.rng.chance(if has_failed { 3 } else { 12 }) {
                continue;
            }
            let loose = platter.loose();
            for loss in Loss::some(&loose, &mut self.rng) {
                let image = loss.image(&platter, &loose, 0);
                self.open_image(scratch, &image, bound, "after the power failure", tally).map_err(
                    |error| format!("after change {at}, where a power failure keeps {loss:?}: {error}"),
                )?;
            }
        }
        platter.compare(&self.disk)
    }

    /// Whether a store that has told of an outcome that is unknown could write down as well that the machine is in doubt.
    fn is_doubted(&self) -> bool {
        !self.fault.for_ever && matches!(self.fault.call, Some(Call::Sync | Call::WriteThrough))
    }

    fn open_image(
        &mut self,
        scratch: &Path,
        image: &Image,
        bound: Bound,
        boot: &str,
        tally: &mut Tally,
    ) -> Outcome {
        let folder = scratch.join("image");
        image.write(&folder)?;
        let expected = Expected {
            states: &self.states,
            lost: &self.refused,
            first: bound.first,
            last: bound.last,
            acknowledged: bound.acknowledged,
            told: bound.told,
            rises: if self.durability == Durability::Synced { Rises::MustNot } else { Rises::May },
            may_be_damaged: bound.may_be_damaged,
        };
        let depth = Depth { offline: self.rng.chance(4), goes_on: self.rng.chance(8), watched: false };
        let settings = work::settings(self.durability, 0).with_boot_id(Some(boot.to_owned()));
        judge::judge(&folder.join("store"), &settings, &expected, depth)?;
        tally.add("images", 1);
        Ok(())
    }
}

/// As the store itself finds it.
fn this_boot() -> Outcome<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
