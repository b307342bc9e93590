//! The backend: one folder, one data file, its tables.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::defragment::remove_leftover;
use crate::environment::{DATA_FILE, Environment};
use crate::error::BackendError;
use crate::file::{check_file, verify_file};
use crate::folder::{Folder, make_data_file};
use crate::read::{LongRead, ReadTxn};
use crate::seats::Seats;
use crate::settings::BackendSettings;
use crate::write::WriteTxn;

/// A folder of tables, open for reading and writing. Cheap to clone; the store is closed when the last clone and the
/// last read transaction are gone.
///
/// ```
/// use watchful_backend::{Backend, BackendSettings};
///
/// # let dir = tempfile::tempdir()?;
/// let backend = Backend::open(dir.path(), &BackendSettings::default(), &["log"])?;
/// let log = backend.table("log").unwrap();
///
/// let mut txn = backend.write()?;
/// txn.append(log, b"1", b"one")?;
/// txn.commit()?;
///
/// assert_eq!(backend.read()?.get(log, b"1")?, Some(&b"one"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Backend {
    pub(crate) shared: Arc<Shared>,
}

/// A table of a [`Backend`]: a sorted map of bytes to bytes.
///
/// It belongs to the backend that gave it out. With another backend it means a table of that one, or none: then the
/// call panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table(pub(crate) usize);

/// What a backend takes up, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// See [`Backend::used_bytes`].
    pub used_bytes: u64,
    /// The length of the data file: its pages, and where commits wait for the disk up to 512 KiB of zeros behind them. It
    /// grows, since pages that were freed are used again and not given back; it shrinks
    /// when it is [defragmented](Backend::defragment).
    pub file_bytes: u64,
    /// The most the data file may grow to.
    pub map_bytes: usize,
    /// The number of the last commit. It counts up by one, and from one again in a copy and when it is defragmented.
    pub commits: u64,
    /// How many read transactions are open.
    pub readers: u32,
    /// How many commits ago the oldest open read transaction began; 0 when none is open. Pages freed since then cannot
    /// be used again before it ends.
    pub oldest_reader_lag: u64,
    /// Whether writes are refused because the outcome of a commit is unknown.
    pub poisoned: bool,
}

/// What all clones of a backend and its transactions share. The order of the fields is the order of closing: the
/// folder's lock goes last.
///
/// Locks are taken in the order of `copying`, `turn`, `seats`.
pub(crate) struct Shared {
    pub(crate) seats: Seats,
    /// Held for reading by each copy and each long read, for writing by a defragmentation: they wait for each other.
    pub(crate) copying: RwLock<()>,
    /// Held for the life of a write transaction, until its outcome is recorded here. LMDB has a writer lock of its own,
    /// but lets the next writer in before a failed commit could be noted.
    pub(crate) turn: Mutex<()>,
    poisoned: AtomicBool,
    used_bytes: AtomicU64,
    pub(crate) names: Vec<&'static str>,
    pub(crate) settings: BackendSettings,
    pub(crate) folder: Folder,
}

impl Backend {
    /// Opens the store in the folder `dir`, which is made if it is not there, with these tables, which are made if they
    /// are not there.
    ///
    /// The data file is looked at before it is mapped: a file that is foreign or cut short is refused, since to map it
    /// could kill the process.
    ///
    /// # Errors
    ///
    /// [`BackendError`]: `AlreadyOpen`, `NotAFolder`, `NotWritable`, `NotAStore`, `CutShort`, `Damaged`, `NoSpace`, or
    /// what the system said.
    pub fn open(
        dir: &Path,
        settings: &BackendSettings,
        tables: &[&'static str],
    ) -> Result<Self, BackendError> {
        Self::open_checking(dir, settings, tables, |_| false)
    }

    /// As [`open`](Self::open), and checks the whole data file first if `must_check` says so: as it should after a power
    /// failure when the durability was [`Unsynced`](crate::Durability::Unsynced).
    ///
    /// `must_check` is asked when there is a data file, and is given its path, at a moment when nobody else can open or
    /// change the store. The check reads every page in use.
    ///
    /// # Errors
    ///
    /// As `open`; [`BackendError::Damaged`] when the check finds something.
    pub fn open_checking(
        dir: &Path,
        settings: &BackendSettings,
        tables: &[&'static str],
        must_check: impl FnOnce(&Path) -> bool,
    ) -> Result<Self, BackendError> {
        let folder = Folder::lock(dir)?;
        let was_made = folder.was_made()?;
        remove_leftover(folder.path());
        let is_there = folder.verify_data_file(was_made, tables)?;
        if is_there && must_check(&folder.data_file()) {
            refuse_damage(&folder.data_file())?;
        }
        if !is_there {
            make_data_file(&folder, settings, tables)?;
        }
        let environment = Environment::open(folder.path(), settings, tables)?;
        if !was_made {
            folder.mark_made()?;
        }
        let shared = Shared {
            seats: Seats::new(environment),
            copying: RwLock::new(()),
            turn: Mutex::new(()),
            poisoned: AtomicBool::new(false),
            used_bytes: AtomicU64::new(0),
            names: tables.to_vec(),
            settings: settings.clone(),
            folder,
        };
        shared.measure()?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where the data file of the store in `dir` is: what [`check_file`] takes, and where a copy goes to be a store.
    #[must_use]
    pub fn data_file(dir: &Path) -> PathBuf {
        dir.join(DATA_FILE)
    }

    /// The table `name`, if it was named at [`open`](Self::open).
    #[must_use]
    pub fn table(&self, name: &str) -> Option<Table> {
        self.shared.names.iter().position(|own| *own == name).map(Table)
    }

    /// Begins to read: a view of the newest commit that later commits do not change.
    ///
    /// Keep it short. While it is open, no page that was in use when it began is used again, so the file grows.
    ///
    /// # Errors
    ///
    /// [`BackendError::ReadersFull`], or what the system said.
    pub fn read(&self) -> Result<ReadTxn, BackendError> {
        ReadTxn::begin(&self.shared)
    }

    /// Begins to read for as long as it takes to read everything out. It is a view as of [`read`](Self::read), and it and a
    /// [defragmentation](Self::defragment) wait for each other, as a copy and one do.
    ///
    /// A thread that holds one and defragments waits for ever.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_long(&self) -> Result<LongRead<'_>, BackendError> {
        let copying = self.shared.copying.read();
        Ok(LongRead::new(self.read()?, copying))
    }

    /// Begins to write, when the writer before has finished: there is one at a time. A thread that holds a write
    /// transaction and asks for another waits for ever.
    ///
    /// # Errors
    ///
    /// [`BackendError::Poisoned`] after a commit whose outcome is unknown, or what the system said.
    pub fn write(&self) -> Result<WriteTxn<'_>, BackendError> {
        WriteTxn::begin(&self.shared)
    }

    /// Brings to the disk what a process before this one may have left in the system's hands. Call it before the first write
    /// when it is not known that the store was [synced](Self::sync) and closed.
    ///
    /// Where that process could not force a commit's last page to the disk, it took the page back; but the disk may have it,
    /// and not what it was replaced with. The commits that come next write over pages that it refers to, so a power failure
    /// among them would leave a file in which nothing can be found.
    ///
    /// # Errors
    ///
    /// What the system said; writes are refused from then on.
    pub fn settle(&self) -> Result<(), BackendError> {
        let _turn = self.shared.turn.lock();
        self.shared.refuse_if_poisoned()?;
        let environment = self.shared.seats.lock().writable()?;
        environment.force_first_pages().inspect_err(|_| self.shared.poison())
    }

    /// Forces every commit so far to the disk, for the durabilities that do not.
    ///
    /// # Errors
    ///
    /// What the system said. Then nobody knows what is on the disk, and asking again would not tell, so writes are
    /// refused from then on.
    pub fn sync(&self) -> Result<(), BackendError> {
        let _turn = self.shared.turn.lock();
        self.shared.refuse_if_poisoned()?;
        let environment = self.shared.seats.lock().writable()?;
        environment.env.force_sync().map_err(|error| {
            self.shared.poison();
            environment.error("forcing commits to the disk", error)
        })
    }

    /// The bytes of the pages in use after the last commit, as the quota counts them. Costs one atomic load.
    ///
    /// Counted are the pages of every table, not those that are free, nor the few (one in some hundred free ones) that
    /// list the free ones. A page is counted whole, however little is on it.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.used_bytes.load(Ordering::Relaxed)
    }

    /// What the backend takes up, and who reads it. Costs a system call and a short lock.
    #[must_use]
    pub fn stats(&self) -> BackendStats {
        let file_bytes = fs::metadata(self.shared.folder.data_file()).map_or(0, |data| data.len());
        let seats = self.shared.seats.lock();
        let (commits, map_bytes) = seats.environment().map_or((0, 0), |environment| {
            let info = environment.env.info();
            (info.last_txn_id as u64, info.map_size)
        });
        let readers = seats.readers();
        let oldest = readers.keys().next().copied();
        BackendStats {
            used_bytes: self.used_bytes(),
            file_bytes,
            map_bytes,
            commits,
            readers: readers.values().sum(),
            oldest_reader_lag: oldest.map_or(0, |oldest| commits.saturating_sub(oldest)),
            poisoned: self.shared.is_poisoned(),
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("folder", &self.shared.folder.path()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Opens the data file anew, for reading alone, after LMDB has given the environment up. Transactions that read the
    /// old one go on: their pages stay mapped, and nobody writes any more.
    pub(crate) fn reopen_read_only(&self) -> Result<(), BackendError> {
        let _turn = self.turn.lock();
        self.poison();
        if !self.seats.lock().has_read_only() {
            let data_file = self.folder.data_file();
            verify_file(&data_file, &self.names)?;
            let environment = Environment::open_read_only(&data_file, &self.settings, &self.names)?;
            self.seats.lock().set_read_only(environment);
        }
        Ok(())
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(crate) fn refuse_if_poisoned(&self) -> Result<(), BackendError> {
        if self.is_poisoned() { Err(BackendError::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn set_used_bytes(&self, used_bytes: u64) {
        self.used_bytes.store(used_bytes, Ordering::Relaxed);
    }

    /// The caller is opening the backend, or has the turn to write.
    pub(crate) fn measure(&self) -> Result<(), BackendError> {
        let environment = self.seats.lock().writable()?;
        let used_bytes = environment.read().and_then(|txn| environment.used_bytes(&txn));
        self.set_used_bytes(used_bytes.map_err(|error| environment.error("measuring the store", error))?);
        Ok(())
    }
}

fn refuse_damage(path: &Path) -> Result<(), BackendError> {
    let damaged = |what| BackendError::Damaged { path: path.to_owned(), what };
    let report = check_file(path).map_err(|error| damaged(error.to_string()))?;
    let more = (report.problems.len() as u64 + report.problems_left_out).saturating_sub(1);
    match report.problems.first() {
        None => Ok(()),
        Some(first) if more == 0 => Err(damaged(first.to_string())),
        Some(first) => Err(damaged(format!("{first}, and {more} more"))),
    }
}
