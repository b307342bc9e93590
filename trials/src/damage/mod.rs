//! Damaged files: a small store by seed, and many copies of its file, each damaged in one way or a few.
//!
//! Of each copy: what the check says, what a process of its own reads in it, and what is saved of it. What has to hold:
//!
//! - Where the check finds nothing, the store opens, and every kept revision reads as in the model; after new writes too.
//! - Where it finds something and the store is opened all the same: an error or the right answer, and never a wrong one. The
//!   process does not crash where the log is small enough to be looked at whole before it is mapped, and it comes to an end.
//! - A damaged record is told by its revision: by the check, and by the open.
//! - What is saved is what was: see `saved`.

mod copies;

mod reader;

mod saved;

mod scene;

use std::fs;

use crate::trials::{Outcome, Round, Trial};

use copies::{Copy, Kind};
use reader::{Read, Reader};
use scene::Scene;

pub(crate) use reader::{READER, read_for_ever};

pub(crate) const TRIAL: Trial = Trial {
    name: "damage",
    about: "damaged copies of a file: the check finds it, no answer is wrong, and what is saved is what was",
    round,
    counted: &["whole by the check", "damaged by the check", "refused", "right answers", "revisions saved"],
};

/// So many copies a round, beside the cuts.
const COPIES: u64 = 60;

fn round(round: &mut Round<'_>) -> Outcome {
    let scene = Scene::new(&mut round.rng, &round.dir.join("scene"))?;
    let mut reader = Reader::new();
    round.tally.add("stores", 1);
    for _ in 0..COPIES {
        let copy = Copy::any(&mut round.rng, &scene);
        try_copy(round, &scene, &mut reader, &copy)?;
    }
    // Every eighth store is cut at every page, from one to the next.
    if round.rng.chance(8) {
        for page in 0..=scene.pages() {
            let copy = Copy::cut(&scene, page * scene::PAGE_BYTES);
            try_copy(round, &scene, &mut reader, &copy)?;
        }
    }
    Ok(())
}

fn try_copy(round: &mut Round<'_>, scene: &Scene, reader: &mut Reader, copy: &Copy) -> Outcome {
    round.tally.add("copies", 1);
    round.tally.add(copy.kind.name(), 1);
    let dir = round.dir.join("copy");
    scene.lay_out(&dir, &copy.bytes)?;
    let told = |what: String| format!("{}: {what}", copy.story);

    let checked = watchful_mvcc::check(&dir);
    let is_said_whole = checked.as_ref().is_ok_and(watchful_mvcc::CheckReport::is_ok);
    round.tally.add(if is_said_whole { "whole by the check" } else { "damaged by the check" }, 1);
    if let Some(revision) = copy.revision {
        let names_it = checked.as_ref().is_ok_and(|report| {
            report.problems.iter().any(|problem| problem.contains(&format!("revision {revision} ")))
        });
        if !names_it {
            return Err(told(format!("the check does not name revision {revision}: {checked:?}")).into());
        }
    }

    let read = reader.read(&dir)?;
    match (&read, scene.judge(&read, copy)) {
        (Read::Refused(error), _) => {
            round.tally.add("refused", 1);
            if is_said_whole {
                return Err(told(format!("the check finds nothing, and to open it fails: {error}")).into());
            }
            if copy.revision.is_some_and(|revision| !error.contains(&revision.to_string())) {
                return Err(told(format!("the error does not name the record: {error}")).into());
            }
        }
        (Read::Crashed(how), _) => {
            round.tally.add("crashes", 1);
            if is_said_whole || !copy.may_crash() || scene.is_looked_at_whole() {
                return Err(told(format!("the reader crashed: {how}")).into());
            }
        }
        (Read::Hung, _) => return Err(told("the reader does not come to an end".to_owned()).into()),
        (Read::Opened { .. }, Ok(())) => round.tally.add("right answers", 1),
        (Read::Opened { .. }, Err(what)) => {
            let said = if is_said_whole { "nothing" } else { "damage" };
            return Err(told(format!("the check finds {said}, and a wrong answer: {what}")).into());
        }
    }

    scene.lay_out(&dir, &copy.bytes)?;
    let new = round.dir.join("saved");
    let _ = fs::remove_dir_all(&new);
    match watchful_mvcc::salvage(&dir, &new, &scene::settings()) {
        Ok(report) => {
            round.tally.add(if report.is_whole() { "saved whole" } else { "saved in part" }, 1);
            round.tally.add("revisions saved", report.current_revision - report.compact_revision + 1);
            saved::judge(scene, copy, &report, &new, is_said_whole)
                .map_err(|what| told(format!("{what}\n{}", story_of(&report))))?;
        }
        Err(error) if is_said_whole || !copy.may_save_nothing(scene) => {
            return Err(told(format!("nothing is saved: {error}")).into());
        }
        Err(_) => round.tally.add("nothing to save", 1),
    }
    if fs::read(dir.join("data.mdb"))? != copy.bytes {
        return Err(told("to save it has changed it".to_owned()).into());
    }
    Ok(())
}

fn story_of(report: &watchful_mvcc::SalvageReport) -> String {
    let keys: Vec<_> = report.doubtful.iter().map(|key| key.escape_ascii().to_string()).collect();
    format!(
        "saved from {} (before: {:?}) to {}, lost {:?}, doubtful {keys:?}, {:?}",
        report.compact_revision,
        report.compact_revision_before,
        report.current_revision,
        report.lost,
        report.remarks
    )
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Byte => "of a byte or a few",
            Self::Bit => "of a bit",
            Self::Number => "of a number",
            Self::Zeros => "of zeroed sectors and pages",
            Self::Noise => "of random sectors and pages",
            Self::Swap => "of sectors and pages swapped or copied",
            Self::Stale => "of stale sectors and pages",
            Self::Cut => "cut",
            Self::Header => "of a foreign header",
            Self::Garbage => "with garbage behind",
            Self::Record => "of a record",
            Self::Tree => "of a tree",
            Self::Node => "of a node",
        }
    }
}
