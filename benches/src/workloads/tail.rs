//! Ten thousand at the tail: everything that is put, on ten streams, and how late it comes.
//!
//! Each stream is read by a task of its own. An event's time runs from when its put was due until the last watch of its
//! stream has checked it. It counts once for each watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use watchful::{KeyRange, Store};

use super::arrivals::{Latencies, Puts, stamp};
use super::watched::{Crowd, Given, Looked};
use crate::Outcome;
use crate::keys::number_in;

const STREAMS: usize = 10;

/// What one stream may be behind another, and the testkit does not look into a batch again for it.
const LOOKED_BYTES: usize = 1 << 20;

/// How long the last event may take, once nothing is put any more.
const SETTLE_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Tail<'a> {
    runtime: &'a Runtime,
    store: &'a Store,
    readers: Vec<JoinHandle<Outcome>>,
    heard: Arc<Heard>,
}

/// What the readers have to say.
struct Heard {
    latencies: Mutex<Latencies>,
    /// By stream: the first revision that one of its watches lacks.
    next_revisions: Vec<AtomicU64>,
}

impl<'a> Tail<'a> {
    /// So many watches of `range`, from the next revision on.
    pub(crate) fn open(puts: &'a Puts, range: &KeyRange, watches: usize) -> Outcome<Self> {
        let Puts { store, runtime, .. } = puts;
        let next = store.current_revision() + 1;
        let heard = Arc::new(Heard {
            latencies: Mutex::new(Latencies::new()?),
            next_revisions: (0..STREAMS).map(|_| AtomicU64::new(next)).collect(),
        });
        let looked = Looked::keeping(LOOKED_BYTES);
        let reader = |stream| {
            let crowd = Crowd::open(store, range, vec![next; watches / STREAMS])?.sharing(&looked);
            Ok(runtime.spawn(read(crowd, stream, Arc::clone(&heard))))
        };
        let readers = (0..STREAMS).map(reader).collect::<Outcome<_>>()?;
        Ok(Self { runtime, store, readers, heard })
    }

    /// Waits until every watch has everything, and forgets how long it took.
    pub(crate) fn settle(&mut self) -> Outcome {
        self.latencies().map(drop)
    }

    /// Waits until every watch has everything. Returns how long it took since this was last asked.
    pub(crate) fn latencies(&mut self) -> Outcome<Latencies> {
        let (newest, begun) = (self.store.current_revision(), Instant::now());
        while self.next_revision() <= newest {
            if let Some(over) = self.readers.iter().position(JoinHandle::is_finished) {
                self.runtime.block_on(self.readers.swap_remove(over))??;
                return Err("a reader is gone".into());
            }
            if begun.elapsed() > SETTLE_MAX {
                return Err(format!("{} did not come", self.next_revision()).into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let mut latencies = self.heard.latencies.lock().map_err(|_| "a reader panicked")?;
        Ok(std::mem::replace(&mut latencies, Latencies::new()?))
    }

    fn next_revision(&self) -> u64 {
        let all = self.heard.next_revisions.iter().map(|next| next.load(Ordering::Acquire));
        all.min().unwrap_or_default()
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

async fn read(mut crowd: Crowd, stream: usize, heard: Arc<Heard>) -> Outcome {
    loop {
        if let Some(given) = crowd.take_next().await? {
            heard.note(&given)?;
            heard.next_revisions[stream].store(crowd.next_revision(), Ordering::Release);
        }
    }
}

impl Heard {
    /// Events that were not due at any time do not count.
    fn note(&self, given: &Given) -> Outcome {
        let now = stamp(Instant::now());
        let mut latencies = self.latencies.lock().map_err(|_| "a reader panicked")?;
        for due in given.batch.events().iter().filter_map(|event| number_in(event.value())) {
            if due > 0 {
                latencies.came(due, now, given.watches as u64);
            }
        }
        Ok(())
    }
}
