//! The power fails, at every moment: what the disk may hold then is opened, and compared with what was acknowledged.
//!
//! A round is up to three lives of one store. In each a script by chance runs on a tape, and for moments of it images are
//! made and judged. Then the store goes on from where a kill or a power failure in that life has left it.

use std::path::{Path, PathBuf};

use watchful_mvcc::Durability;
use watchful_testkit::{Model, SplitMix64};

use super::images::{Loss, Seen};
use super::judge::{self, Depth, Expected, Found, Rises, Told};
use super::platter::{Image, Platter};
use super::tape::{Change, Running};
use super::work::{self, Kind, Life, Said, State, Step};
use crate::tally::Tally;
use crate::trials::{Outcome, Round};

/// Images at random, beside those that are always made.
const RANDOM: usize = 5;

/// The machine after a power failure.
const NEXT_BOOT: u64 = 1000;

/// What a life begins with.
struct Origin {
    platter: Platter,
    states: Vec<State>,
    /// What was written and lost before.
    lost: Vec<Model>,
    first: usize,
    last: usize,
    acknowledged: usize,
    /// None before a store was acknowledged to be there.
    told: Option<Told>,
    may_be_damaged: bool,
    boot: u64,
}

/// A life that was lived.
struct Story {
    origin: Origin,
    durability: Durability,
    changes: Vec<Change>,
    states: Vec<State>,
    steps: Vec<Step>,
    told: Told,
}

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    let scratch = scratch()?;
    let seed = format!("{:?}", round.rng);
    let below = *round.rng.pick(&["store", "store", "new/deeper/store"]);
    let place =
        Place { root: scratch.path().to_owned(), below: below.into(), keep: round.dir.to_owned(), seed };
    let mut origin = Origin {
        platter: Platter::new(),
        states: vec![State::default()],
        lost: Vec::new(),
        first: 0,
        last: 0,
        acknowledged: 0,
        told: None,
        may_be_damaged: false,
        boot: 1,
    };
    for life in 0..1 + round.rng.below(3) {
        let story = live(&place, origin, life, &mut round.rng)?;
        round.tally.add("lives", 1);
        let next = story.judge(&place, &mut round.rng, round.tally);
        let Some(next) = next.map_err(|error| format!("life {life}, {:?}: {error}", story.durability))?
        else {
            break;
        };
        origin = next;
    }
    Ok(())
}

/// In memory, where there is such a place: nothing here is about a real disk.
pub(crate) fn scratch() -> Outcome<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("watchful-disk-").to_owned();
    let made = if memory.is_dir() { builder().tempdir_in(memory) } else { builder().tempdir() };
    Ok(made?)
}

struct Place {
    root: PathBuf,
    /// The store's folder, below the disk's.
    below: PathBuf,
    /// Where what failed is kept.
    keep: PathBuf,
    seed: String,
}

fn live(place: &Place, mut origin: Origin, life: u64, rng: &mut SplitMix64) -> Outcome<Story> {
    let disk = make_folder(&place.root.join(format!("life-{life}")))?;
    origin.platter.cached().write(&disk)?;
    origin.platter.bind(&disk)?;
    let durability =
        *rng.pick(&[Durability::Synced, Durability::Synced, Durability::Relaxed, Durability::Unsynced]);
    let settings = work::settings(durability, origin.boot);
    let tape = Running::start(&disk)?;
    let from = (origin.states.clone(), origin.first, origin.last);
    let mut life = Life::begin(&tape, &disk.join(&place.below), settings, rng.split(), from)?;
    for _ in 0..3 + rng.below(6) {
        life.step()?;
    }
    let changes = tape.changes();
    let (states, steps, told) = life.end();
    let mut platter = origin.platter.clone();
    tape.changes().iter().for_each(|change| platter.play(change));
    drop(tape);
    platter.compare(&disk)?;
    Ok(Story { origin, durability, changes, states, steps, told })
}

/// A folder, by the name that a tape needs.
pub(crate) fn make_folder(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(path)?;
    path.canonicalize()
}

/// How far the life was at a moment.
#[derive(Clone, Copy, Default)]
struct Reached {
    begun: Option<usize>,
    acknowledged: Option<usize>,
    /// The oldest state that a power failure may leave when not everything is synced.
    floor: usize,
}

impl Story {
    /// Makes images of moments of this life and judges each. Answers with what a next life begins with.
    fn judge(&self, place: &Place, rng: &mut SplitMix64, tally: &mut Tally) -> Outcome<Option<Origin>> {
        let mut platter = self.origin.platter.clone();
        let mut reached = Reached { floor: self.origin.first, ..Reached::default() };
        let mut seen = Seen::default();
        let ends_at = usize::try_from(rng.below(self.changes.len() as u64))?;
        let mut next = None;
        for (at, change) in self.changes.iter().enumerate() {
            platter.play(change);
            if let Change::Said(said) = change {
                self.reach(&mut reached, Said::of(*said));
            }
            tally.add("moments", 1);
            let expected = self.expected(&reached);
            let loose = platter.loose();
            for loss in Loss::all(&loose, rng, RANDOM) {
                let garbage = if rng.chance(4) { 0xEE } else { 0 };
                let image = loss.image(&platter, &loose, garbage);
                if !seen.is_new(&image, &expected) {
                    continue;
                }
                // A crash of this process leaves no other word.
                let case = format!("{} {:?} change {at}: {loss:?}\n", place.seed, self.durability);
                std::fs::write(place.root.join("case.txt"), case)?;
                let found = self.open(place, &image, &expected, rng, tally).map_err(|error| {
                    self.keep(place, &image, at);
                    format!("after change {at}, where a power failure keeps {loss:?}: {error}")
                })?;
                if at >= ends_at
                    && next.is_none()
                    && rng.chance(2)
                    && let Found::State(found) = found
                {
                    next = Some(self.after_power(&image, &expected, found));
                }
            }
            if at >= ends_at && next.is_none() && rng.chance(4) {
                next = Some(self.after_kill(&platter, &expected));
            }
        }
        Ok(next)
    }

    fn reach(&self, reached: &mut Reached, said: Said) {
        match said {
            Said::Begun(step) => reached.begun = Some(step),
            Said::Acknowledged(step) => {
                reached.acknowledged = Some(step);
                let Step { before, after, kind } = self.steps[step];
                if kind.settles() {
                    reached.floor = after;
                } else if kind == Kind::Commit && !self.states[after].is_like(&self.states[before]) {
                    // Something was committed, and what was before it is on the disk by now.
                    reached.floor = before;
                }
            }
        }
    }

    /// What may be there at a moment.
    fn expected(&self, reached: &Reached) -> Expected<'_> {
        let origin = &self.origin;
        let Some(step) = reached.acknowledged else {
            return Expected {
                states: &origin.states,
                lost: &origin.lost,
                first: origin.first,
                last: origin.last,
                acknowledged: origin.acknowledged,
                told: origin.told,
                rises: Rises::May,
                may_be_damaged: origin.may_be_damaged || self.durability == Durability::Unsynced,
            };
        };
        let acknowledged = self.steps[step].after;
        let under_way = reached.begun.filter(|begun| *begun > step).map(|begun| self.steps[begun]);
        let is_settled = under_way.is_none() && self.steps[step].kind.settles();
        let opens = under_way.is_some_and(|step| step.kind == Kind::Open);
        Expected {
            states: &self.states,
            lost: &origin.lost,
            first: if self.durability == Durability::Synced { acknowledged } else { reached.floor },
            last: under_way.map_or(acknowledged, |step| step.after),
            acknowledged,
            told: Some(self.told),
            rises: match self.durability {
                _ if opens => Rises::May,
                Durability::Synced => Rises::MustNot,
                Durability::Relaxed | Durability::Unsynced => Rises::Must,
            },
            may_be_damaged: self.durability == Durability::Unsynced && !is_settled,
        }
    }

    fn open(
        &self,
        place: &Place,
        image: &Image,
        expected: &Expected<'_>,
        rng: &mut SplitMix64,
        tally: &mut Tally,
    ) -> Outcome<Found> {
        let disk = place.root.join("image");
        image.write(&disk)?;
        let depth = Depth { offline: rng.chance(8), goes_on: rng.chance(8), watched: rng.chance(64) };
        let settings = work::settings(self.durability, NEXT_BOOT);
        let found = judge::judge(&disk.join(&place.below), &settings, expected, depth)?;
        tally.add(
            match self.durability {
                Durability::Synced => "images of synced",
                Durability::Relaxed => "of relaxed",
                Durability::Unsynced => "of unsynced",
            },
            1,
        );
        match found {
            Found::State(_) => {}
            Found::Refused => tally.add("refused", 1),
            Found::Mixed => tally.add("mixed", 1),
        }
        tally.add("mixed and written to", u64::from(found == Found::Mixed && depth.goes_on));
        tally.add("checked offline first", u64::from(depth.offline));
        Ok(found)
    }

    fn after_power(&self, image: &Image, expected: &Expected<'_>, found: usize) -> Origin {
        Origin {
            platter: image.platter(),
            states: expected.states[..=found].to_vec(),
            lost: self.lost(expected),
            first: found,
            last: found,
            acknowledged: found.min(expected.acknowledged),
            told: expected.told,
            may_be_damaged: false,
            boot: self.origin.boot + 1,
        }
    }

    fn lost(&self, expected: &Expected<'_>) -> Vec<Model> {
        let newest = expected.states[expected.last].model.clone();
        self.origin.lost.iter().cloned().chain([newest]).collect()
    }

    /// Nothing is lost of what the system has, and not everything of it is on the disk.
    fn after_kill(&self, platter: &Platter, expected: &Expected<'_>) -> Origin {
        Origin {
            platter: platter.clone(),
            states: expected.states[..=expected.last].to_vec(),
            lost: self.lost(expected),
            first: expected.first,
            last: expected.last,
            acknowledged: expected.acknowledged,
            told: expected.told,
            may_be_damaged: expected.may_be_damaged,
            boot: self.origin.boot,
        }
    }

    /// Keeps an image that was not judged well, and what happened before, in the round's folder.
    fn keep(&self, place: &Place, image: &Image, at: usize) {
        let lines =
            self.changes[..=at].iter().enumerate().map(|(at, change)| format!("{at} {}\n", describe(change)));
        // The failure itself is told in any case.
        let _ = image.write(&place.keep.join("image"));
        let _ = std::fs::write(place.keep.join("tape.txt"), lines.collect::<String>());
    }
}

pub(crate) fn describe(change: &Change) -> String {
    match change {
        Change::Wrote { file, at, bytes } => format!("Wrote {file} at {at}: {} bytes", bytes.len()),
        Change::Said(said) => format!("Said {said}: {:?}", Said::of(*said)),
        other => format!("{other:?}"),
    }
}
