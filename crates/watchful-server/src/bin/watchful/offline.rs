//! `watchful check` and `watchful restore`: what is done with a store that no server has open.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanCount;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use watchful::CheckReport;

use crate::failure::Failure;
use crate::output::Output;
use crate::snapshot::TRAILER_LEN;

/// The length of a page, which every data file is a multiple of.
const PAGE_LEN: u64 = 4096;

const CHECK_HELP: &str = r#"Ends with 1 when anything is wrong.
JSON: {"ok":true,"pages":5,"used_pages":4,"rows":7,"leases":0,"current_revision":9,
  "compact_revision":0,"problems":[],"problems_left_out":0}"#;

/// Check a store that no server has open, or a data file: every page and every record
#[derive(Args, Clone, Debug)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArgs {
    /// The server's data folder, or a data file
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

const RESTORE_HELP: &str = r#"The snapshot is checked first, its SHA-256 and its content, and stays as it is. The folder must be new
or empty.
JSON: {"data_dir":DIR,"bytes":20480}"#;

/// Make a data folder of a snapshot
#[derive(Args, Clone, Debug)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArgs {
    /// What `watchful snapshot save` has written
    file: PathBuf,
    /// The folder to make, for a server's --data-dir
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Take a file without a SHA-256 at its end, as a copy of a data file is; its content is checked all the same
    #[arg(long)]
    skip_hash_check: bool,
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
}

pub(crate) fn check(args: &CheckArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let report = watchful::check(&args.path).map_err(|error| of_store(&error))?;
    print_report(&report, out)?;
    // The problems come before the error that counts them.
    out.flush()?;
    match report.problems.len() as u64 + report.problems_left_out {
        0 => Ok(()),
        count => Err(Failure::told(format!(
            "{} is damaged: {count} problems; restore a snapshot with `watchful restore`",
            args.path.display()
        ))),
    }
}

fn print_report(report: &CheckReport, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
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
        (true, _) => out.line("nothing is wrong"),
        (false, 0) => Ok(()),
        (false, more) => out.line(format_args!("and {more} problems more")),
    }
}

#[derive(Serialize)]
struct Restored<'a> {
    data_dir: &'a Path,
    bytes: u64,
}

pub(crate) fn restore(args: &RestoreArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let unusable =
        |error: io::Error| Failure::told(format!("{} cannot be read: {error}", args.file.display()));
    let mut file = File::open(&args.file).map_err(unusable)?;
    let len = file.metadata().map_err(unusable)?.len();
    let content = content_len(len, args.skip_hash_check)
        .map_err(|what| Failure::told(format!("{} {what}", args.file.display())))?;
    if content == len {
        watchful::restore(&args.file, &args.data_dir).map_err(|error| of_store(&error))?;
    } else {
        restore_content(&mut file, content, args)?;
    }
    let restored = Restored { data_dir: &args.data_dir, bytes: content };
    let place = args.data_dir.display();
    out.answer(
        &restored,
        format_args!("restored {content} bytes; start it with: watchful --data-dir {place}"),
    )
}

/// How much of a file of this length is a store; the rest is the trailer.
fn content_len(len: u64, may_lack_trailer: bool) -> Result<u64, String> {
    match len % PAGE_LEN {
        _ if len < PAGE_LEN => Err("is too short for a snapshot: save it again".to_owned()),
        0 if may_lack_trailer => Ok(len),
        0 => Err("has no SHA-256 at its end: it was cut short, or is a copy of a data file and no snapshot; for a \
                  copy, give --skip-hash-check"
            .to_owned()),
        over if over == TRAILER_LEN as u64 => Ok(len - over),
        _ => Err("has the length of no snapshot: it was cut short, or is something else; save it again".to_owned()),
    }
}

/// Copies the content to a file beside the new folder, checking its sum, and restores that.
fn restore_content(file: &mut File, content: u64, args: &RestoreArgs) -> Result<(), Failure> {
    let beside =
        args.data_dir.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unusable =
        |error: io::Error| Failure::told(format!("{} cannot be written to: {error}", beside.display()));
    let mut copy = tempfile::NamedTempFile::new_in(beside).map_err(unusable)?;
    let copied = copy_content(file, content, copy.as_file_mut())
        .map_err(|error| Failure::told(format!("{} cannot be copied: {error}", args.file.display())))?;
    if !copied {
        return Err(Failure::told(format!(
            "{} is damaged: its SHA-256 is not the one at its end; use another snapshot",
            args.file.display()
        )));
    }
    watchful::restore(copy.path(), &args.data_dir).map_err(|error| of_store(&error))
}

/// Whether the sum is the one at the end.
fn copy_content(file: &mut File, content: u64, copy: &mut File) -> io::Result<bool> {
    file.rewind()?;
    let mut sum = Sha256::new();
    let mut left = content;
    let mut part = vec![0; 1 << 20];
    while left > 0 {
        let wanted = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact(&mut part[..wanted])?;
        sum.update(&part[..wanted]);
        io::Write::write_all(copy, &part[..wanted])?;
        left -= wanted as u64;
    }
    let mut trailer = [0; TRAILER_LEN];
    file.read_exact(&mut trailer)?;
    Ok(trailer == sum.finalize()[..])
}

/// An error of the store, with its causes.
fn of_store(error: &watchful::Error) -> Failure {
    let mut told = error.to_string();
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        let source_told = source.to_string();
        if !told.contains(&source_told) {
            told = format!("{told}: {source_told}");
        }
        cause = source;
    }
    Failure::Told(told)
}

#[cfg(test)]
mod tests {
    use watchful::{Settings, Store};

    use super::*;
    use crate::output::printed;

    #[test]
    fn the_length_tells_a_snapshot() {
        let check =
            |len, lacks, expected: Option<u64>| assert_eq!(content_len(len, lacks).ok(), expected, "{len}");
        check(8192 + 32, false, Some(8192));
        check(8192 + 32, true, Some(8192));
        check(8192, false, None);
        check(8192, true, Some(8192));
        check(8191, true, None);
        check(32, true, None);
        check(0, true, None);
    }

    /// A folder with a snapshot of a store in which `a` is `1`.
    fn snapshot() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("old"), Settings::default()).unwrap();
        store.put("a", "1").wait().unwrap();
        drop(store);
        let mut bytes = std::fs::read(dir.path().join("old/data.mdb")).unwrap();
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        let file = dir.path().join("snapshot");
        std::fs::write(&file, bytes).unwrap();
        (dir, file)
    }

    fn restore_args(file: &Path, data_dir: PathBuf) -> RestoreArgs {
        RestoreArgs { file: file.to_owned(), data_dir, skip_hash_check: false }
    }

    #[test]
    fn a_snapshot_is_restored_and_checked() {
        let (dir, file) = snapshot();
        let args = restore_args(&file, dir.path().join("new"));
        let text = printed(false, |out| restore(&args, out));
        assert!(text.contains("start it with: watchful --data-dir "), "{text}");
        let check_args = CheckArgs { path: dir.path().join("new") };
        let text = printed(false, |out| check(&check_args, out));
        assert!(text.contains("current revision  2\n") && text.ends_with("nothing is wrong\n"), "{text}");
        let json = printed(true, |out| check(&check_args, out));
        assert!(json.starts_with("{\"ok\":true,"), "{json}");
        let store = Store::open(dir.path().join("new"), Settings::default()).unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().value(), b"1");
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    fn check_refused(damage: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let (dir, file) = snapshot();
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let args = restore_args(&file, dir.path().join("new"));
        let mut bytes = Vec::new();
        let told = match restore(&args, &mut Output::new(&mut bytes, false)) {
            Err(Failure::Told(told)) => told,
            other => panic!("{other:?}"),
        };
        assert!(told.contains(expected), "{told}");
        assert!(
            Store::open(dir.path().join("new"), Settings::default()).unwrap().get("a").unwrap().is_none()
        );
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        check_refused(|bytes| bytes[5000] ^= 1, "its SHA-256 is not the one at its end");
        check_refused(|bytes| bytes.truncate(bytes.len() - 32), "has no SHA-256 at its end");
        check_refused(|bytes| bytes.truncate(9000), "has the length of no snapshot");
    }

    #[test]
    fn damage_is_told_and_ends_with_an_error() {
        let (dir, _) = snapshot();
        let file = dir.path().join("old/data.mdb");
        let mut bytes = std::fs::read(&file).unwrap();
        let at = bytes.len() - 4096;
        bytes[at..].fill(0xff);
        std::fs::write(&file, bytes).unwrap();
        let mut text = Vec::new();
        let result = check(&CheckArgs { path: dir.path().join("old") }, &mut Output::new(&mut text, false));
        assert!(matches!(&result, Err(Failure::Told(told)) if told.contains("is damaged")), "{result:?}");
        assert!(String::from_utf8(text).unwrap().contains("problem: "));
    }
}
