//! What happened to the files of one folder, in order; and which of the calls are to fail.
//!
//! One tape runs at a time in the process. While it runs, calls about its files take turns, so what it says of their order
//! is so.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_long};
use parking_lot::{Mutex, MutexGuard};

use super::platter::SECTOR;

/// One thing that happened. Paths are those below the tape's folder; numbers are those of inodes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Made(PathBuf, u64),
    MadeFolder(PathBuf, u64),
    Renamed(PathBuf, PathBuf),
    Linked(PathBuf, PathBuf),
    Removed(PathBuf),
    Cut(u64, u64),
    Wrote {
        file: u64,
        at: u64,
        bytes: Vec<u8>,
    },
    /// Everything of a file or folder, or this range of it, was forced to the disk.
    Synced {
        file: u64,
        range: Option<(u64, u64)>,
    },
    /// The same was tried, and failed: what was not on the disk may be lost, though nobody has it in hand any more.
    NotSynced {
        file: u64,
        range: Option<(u64, u64)>,
    },
    /// What the program wants to find again.
    Said(u64),
}

/// Kinds of calls, for those that are to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A write that a later sync brings to the disk.
    Write,
    /// A write that is on the disk when it returns.
    WriteThrough,
    Sync,
    SyncFolder,
    Cut,
    /// To make, rename, link or remove a file.
    Name,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It does nothing, and says so.
    Refuses(c_int),
    /// A write takes effect, but cannot be forced to the disk; a sync does nothing. Where the call is neither it refuses.
    Loses(c_int),
    /// A write stops in its middle, at a sector, and says how much it wrote.
    StopsShort,
}

impl How {
    /// Whether a call of this kind can fail so. None stands for all kinds.
    pub(crate) fn suits(self, call: Option<Call>) -> bool {
        let is_write = |call| matches!(call, Call::Write | Call::WriteThrough);
        self != Self::StopsShort || call.is_none_or(is_write)
    }
}

/// Which calls are to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// None means all of them.
    pub(crate) call: Option<Call>,
    /// So many calls of the kind go well before.
    pub(crate) after: u64,
    pub(crate) how: How,
    pub(crate) for_ever: bool,
}

struct Tape {
    root: PathBuf,
    device: u64,
    files: HashSet<u64>,
    folders: HashSet<u64>,
    changes: Vec<Change>,
    fault: Option<Fault>,
    calls: u64,
    /// The calls that have failed as they were to, in order.
    hits: Vec<Call>,
    failed_at: Option<usize>,
    /// How many syncs of a file have failed, and of how many a descriptor knows: Linux tells each descriptor once.
    failed_syncs: HashMap<u64, u64>,
    told: HashMap<(u64, RawFd), u64>,
}

static RUNNING: AtomicBool = AtomicBool::new(false);
static TAPE: Mutex<Option<Tape>> = Mutex::new(None);

/// A file or folder on the tape.
pub(crate) struct TapedFile {
    pub(crate) number: u64,
    fd: RawFd,
    is_folder: bool,
    writes_through: bool,
}

/// Held by whoever has a tape running: tests come together.
static TURN: Mutex<()> = Mutex::new(());

/// The tape that runs; stopped when it is dropped.
pub(crate) struct Running {
    _turn: MutexGuard<'static, ()>,
}

impl Running {
    /// Begins to write down what happens below the folder `root`, an absolute path without links.
    pub(crate) fn start(root: &Path) -> std::io::Result<Self> {
        let turn = TURN.lock();
        let mut tape = Tape {
            root: root.to_owned(),
            device: fs::metadata(root)?.dev(),
            files: HashSet::new(),
            folders: HashSet::from([fs::metadata(root)?.ino()]),
            changes: Vec::new(),
            fault: None,
            calls: 0,
            hits: Vec::new(),
            failed_at: None,
            failed_syncs: HashMap::new(),
            told: HashMap::new(),
        };
        tape.find(root)?;
        *TAPE.lock() = Some(tape);
        RUNNING.store(true, Ordering::Release);
        Ok(Self { _turn: turn })
    }

    /// Notes a number between what happens.
    pub(crate) fn say(&self, said: u64) {
        self.with(|tape| tape.changes.push(Change::Said(said)));
    }

    /// From now on calls fail as `fault` says; or none does.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.with(|tape| {
            tape.fault = fault;
            tape.calls = 0;
        });
    }

    /// How many calls have failed.
    pub(crate) fn hits(&self) -> usize {
        self.with(|tape| tape.hits.len())
    }

    /// Those that failed after so many others.
    pub(crate) fn hits_since(&self, count: usize) -> Vec<Call> {
        self.with(|tape| tape.hits[count..].to_vec())
    }

    /// How much had happened before the first of them.
    pub(crate) fn failed_at(&self) -> Option<usize> {
        self.with(|tape| tape.failed_at)
    }

    /// What has happened so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.with(|tape| tape.changes.clone())
    }

    #[expect(clippy::unused_self, reason = "whoever has this has a tape that runs")]
    fn with<T>(&self, look: impl FnOnce(&mut Tape) -> T) -> T {
        look(TAPE.lock().as_mut().expect("it runs as long as this value lives"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::Release);
        *TAPE.lock() = None;
    }
}

impl Tape {
    fn find(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let (path, data) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            if data.is_dir() {
                self.folders.insert(data.ino());
                self.find(&path)?;
            } else {
                self.files.insert(data.ino());
            }
        }
        Ok(())
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    /// A sync through this descriptor has failed.
    fn failed_sync(&mut self, file: &TapedFile) {
        let failed = self.failed_syncs.entry(file.number).or_default();
        *failed += 1;
        self.told.insert((file.number, file.fd), *failed);
    }

    /// Whether a sync through another descriptor has failed since this one was opened, or was told of such a failure.
    fn is_owed_a_failure(&mut self, file: &TapedFile) -> bool {
        let failed = self.failed_syncs.get(&file.number).copied().unwrap_or(0);
        self.told.insert((file.number, file.fd), failed).unwrap_or(0) < failed
    }

    /// How this call is to fail, if it is.
    fn fault_of(&mut self, call: Call) -> Option<How> {
        let is_meant = |fault: &Fault| fault.call.is_none_or(|wanted| wanted == call);
        let fault = self.fault.filter(|fault| is_meant(fault) && fault.how.suits(Some(call)))?;
        self.calls += 1;
        let fails = if fault.for_ever { self.calls > fault.after } else { self.calls == fault.after + 1 };
        if !fails {
            return None;
        }
        self.hit(call);
        Some(fault.how)
    }

    fn hit(&mut self, call: Call) {
        self.hits.push(call);
        self.failed_at.get_or_insert(self.changes.len());
    }
}

pub(crate) fn is_running() -> bool {
    RUNNING.load(Ordering::Acquire)
}

/// What a descriptor stands for, if that is on the tape that runs.
pub(crate) fn file_of(fd: RawFd) -> Option<TapedFile> {
    if !is_running() {
        return None;
    }
    let (device, number) = identity(fd)?;
    let tape = TAPE.lock();
    let tape = tape.as_ref()?;
    let is_folder = tape.folders.contains(&number);
    let is_taped = tape.device == device && (is_folder || tape.files.contains(&number));
    is_taped.then(|| TapedFile { number, fd, is_folder, writes_through: writes_through(fd) })
}

#[expect(unsafe_code, reason = "a descriptor of another owner is asked")]
fn identity(fd: RawFd) -> Option<(u64, u64)> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `found` is the structure that the call fills; a descriptor that is not open is an error.
    let failed = unsafe { libc::fstat(fd, found.as_mut_ptr()) } != 0;
    // SAFETY: it holds integers alone, and began as zeroes.
    let found = unsafe { found.assume_init() };
    (!failed).then_some((found.st_dev, found.st_ino))
}

#[expect(unsafe_code, reason = "a descriptor of another owner is asked")]
fn writes_through(fd: RawFd) -> bool {
    // SAFETY: no memory is touched.
    unsafe { libc::fcntl(fd, libc::F_GETFL) & libc::O_DSYNC != 0 }
}

/// A call that changes names or a length.
pub(crate) fn change(which: Call, change: Change, call: impl FnOnce() -> c_long) -> Result<c_long, c_int> {
    let mut tape = TAPE.lock();
    let Some(tape) = tape.as_mut() else { return Ok(call()) };
    let below = |path: PathBuf| tape.below(&path);
    let change = match change {
        Change::MadeFolder(path, number) => below(path).map(|path| Change::MadeFolder(path, number)),
        Change::Removed(path) => below(path).map(Change::Removed),
        Change::Renamed(from, to) => below(from).zip(below(to)).map(|(from, to)| Change::Renamed(from, to)),
        Change::Linked(from, to) => below(from).zip(below(to)).map(|(from, to)| Change::Linked(from, to)),
        other => Some(other),
    };
    let Some(mut change) = change else { return Ok(call()) };
    if let Some(How::Refuses(errno) | How::Loses(errno)) = tape.fault_of(which) {
        return Err(errno);
    }
    let answer = call();
    if answer < 0 {
        return Ok(answer);
    }
    if let Change::MadeFolder(path, number) = &mut change
        && let Ok(data) = fs::metadata(tape.root.join(path))
    {
        *number = data.ino();
        tape.folders.insert(*number);
    }
    tape.changes.push(change);
    Ok(answer)
}

/// A call that opens a file, and may make it or cut it to nothing.
pub(crate) fn open(path: &Path, flags: c_int, call: impl FnOnce() -> c_long) -> Result<c_long, c_int> {
    let mut tape = TAPE.lock();
    let Some(tape) = tape.as_mut() else { return Ok(call()) };
    let Some(below) = tape.below(path) else { return Ok(call()) };
    let makes = flags & libc::O_CREAT != 0 && !path.exists();
    if makes && let Some(How::Refuses(errno) | How::Loses(errno)) = tape.fault_of(Call::Name) {
        return Err(errno);
    }
    let answer = call();
    if answer < 0 {
        // Nothing in between: the caller looks at `errno`.
        return Ok(answer);
    }
    let fd = RawFd::try_from(answer).unwrap_or(-1);
    if let Some((_, number)) = identity(fd) {
        tape.told.insert((number, fd), tape.failed_syncs.get(&number).copied().unwrap_or(0));
        if makes {
            tape.files.insert(number);
            tape.changes.push(Change::Made(below, number));
        } else if flags & libc::O_TRUNC != 0 {
            tape.changes.push(Change::Cut(number, 0));
        }
    }
    Ok(answer)
}

/// A write of `bytes` at `at`; `call` makes it, of so many of them.
pub(crate) fn write(
    file: &TapedFile,
    at: u64,
    bytes: &[u8],
    call: impl FnOnce(usize) -> c_long,
) -> Result<c_long, c_int> {
    let mut tape = TAPE.lock();
    let Some(tape) = tape.as_mut() else { return Ok(call(bytes.len())) };
    let which = if file.writes_through { Call::WriteThrough } else { Call::Write };
    let (len, fails) = match tape.fault_of(which) {
        Some(How::Refuses(errno)) => return Err(errno),
        Some(How::StopsShort) if bytes.len() > SECTOR => {
            ((bytes.len() / 2 / SECTOR * SECTOR).max(SECTOR), None)
        }
        Some(How::StopsShort) => return Err(libc::ENOSPC),
        Some(How::Loses(errno)) if file.writes_through => (bytes.len(), Some(errno)),
        Some(How::Loses(errno)) => return Err(errno),
        None => (bytes.len(), None),
    };
    let answer = call(len);
    let Some(done) = usize::try_from(answer).ok() else { return Ok(answer) };
    tape.changes.push(Change::Wrote { file: file.number, at, bytes: bytes[..done].to_vec() });
    let range = Some((at, at + done as u64));
    match fails {
        Some(errno) => {
            tape.changes.push(Change::NotSynced { file: file.number, range });
            tape.failed_sync(file);
            Err(errno)
        }
        None => {
            if file.writes_through {
                tape.changes.push(Change::Synced { file: file.number, range });
            }
            Ok(answer)
        }
    }
}

/// A sync of a file or folder.
pub(crate) fn sync(file: &TapedFile, call: impl FnOnce() -> c_long) -> Result<c_long, c_int> {
    let mut tape = TAPE.lock();
    let Some(tape) = tape.as_mut() else { return Ok(call()) };
    let which = if file.is_folder { Call::SyncFolder } else { Call::Sync };
    if let Some(How::Refuses(errno) | How::Loses(errno)) = tape.fault_of(which) {
        tape.changes.push(Change::NotSynced { file: file.number, range: None });
        tape.failed_sync(file);
        return Err(errno);
    }
    let answer = call();
    if answer == 0 && tape.is_owed_a_failure(file) {
        tape.hit(which);
        tape.changes.push(Change::Synced { file: file.number, range: None });
        return Err(libc::EIO);
    }
    if answer == 0 {
        tape.changes.push(Change::Synced { file: file.number, range: None });
    }
    Ok(answer)
}
