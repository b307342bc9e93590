//! The files of the workspace, read once, for the rules to look at.
//!
//! Paths are relative to the workspace's folder, with `/` between folders. Build output, what npm has fetched, git's
//! folder and `Cargo.lock` are left out: nobody writes them by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Folders that hold no work of ours, wherever they are.
const SKIPPED: &[&str] = &["target", ".git", "node_modules"];

/// What the rules can read; of any other file only the path is kept.
const TEXTS: &[&str] = &["rs", "md", "toml", "proto", "sh", "yml"];

pub(crate) struct Tree {
    /// Path to text; `None` where it is not ours to read.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        Ok(Self { files })
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), Some((*text).to_owned()));
        Self { files: files.iter().map(own).collect() }
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Every text with its path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The texts whose path ends with `ending`.
    pub(crate) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    /// The manifests of the project's own crates: those of `crates/`, and those that measure, try and do the chores.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending("/Cargo.toml").filter(|(path, _)| {
            let folder = path.trim_end_matches("/Cargo.toml");
            let flat = folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
            flat || ["benches", "benches/peers", "differential", "fuzz", "trials", "xtask"].contains(&folder)
        })
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Option<String>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                read_folder(&entry.path(), &format!("{path}/"), files)?;
            }
        } else {
            let text = if is_text(&path) { fs::read_to_string(entry.path()).ok() } else { None };
            files.insert(path, text);
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    path.starts_with(".ci/") || path.rsplit_once('.').is_some_and(|(_, ending)| TEXTS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_knows_files_and_folders() {
        let tree = Tree::of(&[("docs/A.md", ""), ("docs-old", "")]);
        for there in ["docs/A.md", "docs", "docs/", "docs-old", ""] {
            assert!(tree.has(there), "{there:?}");
        }
        for not_there in ["doc", "docs/A", "docs/B.md", "docs-", "A.md"] {
            assert!(!tree.has(not_there), "{not_there:?}");
        }
    }

    #[test]
    fn only_the_workspaces_own_manifests_count() {
        let paths = [
            "Cargo.toml",
            "benches/Cargo.toml",
            "crates/a/Cargo.toml",
            "crates/a/fuzz/Cargo.toml",
            "fuzz/other/Cargo.toml",
        ];
        let tree = Tree::of(&paths.map(|path| (path, "")));
        let found: Vec<&str> = tree.manifests().map(|(path, _)| path).collect();
        assert_eq!(found, ["benches/Cargo.toml", "crates/a/Cargo.toml"]);
    }

    #[test]
    fn the_workspace_itself_can_be_read() {
        let tree = Tree::read(crate::root()).unwrap();
        assert!(tree.text("xtask/src/tidy/tree.rs").is_some_and(|text| text.contains("fn read_folder")));
        assert!(tree.texts().all(|(path, _)| !path.starts_with("target/")));
    }
}
