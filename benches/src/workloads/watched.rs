//! Receivers of which the testkit checks everything that they are given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchful::{Batch, KeyRange, Store, StreamItem, Update, Watch, WatchOptions, WatchStream};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::{Batch as ObservedBatch, Observation, WatchSpec};

use crate::Outcome;

/// What the testkit sees of a batch.
pub(crate) fn observation(batch: &Batch) -> Observation {
    Observation::Batch(ObservedBatch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    })
}

/// One watch by itself, with a checker of its own.
pub(crate) struct CheckedWatch {
    watch: Watch,
    checker: WatchChecker,
}

impl CheckedWatch {
    /// A watch of `range` from `start` on, which has to be resolved.
    pub(crate) fn open(store: &Store, range: &KeyRange, start: u64) -> Outcome<Self> {
        let watch = store.watch(&WatchOptions::new(range.clone()).start_at(start))?;
        let mut checker = WatchChecker::new(WatchSpec::new(range.clone(), start));
        checker.observe(&Observation::Created)?;
        Ok(Self { watch, checker })
    }

    /// The first revision that it lacks.
    pub(crate) fn next_revision(&self) -> u64 {
        self.checker.next_revision()
    }

    /// Takes what comes next, and waits for it at most so long. Returns how many events came; none where the time is over.
    pub(crate) fn take_for(&mut self, timeout: Duration) -> Outcome<Option<usize>> {
        match self.watch.wait_next_for(timeout) {
            Ok(update) => self.take(update).map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// Takes what comes next. Returns how many events it has.
    pub(crate) async fn take_next(&mut self) -> Outcome<usize> {
        let update = self.watch.next().await;
        self.take(update)
    }

    fn take(&mut self, update: Option<Result<Update, watchful::End>>) -> Outcome<usize> {
        match update.ok_or("the watch is over")?? {
            Update::Progress { revision } => {
                self.checker.observe(&Observation::Progress { revision })?;
                Ok(0)
            }
            Update::Events(batch) => {
                self.checker.observe(&observation(&batch))?;
                Ok(batch.events().len())
            }
        }
    }

    /// What its outbox holds now, as the engine counts it.
    pub(crate) fn queued_bytes(&self) -> Outcome<usize> {
        Ok(self.watch.status().wait()?.ok_or("the watch is over")?.queued_bytes)
    }
}

/// Many watches of one range on one stream, each with a count of its own.
///
/// The range is one of which every revision has an event. So a watch misses nothing, and is given nothing twice, exactly if
/// each batch begins with the revision that it lacks. A batch is the same for all those it is for, so the testkit looks
/// into it once, as into the first that a watch from there on is given.
pub(crate) struct Crowd {
    stream: WatchStream,
    range: KeyRange,
    /// The first revision that each watch lacks, by watch id.
    next: Vec<u64>,
    prev_kv: bool,
    looked: Arc<Looked>,
}

/// Batches that the testkit has looked into, the newest of them, so that it does so once for all crowds of one range.
pub(crate) struct Looked {
    batches: Mutex<VecDeque<Arc<Batch>>>,
    bytes_max: usize,
}

/// How many batches are remembered: looking for one is to take less than looking into it.
const LOOKED_MAX: usize = 64;

/// A batch, and how many watches were given it.
pub(crate) struct Given {
    pub(crate) batch: Arc<Batch>,
    pub(crate) watches: usize,
}

impl Crowd {
    /// A watch for each of the starts, which have to be resolved.
    pub(crate) fn open(store: &Store, range: &KeyRange, starts: Vec<u64>) -> Outcome<Self> {
        Self::open_with(store, range, starts, false)
    }

    /// The same, with or without what was before.
    pub(crate) fn open_with(store: &Store, range: &KeyRange, next: Vec<u64>, prev_kv: bool) -> Outcome<Self> {
        let stream = store.watch_stream(None)?;
        for start in &next {
            let options = WatchOptions::new(range.clone()).start_at(*start).with_prev_kv(prev_kv);
            stream.control().watch(&options)?;
        }
        Ok(Self { stream, range: range.clone(), next, prev_kv, looked: Looked::keeping(0) })
    }

    /// The same, with batches that several crowds of this range look into once for all of them.
    pub(crate) fn sharing(self, looked: &Arc<Looked>) -> Self {
        Self { looked: Arc::clone(looked), ..self }
    }

    /// Takes what comes next. Nothing, where it was no events.
    pub(crate) async fn take_next(&mut self) -> Outcome<Option<Given>> {
        let item = self.stream.next().await;
        self.take(item)
    }

    /// The same, on this thread.
    pub(crate) fn wait_next(&mut self) -> Outcome<Option<Given>> {
        let item = self.stream.wait_next();
        self.take(item)
    }

    /// The first revision that somebody lacks.
    pub(crate) fn next_revision(&self) -> u64 {
        self.next.iter().copied().min().unwrap_or(u64::MAX)
    }

    fn take(&mut self, item: Option<StreamItem>) -> Outcome<Option<Given>> {
        let (batch, watches) = match item {
            Some(StreamItem::Created { .. } | StreamItem::Progress { .. }) => return Ok(None),
            Some(StreamItem::Events { batch, watches }) => (batch, watches),
            other => return Err(format!("events were to come, and not {other:?}").into()),
        };
        self.look_into(&batch)?;
        let (first, last) = (batch.first_revision(), batch.last_revision());
        let after = if batch.is_fragment() { last } else { last + 1 };
        for watch in watches.iter() {
            let next = self.next.get_mut(usize::try_from(watch)?).ok_or("nobody has that watch id")?;
            if std::mem::replace(next, after) != first {
                return Err(format!("watch {watch} did not lack {first}").into());
            }
        }
        Ok(Some(Given { batch, watches: watches.len() }))
    }

    fn look_into(&mut self, batch: &Arc<Batch>) -> Outcome {
        if self.looked.knows(batch)? {
            return Ok(());
        }
        let spec = WatchSpec::new(self.range.clone(), batch.first_revision());
        let spec = if self.prev_kv { spec.with_prev_kv() } else { spec };
        WatchChecker::new(spec).observe(&observation(batch))?;
        let mut last = batch.first_revision();
        for event in batch.events() {
            let main = event.revision().main;
            if !(last..=last + 1).contains(&main) {
                return Err(format!("{last} was followed by {main}").into());
            }
            last = main;
        }
        self.looked.remember(batch)
    }
}

impl Looked {
    /// Remembers so many bytes of batches, and the last in any case.
    pub(crate) fn keeping(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { batches: Mutex::default(), bytes_max })
    }

    fn knows(&self, batch: &Arc<Batch>) -> Outcome<bool> {
        let looked = self.batches.lock().map_err(|_| "a crowd panicked")?;
        Ok(looked.iter().rev().any(|known| Arc::ptr_eq(known, batch)))
    }

    fn remember(&self, batch: &Arc<Batch>) -> Outcome {
        let mut looked = self.batches.lock().map_err(|_| "a crowd panicked")?;
        looked.push_back(Arc::clone(batch));
        let bytes =
            |looked: &VecDeque<Arc<Batch>>| looked.iter().map(|batch| batch.charge_bytes()).sum::<usize>();
        while looked.len() > LOOKED_MAX || looked.len() > 1 && bytes(&looked) > self.bytes_max {
            looked.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use watchful::Settings;

    use super::*;

    fn store(dir: &tempfile::TempDir) -> Store {
        let store = Store::open(dir.path(), Settings::default()).unwrap();
        (0..3).for_each(|_| drop(store.put("/bench/a", "1").wait().unwrap()));
        store
    }

    #[test]
    fn a_crowd_counts_each_revision_for_each_watch() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut crowd = Crowd::open(&store, &KeyRange::prefix("/bench/"), vec![2, 3]).unwrap();
        while crowd.next_revision() <= 4 {
            crowd.wait_next().unwrap();
        }
        assert_eq!(crowd.next, [5, 5]);
    }

    #[test]
    fn a_crowd_refuses_what_a_watch_did_not_lack() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut crowd = Crowd::open(&store, &KeyRange::prefix("/bench/"), vec![2]).unwrap();
        crowd.next = vec![3];
        let refused = std::iter::repeat_with(|| crowd.wait_next()).find_map(Result::err);
        assert_eq!(refused.unwrap().to_string(), "watch 0 did not lack 2");
    }
}
