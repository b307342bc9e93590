//! The one door to other people's storage: rows in, one commit at a time, and rows out.

use crate::Outcome;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk before it is acknowledged.
    Synced,
    /// Nothing waits for the disk. A killed process loses nothing but what the peer itself keeps in memory.
    Unsynced,
}

/// A table of bytes, kept by somebody else.
pub trait Storage: Send + Sync {
    /// Its name in the results.
    fn name(&self) -> &'static str;

    /// Sets each row's key to its value, all in one commit.
    ///
    /// # Errors
    ///
    /// Whatever the peer fails with.
    fn put(&self, rows: &[Row]) -> Outcome;

    /// As [`put`](Self::put), of keys that come after all that are there, in their order. A peer that has a cheaper way
    /// for that takes it.
    ///
    /// # Errors
    ///
    /// Whatever the peer fails with.
    fn append(&self, rows: &[Row]) -> Outcome {
        self.put(rows)
    }

    /// Shows the value of `key` to `show`, if it is there. One read of its own: what it needs to see one state of the
    /// table, it begins and ends here.
    ///
    /// # Errors
    ///
    /// Whatever the peer or `show` fails with.
    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8]) -> Outcome) -> Outcome;

    /// Shows each row from `from` on, which is not empty, to `show`, at most `limit` of them, in the order of their keys; one read, as
    /// [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// Whatever the peer or `show` fails with.
    fn range(&self, from: &[u8], limit: usize, show: &mut dyn FnMut(&[u8], &[u8]) -> Outcome) -> Outcome;
}
