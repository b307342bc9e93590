//! Why the example could not do what it was asked for, in one line each.

use std::error::Error;
use std::fmt;
use std::io;

use crate::git::GitError;

/// What ends a run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Git, or how the repository is.
    Git(GitError),
    /// The store.
    Store(watchful::Error),
    /// What the example itself has to say.
    Said(String),
    /// A promise was broken: the violations have been printed.
    Broken,
    /// A replay that nobody waits for any more: no failure.
    Stopped,
    /// Nobody reads our output any more, as in `| head`: no failure.
    StdoutClosed,
    /// Writing the output failed in another way.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(error) => f.write_str(&chain(error)),
            Self::Store(error @ watchful::Error::AlreadyOpen { .. }) => {
                write!(f, "another run is using the store: {error}")
            }
            Self::Store(error) => write!(f, "the store failed: {}", chain(error)),
            Self::Said(text) => f.write_str(&one_line(text)),
            Self::Broken => f.write_str("a promise was broken"),
            Self::Stopped => f.write_str("the replay was stopped"),
            Self::StdoutClosed => f.write_str("the output was closed"),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl From<watchful::Error> for Failure {
    fn from(error: watchful::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    /// Only writing to the standard output fails with an error of this kind here.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::StdoutClosed,
            _ => Self::Output(error),
        }
    }
}

/// The error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
