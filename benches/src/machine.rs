//! What a record says of where it was made: the machine, the day, the commit, and what was built in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::disk::file_system_of;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// Of the folder that the stores lie in.
    pub(crate) file_system: String,
}

/// Libraries whose versions a record tells, where they are built in.
const LIBRARIES: &[&str] = &["lmdb-master-sys", "heed", "redb", "fjall", "sled", "tokio"];

/// Which versions were chosen for this build.
const LOCK: &str = include_str!("../../Cargo.lock");

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let program = std::env::current_exe().unwrap_or_default();
        Self {
            cpu: after(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mib: crate::memory::field(&read("/proc/meminfo"), "MemTotal:") >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: program.parent().and_then(file_system_of).unwrap_or_default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { cpu, cores, memory_mib, kernel, file_system } = self;
        format!("{cores} cores, {cpu}, {} GiB, {file_system}, Linux {kernel}", memory_mib / 1024)
    }
}

/// What stands behind the name and a colon.
fn after(text: &str, name: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_default().trim_start_matches(['\t', ' ', ':']).to_owned()
}

/// The day in UTC, as `2026-11-26`.
pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date_of(since.as_secs() / (24 * 3600))
}

/// The date so many days after 1970-01-01. Years are counted from March on, so that a leap day is the last of its year.
fn date_of(days_since_1970: u64) -> String {
    /// From 0000-03-01 to 1970-01-01.
    const BEFORE_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + BEFORE_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + carry)
}

/// The commit that the sources are at, and whether they differ from it.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| told_by(Command::new("git").args(args).current_dir(root()));
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_some_and(|files| !files.is_empty()) { commit + " and changes" } else { commit }
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches)
}

/// Versions of what ours is held against, and of the libraries that were built in.
pub(crate) fn versions(beside_etcd: bool) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> =
        LIBRARIES.iter().filter_map(|name| Some(((*name).to_owned(), locked(LOCK, name)?))).collect();
    let etcd = told_by(Command::new("etcd").arg("--version")).filter(|_| beside_etcd);
    if let Some(version) = etcd.as_deref().and_then(|told| told.lines().next()) {
        versions.insert("etcd".into(), version.trim_start_matches("etcd Version: ").to_owned());
    }
    versions
}

/// The version of a package in the lock file's text.
fn locked(lock: &str, name: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    Some(version.trim_end_matches('"').to_owned())
}

/// What a program prints; none where it cannot be started or fails.
fn told_by(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (19_782, "2024-02-29"), (20_783, "2026-11-26")]
        {
            assert_eq!(date_of(days), date);
        }
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"heed-types\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"heed\"\nversion = \"0.23.1\"\n";
        assert_eq!(locked(lock, "heed").as_deref(), Some("0.23.1"));
        assert_eq!(locked(lock, "redb"), None);
        assert!(locked(LOCK, "heed").is_some());
    }
}
