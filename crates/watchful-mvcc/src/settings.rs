//! What a caller may choose when it opens a store, and why the defaults are what they are.

use crate::mark::Mark;

/// When a commit counts as done.
///
/// A killed process loses nothing in any of them; they differ in what a power failure may take. The last two can give
/// out a revision again after one, which [`OpenReport::epoch_raised`](crate::OpenReport::epoch_raised) tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A commit is on the disk before it is acknowledged.
    #[default]
    Synced,
    /// A power failure may take the last commit, with every transaction of its group; the store is whole.
    Relaxed,
    /// Nothing waits for the disk. A power failure may take commits and may damage the file, which is then checked page
    /// by page before it is opened again, and may be refused. Where it is not, every record is one that was written, but
    /// older and newer pages may have come together. For tests, caches, and data that can be made anew.
    Unsynced,
}

/// Settings of an [`Mvcc`](crate::Mvcc).
///
/// ```
/// use watchful_mvcc::{Durability, MvccSettings};
/// let settings = MvccSettings::default().with_quota_bytes(1 << 30).with_durability(Durability::Relaxed);
/// assert_eq!(settings.map_bytes(), 4 << 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MvccSettings {
    /// When a commit counts as done. [`Durability::Synced`] by default.
    pub durability: Durability,
    /// How many bytes of pages may be in use before puts and new leases are refused with
    /// [`NoSpace`](crate::MvccError::NoSpace); deletes and compaction go on. 8 GiB by default.
    pub quota_bytes: u64,
    /// How many bytes the data file may grow to; 0 means four times the quota, which leaves room for the pages that a
    /// large transaction or an old reader holds back. At least 8 MiB are mapped in any case.
    pub map_bytes_max: usize,
    /// How many reads may be open at once. 1,024 by default.
    pub readers_max: u32,
    /// What identifies this run of the machine, such as Linux's `/proc/sys/kernel/random/boot_id`. With it, a store that
    /// was not closed is known to have lost nothing when the machine has been up all the while. Without it, the worst is
    /// assumed. Only the two durabilities below [`Durability::Synced`] look at it.
    pub boot_id: Option<String>,
}

impl Default for MvccSettings {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            quota_bytes: 8 << 30,
            map_bytes_max: 0,
            readers_max: 1024,
            boot_id: None,
        }
    }
}

/// The least that is mapped: address space costs nothing, and a quota of a few pages must leave room to delete in.
const MAP_BYTES_MIN: usize = 8 << 20;

impl MvccSettings {
    /// These settings with another [`durability`](Self::durability).
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// These settings with another [`quota_bytes`](Self::quota_bytes).
    #[must_use]
    pub fn with_quota_bytes(self, quota_bytes: u64) -> Self {
        Self { quota_bytes, ..self }
    }

    /// These settings with another [`map_bytes_max`](Self::map_bytes_max).
    #[must_use]
    pub fn with_map_bytes_max(self, map_bytes_max: usize) -> Self {
        Self { map_bytes_max, ..self }
    }

    /// These settings with another [`readers_max`](Self::readers_max).
    #[must_use]
    pub fn with_readers_max(self, readers_max: u32) -> Self {
        Self { readers_max, ..self }
    }

    /// These settings with another [`boot_id`](Self::boot_id).
    #[must_use]
    pub fn with_boot_id(self, boot_id: Option<String>) -> Self {
        Self { boot_id, ..self }
    }

    /// How many bytes of address space the data file is given.
    #[must_use]
    pub fn map_bytes(&self) -> usize {
        match self.map_bytes_max {
            0 => usize::try_from(self.quota_bytes.saturating_mul(4))
                .unwrap_or(MAP_BYTES_TOP)
                .min(MAP_BYTES_TOP),
            bytes => bytes,
        }
        .max(MAP_BYTES_MIN)
    }
}

/// The most that is asked for: a process has 128 TiB of address space, and its stores share it.
const MAP_BYTES_TOP: usize = 16 << 40;

impl From<Durability> for watchful_backend::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Synced => Self::Synced,
            Durability::Relaxed => Self::Relaxed,
            Durability::Unsynced => Self::Unsynced,
        }
    }
}

impl MvccSettings {
    pub(crate) fn backend(&self) -> watchful_backend::BackendSettings {
        watchful_backend::BackendSettings::default()
            .with_map_bytes(self.map_bytes())
            .with_readers_max(self.readers_max)
            .with_durability(self.durability.into())
    }

    /// The mark of a store with these settings.
    pub(crate) fn mark(&self, is_open: bool) -> Mark {
        Mark { is_open, durability: self.durability, boot_id: self.boot_id.clone().unwrap_or_default() }
    }
}
