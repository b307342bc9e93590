//! The watcher index beside a plain list: the same steps for both, and everything compared.
//!
//! **What it is for:** the index's own properties and the fuzzer take the same steps. Who makes them up is theirs; what they
//! do, and what is compared after each, stands here, once.
//!
//! **What it is not for:** nothing outside tests may depend on this crate.
//!
//! ```
//! use watchful_revision::KeyRange;
//! use watchful_watcher_index::{GroupId, WatcherIndex};
//! use watchful_watcher_index_twin::{Step, Twins};
//!
//! let mut twins = Twins::new(WatcherIndex::new());
//! twins.step(&Step::Insert(KeyRange::prefix("a"), GroupId(1)));
//! twins.step(&Step::Stab(b"ab".to_vec()));
//! twins.take_out();
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "it is for tests, and panics where the two do not agree")]

use watchful_revision::KeyRange;
use watchful_testkit::RangeList;
use watchful_watcher_index::{GroupId, WatcherIndex};

/// What is done to both, or asked of both.
#[derive(Clone, Debug)]
pub enum Step {
    /// Adds a pair, which may be there.
    Insert(KeyRange, GroupId),
    /// Removes a pair, which may or may not be there.
    Remove(KeyRange, GroupId),
    /// Removes one of the pairs that are there, counted round and round.
    RemoveOne(usize),
    /// Asks who watches a key.
    Stab(Vec<u8>),
}

/// The two of them.
#[derive(Debug)]
pub struct Twins {
    index: WatcherIndex,
    list: RangeList<GroupId>,
}

impl Twins {
    /// An index in which nobody watches yet, and its list.
    #[must_use]
    pub fn new(index: WatcherIndex) -> Self {
        Self { index, list: RangeList::default() }
    }

    /// Takes a step with both, and compares.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Insert(range, group) => self.insert(range, *group),
            Step::Remove(range, group) => self.remove(range, *group),
            Step::RemoveOne(at) => self.remove_one(*at),
            Step::Stab(key) => self.check_stab(key),
        }
        assert_eq!((self.index.len(), self.index.is_empty()), (self.list.len(), self.list.is_empty()));
    }

    /// Everybody goes, in whatever order the list has come to.
    pub fn take_out(&mut self) {
        while !self.list.is_empty() {
            self.remove_one(self.list.len() / 2);
        }
        assert!(self.index.is_empty());
    }

    fn insert(&mut self, range: &KeyRange, group: GroupId) {
        let absent = self.list.insert(range, group);
        assert_eq!(self.index.insert(range, group), absent, "insert of {range} {group:?}");
        self.check_range(range);
    }

    fn remove(&mut self, range: &KeyRange, group: GroupId) {
        let present = self.list.remove(range, group);
        assert_eq!(self.index.remove(range, group), present, "remove of {range} {group:?}");
        self.check_range(range);
    }

    fn remove_one(&mut self, at: usize) {
        if let Some(at) = at.checked_rem(self.list.len()) {
            let (range, group) = self.list.pairs()[at].clone();
            self.remove(&range, group);
        }
    }

    fn check_range(&self, range: &KeyRange) {
        let mut found = Vec::new();
        self.index.groups_of(range, &mut found);
        found.sort();
        assert_eq!(found, self.list.of(range), "groups of {range}");
        self.check_stab(range.start());
        self.check_stab(&range.end().unwrap_or_else(|| vec![0xff; 9]));
    }

    fn check_stab(&self, key: &[u8]) {
        let mut found = Vec::new();
        self.index.stab(key, &mut found);
        found.sort();
        assert_eq!(found, self.list.stab(key), "stab of {}", key.escape_ascii());
    }
}
