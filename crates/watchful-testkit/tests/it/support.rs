//! What the tests share: a small store with a little of everything, and histories made of its events.

use watchful_revision::{Event, KeyRange, Revision};
use watchful_testkit::{
    Batch, Model, ModelEvent, Observation, Observed, Promise, Violation, WatchSpec, checkers, script,
};

/// Runs a script on an empty model and compares the answers, one line each.
#[track_caller]
pub(crate) fn check(script: &str, expected: &str) {
    let answers = script::run(&mut Model::new(), script);
    let lines = |text: &str| text.trim().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&answers), lines(expected));
}

/// A model after a script.
pub(crate) fn model(script: &str) -> Model {
    let mut model = Model::new();
    script::run(&mut model, script);
    model
}

/// Revisions 2 to 7: two creates, a transaction of three changes, a re-creation, a delete, a create.
pub(crate) const STORY: &str = "
    put a 1
    put b 1
    txn { put a 2; put b 2; del a }
    put a 3
    del b
    put c 1";

/// The story, and a watch of all of it with previous values.
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) spec: WatchSpec,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self { model: model(STORY), spec: WatchSpec::new(KeyRange::everything(), 2).with_prev_kv() }
    }

    pub(crate) fn with(self, change: impl FnOnce(WatchSpec) -> WatchSpec) -> Self {
        Self { spec: change(self.spec), ..self }
    }

    /// What the model has at a revision, to be told wrong.
    pub(crate) fn owed(&self, main: u64, sub: u32) -> ModelEvent {
        self.model.event_at(Revision::new(main, sub)).expect("the story has this revision")
    }

    pub(crate) fn event(&self, main: u64, sub: u32) -> Event {
        self.owed(main, sub).to_event(self.spec.prev_kv)
    }

    /// A batch that spans its events' revisions.
    pub(crate) fn batch(&self, revisions: &[(u64, u32)]) -> Observation {
        Observation::Batch(self.plain(revisions))
    }

    pub(crate) fn fragment(&self, revisions: &[(u64, u32)]) -> Observation {
        Observation::Batch(self.plain(revisions).fragment())
    }

    pub(crate) fn conflated(&self, first: u64, last: u64, revisions: &[(u64, u32)]) -> Observation {
        let events = revisions.iter().map(|&(main, sub)| self.event(main, sub)).collect();
        Observation::Batch(Batch {
            first_revision: first,
            last_revision: last,
            events,
            fragment: false,
            conflated: true,
        })
    }

    fn plain(&self, revisions: &[(u64, u32)]) -> Batch {
        Batch::of(revisions.iter().map(|&(main, sub)| self.event(main, sub)).collect())
    }

    /// The whole story, one batch a revision.
    pub(crate) fn right(&self) -> Observed {
        Observed::ideal(&self.spec, &self.model)
    }

    #[track_caller]
    pub(crate) fn accepts(&self, observations: &[Observation]) {
        let observed: Observed = observations.iter().cloned().collect();
        assert_eq!(checkers::check_all(&self.spec, &observed, &self.model), Ok(()));
    }

    /// The named checker refuses the history, and so does [`checkers::check_all`], both under the same promise.
    #[track_caller]
    pub(crate) fn refuses(
        &self,
        promise: Promise,
        checker: impl Fn(&WatchSpec, &Observed) -> Result<(), Violation>,
        observations: &[Observation],
    ) -> Violation {
        let observed: Observed = observations.iter().cloned().collect();
        let violation = checker(&self.spec, &observed).expect_err("the history is broken");
        assert_eq!(violation.promise, promise, "{violation}");
        let all = checkers::check_all(&self.spec, &observed, &self.model).expect_err("the history is broken");
        assert!(all.iter().any(|violation| violation.promise == promise), "{all:?}");
        violation
    }
}

pub(crate) fn progress(revision: u64) -> Observation {
    Observation::Progress { revision }
}
