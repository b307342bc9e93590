//! What a commit is in the store: which keys, which values, which revision.
//!
//! - The key `HEAD` holds the commit's id. Every commit sets it, so every commit is a revision.
//! - A path's key is `/` and then the path's own bytes, so no path can be taken for `HEAD`: not even a file of that name,
//!   whose key is `/HEAD`.
//! - A path's value is `<mode> <type> <id> <subject>`: what `git ls-tree` prints before the path, and then the first line
//!   of the commit that put it there.
//!
//! # Invariants
//!
//! - The store begins at revision 1 and nothing else is written to it: commit `n` of the line, counted from 1, is revision
//!   `n + 1`.
//! - The keys of a tree sort as `git ls-tree -r` prints it.

use bytes::Bytes;
use watchful::KeyRange;
use watchful_testkit::Op;

use crate::git::{Change, ChangeKind, Commit};

/// The key that every commit sets to its id.
pub(crate) const HEAD: &[u8] = b"HEAD";

/// The mode of a submodule, whose id is a commit's.
const SUBMODULE: &[u8] = b"160000";

/// The revision of the `number`th commit of the line, counted from 1.
pub(crate) fn revision_of(number: u64) -> u64 {
    number + 1
}

/// How many commits a store at this revision has.
pub(crate) fn commits_at(revision: u64) -> u64 {
    revision - 1
}

/// The key of a path; of a prefix of paths, the prefix of their keys.
pub(crate) fn key_of(path: &[u8]) -> Bytes {
    [b"/", path].concat().into()
}

/// The path of a key, if it is one of a path.
pub(crate) fn path_of(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"/")
}

/// The keys of all paths that begin with `prefix`.
pub(crate) fn paths(prefix: &[u8]) -> KeyRange {
    KeyRange::prefix(key_of(prefix))
}

/// A path's value, cut into what `git ls-tree` prints and the subject. The subject may hold any bytes.
pub(crate) fn split_value(value: &[u8]) -> (&[u8], &[u8]) {
    let third_space = value.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at).nth(2);
    third_space.map_or((value, b""), |at| (&value[..at], &value[at + 1..]))
}

/// One commit as operations of one transaction: puts and deletes of its paths, and `HEAD` last.
#[derive(Clone, Debug)]
pub(crate) struct Operations(Vec<(Bytes, Option<Bytes>)>);

impl Operations {
    /// The operations of `commit`.
    pub(crate) fn of(commit: &Commit) -> Self {
        let paths = commit.changes.iter().map(|change| operation(change, &commit.subject));
        let head = (Bytes::from_static(HEAD), Some(Bytes::copy_from_slice(commit.id.as_bytes())));
        Self(paths.chain([head]).collect())
    }

    /// Each key with its new value; none deletes it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Bytes, Option<Bytes>)> {
        self.0.iter()
    }

    /// The same in the words of the model.
    pub(crate) fn for_model(&self) -> Vec<Op> {
        let op = |(key, value): &(Bytes, Option<Bytes>)| match value {
            Some(value) => Op::put(key.clone(), value.clone()),
            None => Op::delete(key.clone()),
        };
        self.iter().map(op).collect()
    }
}

fn operation(change: &Change, subject: &[u8]) -> (Bytes, Option<Bytes>) {
    let value = match &change.kind {
        ChangeKind::Put { mode, blob } => Some(value(mode, blob, subject)),
        ChangeKind::Delete => None,
    };
    (key_of(&change.path), value)
}

fn value(mode: &[u8; 6], blob: &str, subject: &[u8]) -> Bytes {
    let kind: &[u8] = if mode == SUBMODULE { b"commit" } else { b"blob" };
    [&mode[..], kind, blob.as_bytes(), subject].join(&b' ').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_after_its_third_word_whatever_the_subject_is() {
        for subject in [&b""[..], b" ", b"a b  c", b"\xff\0 x"] {
            let value = value(b"100644", "abc", subject);
            assert_eq!(split_value(&value), (&b"100644 blob abc"[..], subject));
        }
        assert_eq!(split_value(&value(b"160000", "abc", b"s")).0, b"160000 commit abc");
    }

    #[test]
    fn no_path_is_taken_for_head() {
        assert_ne!(key_of(HEAD), HEAD);
        assert_eq!(path_of(&key_of(HEAD)), Some(HEAD));
        assert_eq!(path_of(HEAD), None);
        assert!(!paths(b"").contains(HEAD) && paths(b"").contains(b"/HEAD"));
    }
}
