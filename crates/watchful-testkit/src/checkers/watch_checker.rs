//! All the rules at once: over a stream, or over a kept history.

use super::key_history::KeyHistory;
use super::lifecycle::{Compacted, Lifecycle};
use super::order::{Bookmarkable, NoRepeat, Ordered};
use super::rule::{Rule, Seen};
use super::wanted::{Filtered, FutureStart};
use super::whole::Atomic;
use super::{compacted_is_true, conflated, create_flag, prev_kv, reliable, unique};
use crate::history::Cursor;
use crate::{Model, Observation, Observed, Policy, Violation, WatchSpec};

/// Runs every checker that applies to one watch's history, and answers one violation a rule at most.
///
/// The model must be at least as far as the history. Left out are [`resumable`](super::resumable), which needs two
/// histories, [`hand_over`](super::hand_over), which is made of these, and the checkers of the store.
///
/// # Errors
///
/// All that is broken.
pub fn check_all(spec: &WatchSpec, observed: &Observed, model: &Model) -> Result<(), Vec<Violation>> {
    let mut checker = WatchChecker::new(spec.clone());
    for observation in observed.observations() {
        // What it answers is in `violations` too.
        let _ = checker.observe(observation);
    }
    let mut violations = checker.into_violations();
    let against_model: &[AgainstModel] = match spec.policy {
        Policy::Conflate => &[conflated, create_flag, compacted_is_true],
        Policy::Replay | Policy::Cancel => &[reliable, prev_kv, create_flag, compacted_is_true],
    };
    violations.extend(unique(spec, observed).err());
    violations.extend(against_model.iter().filter_map(|check| check(spec, observed, model).err()));
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

type AgainstModel = fn(&WatchSpec, &Observed, &Model) -> Result<(), Violation>;

/// Checks a watch's history as it comes, without keeping it.
///
/// It runs the rules that need no model: 1, 2, 4, 6, 7, 10 and 15, what [`lifecycle`](super::lifecycle) says, and
/// 3, 8 and 9 as far as [`key_history`](super::key_history) can see them. It remembers a few numbers, and one small
/// entry a key.
pub struct WatchChecker {
    spec: WatchSpec,
    at: usize,
    cursor: Cursor,
    rules: Vec<Box<dyn Rule + Send>>,
    violations: Vec<Violation>,
}

impl WatchChecker {
    /// The checker of a watch that has just been registered.
    #[must_use]
    pub fn new(spec: WatchSpec) -> Self {
        let rules: Vec<Box<dyn Rule + Send>> = vec![
            Box::<Ordered>::default(),
            Box::<NoRepeat>::default(),
            Box::<Atomic>::default(),
            Box::<Bookmarkable>::default(),
            Box::new(Filtered),
            Box::new(FutureStart),
            Box::new(Compacted::new(&spec)),
            Box::<Lifecycle>::default(),
            Box::<KeyHistory>::default(),
        ];
        Self { at: 0, cursor: Cursor::of(&spec), spec, rules, violations: Vec::new() }
    }

    /// Sees the next observation. A rule that is broken reports it once and is not asked again.
    ///
    /// # Errors
    ///
    /// The first violation that this observation shows.
    pub fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        let seen = Seen { spec: &self.spec, at: self.at, observation };
        let known = self.violations.len();
        self.rules.retain_mut(|rule| match rule.see(seen) {
            Ok(()) => true,
            Err(violation) => {
                self.violations.push(violation);
                false
            }
        });
        self.at += 1;
        self.cursor.pass(observation);
        self.violations.get(known).map_or(Ok(()), |violation| Err(violation.clone()))
    }

    /// The first main revision that the receiver still lacks: where a new watch goes on from.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        self.cursor.next_revision
    }

    /// What was found so far: one violation a rule at most.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What was found.
    #[must_use]
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }
}
