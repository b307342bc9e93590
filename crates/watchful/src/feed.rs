//! What reaches the driver: published batches from the writer, and commands from everybody else.
//!
//! The writer's part is a push and, where the driver sleeps, one wake. It never waits: where the queue is full the batch
//! is not kept, and the engine reads it from history. Where nobody watches, the writer only raises a number.
//!
//! How far the store was published is known twice: to everybody as soon as it is so, and to the driver together with the
//! batches, under one lock. So a batch that is on its way in is not mistaken for one that was lost, and read from the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use watchful_mvcc::CommittedBatch;
use watchful_sync::{Gauges, HistoryChunk, HistoryFailure, WatchId, WatchSpec, WatcherStatus};

use crate::Error;
use crate::outbox::Outbox;
use crate::patience::Patience;
use crate::promise::Promise;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// What somebody wants of the driver.
pub(crate) enum Command {
    Attach(Arc<Outbox>),
    Detach(Arc<Outbox>),
    Watch {
        outbox: Arc<Outbox>,
        watch: WatchId,
        spec: WatchSpec,
    },
    Cancel {
        outbox: Arc<Outbox>,
        watch: WatchId,
    },
    AskProgress {
        outbox: Arc<Outbox>,
        revision_min: u64,
    },
    /// Room that the engine waited for is there.
    Drained(Arc<Outbox>),
    History(Result<HistoryChunk, HistoryFailure>),
    Status {
        outbox: Arc<Outbox>,
        watch: WatchId,
        reply: Asked<Option<WatcherStatus>>,
    },
    Watchers(Asked<Vec<WatcherStatus>>),
    Gauges(Asked<Gauges>),
}

/// What is behind an [`Answer`](crate::Answer).
pub(crate) type Asked<T> = Promise<Result<T, Error>>;

#[derive(Default)]
pub(crate) struct Feed {
    /// The newest revision that readers see.
    published: AtomicU64,
    compacted: AtomicU64,
    /// Whether anybody watches, or is about to.
    watching: AtomicBool,
    queue_bytes_max: usize,
    state: Mutex<State>,
    signal: Condvar,
    /// Whether there is something for the driver in `state`, for a look without the lock.
    news: AtomicBool,
    /// The store's own code has panicked somewhere.
    has_panicked: AtomicBool,
}

#[derive(Default)]
struct State {
    batches: VecDeque<CommittedBatch>,
    bytes: usize,
    /// The newest revision that went through here, whether its batch was kept or not. Never ahead of the queue.
    published: u64,
    commands: VecDeque<Command>,
    asleep: bool,
    turned: bool,
    closed: bool,
}

/// What the driver found.
pub(crate) struct Intake {
    pub(crate) compacted: u64,
    pub(crate) published: u64,
    pub(crate) batches: VecDeque<CommittedBatch>,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) closed: bool,
}

impl Feed {
    pub(crate) fn new(current_revision: u64, compact_revision: u64, queue_bytes_max: usize) -> Self {
        Self {
            published: AtomicU64::new(current_revision),
            state: Mutex::new(State { published: current_revision, ..State::default() }),
            compacted: AtomicU64::new(compact_revision),
            queue_bytes_max,
            ..Self::default()
        }
    }

    /// The writer has made these batches visible, and the store was compacted at `compact_revision` before or with them.
    pub(crate) fn publish(&self, batches: Vec<CommittedBatch>, compact_revision: u64) {
        if let Some(last) = batches.last() {
            self.published.store(last.revision, Ordering::SeqCst);
        }
        let compacts = self.compacted.load(Ordering::Relaxed) < compact_revision;
        // Together with the store above: a watcher that this does not see sees the published revision.
        if self.watching.load(Ordering::SeqCst) && (compacts || !batches.is_empty()) {
            let mut state = self.state.lock();
            if state.closed {
                // The driver has panicked. It takes nothing any more.
                return;
            }
            for batch in batches {
                if state.bytes + batch.bytes.len() <= self.queue_bytes_max {
                    state.bytes += batch.bytes.len();
                    state.batches.push_back(batch);
                }
            }
            state.published = self.published.load(Ordering::SeqCst);
            self.compacted.store(compact_revision, Ordering::SeqCst);
            self.wake(&mut state);
        } else {
            self.compacted.store(compact_revision, Ordering::SeqCst);
        }
    }

    /// Returns false when the driver is gone.
    pub(crate) fn command(&self, command: Command) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        self.watching.store(true, Ordering::SeqCst);
        state.commands.push_back(command);
        self.wake(&mut state);
        true
    }

    /// The clock has jumped.
    pub(crate) fn turn(&self) {
        let mut state = self.state.lock();
        state.turned = true;
        self.wake(&mut state);
    }

    /// One of the store's threads ends, and with it all watching: because the store is closed, or because it panics.
    pub(crate) fn close(&self) {
        if std::thread::panicking() {
            self.note_panic();
        }
        let mut state = self.state.lock();
        state.closed = true;
        self.wake(&mut state);
    }

    /// What came in and was not heard. There is something only where the driver has panicked.
    pub(crate) fn unheard(&self) -> VecDeque<Command> {
        std::mem::take(&mut self.state.lock().commands)
    }

    pub(crate) fn note_panic(&self) {
        self.has_panicked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::SeqCst)
    }

    fn wake(&self, state: &mut State) {
        self.news.store(true, Ordering::Release);
        if std::mem::replace(&mut state.asleep, false) {
            self.signal.notify_one();
        }
    }

    /// Waits until there is something, or `sleep` is over. `idle` says that nobody watches: then the writer need not
    /// queue anything, unless a command came in meanwhile.
    pub(crate) fn wait(&self, idle: bool, sleep: Option<Duration>, patience: &Patience) -> Intake {
        // Where nobody watches, what the writer does is no news.
        if !idle {
            patience.look(|| self.news.load(Ordering::Acquire));
        }
        let mut state = self.state.lock();
        let quiet = |state: &State| {
            state.batches.is_empty() && state.commands.is_empty() && !state.closed && !state.turned
        };
        if idle && state.commands.is_empty() {
            self.watching.store(false, Ordering::SeqCst);
        }
        if quiet(&state) {
            state.asleep = true;
            match sleep {
                Some(sleep) => drop(self.signal.wait_for(&mut state, sleep)),
                None => self.signal.wait(&mut state),
            }
            state.asleep = false;
        }
        if !state.commands.is_empty() {
            // Somebody may be the first to watch, and what was published before that did not come through the queue.
            state.published = self.published.load(Ordering::SeqCst);
        }
        self.news.store(false, Ordering::Relaxed);
        let (compacted, published) = (self.compacted.load(Ordering::SeqCst), state.published);
        state.turned = false;
        state.bytes = 0;
        Intake {
            compacted,
            published,
            batches: std::mem::take(&mut state.batches),
            commands: std::mem::take(&mut state.commands),
            closed: state.closed,
        }
    }
}
