//! The commits of a line, read from a `git log` that is still writing them.

use std::io::{self, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::error::{GitError, complaint, not_started, words};
use super::parse::{Tokens, parse_change, parse_opening};

/// How much of git's complaints is kept. The rest is read and dropped, so that git never waits for us.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1024;

/// A commit of the line, and what it changed against the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The commit's name, in hexadecimal.
    pub(crate) id: String,
    /// The first paragraph of its message in one line: UTF-8 where the commit says its encoding truly.
    pub(crate) subject: Vec<u8>,
    /// In the order of the paths' bytes; each path once. Empty where the commit changed nothing.
    pub(crate) changes: Vec<Change>,
}

/// One path that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// From the top of the tree, with `/` between folders.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ChangeKind,
}

/// What became of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It came, or changed content, mode or type.
    Put {
        /// `100644`, `100755`, `120000` (a symbolic link) or `160000` (a submodule).
        mode: [u8; 6],
        /// The content's id; of a submodule the commit's.
        blob: String,
    },
    /// It went.
    Delete,
}

/// The commits of a line, read while git writes them. Dropping it ends git.
#[derive(Debug)]
pub(crate) struct Commits {
    child: Child,
    tokens: Tokens<BufReader<ChildStdout>>,
    complaints: Option<JoinHandle<Vec<u8>>>,
    /// For errors.
    command: String,
    /// The token that opens the next commit. It is found while the changes of the one before are read.
    opening: Option<Vec<u8>>,
    ended: bool,
}

impl Commits {
    pub(super) fn start(mut git: Command) -> Result<Self, GitError> {
        let mut child = git.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(not_started)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(GitError::Io {
                doing: "connecting to git",
                source: io::ErrorKind::BrokenPipe.into(),
            });
        };
        Ok(Self {
            child,
            tokens: Tokens(BufReader::new(stdout)),
            // Both pipes are read at once: git must never wait for one while we wait for the other.
            complaints: Some(thread::spawn(move || read_complaints(stderr))),
            command: words(&git),
            opening: None,
            ended: false,
        })
    }

    fn read_commit(&mut self) -> Result<Option<Commit>, GitError> {
        let Some(opening) =
            self.opening.take().map_or_else(|| self.tokens.next_opening(), |it| Ok(Some(it)))?
        else {
            return self.finish().map(|()| None);
        };
        let (id, subject) = parse_opening(&opening)?;
        let mut changes = Vec::new();
        while let Some(token) = self.tokens.next_opening()? {
            let Some(raw) = token.strip_prefix(b":") else {
                self.opening = Some(token);
                return Ok(Some(Commit { id, subject, changes }));
            };
            let path = self.tokens.next()?.ok_or(GitError::BrokenOff)?;
            changes.push(Change { path, kind: parse_change(raw)? });
        }
        // The last commit is whole only if git says that it was the last.
        self.finish()?;
        Ok(Some(Commit { id, subject, changes }))
    }

    /// Waits for git, which has closed its output, and asks how it ended.
    fn finish(&mut self) -> Result<(), GitError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let status = self.child.wait().map_err(|source| GitError::Io { doing: "waiting for git", source })?;
        let said = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false => Err(GitError::Failed { command: self.command.clone(), status, said: complaint(&said) }),
        }
    }

    /// What git itself has to say weighs more than that its output broke off.
    fn explain(&mut self, error: GitError) -> GitError {
        match error {
            GitError::BrokenOff => self.finish().err().unwrap_or(error),
            other => other,
        }
    }

    fn stop(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            // Neither can fail in a way that leaves something to do: git has ended, or ends now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Iterator for Commits {
    type Item = Result<Commit, GitError>;

    /// After an error comes nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read_commit().map_err(|error| self.explain(error));
        if read.is_err() {
            self.stop();
        }
        read.transpose()
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read_complaints(mut stderr: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    // A pipe that breaks ends the complaints; how git ended is asked of git itself.
    let _ = stderr.by_ref().take(COMPLAINT_BYTES_MAX).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    kept
}
