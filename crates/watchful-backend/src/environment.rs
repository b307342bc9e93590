//! The one LMDB environment behind a backend, and the handles of its tables.
//!
//! To open it is where LMDB asks for promises that no type can check.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, MdbError, RoTxn, RwTxn, WithoutTls,
};

use crate::ahead::Ahead;
use crate::disk::free_bytes;
use crate::error::{BackendError, EngineError};
use crate::settings::{BackendSettings, Durability};

pub(crate) type RawTable = Database<'static, Bytes, Bytes>;

/// The name LMDB gives the data file inside a folder.
pub(crate) const DATA_FILE: &str = "data.mdb";

/// An open environment with all its tables.
pub(crate) struct Environment {
    pub(crate) env: Env<WithoutTls>,
    pub(crate) tables: Vec<RawTable>,
    pub(crate) data_file: PathBuf,
    pub(crate) readers_max: u32,
    /// None where no commit waits for the disk, or none is made.
    ahead: Option<Ahead>,
}

impl Environment {
    /// Opens the environment in `dir` for reading and writing, and makes the tables that are not there yet.
    ///
    /// The caller holds the folder's lock and has verified the data file.
    pub(crate) fn open(
        dir: &Path,
        settings: &BackendSettings,
        names: &[&'static str],
    ) -> Result<Self, BackendError> {
        let mut this = Self::map(dir, EnvFlags::empty(), dir.join(DATA_FILE), settings, names)?;
        this.env.clear_stale_readers().map_err(|error| this.error("clearing stale readers", error))?;
        if settings.durability != Durability::Unsynced {
            // Without a descriptor of our own a disk that fails could not be told from one that is full.
            let ahead = Ahead::of(&this.data_file);
            let opened =
                ahead.map_err(|source| BackendError::Io { what: "opening the data file once more", source });
            this.ahead = Some(opened?);
        }
        let found = names.iter().map(|name| this.open_table(name)).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|error| this.error("opening a table", error))?;
        if found.iter().any(Option::is_none) {
            // To make one is the first write after what may have been an unclean end: see `Backend::settle`.
            this.force_first_pages()?;
        }
        for (name, found) in names.iter().zip(found) {
            let make = || this.create_table(name).map_err(|error| this.error("making a table", error));
            let table = found.map_or_else(make, Ok)?;
            this.tables.push(table);
        }
        this.relax(settings.durability).map_err(|error| this.error("setting the durability", error))?;
        Ok(this)
    }

    /// From here on commits wait for the disk as the durability says. Tables that were made before are on it.
    #[expect(unsafe_code, reason = "LMDB gives up durability on its caller's word alone")]
    fn relax(&self, durability: Durability) -> heed::Result<()> {
        let flags = match durability {
            Durability::Synced => return Ok(()),
            Durability::Relaxed => EnvFlags::NO_META_SYNC,
            Durability::Unsynced => EnvFlags::NO_SYNC,
        };
        // SAFETY: neither flag gives up memory safety while the machine is up; after a power failure the file is checked
        // before it is mapped. Nobody else has this environment yet, so nobody else sets flags.
        unsafe { self.env.set_flags(flags, FlagSetMode::Enable) }
    }

    /// Opens the data file alone, for reading, beside an environment that is broken for good.
    ///
    /// It takes no LMDB lock: nobody writes any more, and a second lock table in one process would break the first.
    pub(crate) fn open_read_only(
        data_file: &Path,
        settings: &BackendSettings,
        names: &[&'static str],
    ) -> Result<Self, BackendError> {
        let flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK | EnvFlags::NO_SUB_DIR;
        let mut this = Self::map(data_file, flags, data_file.to_owned(), settings, names)?;
        for name in names {
            let table = this.open_table(name).map_err(|error| this.error("opening a table", error))?;
            this.tables.push(table.ok_or_else(|| this.damaged(format!("the table {name} is gone")))?);
        }
        Ok(this)
    }

    /// Makes a data file with empty tables at `path`, where nothing is yet, and does not wait for the disk. It takes no LMDB
    /// lock: nobody else knows of it.
    pub(crate) fn make(
        path: &Path,
        settings: &BackendSettings,
        names: &[&'static str],
    ) -> Result<(), BackendError> {
        let flags = EnvFlags::NO_LOCK | EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC;
        let this = Self::map(path, flags, path.to_owned(), settings, names)?;
        for name in names {
            this.create_table(name).map_err(|error| this.error("making a table", error))?;
        }
        Ok(())
    }

    #[expect(
        unsafe_code,
        reason = "LMDB maps a file, and only its caller can promise that nobody changes it"
    )]
    fn map(
        path: &Path,
        flags: EnvFlags,
        data_file: PathBuf,
        settings: &BackendSettings,
        names: &[&'static str],
    ) -> Result<Self, BackendError> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(settings.map_bytes_rounded());
        options.max_readers(settings.readers_max);
        options.max_dbs(u32::try_from(names.len()).unwrap_or(u32::MAX));
        // SAFETY: none of these flags gives up memory safety. NO_LOCK goes with a file that is no longer written (see
        // `open_read_only`), or with one whose name nobody knows, as NO_SYNC does (see `make`). WRITE_MAP is never set, so
        // no stray write of this process reaches the file.
        unsafe { options.flags(flags) };
        // SAFETY: a map is sound while nobody but LMDB changes the file. The folder's own lock (`folder.rs`) keeps out
        // every other program that uses this crate. The file was verified before (`file`), so the pages where a walk
        // begins do not lie past its end. The environment is opened once in a process, which heed checks by path; the
        // read-only one has another path and takes no lock. A program that writes the file without asking is outside
        // what can be promised, and the crate's front page says so.
        let opened = unsafe { options.open(path) };
        let env = opened.map_err(|error| open_error(path, error))?;
        let readers_max = settings.readers_max;
        Ok(Self { env, tables: Vec::new(), data_file, readers_max, ahead: None })
    }

    /// Through heed's own door for this: it lets one thread at a time open tables, as LMDB demands.
    fn create_table(&self, name: &str) -> heed::Result<RawTable> {
        let txn = self.env.write_txn()?;
        let made = self.env.create_databases_and_commit(txn, |opener, txn| {
            opener.create_database::<Bytes, Bytes>(txn, Some(name)).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(made.unwrap_commit())
    }

    fn open_table(&self, name: &str) -> heed::Result<Option<RawTable>> {
        let txn = self.env.read_txn()?;
        let opened = self.env.open_databases_and_commit(txn, |opener, txn| {
            opener.open_database::<Bytes, Bytes>(txn, Some(name)).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(opened.unwrap_commit())
    }

    pub(crate) fn read(&self) -> heed::Result<RoTxn<'static, WithoutTls>> {
        self.env.clone().static_read_txn()
    }

    pub(crate) fn write(&self) -> heed::Result<RwTxn<'_>> {
        let txn = self.env.write_txn()?;
        // Now that LMDB's own lock is held too, and before this transaction can write a page.
        self.write_ahead();
        Ok(txn)
    }

    /// See [`Ahead`].
    fn write_ahead(&self) {
        let Some(ahead) = &self.ahead else { return };
        let info = self.env.info();
        let page_bytes = u64::from(self.env.unnamed_database_stat().page_size);
        let end = (info.last_page_number as u64 + 1) * page_bytes;
        ahead.prepare(&self.data_file, end, info.map_size as u64);
    }

    /// Writes the two pages that begin the file as they are once more, and forces them to the disk with everything else.
    ///
    /// The caller has the turn to write.
    pub(crate) fn force_first_pages(&self) -> Result<(), BackendError> {
        let page_bytes = self.env.unnamed_database_stat().page_size as usize;
        let force = || {
            let file = File::options().read(true).write(true).open(&self.data_file)?;
            let mut pages = vec![0; 2 * page_bytes];
            file.read_exact_at(&mut pages, 0)?;
            file.write_all_at(&pages, 0)?;
            file.sync_data()
        };
        force().map_err(|source| BackendError::NotForced { path: self.data_file.clone(), source })
    }

    /// Whether the disk still takes what it is given. LMDB does not tell whether a write or a sync has failed, and after a
    /// sync that failed earlier commits may be lost too. The system tells every descriptor of it once, so ours is asked.
    fn can_sync(&self) -> bool {
        self.ahead.as_ref().is_none_or(|ahead| ahead.sync().is_ok())
    }

    /// Whether LMDB has given the environment up: the page that makes a commit valid could not be written.
    ///
    /// Only the holder of the backend's write turn may ask, because asking takes LMDB's writer lock.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.env.write_txn(), Err(heed::Error::Mdb(MdbError::Panic)))
    }

    /// The bytes of the pages in use as `txn` sees them: those of every table, of the list of tables, and the two that
    /// begin the file. LMDB keeps these counts, so this costs one look a table.
    pub(crate) fn used_bytes(&self, txn: &RoTxn<'_>) -> heed::Result<u64> {
        let list = self.env.unnamed_database_stat();
        let mut pages = 2 + list.branch_pages + list.leaf_pages + list.overflow_pages;
        for table in &self.tables {
            let stat = table.stat(txn)?;
            pages += stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
        }
        Ok(pages as u64 * u64::from(list.page_size))
    }

    /// Whether a write failed for want of room.
    ///
    /// LMDB writes many pages with one call. When only some of them fit, the call succeeds in part, and LMDB makes an
    /// input/output error of that, as it does of a broken disk. So the room that is left decides: a call writes 64
    /// pages, or one value. A sync that failed is another matter, whatever it says.
    pub(crate) fn is_want_of_room(&self, error: &io::Error) -> bool {
        const NEARLY_FULL_BYTES: u64 = 16 << 20;
        let says_so = is_disk_full(error)
            || error.raw_os_error() == Some(libc::EIO)
                && free_bytes(&self.data_file).is_some_and(|free| free < NEARLY_FULL_BYTES);
        says_so && self.can_sync()
    }

    pub(crate) fn map_bytes(&self) -> usize {
        self.env.info().map_size
    }

    /// An error of LMDB in this crate's words.
    #[cold]
    pub(crate) fn error(&self, what: &'static str, error: heed::Error) -> BackendError {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => self.no_space(),
            heed::Error::Mdb(MdbError::ReadersFull) => {
                BackendError::ReadersFull { readers_max: self.readers_max }
            }
            heed::Error::Mdb(MdbError::BadTxn) => BackendError::TransactionFailed,
            heed::Error::Mdb(MdbError::TxnFull) => BackendError::TransactionTooLarge,
            heed::Error::Mdb(MdbError::Panic) => BackendError::Poisoned,
            heed::Error::Mdb(found @ (MdbError::Corrupted | MdbError::PageNotFound)) => {
                self.damaged(found.to_string())
            }
            heed::Error::Io(source) if self.is_want_of_room(&source) => self.no_space(),
            heed::Error::Io(source) => BackendError::Io { what, source },
            other => BackendError::Engine { what, source: EngineError::from(other) },
        }
    }

    fn no_space(&self) -> BackendError {
        BackendError::NoSpace { map_bytes: self.map_bytes() }
    }

    fn damaged(&self, what: String) -> BackendError {
        BackendError::Damaged { path: self.data_file.clone(), what }
    }
}

/// Whether the system says that there is no room for more: on the disk, in a quota, or under the process's own limit on
/// a file's size.
fn is_disk_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn open_error(path: &Path, error: heed::Error) -> BackendError {
    match error {
        heed::Error::Io(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            BackendError::NotWritable { path: path.to_owned(), source }
        }
        heed::Error::Io(source) => BackendError::Io { what: "mapping the data file", source },
        heed::Error::EnvAlreadyOpened => BackendError::AlreadyOpen { path: path.to_owned() },
        other => BackendError::Engine { what: "opening the data file", source: EngineError::from(other) },
    }
}
