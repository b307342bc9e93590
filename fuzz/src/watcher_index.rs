//! The watcher index and a plain list do the same steps, and must always agree.

use arbitrary::{Result, Unstructured};
use watchful_revision::KeyRange;
use watchful_testkit::RangeList;
use watchful_watcher_index::{GroupId, WatcherIndex};

use crate::input::{self, weighted};

/// The most steps. More say nothing that fewer do not.
const STEPS_MAX: usize = 300;

struct Twins {
    index: WatcherIndex,
    list: RangeList<GroupId>,
}

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut twins = Twins { index: WatcherIndex::small(), list: RangeList::default() };
    for _ in 0..STEPS_MAX {
        if u.is_empty() || twins.step(&mut u).is_err() {
            break;
        }
    }
    twins.take_out();
}

impl Twins {
    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match weighted(u, &[6, 1, 3, 3, 1])? {
            0 => self.insert(&range(u)?, group(u)?),
            1 => self.remove(&range(u)?, group(u)?),
            2 if !self.list.is_empty() => {
                let at = u.arbitrary::<u8>()?;
                let (range, group) = self.list.pairs()[usize::from(at) % self.list.len()].clone();
                self.remove(&range, group);
            }
            3 => self.check_stab(&key(u)?),
            // More lengths of prefixes than the table takes.
            4 => (0..u.int_in_range(40..=70)?).for_each(|len| {
                self.insert(&KeyRange::prefix(vec![b'a'; len]), GroupId(9));
            }),
            _ => {}
        }
        assert_eq!((self.index.len(), self.index.is_empty()), (self.list.len(), self.list.is_empty()));
        Ok(())
    }

    fn insert(&mut self, range: &KeyRange, group: GroupId) {
        assert_eq!(self.index.insert(range, group), self.list.insert(range, group), "insert of {range}");
        self.check_range(range);
    }

    fn remove(&mut self, range: &KeyRange, group: GroupId) {
        assert_eq!(self.index.remove(range, group), self.list.remove(range, group), "remove of {range}");
        self.check_range(range);
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

    /// Everybody goes, in any order that the list has come to.
    fn take_out(&mut self) {
        while !self.list.is_empty() {
            let (range, group) = self.list.pairs()[self.list.len() / 2].clone();
            self.remove(&range, group);
        }
        assert!(self.index.is_empty());
    }
}

fn group(u: &mut Unstructured<'_>) -> Result<GroupId> {
    Ok(GroupId(u.int_in_range(0..=3)?))
}

/// Mostly short and colliding, now and then one of a hundred lengths.
fn key(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match weighted(u, &[6, 2, 1])? {
        0 => input::short(u, 0)?.to_vec(),
        1 => [input::short(u, 0)?, input::short(u, 0)?].concat(),
        _ => [vec![b'a'; u.int_in_range(1..=100)?], input::short(u, 0)?.to_vec()].concat(),
    })
}

fn range(u: &mut Unstructured<'_>) -> Result<KeyRange> {
    Ok(match weighted(u, &[1, 2, 1, 4])? {
        0 => KeyRange::key(key(u)?),
        1 => KeyRange::prefix(key(u)?),
        2 => KeyRange::from_key(key(u)?),
        _ => {
            let (a, b) = (key(u)?, key(u)?);
            KeyRange::between(a.clone().min(b.clone()), a.clone().max(b)).unwrap_or(KeyRange::key(a))
        }
    })
}
