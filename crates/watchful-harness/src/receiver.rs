//! A receiver that writes down what it saw in the testkit's words.

use watchful::{End, Store, Update, Watch};
use watchful_testkit::{self as kit, Model, Observation, Observed, WatchSpec, checkers};

use crate::{PATIENCE, lines, observation, watch_options};

/// A watch, and what it saw in the testkit's words.
pub struct Receiver {
    /// The watch.
    pub watch: Watch,
    /// What it was asked for.
    pub spec: WatchSpec,
    /// What it saw so far.
    pub observed: Observed,
    over: bool,
}

impl Receiver {
    /// Watches what `spec` says.
    pub fn open(store: &Store, spec: WatchSpec) -> Self {
        let watch = store.watch(&watch_options(&spec)).unwrap();
        Self::new(watch, spec)
    }

    /// Writes down what a watch sees, which was asked for what `spec` says.
    pub fn new(watch: Watch, spec: WatchSpec) -> Self {
        // The facade's own watch exists as soon as it is returned: there is no update that says so.
        Self { watch, spec, observed: Observed::from_iter([Observation::Created]), over: false }
    }

    /// Takes the next update. False once the watch is over.
    pub fn read_one(&mut self) -> bool {
        let update = self.watch.wait_next_for(PATIENCE).expect("an update was owed");
        self.see(update)
    }

    /// Writes an update down. False once the watch is over.
    pub fn see(&mut self, update: Option<Result<Update, End>>) -> bool {
        let Some(update) = update else {
            self.over = true;
            return false;
        };
        if let Some(observation) = observation(update) {
            self.over |= observation.is_end();
            self.observed.push(observation);
        }
        true
    }

    /// Reads until everything up to `revision` was said to be here, or the watch is over.
    pub fn read_to(&mut self, revision: u64) {
        if self.last_progress() >= revision {
            return;
        }
        self.watch.ask_progress(revision);
        while self.last_progress() < revision && !self.over {
            self.read_one();
        }
    }

    /// Reads until the watch is over, and that nothing comes after it.
    pub fn read_to_the_end(&mut self) -> Observation {
        while !self.over {
            self.read_one();
        }
        assert!(self.watch.wait_next_for(PATIENCE).unwrap().is_none(), "something came after the end");
        self.observed.observations().last().unwrap().clone()
    }

    /// The revision of the progress that was seen last of all; 0 where it was something else.
    pub fn last_progress(&self) -> u64 {
        match self.observed.observations().last() {
            Some(Observation::Progress { revision }) => *revision,
            _ => 0,
        }
    }

    /// Every promise, against a model that is at least as far.
    pub fn check(&self, model: &Model) {
        if let Err(violations) = checkers::check_all(&self.spec, &self.observed, model) {
            panic!("{:?}: {violations:#?}", self.spec);
        }
        if self.spec.policy != kit::Policy::Conflate {
            assert_eq!(self.watch.next_revision(), self.observed.next_revision(&self.spec));
        }
    }

    /// What was seen, as [`lines`](crate::lines).
    pub fn lines(&self) -> Vec<String> {
        lines(&self.observed)
    }
}
