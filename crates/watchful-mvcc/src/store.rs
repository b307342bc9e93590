//! The store's one value, and what all of its doors share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use watchful_backend::Backend;
use watchful_revision::{LeaseId, Revision};

use crate::format::Tables;
use crate::group::{Group, Writer};
use crate::index::KeyIndex;
use crate::lease::{LeaseInfo, Leases};
use crate::stats::{Defragmented, Gauges, MvccStats};
use crate::view::ReadView;
use crate::{MvccError, MvccSettings, open};

/// Versions of keys on a disk. Cheap to clone; the store is closed when the last clone, view and group are gone.
///
/// See the [crate's front page](crate) for an example.
#[derive(Clone)]
pub struct Mvcc {
    pub(crate) inner: Arc<Inner>,
}

/// What opening a store found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Whether the store was made.
    pub created: bool,
    /// How many keys there are, deleted ones that compaction has not removed yet among them.
    pub keys: u64,
    /// How many rows the log has.
    pub rows: u64,
    /// How many leases there are. Each has its full time to live again.
    pub leases: u64,
    /// Whether the store was not closed the last time.
    pub unclean: bool,
    /// Whether revisions may be given out again, so that the epoch was raised.
    pub epoch_raised: bool,
    /// Whether a compaction was broken off, so that [`compact_slice`](Group::compact_slice) has work left.
    pub compaction_pending: bool,
}

/// Locks are taken in the order of the fields, and the index and the leases only for a moment.
pub(crate) struct Inner {
    /// The turn to write: held by a [`Group`].
    pub(crate) writer: Mutex<Writer>,
    pub(crate) index: RwLock<KeyIndex>,
    pub(crate) leases: RwLock<Leases>,
    /// The newest revision a reader may see. Stored last in a commit, after everything it stands for.
    pub(crate) current_revision: AtomicU64,
    /// The oldest revision that may be read. Stored before the first row below it is deleted.
    pub(crate) compact_revision: AtomicU64,
    pub(crate) gauges: Gauges,
    pub(crate) backend: Backend,
    pub(crate) tables: Tables,
    pub(crate) store_id: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) settings: MvccSettings,
    pub(crate) dir: PathBuf,
}

impl Mvcc {
    /// Opens the store in the folder `dir`, which is made if it is not there.
    ///
    /// The log is read once, each record is checked, and the key index is built from it. That takes about a microsecond
    /// a row.
    ///
    /// # Errors
    ///
    /// `AlreadyOpen`, `NotUsable`, `NotAStore`, `FormatVersion` or `CutShort` when the folder is not one to open;
    /// `Damaged`, with its revision, when a record is damaged or missing; `DamagedStore` when something else is.
    pub fn open(dir: &Path, settings: &MvccSettings) -> Result<(Self, OpenReport), MvccError> {
        let (inner, report) = open::open(dir, settings)?;
        Ok((Self { inner: Arc::new(inner) }, report))
    }

    /// The newest revision that can be read; 1 in a store that was never written.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.inner.current_revision()
    }

    /// The oldest revision that can be read; 0 in a store that was never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> u64 {
        self.inner.compact_revision()
    }

    /// How often revisions may have been given out anew: 1 at first, and one more each time the store was opened after
    /// it may have lost commits. What remembers a revision across a restart must remember the epoch with it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// The store's name for itself: random, given when it was made.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.inner.store_id
    }

    /// Takes the turn to write, when the writer before has finished. A thread that has it and asks again waits for ever.
    ///
    /// # Errors
    ///
    /// `OutcomeUnknown` after a commit whose outcome is unknown, or what the backend said.
    pub fn begin_group(&self) -> Result<Group<'_>, MvccError> {
        Group::begin(&self.inner)
    }

    /// The store at the main revision `at`; at its newest when that is none or 0.
    ///
    /// # Errors
    ///
    /// `Compacted` below the compact revision, `FutureRevision` above the current one.
    pub fn view(&self, at: Option<u64>) -> Result<ReadView, MvccError> {
        ReadView::begin(self, at.unwrap_or(0))
    }

    /// The row of `key` right before the revision `before`: none when the key was absent or deleted then, or when that
    /// row has been compacted away.
    #[must_use]
    pub fn prev_row(&self, key: &[u8], before: Revision) -> Option<Revision> {
        let version = self.inner.index.read().last_before(key, before)?;
        (!version.tombstone).then_some(version.revision)
    }

    /// Whether `key` has a newer row than the one at `revision`, at the main revision `up_to_main` or below.
    #[must_use]
    pub fn is_superseded(&self, key: &[u8], revision: Revision, up_to_main: u64) -> bool {
        let newest = self.inner.index.read().last_at(key, up_to_main);
        newest.is_some_and(|version| version.revision > revision)
    }

    /// Whether [`compact_slice`](Group::compact_slice) has work left.
    #[must_use]
    pub fn compaction_pending(&self) -> bool {
        self.inner.gauges.compaction_pending.load(Ordering::Acquire)
    }

    /// Whether everything that a compaction to `revision` leaves behind has been deleted. `revision` is one that the store
    /// is compacted to, or was.
    #[must_use]
    pub fn is_compaction_finished(&self, revision: u64) -> bool {
        !self.compaction_pending()
            || self.inner.gauges.compaction_finished.load(Ordering::Acquire) >= revision
    }

    /// The lease `id`.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<LeaseInfo> {
        self.inner.leases.read().info(id)
    }

    /// Every lease, by id.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseInfo> {
        self.inner.leases.read().infos()
    }

    /// The keys on the lease `id`, in order; none when there is no such lease.
    #[must_use]
    pub fn lease_keys(&self, id: LeaseId) -> Option<Vec<Vec<u8>>> {
        let leases = self.inner.leases.read();
        leases.keys(id).map(|keys| keys.map(<[u8]>::to_vec).collect())
    }

    /// The lease `key` hangs on; 0 for none.
    #[must_use]
    pub fn lease_of(&self, key: &[u8]) -> LeaseId {
        self.inner.leases.read().of(key)
    }

    /// Copies the store, as it is at its newest commit, into the new file `to`, without free pages, while others read
    /// and write. Tells how many bytes the copy has.
    ///
    /// Put into a folder of its own under the name `data.mdb`, the copy is a store.
    ///
    /// # Errors
    ///
    /// `TargetExists`, or what the backend said.
    pub fn backup(&self, to: &Path) -> Result<u64, MvccError> {
        Ok(self.inner.backend.copy_compact(to)?)
    }

    /// Makes the data file as small as it can be, by exchanging it for a copy of itself without the free pages. Writers
    /// wait until it is done; readers go on, but for the last moment. The disk needs room for the copy.
    ///
    /// A thread that has the turn to write and calls this waits for ever.
    ///
    /// # Errors
    ///
    /// What the backend said: that reads did not end in time, or that there is no room. Nothing has changed then. `Lost` when
    /// the file could not be opened again: everything is refused until the store is opened anew.
    pub fn defragment(&self) -> Result<Defragmented, MvccError> {
        let done = self.inner.backend.defragment()?;
        Ok(Defragmented { bytes_before: done.bytes_before, bytes_after: done.bytes_after })
    }

    /// Forces everything that was committed to the disk, for the durabilities that do not.
    ///
    /// # Errors
    ///
    /// What the backend said. Writes are refused from then on.
    pub fn sync(&self) -> Result<(), MvccError> {
        open::sync(&self.inner)
    }

    /// The bytes of the pages in use, as the quota counts them. Costs one atomic load.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.inner.backend.used_bytes()
    }

    /// Counts and sizes. Costs a system call and a short look at the index.
    #[must_use]
    pub fn stats(&self) -> MvccStats {
        MvccStats::of(&self.inner)
    }
}

impl Inner {
    pub(crate) fn current_revision(&self) -> u64 {
        self.current_revision.load(Ordering::Acquire)
    }

    /// Sequentially consistent, like its store: a reader that has found a row missing must see why.
    pub(crate) fn compact_revision(&self) -> u64 {
        self.compact_revision.load(Ordering::SeqCst)
    }
}

/// Closing. Where it fails, after a commit whose outcome is unknown for one, the store counts as not closed at the next
/// open, which is the truth.
impl Drop for Inner {
    fn drop(&mut self) {
        let _ = open::close(self);
    }
}
