//! The bans: a crate without clock, threads or files has a `clippy.toml` that makes clippy refuse them.
//!
//! A crate's own `clippy.toml` *replaces* the workspace's, so each has to repeat what the workspace's says. A ban that
//! goes missing would go unseen, because clippy only gets quieter; therefore it is found here.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// Crates that neither read a clock, nor start or stop a thread, nor touch a file.
const PURE: &[&str] = &[
    "watchful-revision",
    "watchful-watcher-index",
    "watchful-sync",
    "watchful-sync-world",
    "watchful-wire",
    "watchful-testkit",
];

/// Crates that work through files of a crate below, and otherwise as a pure one.
const NO_CLOCK_NO_THREAD: &[&str] = &["watchful-mvcc"];

const CLOCKS_AND_THREADS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::Instant::elapsed",
    "std::time::SystemTime::now",
    "std::time::SystemTime::elapsed",
    "std::thread::spawn",
    "std::thread::scope",
    "std::thread::Builder::spawn",
    "std::thread::sleep",
    "std::thread::park_timeout",
];

const FILES: &[&str] = &[
    "std::fs::canonicalize",
    "std::fs::copy",
    "std::fs::create_dir",
    "std::fs::create_dir_all",
    "std::fs::exists",
    "std::fs::hard_link",
    "std::fs::metadata",
    "std::fs::read",
    "std::fs::read_dir",
    "std::fs::read_link",
    "std::fs::read_to_string",
    "std::fs::remove_dir",
    "std::fs::remove_dir_all",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::set_permissions",
    "std::fs::symlink_metadata",
    "std::fs::write",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::fs::DirBuilder",
];

/// What every `clippy.toml` says.
const EVERYWHERE: &str = "allow-unwrap-in-tests";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let present = |name: &&&str| tree.has(&format!("crates/{name}/Cargo.toml"));
    let pure = PURE.iter().filter(present).map(|name| (*name, [CLOCKS_AND_THREADS, FILES].concat()));
    let quiet = NO_CLOCK_NO_THREAD.iter().filter(present).map(|name| (*name, CLOCKS_AND_THREADS.to_vec()));
    let missing = pure.chain(quiet).flat_map(|(name, bans)| missing_bans(tree, name, &bans));
    let repeated = tree.ending("clippy.toml").filter_map(|(path, text)| not_repeated(path, text));
    missing.chain(repeated).collect()
}

fn missing_bans(tree: &Tree, name: &str, bans: &[&str]) -> Vec<Finding> {
    let path = format!("crates/{name}/clippy.toml");
    let Some(text) = tree.text(&path) else {
        return vec![Finding::new(
            &path,
            1,
            format!("{name} has no bans"),
            "write them as another pure crate's",
        )];
    };
    let banned = banned_in(text);
    let missing = bans.iter().filter(|ban| !banned.contains(**ban));
    missing
        .map(|ban| Finding::new(&path, 1, format!("{ban} is not banned"), "add it to the disallowed ones"))
        .collect()
}

fn banned_in(text: &str) -> BTreeSet<String> {
    let settings = text.parse::<Table>().unwrap_or_default();
    let lists =
        ["disallowed-methods", "disallowed-types"].iter().filter_map(|key| settings.get(*key)?.as_array());
    lists.flatten().filter_map(path_of).map(str::to_owned).collect()
}

/// A ban is a path, or a table that holds one.
fn path_of(ban: &Value) -> Option<&str> {
    ban.as_str().or_else(|| ban.get("path")?.as_str())
}

fn not_repeated(path: &str, text: &str) -> Option<Finding> {
    let settings = text.parse::<Table>().unwrap_or_default();
    let said = settings.get(EVERYWHERE).and_then(Value::as_bool) == Some(true);
    (!said).then(|| {
        Finding::new(path, 1, format!("`{EVERYWHERE} = true` is missing"), "repeat it in every clippy.toml")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy;

    fn settings(bans: &[&str]) -> String {
        format!("{EVERYWHERE} = true\ndisallowed-methods = {bans:?}\n")
    }

    #[test]
    fn a_full_list_passes_as_paths_and_as_tables() {
        let pure = settings(&[CLOCKS_AND_THREADS, FILES].concat());
        let files =
            [("crates/watchful-sync/Cargo.toml", ""), ("crates/watchful-sync/clippy.toml", pure.as_str())];
        tidy::check(check, &files, &[]);
        let as_table = "disallowed-types = [{ path = \"std::fs::File\", reason = \"r\" }]";
        assert!(banned_in(as_table).contains("std::fs::File"));
    }

    #[test]
    fn a_missing_ban_a_missing_file_and_a_missing_repetition_are_found() {
        let mvcc = format!("disallowed-methods = {:?}", &CLOCKS_AND_THREADS[1..]);
        let files = [
            ("crates/watchful-mvcc/Cargo.toml", ""),
            ("crates/watchful-mvcc/clippy.toml", mvcc.as_str()),
            ("crates/watchful-revision/Cargo.toml", ""),
        ];
        let expected = [
            "crates/watchful-revision/clippy.toml:1: watchful-revision has no bans",
            "crates/watchful-mvcc/clippy.toml:1: std::time::Instant::now is not banned",
            "crates/watchful-mvcc/clippy.toml:1: `allow-unwrap-in-tests = true` is missing",
        ];
        tidy::check(check, &files, &expected);
    }
}
