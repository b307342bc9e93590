//! Somebody who is far behind, all the time: as soon as one laggard has caught up the next begins.
//!
//! A laggard that has not caught up when a round is over is not read until the next one: its outbox is full then, and
//! nothing is read for it. So a round without a laggard is one with a watcher that stands still.

use std::time::{Duration, Instant};

use watchful::Store;

use super::support::figure;
use super::watched::CheckedWatch;
use crate::Outcome;

/// How long a laggard may wait for anything at all.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Laggards, one at a time, each so far behind at its beginning.
pub(crate) struct Laggards<'a> {
    store: &'a Store,
    behind: u64,
    current: Option<Laggard>,
    read_before: u64,
    finished: u64,
    given: u64,
}

struct Laggard {
    watch: CheckedWatch,
    start: u64,
    /// What was the newest revision when it began: having that, it has caught up.
    newest: u64,
}

/// What became of them.
pub(crate) struct CaughtUp {
    pub(crate) laggards: u64,
    /// Revisions of history that were read for each.
    pub(crate) read_each: f64,
    /// The same for each revision that one was given, what came meanwhile among them.
    pub(crate) read_of_given: f64,
}

impl<'a> Laggards<'a> {
    pub(crate) fn new(store: &'a Store, behind: u64) -> Self {
        let read_before = store.stats().history_revisions;
        Self { store, behind, current: None, read_before, finished: 0, given: 0 }
    }

    /// Reads until the time is over.
    pub(crate) fn run_until(&mut self, until: Instant) -> Outcome {
        while Instant::now() < until {
            self.step(until)?;
        }
        Ok(())
    }

    /// Reads until the last one has caught up.
    pub(crate) fn finish(mut self) -> Outcome<CaughtUp> {
        while self.current.is_some() {
            let before = (self.finished, self.next_revision());
            self.step(Instant::now() + SILENCE_MAX)?;
            if before == (self.finished, self.next_revision()) {
                return Err(format!("the laggard was to be given {:?}", before.1).into());
            }
        }
        let read = figure(self.store.stats().history_revisions - self.read_before);
        Ok(CaughtUp {
            laggards: self.finished,
            read_each: read / figure(self.finished.max(1)),
            read_of_given: read / figure(self.given.max(1)),
        })
    }

    fn next_revision(&self) -> Option<u64> {
        self.current.as_ref().map(|laggard| laggard.watch.next_revision())
    }

    /// Takes one update, or ends a laggard that has everything.
    fn step(&mut self, until: Instant) -> Outcome {
        let laggard = match &mut self.current {
            Some(laggard) => laggard,
            none => none.insert(Laggard::begin(self.store, self.behind)?),
        };
        laggard.watch.take_for(until.saturating_duration_since(Instant::now()))?;
        let next = laggard.watch.next_revision();
        if next > laggard.newest {
            self.finished += 1;
            self.given += next - laggard.start;
            self.current = None;
        }
        Ok(())
    }
}

impl Laggard {
    fn begin(store: &Store, behind: u64) -> Outcome<Self> {
        let newest = store.current_revision();
        let start = newest + 1 - behind;
        Ok(Self { watch: CheckedWatch::open(store, start)?, start, newest })
    }
}
