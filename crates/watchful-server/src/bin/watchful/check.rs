//! `watchful check`: is a store whole that no server has open, or a snapshot, and what is in it?

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;
use serde::Serialize;
use watchful::{CheckReport, SalvageReport};
use watchful_server::SnapshotStatus;

use crate::failure::{Failure, with_causes};
use crate::output::Output;
use crate::snapshot_file::{Kind, SnapshotFile};

mod salvage;

use salvage::JsonSaved;

const CHECK_HELP: &str = r#"Of a snapshot it tells what `etcdctl snapshot status` tells, with the same hash, and that its SHA-256 is right.
Where a store is damaged it tells what can be saved; with --salvage it saves that, into a new folder. What is in it is what
was written; what is lost, and what may be older than it was, is told. The damaged store stays as it is.
Ends with 1 when anything is wrong; with --salvage, when anything is lost.
JSON: {"ok":true,"pages":5,"used_pages":4,"rows":7,"leases":0,"current_revision":9,
  "compact_revision":0,"problems":[],"problems_left_out":0}
  Of a damaged store also "savable":SAVED, or "not_savable":REASON where nothing can be saved.
  With --salvage: {"data_dir":DIR,"saved":SAVED}
  SAVED: {"whole":false,"compact_revision":6,"current_revision":9,"compact_revision_before":2,"changes":7,
  "leases":0,"notes":0,"lost":[{"first":5,"last":6}],"doubtful_keys":1,"doubtful":[BASE64],"remarks":[]}
  the last lost revision and the compact revision of before only where they are known; "lost_left_out":COUNT where more is
  lost than is told one by one.
  Of a snapshot: {"ok":true,"hash":3405691582,"sha256":true,"current_revision":9,"compact_revision":0,
  "keys":3,"rows":7,"leases":0,"users":1,"roles":1,"bytes":20480}; sha256 is false where there is none"#;

/// Check a store that no server has open, or a snapshot: every page and every record
#[derive(Args, Clone, Debug)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArgs {
    /// The server's data folder, a data file, or a snapshot of a Watchful server or of an etcd
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Save what can be saved of a damaged store into this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    salvage: Option<PathBuf>,
}

#[derive(Serialize)]
struct JsonReport<'a> {
    ok: bool,
    pages: u64,
    used_pages: u64,
    rows: u64,
    leases: u64,
    current_revision: u64,
    compact_revision: u64,
    problems: &'a [String],
    problems_left_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    savable: Option<JsonSaved<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_savable: Option<&'a str>,
}

pub(crate) fn run(args: &CheckArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    if args.path.is_file() {
        let file = SnapshotFile::open(&args.path)?;
        if file.kind == Kind::Etcd {
            return match args.salvage {
                None => check_snapshot(file, out),
                Some(_) => Err(file
                    .refuse("is a snapshot in etcd's format, and only a store's own file can be salvaged")),
            };
        }
    }
    match &args.salvage {
        None => check_store(args, out),
        Some(dir) => salvage::run(&args.path, dir, out),
    }
}

fn check_store(args: &CheckArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let report = watchful::check(&args.path).map_err(|error| Failure::told(with_causes(&error)))?;
    let savable = || watchful::savable(&args.path).map_err(|error| with_causes(&error));
    print_report(&report, savable, out)?;
    // The problems come before the error that counts them.
    out.flush()?;
    match report.problems.len() as u64 + report.problems_left_out {
        0 => Ok(()),
        count => Err(Failure::told(format!(
            "{} is damaged: {count} problems; restore a snapshot with `watchful restore`, or save what can be with --salvage",
            args.path.display()
        ))),
    }
}

fn print_report(
    report: &CheckReport,
    savable: impl FnOnce() -> Result<SalvageReport, String>,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    if out.json {
        let savable = (!report.is_ok()).then(savable);
        return out.object(&JsonReport {
            ok: report.is_ok(),
            pages: report.pages,
            used_pages: report.used_pages,
            rows: report.rows,
            leases: report.leases,
            current_revision: report.current_revision,
            compact_revision: report.compact_revision,
            problems: &report.problems,
            problems_left_out: report.problems_left_out,
            savable: savable.as_ref().and_then(|savable| savable.as_ref().ok()).map(JsonSaved::new),
            not_savable: savable.as_ref().and_then(|savable| savable.as_ref().err()).map(String::as_str),
        });
    }
    let lines = [
        ("current revision", report.current_revision),
        ("compact revision", report.compact_revision),
        ("changes kept", report.rows),
        ("leases", report.leases),
        ("pages", report.pages),
        ("pages in use", report.used_pages),
    ];
    lines.iter().try_for_each(|(name, count)| out.line(format_args!("{name:<17} {}", HumanCount(*count))))?;
    report.problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
    match (report.is_ok(), report.problems_left_out) {
        (true, _) => out.line("nothing is wrong")?,
        (false, 0) => {}
        (false, more) => out.line(format_args!("and {more} problems more"))?,
    }
    if report.is_ok() {
        return Ok(());
    }
    // It takes much more memory than the check: should it be ended, what is wrong has been told.
    out.flush()?;
    match savable() {
        Ok(savable) => salvage::print(&savable, "can be saved", out),
        Err(reason) => out.line(format_args!("nothing can be saved: {reason}")),
    }
}

#[derive(Serialize)]
struct JsonStatus {
    ok: bool,
    hash: u32,
    sha256: bool,
    current_revision: u64,
    compact_revision: u64,
    keys: u64,
    rows: u64,
    leases: u64,
    users: u64,
    roles: u64,
    bytes: u64,
}

fn check_snapshot(mut file: SnapshotFile<'_>, out: &mut Output<'_>) -> Result<(), Failure> {
    file.check(true)?;
    let has_sum = file.has_sum();
    let status = file.into_etcd()?.status().map_err(|error| Failure::told(with_causes(&error)))?;
    if out.json {
        return out.object(&JsonStatus {
            ok: true,
            hash: status.hash,
            sha256: has_sum,
            current_revision: status.revision,
            compact_revision: status.compact_revision.unwrap_or(0),
            keys: status.keys,
            rows: status.rows,
            leases: status.leases,
            users: status.users,
            roles: status.roles,
            bytes: status.bytes,
        });
    }
    print_status(&status, out)?;
    out.line(match has_sum {
        true => "its SHA-256 is right; nothing is wrong",
        false => "it has no SHA-256 at its end, as a copy of a store's own file has none; nothing is wrong",
    })
}

fn print_status(status: &SnapshotStatus, out: &mut Output<'_>) -> Result<(), Failure> {
    let lines = [
        ("current revision", status.revision),
        ("compact revision", status.compact_revision.unwrap_or(0)),
        ("keys", status.keys),
        ("changes kept", status.rows),
        ("leases", status.leases),
        ("users", status.users),
        ("roles", status.roles),
        ("bytes", status.bytes),
    ];
    lines.iter().try_for_each(|(name, count)| out.line(format_args!("{name:<17} {}", HumanCount(*count))))?;
    out.line(format_args!("{:<17} {:x}", "hash", status.hash))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use watchful::{Settings, Store};

    use super::*;
    use crate::output::printed;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Settings::default()).unwrap();
        store.put("a", "1").wait().unwrap();
        dir
    }

    fn args(path: &Path) -> CheckArgs {
        CheckArgs { path: path.to_owned(), salvage: None }
    }

    #[test]
    fn a_store_is_checked_by_its_folder_and_by_its_file() {
        let dir = folder();
        for path in [dir.path().to_owned(), dir.path().join("data.mdb")] {
            let text = printed(false, |out| run(&args(&path), out));
            assert!(text.contains("current revision  2\n") && text.ends_with("nothing is wrong\n"), "{text}");
            let json = printed(true, |out| run(&args(&path), out));
            assert!(json.starts_with("{\"ok\":true,"), "{json}");
        }
    }

    #[test]
    fn damage_is_told_and_ends_with_an_error() {
        let dir = folder();
        let file = dir.path().join("data.mdb");
        let mut bytes = std::fs::read(&file).unwrap();
        // The file may end with zeros that no page has taken yet.
        let last = bytes.chunks_mut(4096).rfind(|page| page.iter().any(|byte| *byte != 0));
        last.unwrap().fill(0xff);
        std::fs::write(&file, bytes).unwrap();
        let mut text = Vec::new();
        let result = run(&args(dir.path()), &mut Output::new(&mut text, false));
        assert!(matches!(&result, Err(Failure::Told(told)) if told.contains("is damaged")), "{result:?}");
        assert!(String::from_utf8(text).unwrap().contains("problem: "));
    }
}
