//! Replays the commits of a line into the store: each is one transaction, and takes one revision.
//!
//! Writes are handed in one after the other and waited for later, so that the store can commit many at once (group
//! commit) while each stays a transaction of its own. They are carried out in the order they were handed in.
//!
//! # Invariants
//!
//! - A transaction aborts unless it gets the revision that is its commit's. So when one fails, all after it do, and the
//!   store never holds a commit without the ones before it.
//! - The model is given a commit before the store is: whoever hears of it from a watch finds it in the model.
//! - What is in flight is bounded, in commits and in changes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use parking_lot::RwLock;
use watchful::{Committed, Error, Store, Write};
use watchful_testkit::Model;

use crate::failure::Failure;
use crate::git::{Commit, GitError, Repository};
use crate::keys::{HEAD, Operations, commits_at, revision_of};

/// How many commits may be in flight. Beyond this a group commit gains little.
const COMMITS_IN_FLIGHT_MAX: usize = 512;

/// How many changes may be in flight, but for a single commit that has more: some 4 MiB of keys and values.
const CHANGES_IN_FLIGHT_MAX: usize = 16 * 1024;

/// A line of commits, and how much of it the store has.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The id of its last commit.
    pub(crate) newest: String,
    /// How many commits it has.
    pub(crate) commits: u64,
    /// How many of them the store has.
    pub(crate) stored: u64,
}

impl Line {
    /// The line that ends with the repository's `HEAD`; of a store that has it and more, the line it has.
    pub(crate) fn find(repository: &Repository, store: &Store) -> Result<Self, Failure> {
        let newest = Self::newest(repository)?;
        let commits = repository.count_commits(&newest)?;
        let stored = commits_at(store.current_revision());
        if stored == 0 {
            return Ok(Self { newest, commits, stored });
        }
        let last_stored = commit_at(store, revision_of(stored))?;
        if stored > commits {
            // The branch was set back, or is another one.
            let same = commit_at(store, revision_of(commits))? == newest;
            return if same {
                Ok(Self { newest: last_stored, commits: stored, stored })
            } else {
                Err(other_history(&last_stored))
            };
        }
        match repository.commit_after(&newest, stored - 1)? {
            Some(id) if id == last_stored => Ok(Self { newest, commits, stored }),
            _ => Err(other_history(&last_stored)),
        }
    }

    /// The id of the commit that the repository's `HEAD` names.
    pub(crate) fn newest(repository: &Repository) -> Result<String, Failure> {
        repository.resolve("HEAD").map_err(no_commit_yet)
    }

    /// The revision of its last commit.
    pub(crate) fn last_revision(&self) -> u64 {
        revision_of(self.commits)
    }

    /// What names the commits that the store lacks.
    fn rest(&self, store: &Store) -> Result<String, Failure> {
        match self.stored {
            0 => Ok(self.newest.clone()),
            stored => Ok(format!("{}..{}", commit_at(store, revision_of(stored))?, self.newest)),
        }
    }
}

/// The id of the commit that is revision `revision` of the store.
pub(crate) fn commit_at(store: &Store, revision: u64) -> Result<String, Failure> {
    let head = store.view_at(revision)?.get(HEAD)?;
    let head = head.ok_or_else(|| Failure::said("the store holds something else than a replayed history"))?;
    Ok(String::from_utf8_lossy(head.value()).into_owned())
}

fn no_commit_yet(error: GitError) -> Failure {
    match error {
        GitError::NoCommit { .. } => {
            Failure::said("the repository has no commit yet: there is nothing to replay")
        }
        other => other.into(),
    }
}

fn other_history(last_stored: &str) -> Failure {
    Failure::said(format!(
        "the store was replayed from another history: its last commit, {last_stored}, is not on the first-parent line \
         of HEAD; replay with --fresh, or keep both with --store"
    ))
}

/// How much was replayed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) commits: u64,
    /// Puts and deletes of paths.
    pub(crate) changes: u64,
}

/// Writes the commits of `line` that the store lacks, to the model first, where there is one. `tell` hears of each that
/// is in the store.
pub(crate) fn replay(
    repository: &Repository,
    store: &Store,
    line: &Line,
    model: Option<&RwLock<Model>>,
    mut tell: impl FnMut(Replayed) -> Result<(), Failure>,
) -> Result<Replayed, Failure> {
    let mut flight = Flight { store, waiting: VecDeque::new(), changes: 0, done: Replayed::default() };
    if line.stored == line.commits {
        return Ok(flight.done);
    }
    for (commit, revision) in repository.commits(&line.rest(store)?)?.zip(revision_of(line.stored + 1)..) {
        let commit = commit?;
        let operations = Operations::of(&commit);
        if let Some(model) = model {
            let applied = model.write().apply(&operations.for_model());
            applied.map_err(|error| Failure::said(format!("the model refuses {}: {error}", commit.id)))?;
        }
        while !flight.has_room(&commit) {
            flight.land()?;
            tell(flight.done)?;
        }
        flight.start(&commit, operations, revision);
    }
    while !flight.waiting.is_empty() {
        flight.land()?;
        tell(flight.done)?;
    }
    Ok(flight.done)
}

/// The commits that were handed in and not answered yet.
struct Flight<'a> {
    store: &'a Store,
    waiting: VecDeque<InFlight>,
    changes: usize,
    done: Replayed,
}

struct InFlight {
    write: Write<Committed<()>>,
    /// The answer, if it came at once.
    early: Option<Result<Committed<()>, Error>>,
    changes: usize,
}

impl Flight<'_> {
    fn has_room(&self, commit: &Commit) -> bool {
        let fits = self.changes + commit.changes.len() <= CHANGES_IN_FLIGHT_MAX;
        self.waiting.is_empty() || (fits && self.waiting.len() < COMMITS_IN_FLIGHT_MAX)
    }

    fn start(&mut self, commit: &Commit, operations: Operations, revision: u64) {
        let mut write = transaction(self.store, operations, revision);
        // The first poll hands it in. Nobody need be woken: it is waited for when its turn comes.
        let early = match Pin::new(&mut write).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        let changes = commit.changes.len();
        self.changes += changes;
        self.waiting.push_back(InFlight { write, early, changes });
    }

    /// Waits for the oldest.
    fn land(&mut self) -> Result<(), Failure> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(()) };
        oldest.early.unwrap_or_else(|| oldest.write.wait())?;
        self.changes -= oldest.changes;
        self.done.commits += 1;
        self.done.changes += oldest.changes as u64;
        Ok(())
    }
}

fn transaction(store: &Store, operations: Operations, revision: u64) -> Write<Committed<()>> {
    store.transact(move |txn| {
        if txn.revision() != revision {
            return Err(Error::abort(format!("it would be revision {}, not {revision}", txn.revision())));
        }
        for (key, value) in operations.iter() {
            match value {
                Some(value) => txn.put(key, value)?,
                None if txn.delete(key)? => {}
                None => return Err(Error::abort("git deletes what the store does not have")),
            }
        }
        Ok(())
    })
}
