//! Records: what was measured, on which machine and when, round by round, as a file.
//!
//! A record holds runs, each with its date, machine and command. Runs are only ever added, so that nothing measured is lost;
//! where two runs have the same workload, the later one counts. A run that measured the peer's long cells can lend them to a
//! later one (`--peer-record`), which is marked in the row.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::row::Row;
use crate::Outcome;
use crate::catalogue::WORKLOADS;
use crate::machine::Machine;

/// Several runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) runs: Vec<Run>,
}

/// What one command has measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) command: String,
    /// `full` or `quick`.
    pub(crate) scale: String,
    pub(crate) machine: Machine,
    /// Of the peers, and of the libraries that were built in.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) workloads: Vec<Measured>,
}

/// What became of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// As the catalogue calls it.
    pub(crate) name: String,
    /// How long it took.
    pub(crate) seconds: f64,
    #[serde(serialize_with = "with_medians")]
    pub(crate) rows: Vec<Row>,
    /// Why it came to no end. Rows that came before are kept.
    pub(crate) failed: Option<String>,
}

fn with_medians<S: Serializer>(rows: &[Row], serializer: S) -> Result<S::Ok, S::Error> {
    rows.iter().map(Row::to_json).collect::<Vec<Value>>().serialize(serializer)
}

impl Record {
    /// # Errors
    ///
    /// If there is no such file, or it is no record.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        let said = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
        let text = fs::read_to_string(file).map_err(|error| said(&error))?;
        let read = serde_json::from_str(&text);
        let record: Self = read.map_err(|error| {
            said(&format!("{error}; a record is what `cargo xtask bench --record={}` writes", file.display()))
        })?;
        if record.runs.iter().any(|run| run.scale != record.runs[0].scale) {
            return Err(said(&"holds quick runs and full ones; split it").into());
        }
        Ok(record)
    }

    /// All runs of several files, as one record.
    pub(crate) fn read_all(files: &[PathBuf]) -> Outcome<Self> {
        let mut all = Self::default();
        for file in files {
            for run in Self::read(file)?.runs {
                all.add(run).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        // A stable sort: of one day, the later file's counts.
        all.runs.sort_by(|one, other| one.date.cmp(&other.date));
        Ok(all)
    }

    /// Adds the run, behind those that are there.
    pub(crate) fn add(&mut self, run: Run) -> Outcome {
        if let Some(first) = self.runs.first().filter(|first| first.scale != run.scale) {
            return Err(format!(
                "a {} run does not belong beside a {} one: give it a record of its own",
                run.scale, first.scale
            )
            .into());
        }
        self.runs.push(run);
        Ok(())
    }

    /// What the file holds already, if there is one, where this run may and can be added to it.
    pub(crate) fn open_for(file: &Path, run: &Run) -> Outcome<Self> {
        let record = if file.exists() { Self::read(file)? } else { Self::default() };
        record.clone().add(run.clone()).map_err(|error| format!("{}: {error}", file.display()))?;
        successor_of(file).map_err(|error| unwritable(file, &error))?;
        Ok(record)
    }

    /// Writes the file anew, with the run behind all others. Whoever is broken off here leaves the old file.
    pub(crate) fn write_with(&self, file: &Path, run: Run) -> Outcome {
        let mut record = self.clone();
        record.add(run)?;
        let text = serde_json::to_string_pretty(&record)? + "\n";
        Ok(replace(file, &text).map_err(|error| unwritable(file, &error))?)
    }

    /// Each workload as it was measured last, in the catalogue's order.
    pub(crate) fn newest(&self) -> Vec<(&Run, &Measured)> {
        let mut newest: Vec<(&Run, &Measured)> = Vec::new();
        for run in &self.runs {
            for workload in &run.workloads {
                newest.retain(|(_, known)| known.name != workload.name);
                newest.push((run, workload));
            }
        }
        let place = |name: &str| WORKLOADS.iter().position(|known| known.name == name).unwrap_or(usize::MAX);
        newest.sort_by_key(|(_, workload)| place(&workload.name));
        newest
    }

    /// All rows, each workload's as it was measured last.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.newest().into_iter().flat_map(|(_, workload)| &workload.rows)
    }

    /// What the last run that measured it says of the peer in this row's case, and that run's date.
    fn peer_of(&self, row: &Row) -> Option<(&str, &Row)> {
        let mut found = None;
        for run in &self.runs {
            for known in run.workloads.iter().flat_map(|workload| &workload.rows) {
                let is_measured = known.peer.as_ref().is_some_and(|peer| peer.recorded.is_none());
                if is_measured && known.is_same_case(row) {
                    found = Some((run.date.as_str(), known));
                }
            }
        }
        found
    }

    /// Lends the row a peer from this record, where it has none, marked with the day.
    pub(crate) fn lend_peer(&self, row: &mut Row) {
        let Some((date, known)) = self.peer_of(row).filter(|_| row.peer.is_none()) else { return };
        let Some(mut peer) = known.peer.clone() else { return };
        let of_peer = format!(" of {}", peer.name);
        let beside = known.more.iter().filter(|(name, _)| name.ends_with(&of_peer));
        row.more.extend(beside.map(|(name, figure)| (name.clone(), *figure)));
        peer.recorded = Some(date.to_owned());
        row.peer = Some(peer);
    }

    /// Whether a case of this workload has a peer's figure that can be lent.
    pub(crate) fn has_peer_in(&self, workload: &str, is_case: impl Fn(&str) -> bool) -> bool {
        let rows = self.runs.iter().flat_map(|run| &run.workloads).flat_map(|measured| &measured.rows);
        rows.filter(|row| row.workload.eq_ignore_ascii_case(workload) && is_case(&row.case))
            .any(|row| row.peer.as_ref().is_some_and(|peer| peer.recorded.is_none()))
    }
}

/// Writes the file anew, or leaves the old one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut new = successor_of(file)?;
    new.write_all(text.as_bytes())?;
    new.persist(file)?;
    Ok(())
}

/// An empty file in the file's folder, which is made, to be put into its place. It is gone if that does not happen.
fn successor_of(file: &Path) -> io::Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // As any file that is made: a temporary one is for nobody else by itself.
    tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

fn unwritable(file: &Path, error: &io::Error) -> String {
    format!("{}: cannot be written: {error}; `--record FILE` names another place", file.display())
}

impl Run {
    /// When, where, of what and how it was measured, on one line.
    pub(crate) fn origin(&self) -> String {
        let Self { date, commit, command, scale, machine, .. } = self;
        format!("{date}, {}, commit {commit}, {scale} size: `{command}`.", machine.text())
    }
}

#[cfg(test)]
mod tests;
