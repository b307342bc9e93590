//! Reads the history of a git repository: the commits of a first-parent line, oldest first, each with what it changed.
//!
//! **What it is for:** the example needs a long history of small changes that anybody has at hand. It comes from the
//! program `git`, which does the reading; this module starts it, parses what it prints and checks how it ended.
//!
//! **What it is not for:** it changes nothing in the repository, and reads no file's content, only ids.
//!
//! # Invariants
//!
//! - A commit is handed out only when all its changes were read; if git fails in the middle, an error comes instead.
//! - Paths and subjects are bytes, as git has them. Every list is separated by NUL, so no name can break the parsing.
//! - The user's settings do not change the result. What could is overruled on the command line ([`LOG_OPTIONS`]) or in
//!   the environment ([`Repository::git`]), and nothing but that: `safe.directory` keeps its meaning.

mod commits;

mod parse;

mod error;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use commits::{Change, ChangeKind, Commit, Commits};
pub(crate) use error::GitError;
pub(crate) use parse::parse_tree;

use error::{failed, malformed, not_started};
use parse::parse_id;

/// The first git that knows `--diff-merges=first-parent`.
const VERSION_MIN: (u32, u32) = (2, 31);

/// They make a commit one token, `<id> <subject>`, and after it each change two: `:` with modes, ids and status; and
/// the path.
const LOG_OPTIONS: &[&str] = &[
    "--first-parent",
    "--reverse",
    "-z",
    "--format=tformat:%H %s",
    "--raw",
    "--no-abbrev",
    "--no-renames",
    // A merge is compared with its first parent, a root with the empty tree.
    "--diff-merges=first-parent",
    // What else settings could bend: diff.orderFile, diff.relative, diff.ignoreSubmodules, log.showSignature and
    // i18n.logOutputEncoding.
    "-O/dev/null",
    "--no-relative",
    "--ignore-submodules=none",
    "--no-show-signature",
    "--encoding=UTF-8",
    // These concern other forms of output than this one, and are said in case a git sees it otherwise.
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
];

/// Variables that would point git at another repository than the one that was asked for, as they do inside a hook.
const MISLEADING_VARIABLES: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// A repository that was found and can be read.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// A folder inside the work tree, or the bare repository.
    folder: PathBuf,
}

impl Repository {
    /// Opens the repository at `path`: a work tree, a bare repository, or any folder or file inside one of them.
    pub(crate) fn open(path: &Path) -> Result<Self, GitError> {
        check_program("git")?;
        let refuse = |said| GitError::NoRepository { path: path.to_owned(), said };
        let there = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
        let folder = if there.is_dir() { path } else { path.parent().unwrap_or(path) };
        // The parent of a bare file name is the empty path, which git would not take.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let repository = Self { folder: folder.to_owned() };
        match repository.run(&["rev-parse", "--git-dir"]) {
            Ok(_) => Ok(repository),
            Err(GitError::Failed { said, .. }) => Err(refuse(said)),
            Err(error) => Err(error),
        }
    }

    /// The id of the commit that `revision` names: `HEAD`, a branch, a tag, an id.
    pub(crate) fn resolve(&self, revision: &str) -> Result<String, GitError> {
        let refuse = |said| GitError::NoCommit { revision: revision.to_owned(), said };
        // The ending asks for a commit, and keeps what begins with `-` from being an option that git knows.
        match self.run(&["rev-parse", "--verify", &format!("{revision}^{{commit}}")]) {
            Ok(id) => Ok(String::from_utf8_lossy(&id).trim_end().to_owned()),
            Err(GitError::Failed { said, .. }) => Err(refuse(said)),
            Err(error) => Err(error),
        }
    }

    /// How many commits [`commits`](Self::commits) will hand out for the same commit.
    pub(crate) fn count_commits(&self, commit: &str) -> Result<u64, GitError> {
        let count = self.run(&["rev-list", "--first-parent", "--count", commit])?;
        let count = String::from_utf8_lossy(&count);
        count.trim_end().parse().map_err(|_| malformed("a count of commits", count.as_bytes()))
    }

    /// The id of the commit that [`commits`](Self::commits) hands out after `skipped` others; none where there are no more.
    pub(crate) fn commit_after(&self, commit: &str, skipped: u64) -> Result<Option<String>, GitError> {
        // Git counts from the newest on.
        let Some(newer) = self.count_commits(commit)?.checked_sub(skipped + 1) else { return Ok(None) };
        let skip = format!("--skip={newer}");
        let id = self.run(&["rev-list", "--first-parent", "--max-count=1", &skip, commit])?;
        parse_id(id.trim_ascii_end()).map(Some)
    }

    /// The first-parent line that ends with `commit`, from its root on. `<old>..<new>` is the part of a line after `old`.
    pub(crate) fn commits(&self, commit: &str) -> Result<Commits, GitError> {
        let mut git = self.git();
        git.arg("log").args(LOG_OPTIONS).args([commit, "--"]);
        Commits::start(git)
    }

    /// Every file of `commit`, as `git ls-tree -r -z` prints them; [`parse_tree`] reads it.
    pub(crate) fn ls_tree(&self, commit: &str) -> Result<Vec<u8>, GitError> {
        self.run(&["ls-tree", "-r", "-z", "--full-tree", commit])
    }

    /// What a user sees of it: lines, with names quoted as this repository's settings say.
    pub(crate) fn ls_tree_lines(&self, commit: &str) -> Result<Vec<u8>, GitError> {
        self.run(&["ls-tree", "-r", "--full-tree", commit])
    }

    /// Whether names are quoted for their bytes above 0x7f.
    pub(crate) fn quotes_high_bytes(&self) -> Result<bool, GitError> {
        let answer = self.run(&["config", "--type=bool", "--default=true", "--get", "core.quotePath"])?;
        Ok(answer.trim_ascii_end() != b"false")
    }

    /// The folder that git keeps the repository in; of a further work tree, that work tree's own. For names: what is not
    /// UTF-8 in it is replaced.
    pub(crate) fn git_folder(&self) -> Result<PathBuf, GitError> {
        let folder = self.run(&["rev-parse", "--absolute-git-dir"])?;
        Ok(String::from_utf8_lossy(folder.trim_ascii_end()).into_owned().into())
    }

    fn run(&self, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let mut git = self.git();
        git.args(args);
        let output = git.output().map_err(not_started)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(failed(&git, output.status, &output.stderr))
    }

    /// A git on this repository that sees the history as it was written: no replaced objects and no grafts.
    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args([
            "--no-pager",
            "--no-replace-objects",
            "-c",
            "log.showRoot=true",
        ]);
        for name in MISLEADING_VARIABLES {
            git.env_remove(name);
        }
        git.env("GIT_GRAFT_FILE", "/dev/null").stdin(Stdio::null());
        git
    }
}

/// Asks `program` for its version, which also tells whether it is there.
fn check_program(program: impl AsRef<OsStr>) -> Result<(), GitError> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(not_started)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_version(&text) {
        Some(version) if version < VERSION_MIN => Err(GitError::TooOld { found: text }),
        // One that says something else may still do; if not, it will say so itself.
        _ => Ok(()),
    }
}

/// Reads the first two numbers of `git version 2.39.5 (…)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
