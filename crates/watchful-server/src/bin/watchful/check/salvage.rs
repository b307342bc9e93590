//! `watchful check --salvage`: what is whole of a damaged store, in a new folder, and what is not, told.

use std::path::Path;

use serde::Serialize;
use watchful::{LostRevisions, SalvageReport};

use crate::failure::{Failure, with_causes};
use crate::json::Base64;
use crate::output::Output;

#[derive(Serialize)]
pub(super) struct JsonSaved<'a> {
    whole: bool,
    compact_revision: u64,
    current_revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_revision_before: Option<u64>,
    changes: u64,
    leases: u64,
    notes: u64,
    lost: Vec<JsonLost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_left_out: Option<u64>,
    doubtful_keys: u64,
    doubtful: Vec<Base64<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct JsonLost {
    first: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
}

#[derive(Serialize)]
struct JsonSalvaged<'a> {
    data_dir: &'a Path,
    saved: JsonSaved<'a>,
}

impl<'a> JsonSaved<'a> {
    pub(super) fn new(report: &'a SalvageReport) -> Self {
        Self {
            whole: report.is_whole(),
            compact_revision: report.compact_revision,
            current_revision: report.current_revision,
            compact_revision_before: report.compact_revision_before,
            changes: report.changes,
            leases: report.leases,
            notes: report.notes,
            lost: report.lost.iter().map(|lost| JsonLost { first: lost.first, last: lost.last }).collect(),
            lost_left_out: (report.lost_left_out > 0).then_some(report.lost_left_out),
            doubtful_keys: report.doubtful_keys,
            doubtful: report.doubtful.iter().map(|key| Base64(key)).collect(),
            remarks: &report.remarks,
        }
    }
}

pub(super) fn run(path: &Path, dir: &Path, out: &mut Output<'_>) -> Result<(), Failure> {
    let report = watchful::salvage(path, dir).map_err(|error| Failure::told(with_causes(&error)))?;
    if out.json {
        out.object(&JsonSalvaged { data_dir: dir, saved: JsonSaved::new(&report) })?;
    } else {
        print(&report, "saved", out)?;
        out.line(format_args!("start it with: watchful --data-dir {}", dir.display()))?;
    }
    // What was saved comes before the error that says that it is not all.
    out.flush()?;
    match report.is_whole() {
        true => Ok(()),
        false => Err(Failure::told(format!("not everything in {} could be saved", path.display()))),
    }
}

/// Tells what is, or can be, saved.
pub(super) fn print(report: &SalvageReport, saved: &str, out: &mut Output<'_>) -> Result<(), Failure> {
    let SalvageReport { compact_revision, current_revision, changes, leases, notes, .. } = report;
    let first = compact_revision.max(&1);
    out.line(format_args!("{saved}: the store at each revision from {first} to {current_revision}"))?;
    out.line(format_args!("{saved}: {changes} changes, {leases} leases, {notes} notes"))?;
    for lost in &report.lost {
        out.line(format_args!("lost: {}", told(*lost)))?;
    }
    if report.lost_left_out > 0 {
        out.line(format_args!("lost: {} times more, before the last of these", report.lost_left_out))?;
    }
    if report.compact_revision_before.is_some_and(|before| before < *compact_revision) {
        out.line(format_args!("lost: what is older than revision {compact_revision}"))?;
    }
    if report.doubtful_keys > 0 {
        let keys = report.doubtful_keys;
        out.line(format_args!("doubtful: {keys} keys may have been changed or deleted in what is lost"))?;
    }
    for key in &report.doubtful {
        out.line(format_args!("doubtful: {}", key.escape_ascii()))?;
    }
    report.remarks.iter().try_for_each(|remark| out.line(format_args!("lost: {remark}")))
}

fn told(lost: LostRevisions) -> String {
    match lost.last {
        Some(last) if last == lost.first => format!("changes of revision {last}"),
        Some(last) => format!("changes of the revisions {} to {last}", lost.first),
        None => format!("what came from revision {} on", lost.first),
    }
}
