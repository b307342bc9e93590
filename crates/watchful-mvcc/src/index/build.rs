//! Builds an index from the rows of a log, in the order of the log: a hash table finds a key's earlier version while
//! the rows come in, and the keys are sorted once at the end.
//!
//! A map that is kept in order all the while would cost a search with a dozen cache misses for each row. The hash table
//! costs two or three, and these are not waited for in turn: a few dozen rows are looked up together, one step at a time
//! for all of them, so that the processor fetches what they need at once. Older versions are only written down while the
//! rows come in, by groups of keys whose histories fit into its cache together.

mod table;

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use table::Table;

use super::branch::Branch;
use super::entry::{Entry, NO_HISTORY, Newest, Packed};
use super::histories::Histories;
use super::keys::common_len;
use super::leaf::{KEYS_MAX, Leaf};
use super::{KeyIndex, LEAVES_MAX};

#[derive(Default)]
pub(crate) struct IndexBuilder {
    hasher: RandomState,
    table: Table,
    keys: Vec<Key>,
    bytes: Vec<u8>,
    /// The older versions, oldest first, of so many keys each: see [`OLDER_KEYS`].
    older: Vec<Vec<(u32, Packed)>>,
}

/// The histories of so many keys are filled together.
const OLDER_KEYS: usize = 1 << 14;

/// Room for so many keys is made at once where the log has as many rows: growing in steps would move each place twice.
const ROOM_KEYS_MAX: usize = 1 << 20;

struct Key {
    start: usize,
    len: u32,
    /// How many older versions there are.
    older: u32,
    newest: Newest,
}

/// Where a key is thought to be: its number, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess {
    hash: u32,
    number: Option<u32>,
    start: usize,
}

impl IndexBuilder {
    /// A builder with room for the keys of a log with so many rows.
    pub(crate) fn with_room(rows: usize) -> Self {
        let keys = rows.min(ROOM_KEYS_MAX);
        Self { table: Table::with_room(keys), keys: Vec::with_capacity(keys), ..Self::default() }
    }

    /// Looks keys up together, before their rows are added one by one.
    pub(crate) fn guess<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone, guesses: &mut Vec<Guess>) {
        guesses.clear();
        guesses.extend(keys.clone().map(|key| Guess {
            hash: half(self.hasher.hash_one(key)),
            number: None,
            start: 0,
        }));
        self.table.fetch(guesses.iter().map(|guess| guess.hash));
        for guess in &mut *guesses {
            guess.number = self.table.find(guess.hash, |_| true);
        }
        for guess in &mut *guesses {
            guess.start = guess.number.map_or(0, |number| self.keys[number as usize].start);
        }
        // One byte of each key, so that the comparisons do not wait for memory in turn.
        let fetched =
            guesses.iter().map(|guess| self.bytes.get(guess.start).map_or(0, |byte| usize::from(*byte)));
        std::hint::black_box(fetched.sum::<usize>());
        for (guess, key) in guesses.iter_mut().zip(keys) {
            guess.number = guess.number.filter(|number| self.key(*number) == key);
        }
    }

    /// Adds a row, which comes after all that were added before. Tells the key's number, and what the key was before.
    ///
    /// Nothing at all when there are too many keys for an index: four thousand million.
    pub(crate) fn add(&mut self, key: &[u8], guess: Guess, newest: Newest) -> Option<(u32, Option<Newest>)> {
        // A key that was not found may have come in since.
        let Some(number) = guess.number.or_else(|| self.find(guess.hash, key)) else {
            return Some((self.insert(guess.hash, key, newest)?, None));
        };
        let known = &mut self.keys[number as usize];
        let before = std::mem::replace(&mut known.newest, newest);
        known.older += 1;
        let group = number as usize / OLDER_KEYS;
        if self.older.len() <= group {
            self.older.resize_with(group + 1, Vec::new);
        }
        self.older[group].push((number, Packed::new(before.version)));
        Some((number, Some(before)))
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.table.find(hash, |number| self.key(number) == key)
    }

    fn insert(&mut self, hash: u32, key: &[u8], newest: Newest) -> Option<u32> {
        let number = u32::try_from(self.keys.len()).ok().filter(|number| *number < table::KEYS_MAX)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push(Key { start, len: u32::try_from(key.len()).ok()?, older: 0, newest });
        self.table.insert(hash, number);
        Some(number)
    }

    /// The key with this number.
    pub(crate) fn key(&self, number: u32) -> &[u8] {
        self.keys[number as usize].bytes(&self.bytes)
    }

    pub(crate) fn finish(mut self) -> KeyIndex {
        self.table = Table::default();
        let (histories, slots) = self.histories();
        let order = self.sorted();
        let mut leaves = Vec::with_capacity(order.len() / KEYS_MAX + 1);
        for numbers in order.chunks(KEYS_MAX) {
            self.push_leaves(numbers, &slots, &mut leaves);
        }
        let leaf_bytes: usize = leaves.iter().map(|(_, leaf)| leaf.heap_bytes()).sum();
        if leaves.is_empty() {
            leaves.push((Box::default(), Leaf::default()));
        }
        let root = branches(leaves);
        let branch_bytes: usize = root.children.iter().map(Branch::heap_bytes).sum();
        KeyIndex {
            root,
            keys: self.keys.len(),
            histories,
            tree_bytes: leaf_bytes + branch_bytes,
            tree_changes: 0,
        }
    }

    /// The histories of all keys, and the slot of each key's.
    fn histories(&mut self) -> (Histories, Vec<u32>) {
        let mut histories = Histories::default();
        let mut slots = vec![NO_HISTORY; self.keys.len()];
        for (group, older) in std::mem::take(&mut self.older).into_iter().enumerate() {
            let first = group * OLDER_KEYS;
            let mut versions: Vec<VecDeque<Packed>> = self.keys[first..]
                .iter()
                .take(OLDER_KEYS)
                .map(|key| VecDeque::with_capacity(key.older as usize))
                .collect();
            for (number, version) in older {
                versions[number as usize - first].push_back(version);
            }
            for (number, versions) in (first..).zip(versions) {
                if !versions.is_empty() {
                    slots[number] = histories.insert(versions);
                }
            }
        }
        (histories, slots)
    }

    /// The numbers of the keys in the order of the keys. Most comparisons look only at eight bytes that lie in the array
    /// that is sorted: those after what all keys have in common.
    fn sorted(&self) -> Vec<u32> {
        let common = self.common_prefix();
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(self.keys.len());
        for (number, key) in (0_u32..).zip(&self.keys) {
            order.push((head(&key.bytes(&self.bytes)[common..]), number));
        }
        order.sort_unstable_by(|a, b| {
            let rest = |number: u32| &self.keys[number as usize].bytes(&self.bytes)[common..];
            a.0.cmp(&b.0).then_with(|| rest(a.1).cmp(rest(b.1)))
        });
        order.into_iter().map(|(_, number)| number).collect()
    }

    fn common_prefix(&self) -> usize {
        let Some(first) = self.keys.first() else { return 0 };
        let first = first.bytes(&self.bytes);
        self.keys.iter().fold(first.len(), |common, key| {
            let key = key.bytes(&self.bytes);
            let common = common.min(key.len());
            if key[..common] == first[..common] {
                return common;
            }
            common_len(first, key)
        })
    }

    /// Adds the leaves of `numbers`: one, unless their keys are long.
    fn push_leaves(&self, numbers: &[u32], slots: &[u32], leaves: &mut Vec<(Box<[u8]>, Leaf)>) {
        let keys = || numbers.iter().map(|&number| (&self.keys[number as usize], slots[number as usize]));
        let mut leaf = Leaf::with_room(numbers.len(), keys().map(|(key, _)| key.len as usize).sum());
        for (key, slot) in keys() {
            leaf.push(key.bytes(&self.bytes), Entry::new(&key.newest, slot));
        }
        if leaf.is_too_large() {
            let (left, right) = numbers.split_at(numbers.len() / 2);
            self.push_leaves(left, slots, leaves);
            self.push_leaves(right, slots, leaves);
            return;
        }
        leaf.keys.settle();
        let separator = leaves.last().map_or_else(Box::default, |(_, before)| before.separator(&leaf).into());
        leaves.push((separator, leaf));
    }
}

/// Branches that are three quarters full, and the root over them.
fn branches(leaves: Vec<(Box<[u8]>, Leaf)>) -> Branch<Branch<Leaf>> {
    let mut leaves = leaves.into_iter().peekable();
    let mut branches = Vec::new();
    while let Some((separator, _)) = leaves.peek() {
        let separator = separator.clone();
        branches.push((separator, Branch::from_sorted(leaves.by_ref().take(LEAVES_MAX * 3 / 4))));
    }
    Branch::from_sorted(branches)
}

impl Key {
    fn bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..self.start + self.len as usize]
    }
}

/// The upper half: the hash is as good in every bit, and the table needs no more of them.
fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The first eight bytes as a number that sorts as they do.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = bytes.len().min(8);
    head[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(head)
}
