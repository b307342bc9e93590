//! A twin of the key index that is obviously right, and what is done to both.

use std::collections::BTreeMap;

use watchful_revision::{KeyRange, Revision};

use super::{Direction, KeyIndex, Newest, Spot, Version, Walk};

/// How many spots are kept over a [`Change::Fill`].
const KEPT_MAX: usize = 20;

/// Every version of each key, oldest first.
pub(crate) type Twin = BTreeMap<Vec<u8>, Vec<Version>>;

/// What is done to both.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    /// Forget the oldest version of the key with this number, and the key with its tombstone.
    Forget(usize),
    /// Put so many keys that begin alike, and then again some that were there before. As in a transaction, those have been
    /// looked up before the first of the others came.
    Fill {
        prefix: Vec<u8>,
        keys: u16,
    },
    /// Forget every version of the keys that begin so.
    Clear {
        prefix: Vec<u8>,
    },
}

/// Both.
pub(crate) struct Pair {
    pub(crate) index: KeyIndex,
    pub(crate) twin: Twin,
    /// What was put in, in order, for the builder.
    pub(crate) log: Vec<(Vec<u8>, Newest)>,
    main: u64,
    changes: u32,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self { index: KeyIndex::default(), twin: Twin::new(), log: Vec::new(), main: 1, changes: 0 }
    }

    fn next_revision(&mut self) -> Revision {
        // Two changes in three share their main revision with the one before.
        self.main += u64::from(self.changes.is_multiple_of(3));
        self.changes += 1;
        Revision::new(self.main, self.changes)
    }

    fn add(&mut self, key: &[u8], tombstone: bool) {
        let revision = self.next_revision();
        let sub = revision.sub;
        let newest =
            if tombstone { Newest::tombstone(revision) } else { Newest::put(revision, 7, u64::from(sub)) };
        // Every other time through a spot, which may have been taken before another key came; never that of another key.
        let spot = self.changes.is_multiple_of(2).then(|| self.index.locate(key).1).flatten();
        let neighbour = [key, b"\0"].concat();
        if self.changes.is_multiple_of(4) && !self.twin.contains_key(&neighbour) {
            let revision = Revision::new(self.main, sub + 1_000_000);
            self.index.add(&neighbour, &Newest::put(revision, 7, 1), None);
            self.index.forget(&neighbour, revision);
        }
        self.add_at(key, &newest, spot);
    }

    fn add_at(&mut self, key: &[u8], newest: &Newest, spot: Option<Spot>) {
        self.index.add(key, newest, spot.as_ref());
        self.twin.entry(key.to_vec()).or_default().push(newest.version);
        self.log.push((key.to_vec(), *newest));
    }

    /// The spots of some of the keys, evenly spread.
    fn some_spots(&self) -> Vec<(Vec<u8>, Option<Spot>)> {
        let step = self.twin.len().div_ceil(KEPT_MAX).max(1);
        self.twin.keys().step_by(step).map(|key| (key.clone(), self.index.locate(key).1)).collect()
    }

    fn forget_oldest(&mut self, key: &[u8]) {
        let Some(versions) = self.twin.get_mut(key) else { return };
        let oldest = versions.remove(0);
        if versions.is_empty() {
            self.twin.remove(key);
        }
        self.index.forget(key, oldest.revision);
        self.log.retain(|(_, newest)| newest.version.revision != oldest.revision);
    }

    pub(crate) fn run(&mut self, change: &Change) {
        match change {
            Change::Put(key) => self.add(key, false),
            Change::Delete(key) => self.add(key, true),
            Change::Forget(number) => {
                let number = number % self.twin.len().max(1);
                if let Some(key) = self.twin.keys().nth(number).cloned() {
                    self.forget_oldest(&key);
                }
            }
            Change::Fill { prefix, keys } => {
                let kept = self.some_spots();
                // In order, or neither so nor in reverse.
                let factor = if keys.is_multiple_of(2) { 1 } else { 40503 };
                for number in 0..*keys {
                    self.add(&[&prefix[..], &number.wrapping_mul(factor).to_be_bytes()].concat(), false);
                }
                for (key, spot) in kept {
                    let revision = self.next_revision();
                    self.add_at(&key, &Newest::put(revision, 7, u64::from(revision.sub)), spot);
                }
            }
            Change::Clear { prefix } => {
                let keys: Vec<_> = self.twin.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
                for key in keys {
                    while self.twin.contains_key(&key) {
                        self.forget_oldest(&key);
                    }
                }
            }
        }
    }
}

fn twin_visible(versions: &[Version], at: u64) -> Option<Revision> {
    let last = versions.iter().rfind(|version| version.revision.main <= at)?;
    (!last.tombstone).then_some(last.revision)
}

/// What a walk finds, in turns of so many keys.
pub(crate) fn walk(
    index: &KeyIndex,
    range: &KeyRange,
    direction: Direction,
    at: u64,
    keys_max: usize,
) -> Vec<(Vec<u8>, Revision)> {
    let mut walk = Walk::new(range, direction);
    let mut found = Vec::new();
    while !walk.is_done() {
        let mut in_turn = 0;
        walk.turn(index, at, keys_max, |key, revision| {
            in_turn += 1;
            found.push((key.to_vec(), revision));
        });
        assert!(in_turn <= keys_max);
    }
    found
}

/// Asks both for everything, and for what is in `range` at revision `at`.
pub(crate) fn check(index: &KeyIndex, twin: &Twin, at: u64, range: &KeyRange, keys_max: usize) {
    assert_eq!(index.keys(), twin.len());
    assert_eq!(index.versions(), twin.values().map(Vec::len).sum::<usize>());
    for (key, versions) in twin {
        assert_eq!(index.newest(key).map(|newest| newest.version), versions.last().copied());
        assert_eq!(index.visible(key, at), twin_visible(versions, at));
        assert_eq!(
            index.last_at(key, at),
            versions.iter().rfind(|version| version.revision.main <= at).copied()
        );
        for pair in versions.windows(2) {
            assert_eq!(index.last_before(key, pair[1].revision), Some(pair[0]));
        }
        assert_eq!(index.last_before(key, versions[0].revision), None);
    }
    let mut expected: Vec<_> = twin
        .iter()
        .filter(|(key, _)| range.contains(key))
        .filter_map(|(key, versions)| Some((key.clone(), twin_visible(versions, at)?)))
        .collect();
    assert_eq!(walk(index, range, Direction::Ascending, at, keys_max), expected);
    expected.reverse();
    assert_eq!(walk(index, range, Direction::Descending, at, keys_max), expected);
}
