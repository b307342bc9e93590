//! Looks at the store's watchers while they work: what is queued for each, and how far behind it is, at worst.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};
use watchful::{Store, StreamId, WatcherStatus};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was seen of one watcher.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    pub(crate) queued_bytes: usize,
    /// Revisions that it had not been given.
    pub(crate) lag_revisions: u64,
}

/// What was seen of all.
pub(crate) type Seen = HashMap<StreamId, Worst>;

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: Sender<()>,
    thread: JoinHandle<Seen>,
}

impl Monitor {
    /// Looks at `store`, and tells on `bar` how far the last one is behind.
    pub(crate) fn start(store: Store, bar: ProgressBar) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut seen = Seen::new();
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let Ok(watchers) = store.watchers().wait() else { break };
                let behind = watchers.iter().map(|status| note(&mut seen, status)).max().unwrap_or(0);
                bar.set_message(format!(
                    "({} watchers, the last {} behind)",
                    watchers.len(),
                    HumanCount(behind)
                ));
            }
            seen
        });
        Self { stop, thread }
    }

    /// Stops looking.
    pub(crate) fn finish(self) -> Seen {
        drop(self.stop);
        // A panic of that thread has been printed; the report goes on without what it saw.
        self.thread.join().unwrap_or_default()
    }
}

fn note(seen: &mut Seen, status: &WatcherStatus) -> u64 {
    let worst = seen.entry(status.stream).or_default();
    worst.queued_bytes = worst.queued_bytes.max(status.queued_bytes);
    worst.lag_revisions = worst.lag_revisions.max(status.lag_revisions);
    status.lag_revisions
}
