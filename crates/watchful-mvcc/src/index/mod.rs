//! The key index: every key in order, with the revisions of its versions. It says *where* in the log a version is; what
//! a version holds is read there.
//!
//! **What it is for:** the version of a key that is visible at a revision, a key's newest version, the version before
//! another, and walks over ranges of keys in short turns.
//!
//! **What it is not for:** it takes no lock (its owner does), and it knows nothing of leases, tables or compaction. It is
//! not on the disk: it is built anew at each open, from one scan of the log.
//!
//! # Shape
//!
//! Three levels: a root, branches of up to 128 leaves, leaves of up to 64 keys. All three keep their keys in flat
//! buffers. The root alone has no bound: with a hundred million keys it has some ten thousand branches, and is changed
//! once in some thousand new keys.
//!
//! A key takes its bytes, eight for finding them, and 32 for its entry; an older version takes 12 bytes, and a key that
//! has one, 32 more. What the buffers keep free comes to that.
//!
//! # Invariants
//!
//! - Keys are in order within a leaf, across leaves, and across branches.
//! - No leaf is empty, except one that is alone.
//! - A key's versions rise. The newest is in the key's entry, the others in its history.
//! - What a reader at revision `r` sees does not change when versions above `r` are added.

mod entry;

mod keys;

mod leaf;

mod branch;

mod histories;

mod walk;

mod build;

#[cfg(test)]
mod twin;

#[cfg(test)]
mod tests;

use watchful_revision::Revision;

pub(crate) use build::{Guess, IndexBuilder};
pub(crate) use entry::{CHANGES_MAX, Newest, Version};
pub(crate) use walk::{Direction, Walk};

use branch::Branch;
use entry::{Entry, NO_HISTORY};
use histories::Histories;
use leaf::Leaf;

/// The most bytes a key may have. So that the keys of a leaf, of which there are at most 64, stay far below 4 GiB.
pub(crate) const KEY_LEN_MAX: usize = 16 << 20;

/// The most leaves in a branch. Adding one moves half of them, at 120 bytes each.
const LEAVES_MAX: usize = 128;

/// The key index. See the module's front page.
pub(crate) struct KeyIndex {
    root: Branch<Branch<Leaf>>,
    histories: Histories,
    keys: usize,
    /// What the branches and leaves take on the heap.
    tree_bytes: usize,
    /// Counts how often leaves have been split and joined, so that a [`Spot`] can tell whether it still holds.
    tree_changes: u32,
}

/// Where a key is in the index, or where it would go, until other keys come or go there.
///
/// Who changes a key has looked it up before, and on a large index the second search would cost as much as the first:
/// both wait for memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    branch: u32,
    leaf: u32,
    at: u32,
    is_found: bool,
    leaf_changes: u32,
    tree_changes: u32,
}

impl Default for KeyIndex {
    fn default() -> Self {
        let branch = Branch::of(Leaf::default());
        let tree_bytes = branch.heap_bytes();
        Self {
            root: Branch::of(branch),
            histories: Histories::default(),
            keys: 0,
            tree_bytes,
            tree_changes: 0,
        }
    }
}

impl KeyIndex {
    /// How many keys there are, deleted ones that compaction has not removed yet among them.
    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// How many versions there are of all keys together.
    pub(crate) fn versions(&self) -> usize {
        self.keys + self.histories.versions()
    }

    /// What the index takes on the heap, without what the allocator adds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.tree_bytes + self.root.heap_bytes() + self.histories.heap_bytes()
    }

    /// The newest version of `key`, which may be a tombstone.
    pub(crate) fn newest(&self, key: &[u8]) -> Option<Newest> {
        self.find(key).map(Entry::newest)
    }

    /// The version of `key` that is seen at main revision `at`: none when the key is not there then.
    pub(crate) fn visible(&self, key: &[u8], at: u64) -> Option<Revision> {
        self.visible_version(self.find(key)?, at)
    }

    /// The version of `key` right before `before`, which may be a tombstone.
    pub(crate) fn last_before(&self, key: &[u8], before: Revision) -> Option<Version> {
        self.last_version(self.find(key)?, |revision| revision < before)
    }

    /// The newest version of `key` whose main revision is `at` or below, which may be a tombstone.
    pub(crate) fn last_at(&self, key: &[u8], at: u64) -> Option<Version> {
        self.last_version(self.find(key)?, |revision| revision.main <= at)
    }

    fn visible_version(&self, entry: &Entry, at: u64) -> Option<Revision> {
        let version = self.last_version(entry, |revision| revision.main <= at)?;
        (!version.tombstone).then_some(version.revision)
    }

    fn last_version(&self, entry: &Entry, is_before: impl Fn(Revision) -> bool) -> Option<Version> {
        let newest = entry.version();
        if is_before(newest.revision) {
            return Some(newest);
        }
        self.histories.last(entry.history, is_before)
    }

    fn find(&self, key: &[u8]) -> Option<&Entry> {
        let (branch, leaf) = self.place_of(key);
        let leaf = &self.root.children[branch].children[leaf];
        Some(leaf.entry(leaf.keys.search(key).ok()?))
    }

    /// The branch, and the leaf in it, that `key` belongs to.
    fn place_of(&self, key: &[u8]) -> (usize, usize) {
        let branch = self.root.child_of(key);
        (branch, self.root.children[branch].child_of(key))
    }

    /// The newest version of `key`, which may be a tombstone, and where the next one goes.
    pub(crate) fn locate(&self, key: &[u8]) -> (Option<Newest>, Option<Spot>) {
        let place = self.place_of(key);
        let leaf = &self.root.children[place.0].children[place.1];
        let found = leaf.keys.search(key);
        let newest = found.ok().map(|at| leaf.entry(at).newest());
        (newest, self.spot(place, found))
    }

    fn spot(&self, (branch, leaf): (usize, usize), found: Result<usize, usize>) -> Option<Spot> {
        let (Ok(at) | Err(at)) = found;
        Some(Spot {
            branch: u32::try_from(branch).ok()?,
            leaf: u32::try_from(leaf).ok()?,
            at: u32::try_from(at).ok()?,
            is_found: found.is_ok(),
            leaf_changes: self.root.children[branch].children[leaf].changes(),
            tree_changes: self.tree_changes,
        })
    }

    /// What a search for the spot's key would find, if the spot still holds.
    fn recall(&self, spot: &Spot) -> Option<((usize, usize), Result<usize, usize>)> {
        let place = (spot.branch as usize, spot.leaf as usize);
        let holds = spot.tree_changes == self.tree_changes
            && spot.leaf_changes == self.root.children[place.0].children[place.1].changes();
        let at = spot.at as usize;
        holds.then_some((place, if spot.is_found { Ok(at) } else { Err(at) }))
    }

    /// Has the processor fetch the entries at `spots`, all at once, so that adding to them one by one does not wait for
    /// memory in turn.
    pub(crate) fn fetch<'s>(&self, spots: impl Iterator<Item = &'s Spot>) {
        let entry = |spot| match self.recall(spot) {
            Some(((branch, leaf), Ok(at))) => self.root.children[branch].children[leaf].entry(at).history,
            _ => NO_HISTORY,
        };
        std::hint::black_box(spots.map(entry).fold(0, u32::wrapping_add));
    }

    /// Adds a version of `key`, above all it has. `spot` saves the search, if [`locate`](Self::locate) was asked before.
    pub(crate) fn add(&mut self, key: &[u8], newest: &Newest, spot: Option<&Spot>) {
        let (place, found) = spot.and_then(|spot| self.recall(spot)).unwrap_or_else(|| {
            let place = self.place_of(key);
            (place, self.root.children[place.0].children[place.1].keys.search(key))
        });
        let leaf = &mut self.root.children[place.0].children[place.1];
        debug_assert_eq!(leaf.keys.search(key), found, "a spot is of its key");
        match found {
            Ok(at) => {
                let entry = leaf.entry_mut(at);
                debug_assert!(entry.version().revision < newest.revision(), "versions rise");
                let history = self.histories.push(entry.history, entry.version());
                *entry = Entry::new(newest, history);
            }
            Err(at) => {
                let before = leaf.heap_bytes();
                leaf.insert(at, key, Entry::new(newest, NO_HISTORY));
                self.tree_bytes = self.tree_bytes + leaf.heap_bytes() - before;
                self.keys += 1;
                if leaf.is_too_large() {
                    self.split(place, at);
                }
            }
        }
    }

    /// Splits a leaf to which a key was added at `at`. One that grew at its end is left full, since the next key is
    /// likely to come after it too.
    fn split(&mut self, (branch, leaf): (usize, usize), at: usize) {
        self.tree_changes = self.tree_changes.wrapping_add(1);
        let parent = &mut self.root.children[branch];
        let bytes_before = parent.heap_bytes() + parent.children[leaf].heap_bytes();
        let left = &mut parent.children[leaf];
        let right = left.split_off(if at + 1 == left.len() { at } else { left.len() / 2 });
        let separator: Box<[u8]> = left.separator(&right).into();
        let leaf_bytes = left.heap_bytes() + right.heap_bytes();
        parent.insert_after(leaf, &separator, right);
        self.tree_bytes = self.tree_bytes + parent.heap_bytes() + leaf_bytes - bytes_before;
        if parent.len() > LEAVES_MAX {
            let bytes_before = parent.heap_bytes();
            let (separator, right) = parent.split();
            self.tree_bytes = self.tree_bytes + parent.heap_bytes() + right.heap_bytes() - bytes_before;
            self.root.insert_after(branch, &separator, right);
        }
    }

    /// Forgets the version of `key` at `revision`; the key itself, when it was the last. Forgetting one that is not
    /// there changes nothing.
    ///
    /// Versions of a key are forgotten oldest first: the newest only when no older one is left.
    pub(crate) fn forget(&mut self, key: &[u8], revision: Revision) {
        let place = self.place_of(key);
        let leaf = &mut self.root.children[place.0].children[place.1];
        let Ok(at) = leaf.keys.search(key) else { return };
        let entry = leaf.entry_mut(at);
        if entry.version().revision == revision {
            debug_assert_eq!(entry.history, NO_HISTORY, "versions go oldest first");
            leaf.remove(at);
            self.keys -= 1;
            if leaf.is_small() {
                self.merge(place);
            }
        } else {
            entry.history = self.histories.remove(entry.history, revision).unwrap_or(NO_HISTORY);
        }
    }

    /// Joins a leaf that has become small with the one after it in its branch, where they fit together, and takes it
    /// out when it is empty; then the same with the branch.
    fn merge(&mut self, (branch, leaf): (usize, usize)) {
        self.tree_changes = self.tree_changes.wrapping_add(1);
        let parent = &mut self.root.children[branch];
        let next = parent.children.get(leaf + 1);
        if next.is_some_and(|next| parent.children[leaf].has_room_for(next)) {
            let next = parent.remove(leaf + 1);
            let small = &mut parent.children[leaf];
            let bytes_before = small.heap_bytes() + next.heap_bytes();
            small.append(next);
            self.tree_bytes = self.tree_bytes + small.heap_bytes() - bytes_before;
        }
        if parent.children[leaf].is_empty() && parent.len() > 1 {
            self.tree_bytes -= parent.remove(leaf).heap_bytes();
        }
        if self.root.children[branch].len() < LEAVES_MAX / 4 {
            self.merge_branch(branch);
        }
    }

    fn merge_branch(&mut self, branch: usize) {
        let small = &self.root.children[branch];
        let is_empty = small.len() == 1 && small.children[0].is_empty();
        if is_empty && self.root.len() > 1 {
            let removed = self.root.remove(branch);
            self.tree_bytes -= removed.heap_bytes() + removed.children[0].heap_bytes();
            return;
        }
        let next = self.root.children.get(branch + 1);
        if next.is_some_and(|next| small.len() + next.len() <= LEAVES_MAX * 3 / 4) {
            let separator: Box<[u8]> = self.root.separator_after(branch).into();
            let next = self.root.remove(branch + 1);
            let small = &mut self.root.children[branch];
            let bytes_before = small.heap_bytes() + next.heap_bytes();
            small.append(&separator, next);
            self.tree_bytes = self.tree_bytes + small.heap_bytes() - bytes_before;
        }
    }
}
