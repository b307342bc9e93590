//! What was saved of a copy, against what the store held.
//!
//! At each revision that can be read in the new store: what is in it is in the model, but for keys that are named as doubtful;
//! and what is in the model is in it, but for what was changed last in a revision that is named as lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use watchful_mvcc::{LostRevisions, Mvcc, SalvageReport};
use watchful_revision::Revision;
use watchful_testkit::Row;

use super::copies::{Copy, Kind};
use super::reader::facts_of;
use super::scene::{Facts, Scene, settings};
use crate::rows::rows_at;

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
    check_least(scene, copy, report)?;
    for revision in facts.compact_revision.max(1)..=facts.current_revision {
        let saved = rows_at(&mvcc, revision).map_err(|error| format!("at {revision}: {error}"))?;
        let owed = scene.rows_at(revision);
        if saved != owed {
            check_rows(scene, report, revision, &saved)?;
            if let Some(lost) = copy.revision {
                check_other_rows(scene, lost, revision, &saved, owed)?;
            }
        }
    }
    Ok(())
}

/// Whether the report says that the commit before the newest may be what was taken: because it is whole and has as much, or
/// because one of the two pages that begin the file cannot be read, and nobody knows whether it was the newer one.
fn is_commit_before(report: &SalvageReport) -> bool {
    let tells = ["this is the one before it", "; so the newest changes may be missing"];
    report.remarks.iter().any(|remark| tells.iter().any(|told| remark.contains(told)))
}

/// Where nothing but a record was damaged, that record is lost and nothing else is; and where nothing was damaged, nothing is.
fn check_least(scene: &Scene, copy: &Copy, report: &SalvageReport) -> Result<(), String> {
    let newest = scene.newest();
    if copy.kind == Kind::Garbage && !report.is_whole() {
        return Err("only something behind it was added, and not all is saved".to_owned());
    }
    if let Some(damaged) = copy.rows_damaged_max(scene)
        && report.changes + damaged < scene.rows
    {
        let (saved, rows) = (report.changes, scene.rows);
        return Err(format!("at most {damaged} changes are damaged, and of {rows} {saved} are saved"));
    }
    let Some(lost) = copy.revision.map(|revision| revision.main) else { return Ok(()) };
    let (before, current) = (newest.compact_revision, newest.current_revision);
    // What is lost at the end is left off.
    let is_end = lost == current && lost > before.max(1);
    let owed = if is_end { (before, current - 1) } else { (before.max(lost), current) };
    let only = [LostRevisions { first: lost, last: Some(lost) }];
    let found = (report.compact_revision, report.current_revision);
    if report.lost == only && report.remarks.is_empty() && found == owed {
        return Ok(());
    }
    // Where the newest commit was of that revision alone, the commit before has as much.
    let end = [LostRevisions { first: lost, last: None }];
    let older = (scene.before().compact_revision, lost - 1);
    if is_end && is_commit_before(report) && report.lost == end && found == older {
        return Ok(());
    }
    Err(format!("only revision {lost} is damaged, so {owed:?} is owed, and nothing else lost"))
}

/// The keys but that of the damaged record, and but those of its revision where that was left off, are as they were.
fn check_other_rows(
    scene: &Scene,
    lost: Revision,
    revision: u64,
    saved: &[Row],
    owed: &[Row],
) -> Result<(), String> {
    let all = scene.rows_at(scene.newest().current_revision);
    let damaged = all.iter().find(|row| row.revision == lost).map(|row| &row.key);
    let others =
        |rows: &[Row]| rows.iter().filter(|row| Some(&row.key) != damaged).cloned().collect::<Vec<_>>();
    if others(saved) == others(owed) {
        Ok(())
    } else {
        Err(format!("at {revision} other keys are not as they were"))
    }
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
    let mut known = vec![newest];
    if is_commit_before(report) {
        known.push(scene.before());
    }
    if copy.may_be_older(scene) || says("some are of an earlier moment") {
        known.extend(&scene.facts);
    }
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
    let has_notes = |known: &&Facts| {
        let missing = known.notes.iter().filter(|(name, value)| facts.notes.get(*name) != Some(*value));
        are_told(missing.map(|(name, _)| name), known, report)
    };
    let are_leases_there = says("leases are lost") || known.iter().any(|known| known.leases == facts.leases);
    let are_notes_there = says("notes are lost") || known.iter().any(has_notes);
    if !are_leases_there || !are_notes_there {
        return Err(format!("leases or notes are gone without a word: {facts:?}, and were {newest:?}"));
    }
    if report.is_whole() && !copy.may_be_older(scene) && facts != newest {
        return Err(format!("it is said to be whole, and is {facts:?} where it was {newest:?}"));
    }
    Ok(())
}

/// Whether each note that is missing is told by its name, or by one that no note has: a name may be damaged too.
fn are_told<'f>(missing: impl Iterator<Item = &'f Bytes>, known: &Facts, report: &SalvageReport) -> bool {
    let line = |name: &Bytes| format!("the note `{}` is lost", name.escape_ascii());
    let of_known: BTreeSet<String> = known.notes.keys().map(line).collect();
    let is_note = |remark: &&String| remark.starts_with("the note `");
    let unknown = report.remarks.iter().filter(is_note).filter(|remark| !of_known.contains(*remark)).count();
    missing.filter(|name| !report.remarks.contains(&line(name))).count() <= unknown
}

fn check_rows(scene: &Scene, report: &SalvageReport, revision: u64, saved: &[Row]) -> Result<(), String> {
    let owed = scene.rows_at(revision);
    let by_key =
        |rows: &[Row]| rows.iter().map(|row| (row.key.clone(), row.clone())).collect::<BTreeMap<_, _>>();
    let (saved, owed) = (by_key(saved), by_key(owed));
    for (key, row) in &saved {
        let is_doubtful = report.doubtful.iter().any(|doubtful| doubtful == key)
            && row.mod_revision() <= report.compact_revision
            && scene.rows_at(row.mod_revision()).contains(row);
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
