//! Folders for stores, on a real disk: a sync into memory would flatter everybody.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::Outcome;

const PREFIX: &str = "watchful-bench-";

/// A folder of that age belongs to a run that was ended.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(3600);

/// A new folder, removed when it is dropped. Beside the program, which lies where there is room.
pub(crate) fn folder() -> Outcome<TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or("the program lies nowhere")?;
    if file_system_of(beside).is_some_and(|kind| kind == "tmpfs" || kind == "ramfs") {
        return Err(format!("{} is in memory, and a disk is to be measured", beside.display()).into());
    }
    sweep(beside);
    Ok(tempfile::Builder::new().prefix(&prefix_of(std::process::id())).tempdir_in(beside)?)
}

fn prefix_of(process: u32) -> String {
    format!("{PREFIX}{process}-")
}

/// Removes what the process `process` has not removed itself, because it was ended.
pub(crate) fn remove_of(process: u32) {
    let program = std::env::current_exe().unwrap_or_default();
    let entries = program.parent().and_then(|beside| beside.read_dir().ok());
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix_of(process)) {
            // If it cannot be removed, it only takes room.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What a killed run left behind.
fn sweep(beside: &Path) {
    let Ok(entries) = beside.read_dir() else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let changed =
            entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
        if is_ours && changed.elapsed().unwrap_or_default() > LEFT_BEHIND_AFTER {
            // If it cannot be removed, it only takes room.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The kind of the file system that holds `path`, as the system's list of mounts says.
pub(crate) fn file_system_of(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let mut holding: Vec<(PathBuf, String)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((PathBuf::from(fields.next()?), fields.next()?.to_owned()))
        })
        .filter(|(mount, _)| path.starts_with(mount))
        .collect();
    holding.sort();
    holding.pop().map(|(_, kind)| kind)
}
