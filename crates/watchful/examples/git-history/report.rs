//! What a run prints at its end: a table of the watchers, sizes, and whether the promises held.

use std::io::Write;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use watchful::Stats;

use crate::failure::Failure;
use crate::job::rate;
use crate::replay::Replayed;

/// One watcher.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) events: u64,
    /// Events a second.
    pub(crate) rate: Option<u64>,
    pub(crate) lag_revisions_max: u64,
    pub(crate) queued_bytes_max: usize,
    pub(crate) observations: u64,
    pub(crate) violations: Vec<String>,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) replayed: Replayed,
    pub(crate) replay_time: Duration,
    /// The replay, and until the last watcher had everything.
    pub(crate) whole_time: Duration,
    pub(crate) watchers_left_out: usize,
    pub(crate) outbox_bytes_max: usize,
    /// Whether there was a model to compare with.
    pub(crate) with_model: bool,
    pub(crate) stats: Stats,
    pub(crate) rows: Vec<Row>,
}

/// Prints the report.
///
/// # Errors
///
/// [`Failure::Broken`] where a promise was: after the report has been printed.
pub(crate) fn print(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    print_replay(report, out)?;
    writeln!(out)?;
    print_table(report, out)?;
    writeln!(out)?;
    print_memory(report, out)?;
    let kept = print_promises(report, out);
    out.flush()?;
    kept
}

fn print_replay(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let Replayed { commits, changes } = report.replayed;
    let Stats { mvcc, commit_groups, .. } = &report.stats;
    if commits > 0 {
        writeln!(
            out,
            "replay   {} commits with {} changes in {:.2?}: {} commits/s, in {} group commits",
            HumanCount(commits),
            HumanCount(changes),
            report.replay_time,
            HumanCount(rate(commits, report.replay_time).unwrap_or(0)),
            HumanCount(*commit_groups),
        )?;
    }
    writeln!(
        out,
        "store    revision {}, {} keys, {} versions, {}; all watchers had everything after {:.2?}",
        HumanCount(mvcc.current_revision),
        HumanCount(mvcc.keys),
        HumanCount(mvcc.versions),
        HumanBytes(mvcc.used_bytes),
        report.whole_time,
    )?;
    Ok(())
}

fn print_table(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let head = ["watcher", "events", "events/s", "worst lag", "queued at worst", "promises"];
    let rows: Vec<[String; 6]> =
        std::iter::once(head.map(str::to_owned)).chain(report.rows.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        write!(out, "{:<1$}", row[0], widths[0])?;
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(out, "  {cell:>width$}")?;
        }
        writeln!(out)?;
    }
    if report.watchers_left_out > 0 {
        writeln!(out, "({} smaller folders had no watcher of their own)", report.watchers_left_out)?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 6] {
    [
        row.name.clone(),
        HumanCount(row.events).to_string(),
        row.rate.map_or("-".to_owned(), |rate| HumanCount(rate).to_string()),
        HumanCount(row.lag_revisions_max).to_string(),
        HumanBytes(row.queued_bytes_max as u64).to_string(),
        if row.violations.is_empty() { "held" } else { "BROKEN" }.to_owned(),
    ]
}

fn print_memory(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "lag      in revisions: what was in the store, and this watcher had not taken yet")?;
    let bound = HumanBytes(report.outbox_bytes_max as u64);
    writeln!(out, "memory   at most {bound} may be queued for a watcher, however far behind it is")?;
    if let Some(peak) = peak_memory() {
        let holds = if report.with_model {
            "the key index, the model and the checkers"
        } else {
            "the key index and the checkers"
        };
        writeln!(out, "         {} was the whole program's peak, with {holds}", HumanBytes(peak))?;
    }
    Ok(())
}

fn print_promises(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let broken = report.rows.iter().flat_map(|row| row.violations.iter().map(move |what| (&row.name, what)));
    let mut kept = true;
    for (name, what) in broken {
        writeln!(out, "BROKEN   {name}: {what}")?;
        kept = false;
    }
    if !kept {
        return Err(Failure::Broken);
    }
    let observations = report.rows.iter().map(|row| row.observations).sum();
    let against = if report.with_model { "the model's events, git's tree" } else { "git's tree" };
    writeln!(
        out,
        "promises all held, in {} batches to {} watchers: ordered, unique, reliable, atomic, bookmarkable, filtered;",
        HumanCount(observations),
        report.rows.len(),
    )?;
    writeln!(out, "         compared with {against}")?;
    Ok(())
}

/// The most memory this program has had, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
