//! What a caller may choose when it opens a backend, and why the defaults are what they are.

/// When a commit counts as done.
///
/// A killed process loses nothing in any of them; they differ in what a power failure or a crash of the machine may
/// take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A commit is on the disk before it is acknowledged.
    #[default]
    Synced,
    /// The pages of a commit are on the disk before it is acknowledged, the page that makes them valid may not be: a
    /// power failure may take the last commit, and the store is whole. It saves one of the two waits for the disk.
    Relaxed,
    /// Nothing waits for the disk. A power failure may take commits, *and may leave a damaged file*, because the disk
    /// may write pages in any order: check the file (see [`check_file`](crate::check_file)) before it is opened after
    /// one.
    Unsynced,
}

/// Settings of a [`Backend`](crate::Backend).
///
/// ```
/// use watchful_backend::{BackendSettings, Durability};
/// let settings = BackendSettings::default().with_map_bytes(1 << 30).with_durability(Durability::Relaxed);
/// assert_eq!(settings.readers_max, 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendSettings {
    /// How many bytes of address space the data file may take: the hard bound on its size, at which a write ends with
    /// `NoSpace`. Rounded up to a multiple of 64 KiB, and never less than the file that is there.
    ///
    /// 32 GiB by default, four times the default quota of a store. Address space is not memory, but it is finite: a
    /// process that may hold 128 TiB of it can open 127 stores of 1 TiB. It is never changed while the backend is open:
    /// LMDB would pull the map away from under its readers.
    pub map_bytes: usize,
    /// How many read transactions may be open at once; the next one ends with `ReadersFull`.
    ///
    /// 1,024 by default. LMDB's own default is 126, which a program with a thread pool can pass. A slot is 64 bytes,
    /// and each write transaction that needs free pages looks at every slot in use.
    pub readers_max: u32,
    /// When a commit counts as done. [`Durability::Synced`] by default.
    pub durability: Durability,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self { map_bytes: 32 << 30, readers_max: 1024, durability: Durability::Synced }
    }
}

impl BackendSettings {
    /// These settings with another [`map_bytes`](Self::map_bytes).
    #[must_use]
    pub fn with_map_bytes(self, map_bytes: usize) -> Self {
        Self { map_bytes, ..self }
    }

    /// These settings with another [`readers_max`](Self::readers_max).
    #[must_use]
    pub fn with_readers_max(self, readers_max: u32) -> Self {
        Self { readers_max, ..self }
    }

    /// These settings with another [`durability`](Self::durability).
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// A multiple of every page size an operating system uses, which LMDB insists on.
    pub(crate) fn map_bytes_rounded(&self) -> usize {
        const LARGEST_OS_PAGE: usize = 64 << 10;
        self.map_bytes.max(LARGEST_OS_PAGE).checked_next_multiple_of(LARGEST_OS_PAGE).unwrap_or(1 << 47)
    }
}
