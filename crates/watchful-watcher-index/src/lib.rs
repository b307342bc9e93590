//! Who watches this key? A [`WatcherIndex`] holds pairs of a key range and a [`GroupId`], and a *stab* finds the groups
//! whose ranges hold a key.
//!
//! **What it is for:** finding the few watchers of one change among a million, in well under the time the change itself
//! takes. Any thread may ask; one thread is meant to change it, though nothing breaks when several do.
//!
//! **What it is not for:** it does not know what a watcher is owed, nor its filters and options; watchers that agree in
//! those and in their ranges are one group, and the owner of the index numbers the groups. It does no I/O, starts no
//! thread and reads no clock.
//!
//! # Inside
//!
//! Each shape of range is kept where it is found fastest:
//!
//! | Shape | Kept in | A stab costs |
//! |---|---|---|
//! | single key | a sharded hash map | one look-up |
//! | prefix | a hash map for each length of prefix | a look-up for each length in use |
//! | from-key, between two keys, prefixes of a 65th length | an interval tree | the logarithm of their number, for each found |
//!
//! A hash map of prefixes beats a tree because a stab asks it a few exact questions; but it asks one for each length in
//! use, so the lengths are bounded at 64 and prefixes of further lengths are ranges like any other.
//!
//! # Invariants
//!
//! - A pair is in one place only, and [`WatcherIndex::len`] counts it once.
//! - A stab finds exactly the groups with a range that holds the key ([`KeyRange::contains`]); a group is found once for
//!   each such range.
//! - A group that is there before a stab and after it is found, whatever else comes and goes meanwhile.
//! - Locks are held for one call at most, and in one order: a shard of the key map, then the groups of crowded keys. The
//!   lock of the other ranges is never held together with those.
//!
//! # A bound
//!
//! The memory of removed pairs is kept for the pairs to come: an index is as large as it was at its fullest.
//!
//! [`KeyRange::contains`]: watchful_revision::KeyRange::contains
#![forbid(unsafe_code)]

mod index;

mod key_map;

mod prefix_table;

mod interval_tree;

mod postings;

pub use index::{GroupId, WatcherIndex};
