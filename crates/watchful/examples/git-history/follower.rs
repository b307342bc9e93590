//! A watcher on a thread of its own, and the check of everything that is delivered to it.
//!
//! Three things are checked as events come, and none keeps them:
//!
//! - the rules that need nothing but the history itself (the testkit's [`WatchChecker`]);
//! - that each event is the model's, and none is missing (its [`ModelChecker`]), where there is a model;
//! - that the tree pieced together from the state before the first event, and every event, is git's tree at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use watchful::{Batch, End, EventKind, KeyRange, Store, StreamId, Update, Watch, WatchOptions};
use watchful_testkit::checkers::{ModelChecker, WatchChecker};
use watchful_testkit::{Batch as ObservedBatch, Model, Observation, WatchSpec};

use crate::failure::Failure;
use crate::keys::{HEAD, key_of, path_of, paths, split_value};
use crate::quote::quoted;
use crate::tree::Tree;

/// How long the slow one rests after each batch, while there is a replay.
const REST: Duration = Duration::from_millis(20);

/// What all followers of one run share.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) store: Store,
    /// Where every follower ends.
    pub(crate) last_revision: u64,
    /// The id of the commit of that revision, and its tree, as git says.
    pub(crate) newest: String,
    pub(crate) tree: Tree,
    /// Only for a store that began with this run: what was in one before is not in the model.
    pub(crate) model: Option<RwLock<Model>>,
    pub(crate) replaying: AtomicBool,
}

/// What is followed, from when, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) range: KeyRange,
    pub(crate) start_revision: u64,
    pub(crate) slow: bool,
}

impl Plan {
    pub(crate) fn everything(name: &str, start_revision: u64) -> Self {
        Self { name: name.to_owned(), range: KeyRange::everything(), start_revision, slow: false }
    }

    /// One top-level folder, from the first revision on.
    pub(crate) fn folder(folder: &[u8]) -> Self {
        let prefix = [folder, b"/"].concat();
        Self { name: quoted(&prefix), range: paths(&prefix), start_revision: 1, slow: false }
    }

    pub(crate) fn slow(self) -> Self {
        Self { slow: true, ..self }
    }
}

/// A follower at work.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Which of the store's streams is its own.
    pub(crate) stream: StreamId,
    pub(crate) thread: JoinHandle<Result<Outcome, Failure>>,
}

/// What became of a follower.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) events: u64,
    /// How many observations were checked.
    pub(crate) observations: u64,
    /// From its start to its last event.
    pub(crate) elapsed: Duration,
    /// How many revisions the store was ahead of what was just taken, at worst.
    pub(crate) lag_revisions_max: u64,
    pub(crate) violations: Vec<String>,
}

/// Starts a follower. It ends by itself at the last revision of the course, or with the store.
pub(crate) fn start(course: &Arc<Course>, plan: Plan) -> Result<Follower, Failure> {
    let options = WatchOptions::new(plan.range.clone()).start_at(plan.start_revision);
    let watch = course.store.watch(&options)?;
    watch.ask_progress(course.last_revision);
    let status = watch.status().wait()?.ok_or_else(|| Failure::said("a watch was gone at once"))?;
    let course = Arc::clone(course);
    let thread = thread::Builder::new().name(format!("follow {}", plan.name));
    let thread = thread.spawn(move || run(&course, &plan, watch));
    let thread = thread.map_err(|error| Failure::said(format!("a thread cannot be started: {error}")))?;
    Ok(Follower { stream: status.stream, thread })
}

fn run(course: &Course, plan: &Plan, mut watch: Watch) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let mut outcome = Outcome { name: plan.name.clone(), ..Outcome::default() };
    let mut check = Check::begin(course, plan)?;
    loop {
        let update = match watch.wait_next() {
            Some(Ok(update)) => update,
            Some(Err(End::Closed)) | None => return Err(Failure::Stopped),
            Some(Err(end)) => return Err(Failure::said(format!("the watch of {} ended: {end}", plan.name))),
        };
        let behind = course.store.current_revision().saturating_sub(watch.next_revision() - 1);
        outcome.lag_revisions_max = outcome.lag_revisions_max.max(behind);
        outcome.observations += 1;
        check.see(&update, course.model.as_ref());
        match update {
            Update::Events(batch) => {
                outcome.events += batch.events().len() as u64;
                outcome.elapsed = start.elapsed();
                plan.rest(&course.replaying);
            }
            Update::Progress { revision } if revision >= course.last_revision => break,
            Update::Progress { .. } => {}
        }
    }
    outcome.violations = check.finish(course, plan);
    Ok(outcome)
}

impl Plan {
    fn rest(&self, replaying: &AtomicBool) {
        if self.slow && replaying.load(Ordering::Relaxed) {
            thread::sleep(REST);
        }
    }
}

/// Everything that is checked of one follower.
struct Check {
    rules: WatchChecker,
    model: Option<ModelChecker>,
    /// Without the key `HEAD`.
    tree: Tree,
    head: Vec<u8>,
    violations: Vec<String>,
}

impl Check {
    fn begin(course: &Course, plan: &Plan) -> Result<Self, Failure> {
        let spec = WatchSpec::new(plan.range.clone(), plan.start_revision);
        let mut rules = WatchChecker::new(spec.clone());
        let violations = rules.observe(&Observation::Created).err().iter().map(ToString::to_string).collect();
        let model = course.model.as_ref().map(|_| ModelChecker::new(spec));
        let mut check = Self { rules, model, tree: BTreeMap::new(), head: Vec::new(), violations };
        // The store is empty at revision 1, and there is nothing before it.
        let before = course.store.view_at((plan.start_revision - 1).max(1))?;
        for turn in before.scan(&plan.range) {
            turn?.iter().for_each(|record| check.put(record.key(), record.value()));
        }
        Ok(check)
    }

    fn see(&mut self, update: &Update, model: Option<&RwLock<Model>>) {
        let observation = match update {
            Update::Events(batch) => {
                self.apply(batch);
                observed(batch)
            }
            Update::Progress { revision } => Observation::Progress { revision: *revision },
        };
        let by_rules = self.rules.observe(&observation).err();
        let by_model = self.model.as_mut().zip(model);
        let by_model =
            by_model.and_then(|(checker, model)| checker.observe(&observation, &model.read()).err());
        self.violations.extend(by_rules.iter().chain(&by_model).map(ToString::to_string));
        if by_model.is_some() {
            // One difference brings many more.
            self.model = None;
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for event in batch.events() {
            match event.kind() {
                EventKind::Put => self.put(event.key(), event.value()),
                EventKind::Delete => drop(path_of(event.key()).and_then(|path| self.tree.remove(path))),
            }
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        match path_of(key) {
            Some(path) => drop(self.tree.insert(path.to_vec(), split_value(value).0.to_vec())),
            None => self.head = value.to_vec(),
        }
    }

    /// Compares with git what came together.
    fn finish(mut self, course: &Course, plan: &Plan) -> Vec<String> {
        let mut owed = course.tree.iter().filter(|(path, _)| plan.range.contains(&key_of(path)));
        let mut found = self.tree.iter();
        loop {
            match (owed.next(), found.next()) {
                (None, None) => break,
                (owed, found) if owed == found => {}
                (owed, found) => {
                    self.violations.push(format!(
                        "git's tree has {} and the watch {}",
                        line(owed),
                        line(found)
                    ));
                    break;
                }
            }
        }
        if plan.range.contains(HEAD) && self.head != course.newest.as_bytes() {
            self.violations.push(format!(
                "HEAD is {} and the watch has {}",
                course.newest,
                quoted(&self.head)
            ));
        }
        self.violations
    }
}

fn line(entry: Option<(&Vec<u8>, &Vec<u8>)>) -> String {
    entry.map_or("nothing more".to_owned(), |(path, left)| format!("{} {}", quoted(left), quoted(path)))
}

fn observed(batch: &Batch) -> Observation {
    Observation::Batch(ObservedBatch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    })
}
