//! Tables of bytes on LMDB, with its traps closed: a [`Backend`] is one folder with one data file, a [`ReadTxn`] sees
//! one commit of it, a [`WriteTxn`] makes the next, and [`check_file`] tells whether a file is whole.
//!
//! **What it is for:** a store that wants LMDB's speed and its commits that hold or never were, and does not want to
//! know what LMDB expects of its callers.
//!
//! **What it is not for:** it does not know what keys and values mean; a revision or a key of a user is bytes to it. It
//! starts no thread, and reads no clock but to bound a wait. It is for local disks on Unix: not for network file systems,
//! and a backend does not survive `fork`.
//!
//! # Invariants
//!
//! - One [`Backend`] at a time has a folder open, in this process or any other ([`BackendError::AlreadyOpen`]).
//! - A data file is looked at before it is mapped, and refused when it is foreign, cut short, or begins with damage. A
//!   file that some other program writes while it is open is beyond help: that is what mapping a file means.
//! - A commit is there whole or not at all. When nobody can know which, [`CommitError::OutcomeUnknown`] says so, writes
//!   are refused until the store is opened anew, and reads go on.
//! - A store is there whole from its first moment: a power failure while it is made leaves none. Whoever opens one that may
//!   not have been closed calls [`Backend::settle`] before it writes.
//! - The map is as large as [`BackendSettings::map_bytes`] says, from the first to the last moment. It is the bound on
//!   the file's size; at it a write ends with `NoSpace` and is taken back whole.
//! - Freed pages are used again, but not while a read transaction is open that began before they were freed. Only
//!   [`Backend::defragment`] gives them back to the disk.
//! - No type of LMDB or heed is in a signature.
//!
//! # What it costs
//!
//! To begin a read transaction takes two short locks; to look up a key costs one page a level of its tree, and no copy.
//! A commit writes every page that it changed, and the branch above it, anew: many changes in one transaction are far
//! cheaper than many transactions. Values a little over 2 KB, or a little over a multiple of the page size, waste up to
//! half a page each.
//!
//! To make a file longer makes its sync slower, so zeros are kept ahead of its end, at most 512 KiB, and none where the
//! disk is nearly full or where no commit waits for it.
//!
//! # A worked example
//!
//! ```
//! use watchful_backend::{Backend, BackendError, BackendSettings, check_file};
//!
//! # let dir = tempfile::tempdir()?;
//! let backend = Backend::open(dir.path(), &BackendSettings::default(), &["log", "meta"])?;
//! let log = backend.table("log").unwrap();
//!
//! let mut txn = backend.write()?;
//! txn.append(log, b"2", b"two")?;
//! assert!(matches!(txn.append(log, b"1", b"one"), Err(BackendError::NotLast)));
//! txn.append(log, b"3", b"three")?;
//! txn.commit()?;
//!
//! let txn = backend.read()?;
//! let keys: Result<Vec<_>, _> = txn.range(log, ..)?.map(|entry| entry.map(|(key, _)| key)).collect();
//! assert_eq!(keys?, [b"2", b"3"]);
//!
//! drop((txn, backend));
//! let report = check_file(&Backend::data_file(dir.path())).unwrap();
//! assert!(report.is_ok() && report.tables[0].entries == 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod settings;

mod error;

mod backend;

mod read;

mod write;

mod range;

mod prefetch;

mod copy;

mod defragment;

mod environment;

mod seats;

mod folder;

mod ahead;

mod disk;

mod file;

pub use backend::{Backend, BackendStats, Table};
pub use defragment::Defragmented;
pub use error::{BackendError, CommitError, EngineError};
pub use file::{
    CheckError, CheckReport, DamagedValue, Piece, Place, Problem, SalvageFile, TableReport, Walked,
    check_file, check_file_with,
};
pub use folder::force_names;
pub use range::{Range, RevRange};
pub use read::{Entry, KEY_LEN_MAX, LongRead, ReadTxn};
pub use settings::{BackendSettings, Durability};
pub use write::WriteTxn;
