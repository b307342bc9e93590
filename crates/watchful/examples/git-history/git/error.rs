//! Why a history could not be read, in words that a user can act on.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use super::VERSION_MIN;

/// Why a history could not be read.
#[derive(Debug)]
pub(crate) enum GitError {
    /// There is no program of that name.
    Missing,
    /// The program is there and too old.
    TooOld { found: String },
    /// There is no repository at the path, or git does not want to read it.
    NoRepository { path: PathBuf, said: String },
    /// The revision names no commit; in a repository without commits `HEAD` does not.
    NoCommit { revision: String, said: String },
    /// Git ended with an error.
    Failed { command: String, status: ExitStatus, said: String },
    /// Git's output stopped in the middle of a word.
    BrokenOff,
    /// Git printed what this module does not understand.
    Malformed { what: &'static str, bytes: String },
    /// The system failed.
    Io { doing: &'static str, source: io::Error },
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "git was not found on PATH; install it, or put its folder on PATH"),
            Self::TooOld { found } => {
                let (major, minor) = VERSION_MIN;
                write!(f, "{found:?} is too old; git {major}.{minor} or later is needed")
            }
            Self::NoRepository { path, said } => {
                write!(f, "{} is no git repository to read: {said}", path.display())
            }
            Self::NoCommit { revision, said } => write!(f, "{revision:?} names no commit: {said}"),
            Self::Failed { command, status, said } => write!(f, "`{command}` failed ({status}): {said}"),
            Self::BrokenOff => write!(f, "git's output broke off"),
            Self::Malformed { what, bytes } => write!(f, "git printed {bytes:?}, which is not {what}"),
            Self::Io { doing, .. } => write!(f, "{doing} failed"),
        }
    }
}

impl std::error::Error for GitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

pub(super) fn complaint(said: &[u8]) -> String {
    String::from_utf8_lossy(said).trim().to_owned()
}

/// The command as a person would type it.
pub(super) fn words(git: &Command) -> String {
    let words = std::iter::once(git.get_program()).chain(git.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

pub(super) fn not_started(source: io::Error) -> GitError {
    match source.kind() {
        io::ErrorKind::NotFound => GitError::Missing,
        _ => GitError::Io { doing: "starting git", source },
    }
}

pub(super) fn failed(git: &Command, status: ExitStatus, said: &[u8]) -> GitError {
    GitError::Failed { command: words(git), status, said: complaint(said) }
}

pub(super) fn malformed(what: &'static str, bytes: &[u8]) -> GitError {
    GitError::Malformed { what, bytes: String::from_utf8_lossy(bytes).into_owned() }
}
