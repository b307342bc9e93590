//! Receivers of which the testkit checks everything that they are given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchful::{Batch, KeyRange, Revision, Store, StreamItem, Update, Watch, WatchOptions, WatchStream};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::{Batch as ObservedBatch, Observation, WatchSpec};

use crate::Outcome;
use crate::keys::all_keys;

/// What the testkit sees of a batch.
pub(crate) fn observation(batch: &Batch) -> Observation {
    Observation::Batch(observed(batch))
}

fn observed(batch: &Batch) -> ObservedBatch {
    ObservedBatch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    }
}

/// The first event of a batch, and the event that whoever has had the batch lacks next, in a history of which it is given
/// every event.
fn bounds(batch: &Batch) -> Outcome<(Revision, Revision)> {
    let [first, .., last] = batch.events() else {
        let [only] = batch.events() else { return Err("a batch has no events".into()) };
        return Ok((only.revision(), after(batch, only.revision())));
    };
    Ok((first.revision(), after(batch, last.revision())))
}

fn after(batch: &Batch, last: Revision) -> Revision {
    if batch.is_fragment() { Revision::new(last.main, last.sub + 1) } else { Revision::new(last.main + 1, 0) }
}

/// That the batch leaves out no event of its revisions, for a watch that is given every event. The testkit's checkers cannot
/// tell, as they do not know what was put.
fn leaves_nothing_out(batch: &ObservedBatch) -> Outcome {
    let mut revisions = batch.events.iter().map(|event| event.revision());
    let first = revisions.next().ok_or("a batch has no events")?;
    let last = revisions.try_fold(first, |last, next| {
        let may_follow = [Revision::new(last.main, last.sub + 1), Revision::new(last.main + 1, 0)];
        if may_follow.contains(&next) { Ok(next) } else { Err(format!("{last} was followed by {next}")) }
    })?;
    if (first.main, last.main) == (batch.first_revision, batch.last_revision) {
        return Ok(());
    }
    let said = (batch.first_revision, batch.last_revision);
    Err(format!("a batch of {said:?} has events from {first} to {last}").into())
}

/// One watch of all keys by itself, with a checker of its own. It has to be given every event.
pub(crate) struct CheckedWatch {
    watch: Watch,
    checker: WatchChecker,
    /// The first event that it lacks.
    next: Revision,
}

impl CheckedWatch {
    /// A watch from `start` on, which has to be resolved.
    pub(crate) fn open(store: &Store, start: u64) -> Outcome<Self> {
        let watch = store.watch(&WatchOptions::new(all_keys()).start_at(start))?;
        let mut checker = WatchChecker::new(WatchSpec::new(all_keys(), start));
        checker.observe(&Observation::Created)?;
        Ok(Self { watch, checker, next: Revision::new(start, 0) })
    }

    /// The first revision that it lacks.
    pub(crate) fn next_revision(&self) -> u64 {
        self.next.main
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
            Update::Progress { revision } if revision >= self.next.main => {
                Err(format!("it was said to have all up to {revision}, and lacks {}", self.next).into())
            }
            Update::Progress { revision } => {
                self.checker.observe(&Observation::Progress { revision })?;
                Ok(0)
            }
            Update::Events(batch) => {
                let (first, next) = bounds(&batch)?;
                if std::mem::replace(&mut self.next, next) != first {
                    return Err(format!("the watch did not lack {first}").into());
                }
                let seen = observed(&batch);
                leaves_nothing_out(&seen)?;
                self.checker.observe(&Observation::Batch(seen))?;
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
/// The range is one of which every revision has all its events. So a watch misses nothing, and is given nothing twice, exactly
/// if each batch begins with the event that it lacks and leaves nothing out. A batch is the same for all those it is for, so
/// the testkit looks into it once, as into the first that a watch from there on is given.
pub(crate) struct Crowd {
    stream: WatchStream,
    range: KeyRange,
    /// The first event that each watch lacks, by watch id.
    next: Vec<Revision>,
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
    pub(crate) fn open_with(
        store: &Store,
        range: &KeyRange,
        starts: Vec<u64>,
        prev_kv: bool,
    ) -> Outcome<Self> {
        let stream = store.watch_stream(None)?;
        for start in &starts {
            let options = WatchOptions::new(range.clone()).start_at(*start).with_prev_kv(prev_kv);
            stream.control().watch(&options)?;
        }
        let next = starts.into_iter().map(|start| Revision::new(start, 0)).collect();
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
        self.next.iter().map(|next| next.main).min().unwrap_or(u64::MAX)
    }

    fn take(&mut self, item: Option<StreamItem>) -> Outcome<Option<Given>> {
        let (batch, watches) = match item {
            Some(StreamItem::Created { .. } | StreamItem::Progress { .. }) => return Ok(None),
            Some(StreamItem::Events { batch, watches }) => (batch, watches),
            other => return Err(format!("events were to come, and not {other:?}").into()),
        };
        self.look_into(&batch)?;
        let (first, after) = bounds(&batch)?;
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
        let seen = observed(batch);
        leaves_nothing_out(&seen)?;
        WatchChecker::new(spec).observe(&Observation::Batch(seen))?;
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
        assert_eq!(crowd.next, [Revision::new(5, 0); 2]);
    }

    #[test]
    fn a_crowd_refuses_what_a_watch_did_not_lack() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut crowd = Crowd::open(&store, &KeyRange::prefix("/bench/"), vec![2]).unwrap();
        crowd.next = vec![Revision::new(3, 0)];
        let refused = std::iter::repeat_with(|| crowd.wait_next()).find_map(Result::err);
        assert_eq!(refused.unwrap().to_string(), "watch 0 did not lack 2.0");
    }

    #[test]
    fn a_watch_refuses_what_it_did_not_lack() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut watch = CheckedWatch::open(&store, 2).unwrap();
        watch.next = Revision::new(3, 0);
        let refused =
            std::iter::repeat_with(|| watch.take_for(Duration::from_secs(10))).find_map(Result::err);
        assert_eq!(refused.unwrap().to_string(), "the watch did not lack 2.0");
    }

    #[test]
    fn a_batch_that_leaves_out_an_event_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut watch = store.watch(&WatchOptions::new(all_keys()).start_at(2)).unwrap();
        let Some(Ok(Update::Events(batch))) = watch.wait_next() else { panic!("events were to come") };
        let whole = observed(&batch);
        assert_eq!(whole.events.len(), 3);
        leaves_nothing_out(&whole).unwrap();
        for left_out in 0..3 {
            let mut batch = whole.clone();
            batch.events.remove(left_out);
            assert!(leaves_nothing_out(&batch).is_err(), "without {left_out}");
        }
        assert!(leaves_nothing_out(&ObservedBatch { events: Vec::new(), ..whole }).is_err());
    }
}
