//! Who reads which environment, and how one environment is exchanged for another.
//!
//! LMDB must not have a file open twice in a process, and its map must be gone before the file's room is. So a file is
//! exchanged while nobody reads: the door is closed, those inside are waited for, the old environment is closed, the new
//! one opened, and the door is open again. A thread that holds a read transaction and asks for another would wait at the
//! door for itself; so the door is closed for a moment only, and when that was in vain, for many such moments, the exchange
//! is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heed::{MdbError, RoTxn, WithoutTls};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::environment::Environment;
use crate::error::BackendError;

/// How long the door is closed at a time: as long as a reader may be held up by others that do not end.
const CLOSED_MAX: Duration = Duration::from_millis(100);

/// How long an exchange waits for readers in all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The environment in use, and its readers.
pub(crate) struct Seats {
    state: Mutex<State>,
    /// A reader has left, or the door was opened.
    changed: Condvar,
}

pub(crate) struct State {
    /// None once it was closed and could not be opened again.
    environment: Option<Arc<Environment>>,
    /// Set when LMDB has given up `environment`: reads go here from then on.
    read_only: Option<Arc<Environment>>,
    /// How many read transactions look at each commit. LMDB tells of its readers only as text.
    readers: BTreeMap<u64, u32>,
    is_door_closed: bool,
    /// Why there is no environment.
    lost: String,
}

/// A reader's transaction and the environment it belongs to. The seat is given up with [`Seats::leave`] when both are
/// gone.
pub(crate) type Seated = (RoTxn<'static, WithoutTls>, Arc<Environment>);

/// Why a reader was not let in.
pub(crate) enum NotSeated {
    /// LMDB has given the environment up, and there is no other yet.
    Broken,
    Failed(BackendError),
}

impl Seats {
    pub(crate) fn new(environment: Environment) -> Self {
        let state = State {
            environment: Some(Arc::new(environment)),
            read_only: None,
            readers: BTreeMap::new(),
            is_door_closed: false,
            lost: String::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Begins to read, when the door is open.
    pub(crate) fn enter(&self) -> Result<Seated, NotSeated> {
        let mut state = self.state.lock();
        while state.is_door_closed {
            self.changed.wait(&mut state);
        }
        let environment = state.readable().map_err(NotSeated::Failed)?;
        match environment.read() {
            Ok(txn) => {
                *state.readers.entry(txn.id() as u64).or_default() += 1;
                Ok((txn, environment))
            }
            Err(error) if says_broken(&error) => Err(NotSeated::Broken),
            Err(error) => Err(NotSeated::Failed(environment.error("beginning to read", error))),
        }
    }

    /// Gives up a seat. The caller's transaction and its environment are gone by now.
    pub(crate) fn leave(&self, commit: u64) {
        let mut state = self.state.lock();
        if let Some(count) = state.readers.get_mut(&commit) {
            *count -= 1;
            if *count == 0 {
                state.readers.remove(&commit);
            }
        }
        if state.readers.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Exchanges the environment: closes it when nobody reads, and opens what `open` gives. The caller has the turn to
    /// write and keeps copies out, so nobody but readers can hold it.
    ///
    /// # Errors
    ///
    /// `Busy` when readers did not end: nothing was closed then. Otherwise what `open` said: there is no environment from
    /// then on.
    pub(crate) fn exchange(
        &self,
        open: impl FnOnce() -> Result<Environment, BackendError>,
    ) -> Result<(), BackendError> {
        let mut state = self.wait_until_empty()?;
        let Some(environment) = state.environment.take() else { return Err(state.lost()) };
        match Arc::try_unwrap(environment) {
            Ok(environment) => drop(environment),
            Err(held) => {
                state.environment = Some(held);
                return Err(busy());
            }
        }
        match open() {
            Ok(environment) => state.environment = Some(Arc::new(environment)),
            Err(error) => {
                state.lost = error.to_string();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Locks the state at a moment when nobody reads.
    fn wait_until_empty(&self) -> Result<MutexGuard<'_, State>, BackendError> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            for is_closed in [true, false] {
                state.is_door_closed = is_closed;
                self.changed.notify_all();
                let until = Instant::now() + CLOSED_MAX;
                while !state.readers.is_empty() {
                    if self.changed.wait_until(&mut state, until).timed_out() {
                        break;
                    }
                }
                state.is_door_closed = false;
                if state.readers.is_empty() {
                    self.changed.notify_all();
                    return Ok(state);
                }
            }
            if Instant::now() >= deadline {
                self.changed.notify_all();
                return Err(busy());
            }
        }
    }
}

impl State {
    /// The environment to write to.
    pub(crate) fn writable(&self) -> Result<Arc<Environment>, BackendError> {
        self.environment.clone().ok_or_else(|| self.lost())
    }

    /// The environment to read from: the one that is written, unless LMDB has given it up.
    pub(crate) fn readable(&self) -> Result<Arc<Environment>, BackendError> {
        self.read_only.clone().map_or_else(|| self.writable(), Ok)
    }

    /// The environment to look at where nothing is read: only while this is locked.
    pub(crate) fn environment(&self) -> Option<&Environment> {
        self.environment.as_deref()
    }

    pub(crate) fn has_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    pub(crate) fn set_read_only(&mut self, environment: Environment) {
        self.read_only = Some(Arc::new(environment));
    }

    pub(crate) fn readers(&self) -> &BTreeMap<u64, u32> {
        &self.readers
    }

    fn lost(&self) -> BackendError {
        BackendError::Lost { reason: self.lost.clone() }
    }
}

/// Whether LMDB says that it has given the environment up.
fn says_broken(error: &heed::Error) -> bool {
    matches!(error, heed::Error::Mdb(MdbError::Panic))
}

fn busy() -> BackendError {
    BackendError::Busy { waited: PATIENCE }
}
