//! What was saved of a copy, against what the store held.
//!
//! At each revision that can be read in the new store: what is in it is in the model, but for keys that are named as doubtful;
//! and what is in the model is in it, but for what was changed last in a revision that is named as lost.

use std::collections::BTreeMap;
use std::path::Path;

use watchful_mvcc::{Mvcc, SalvageReport};
use watchful_testkit::Row;

use super::copies::Copy;
use super::reader::{facts_of, rows_at};
use super::scene::{Facts, Scene, settings};

pub(super) fn judge(
    scene: &Scene,
    copy: &Copy,
    report: &SalvageReport,
    dir: &Path,
    is_said_whole: bool,
) -> Result<(), String> {
    let checked = watchful_mvcc::check(dir).map_err(|error| error.to_string())?;
    if !checked.is_ok() {
        return Err(format!("the check finds damage in what was saved: {checked:?}"));
    }
    let (mvcc, _) =
        Mvcc::open(dir, &settings()).map_err(|error| format!("what was saved does not open: {error}"))?;
    let facts = facts_of(&mvcc).map_err(|error| error.to_string())?;
    if (facts.current_revision, facts.compact_revision) != (report.current_revision, report.compact_revision)
    {
        return Err(format!("it is another store than was told: {facts:?}"));
    }
    if is_said_whole && !report.is_whole() {
        return Err("the check finds nothing, and not all is saved".to_owned());
    }
    check_facts(scene, copy, report, &facts)?;
    for revision in facts.compact_revision.max(1)..=facts.current_revision {
        let saved = rows_at(&mvcc, revision).map_err(|error| format!("at {revision}: {error}"))?;
        let owed = scene.rows_at(revision);
        if saved != owed {
            check_rows(report, revision, &saved, owed)?;
        }
    }
    Ok(())
}

fn check_facts(scene: &Scene, copy: &Copy, report: &SalvageReport, facts: &Facts) -> Result<(), String> {
    let newest = scene.newest();
    if facts.current_revision > newest.current_revision {
        return Err("it has revisions that never were".to_owned());
    }
    let is_end_told =
        report.lost.iter().any(|lost| lost.last.is_none_or(|last| last > facts.current_revision))
            || report.remarks.iter().any(|remark| remark.contains("newest changes may be missing"));
    if facts.current_revision < newest.current_revision && !is_end_told && !copy.may_be_older(scene) {
        return Err("the newest revisions are gone without a word".to_owned());
    }
    let says = |what: &str| report.remarks.iter().any(|remark| remark.contains(what));
    // The commit before may be what was saved.
    let is_older = !report.remarks.is_empty() || copy.may_be_older(scene);
    let known: &[Facts] = if is_older { &scene.facts } else { std::slice::from_ref(newest) };
    for lease in &facts.leases {
        if !known.iter().any(|known| known.leases.get(lease.0) == Some(lease.1)) {
            return Err(format!("the lease {lease:?} never was"));
        }
    }
    for (name, value) in &facts.notes {
        if !known.iter().any(|known| known.notes.get(name) == Some(value)) {
            return Err(format!("the note {name:?} never was {value:?}"));
        }
    }
    let (leases, notes) = (newest.leases.len(), newest.notes.len());
    let is_short = facts.leases.len() < leases && !says("leases are lost")
        || facts.notes.len() < notes && !says("notes are lost") && !says("is lost");
    if is_short && !is_older {
        return Err(format!("leases or notes are gone without a word: {facts:?}, and were {newest:?}"));
    }
    if report.is_whole() && !copy.may_be_older(scene) && facts != newest {
        return Err(format!("it is said to be whole, and is {facts:?} where it was {newest:?}"));
    }
    Ok(())
}

fn check_rows(report: &SalvageReport, revision: u64, saved: &[Row], owed: &[Row]) -> Result<(), String> {
    let by_key =
        |rows: &[Row]| rows.iter().map(|row| (row.key.clone(), row.clone())).collect::<BTreeMap<_, _>>();
    let (saved, owed) = (by_key(saved), by_key(owed));
    for (key, row) in &saved {
        let is_doubtful = report.doubtful.iter().any(|doubtful| doubtful == key)
            && row.mod_revision() <= report.compact_revision;
        if owed.get(key) != Some(row) && !is_doubtful {
            return Err(format!(
                "at {revision} there is {}, and was {:?}",
                short(row),
                owed.get(key).map(short)
            ));
        }
    }
    for (key, row) in &owed {
        let is_lost = report.lost.iter().any(|lost| {
            lost.first <= row.mod_revision() && lost.last.is_none_or(|last| row.mod_revision() <= last)
        });
        if !saved.contains_key(key) && !is_lost {
            return Err(format!("at {revision} there is no {}, which was in no lost revision", short(row)));
        }
    }
    Ok(())
}

fn short(row: &Row) -> String {
    format!(
        "{} version {} created {} of {}",
        row.key.escape_ascii(),
        row.version,
        row.create_revision,
        row.revision
    )
}
