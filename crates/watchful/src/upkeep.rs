//! What whoever runs a store asks of it: whether two are the same, and that the room that a compaction frees is free, for
//! the store and for the disk.

use watchful_mvcc::{Defragmented, StoreHash};

use crate::commit::is_leading;
use crate::{Answer, Error, Store};

impl Store {
    /// The hash of the history that is kept up to main revision `revision`; up to the newest when that is 0. Two stores
    /// with the same history and the same compact revision have the same, however far compaction has deleted what it may;
    /// and so has an etcd, whose `HashKV` it is.
    ///
    /// Reads the history up to there, in short turns. It blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`] when compaction has passed `revision`, or goes on faster than the store can be read;
    /// [`Error::FutureRevision`]; [`Error::Other`] for a damaged record or a disk that fails.
    pub fn hash(&self, revision: u64) -> Result<StoreHash, Error> {
        Ok(self.mvcc().hash(revision)?)
    }

    /// A hash of everything that the store holds at one commit, its id, leases and notes too: it tells whether a copy is
    /// the same. The hash is of no use between two stores with histories of their own; that is what [`Store::hash`] is for.
    ///
    /// One long read, as a backup is: the file grows by what is written until it ends.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn hash_all(&self) -> Result<u32, Error> {
        Ok(self.mvcc().hash_all()?)
    }

    /// Waits until everything that the compactions scheduled so far leave behind has been deleted, so that its room is
    /// free. Done at once where nothing is left to delete.
    ///
    /// # Errors
    ///
    /// Of the answer: [`Error::Closed`] when the store is closed before, which leaves the rest to its next opening; and
    /// why nothing can be deleted, such as [`Error::NoSpace`] or [`Error::OutcomeUnknown`].
    pub fn compacted(&self) -> Answer<()> {
        Answer::new(self.committer().compacted.add(self.mvcc()))
    }

    /// Makes the data file as small as it can be: compaction frees pages for the store's own use, and this gives them back
    /// to the disk. The file is exchanged for a copy of itself without the free pages; until then the disk needs room for
    /// both.
    ///
    /// Blocks for as long as copying takes what is in use. Writes wait for that long, and none fails; reads and watches go
    /// on, but for the moment of the exchange. A backup and this wait for each other. Broken off anywhere, by a kill or a
    /// power failure, it leaves the store as it was.
    ///
    /// # Errors
    ///
    /// [`Error::InsideTransaction`] when this is called in a transaction's closure; [`Error::OutcomeUnknown`] when that is
    /// so already; [`Error::Other`] when there is no room for the copy, or reads did not end in time: nothing has changed
    /// then. [`Error::Lost`] should the file refuse to be opened again: everything is refused until the store is opened
    /// anew, and nothing is lost.
    pub fn defragment(&self) -> Result<Defragmented, Error> {
        if is_leading() {
            return Err(Error::InsideTransaction);
        }
        Ok(self.mvcc().defragment()?)
    }
}
