//! Ten thousand at the tail: everything that is put, on ten streams, and how late it comes.
//!
//! Each stream is read by a task of its own. An event's time runs from when its put was due until the last watch of its
//! stream has checked it. It counts once for each watch.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use watchful::Store;

use super::arrivals::{Latencies, Puts, stamp};
use super::watched::{Crowd, Given, Looked};
use crate::Outcome;
use crate::keys::{all_keys, number_in};

const STREAMS: usize = 10;

/// What one stream may be behind another, and the testkit does not look into a batch again for it.
const LOOKED_BYTES: usize = 1 << 20;

/// How long the last event may take, once nothing is put any more.
const SETTLE_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Tail<'a> {
    runtime: &'a Runtime,
    store: &'a Store,
    readers: Vec<Reader>,
    latencies: Arc<Mutex<Latencies>>,
}

/// Who reads one stream.
struct Reader {
    task: JoinHandle<Outcome>,
    /// The first revision that one of its watches lacks.
    next_revision: watch::Receiver<u64>,
}

impl<'a> Tail<'a> {
    /// So many watches of all keys, from the next revision on.
    pub(crate) fn open(puts: &'a Puts, watches: usize) -> Outcome<Self> {
        let Puts { store, runtime, .. } = puts;
        let next = store.current_revision() + 1;
        let (latencies, looked) = (Arc::new(Mutex::new(Latencies::new()?)), Looked::keeping(LOOKED_BYTES));
        let reader = |_| {
            let crowd = Crowd::open(store, &all_keys(), vec![next; watches / STREAMS])?.sharing(&looked);
            let (tell, next_revision) = watch::channel(next);
            Ok(Reader { task: runtime.spawn(read(crowd, tell, Arc::clone(&latencies))), next_revision })
        };
        let readers = (0..STREAMS).map(reader).collect::<Outcome<_>>()?;
        Ok(Self { runtime, store, readers, latencies })
    }

    /// Waits until every watch has everything, and forgets how long it took.
    pub(crate) fn settle(&mut self) -> Outcome {
        self.latencies().map(drop)
    }

    /// Waits until every watch has everything. Returns how long it took since this was last asked.
    pub(crate) fn latencies(&mut self) -> Outcome<Latencies> {
        let newest = self.store.current_revision();
        for reader in &mut self.readers {
            self.runtime.block_on(reader.has(newest))?;
        }
        let mut latencies = self.latencies.lock().map_err(|_| "a reader panicked")?;
        Ok(std::mem::replace(&mut latencies, Latencies::new()?))
    }
}

impl Reader {
    /// Waits until all its watches have everything up to this revision.
    async fn has(&mut self, newest: u64) -> Outcome {
        let has = self.next_revision.wait_for(|next| *next > newest);
        match tokio::time::timeout(SETTLE_MAX, has).await.map(|told| told.map(drop)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => {
                (&mut self.task).await??;
                Err("a reader is gone".into())
            }
            Err(_elapsed) => Err(format!("{} did not come", *self.next_revision.borrow()).into()),
        }
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.readers.iter().for_each(|reader| reader.task.abort());
    }
}

async fn read(mut crowd: Crowd, tell: watch::Sender<u64>, latencies: Arc<Mutex<Latencies>>) -> Outcome {
    loop {
        if let Some(given) = crowd.take_next().await? {
            note(&latencies, &given)?;
            tell.send_replace(crowd.next_revision());
        }
    }
}

/// Events that were not due at any time do not count.
fn note(latencies: &Mutex<Latencies>, given: &Given) -> Outcome {
    let now = stamp(Instant::now());
    let mut latencies = latencies.lock().map_err(|_| "a reader panicked")?;
    for due in given.batch.events().iter().filter_map(|event| number_in(event.value())) {
        if due > 0 {
            latencies.came(due, now, given.watches as u64);
        }
    }
    Ok(())
}
