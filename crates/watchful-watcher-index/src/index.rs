//! The index itself: which shape of range is kept where.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use watchful_revision::{KeyRange, RangeShape};

use crate::interval_tree::IntervalTree;
use crate::key_map::KeyMap;
use crate::prefix_table::PrefixTable;

/// A group of watchers, by the number its owner gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Finds the groups whose ranges hold a key.
///
/// ```
/// use watchful_revision::KeyRange;
/// use watchful_watcher_index::{GroupId, WatcherIndex};
///
/// let index = WatcherIndex::new();
/// index.insert(&KeyRange::key("app/web"), GroupId(1));
/// index.insert(&KeyRange::prefix("app/"), GroupId(2));
/// index.insert(&KeyRange::between("a", "b")?, GroupId(3));
///
/// let mut found = Vec::new();
/// index.stab(b"app/db", &mut found);
/// found.sort();
/// assert_eq!(found, [GroupId(2), GroupId(3)]);
/// # Ok::<(), watchful_revision::EmptyRange>(())
/// ```
#[derive(Default)]
pub struct WatcherIndex {
    keys: KeyMap,
    ranges: RwLock<Ranges>,
    key_pairs: Pairs,
    range_pairs: Pairs,
}

/// How many pairs of range and group there are of one kind, and never fewer than there are: one that comes is counted
/// before it is there, one that goes after it is gone. So where none is counted nobody needs to look, which spares a stab
/// the lock of the half that is not in use.
#[derive(Default)]
struct Pairs(AtomicUsize);

/// What is not a single key. One lock for both, so that a prefix is looked for in both places in one turn.
#[derive(Default)]
struct Ranges {
    prefixes: PrefixTable,
    /// Ranges between two keys, from a key on, and prefixes of lengths that the table had no room for when they came.
    /// Such a prefix stays here even when room is made later, so it is in one of the two, never in both.
    tree: IntervalTree,
}

impl WatcherIndex {
    /// An empty index, for many ranges and many threads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty index for few threads, cheap to create and to drop. It finds and holds as much as any other.
    #[must_use]
    pub fn small() -> Self {
        let (ranges, key_pairs, range_pairs) = Default::default();
        Self { keys: KeyMap::small(), ranges, key_pairs, range_pairs }
    }

    /// Adds the pair; false if it was there already.
    ///
    /// A single key costs one step, a prefix too, another range the logarithm of how many such ranges there are. The
    /// bytes of a single key or a prefix are shared with `range`, those of another range are copied.
    pub fn insert(&self, range: &KeyRange, group: GroupId) -> bool {
        match (range.shape(), range.shared_bytes()) {
            (RangeShape::Key(_), Some(key)) => self.key_pairs.add(|| self.keys.insert(key, group)),
            _ => self.range_pairs.add(|| self.ranges.write().insert(range, group)),
        }
    }

    /// Removes the pair; false if it was not there. What a removed range took is kept for the next one.
    pub fn remove(&self, range: &KeyRange, group: GroupId) -> bool {
        match (range.shape(), range.shared_bytes()) {
            (RangeShape::Key(_), Some(key)) => self.key_pairs.take(|| self.keys.remove(key, group)),
            _ => self.range_pairs.take(|| self.ranges.write().remove(range, group)),
        }
    }

    /// Appends every group that watches `key`, in no promised order.
    ///
    /// A group is appended once for each of its ranges that holds the key: at most once, then, as long as the ranges
    /// of one group are disjoint, which is the caller's promise. A group that is there before the call and after it is
    /// found, whatever else comes and goes meanwhile.
    pub fn stab(&self, key: &[u8], found: &mut Vec<GroupId>) {
        if self.key_pairs.count() > 0 {
            self.keys.stab(key, found);
        }
        if self.range_pairs.count() > 0 {
            self.ranges.read().stab(key, found);
        }
    }

    /// Appends the groups that were inserted under exactly this range, in no promised order.
    pub fn groups_of(&self, range: &KeyRange, found: &mut Vec<GroupId>) {
        match range.shape() {
            RangeShape::Key(key) => self.keys.stab(key, found),
            _ => self.ranges.read().groups_of(range, found),
        }
    }

    /// How many pairs of range and group there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.key_pairs.count() + self.range_pairs.count()
    }

    /// Whether nobody watches anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how much memory the index takes, in bytes: tables at their capacity, and the bytes of the keys, even
    /// where those are shared with the ranges they came from. Looks at every range, so it is for reports.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let ranges = self.ranges.read();
        size_of::<Self>()
            + self.keys.memory_bytes()
            + ranges.prefixes.memory_bytes()
            + ranges.tree.memory_bytes()
    }
}

impl Pairs {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, insert: impl FnOnce() -> bool) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        let inserted = insert();
        self.0.fetch_sub(usize::from(!inserted), Ordering::Relaxed);
        inserted
    }

    fn take(&self, remove: impl FnOnce() -> bool) -> bool {
        let removed = remove();
        self.0.fetch_sub(usize::from(removed), Ordering::Relaxed);
        removed
    }
}

impl fmt::Debug for WatcherIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatcherIndex").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Ranges {
    fn insert(&mut self, range: &KeyRange, group: GroupId) -> bool {
        match table_prefix(range) {
            Some(prefix) if self.prefixes.takes(prefix.len()) && !self.tree.holds(range) => {
                self.prefixes.insert(prefix, group)
            }
            _ => self.tree.insert(range, group),
        }
    }

    fn remove(&mut self, range: &KeyRange, group: GroupId) -> bool {
        let from_table = match range.shape() {
            RangeShape::Prefix(prefix) => self.prefixes.remove(prefix, group),
            _ => false,
        };
        from_table || self.tree.remove(range, group)
    }

    fn stab(&self, key: &[u8], found: &mut Vec<GroupId>) {
        self.prefixes.stab(key, found);
        self.tree.stab(key, found);
    }

    fn groups_of(&self, range: &KeyRange, found: &mut Vec<GroupId>) {
        if let RangeShape::Prefix(prefix) = range.shape() {
            self.prefixes.groups_of(prefix, found);
        }
        self.tree.groups_of(range, found);
    }
}

fn table_prefix(range: &KeyRange) -> Option<Arc<[u8]>> {
    range.shared_bytes().filter(|_| matches!(range.shape(), RangeShape::Prefix(_)))
}
