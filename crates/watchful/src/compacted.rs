//! Those who wait until a compaction has deleted what it leaves behind.
//!
//! Whoever asks is kept here with the compact revision of that moment, and told after the commit that finishes it. So
//! compactions that are scheduled later hold nobody up.

use parking_lot::Mutex;
use watchful_mvcc::{Mvcc, MvccError};

use crate::Error;
use crate::promise::{Promise, Reply, promise};

#[derive(Default)]
pub(crate) struct CompactionWaits {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Wait>,
    closed: bool,
}

struct Wait {
    revision: u64,
    promise: Promise<Result<(), Error>>,
}

impl CompactionWaits {
    /// Waits for all that has been scheduled so far.
    pub(crate) fn add(&self, mvcc: &Mvcc) -> Reply<Result<(), Error>> {
        let (promise, reply) = promise();
        let mut state = self.state.lock();
        // Asked under the lock that `tell` takes after the commit, so what finishes now is seen here or told there.
        let revision = mvcc.compact_revision();
        if mvcc.is_compaction_finished(revision) {
            promise.give(Ok(()));
        } else if !state.closed {
            state.waiting.push(Wait { revision, promise });
        }
        reply
    }

    /// A group was committed, or was not.
    pub(crate) fn tell(&self, mvcc: &Mvcc, committed: &Result<(), MvccError>) {
        match committed {
            Ok(()) => {
                let is_done = |wait: &mut Wait| mvcc.is_compaction_finished(wait.revision);
                self.settle(is_done, || Ok(()));
            }
            Err(error @ MvccError::OutcomeUnknown) => self.fail(error),
            // It goes on with another group.
            Err(_) => {}
        }
    }

    /// Compaction is stuck.
    pub(crate) fn fail(&self, error: &MvccError) {
        self.settle(|_| true, || Err(error.clone().into()));
    }

    /// Nothing more will be deleted. Those who wait learn that the store is closed.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    fn settle(&self, is_settled: impl FnMut(&mut Wait) -> bool, answer: impl Fn() -> Result<(), Error>) {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            return;
        }
        let settled: Vec<Wait> = state.waiting.extract_if(.., is_settled).collect();
        drop(state);
        for wait in settled {
            wait.promise.give(answer());
        }
    }
}
