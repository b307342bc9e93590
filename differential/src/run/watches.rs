//! The watches of a run: making them, and waiting until each was given what it is owed before that is compared.

use tokio::time::Duration;
use watchful_wire::etcdserverpb::{PutRequest, WatchCreateRequest};

use super::Run;
use crate::answer::{Answer, Delivery};
use crate::owed::{Change, Watched};
use crate::patience::Patience;
use crate::request::{Request, Standing, Watches};
use crate::stream::WatchStream;
use crate::terse::terse;
use crate::tokens::Revisions;

/// The stream of the watch of everything, which tells when a revision has been delivered.
pub(super) const WITNESS: usize = usize::MAX;

/// The stream of watches that tell when others have caught up.
const PROBE: usize = usize::MAX - 2;

/// How long a watch may take to deliver what is committed.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

impl Run {
    /// Opens the watch of everything, which has to be there for as long as the run goes on.
    pub(super) async fn watch_everything(&mut self, start_revision: i64) {
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision,
            prev_kv: true,
            ..Default::default()
        };
        self.ask_plainly(Request::Watch { stream: WITNESS, create }).await;
    }

    /// Makes a watch, and waits until both servers have delivered what it is owed of the past.
    pub(crate) async fn watch(&mut self, stream: usize, create: WatchCreateRequest) {
        let request = self.as_asked(Request::Watch { stream, create });
        let Request::Watch { create, .. } = &request else { return };
        let create = create.clone();
        let answers = self.ask_both(request).await;
        let [Answer::Watch(answer), Answer::Watch(other)] = answers else { return };
        // A refusal has the id −1, which may as well be the one that was asked for.
        if answer.canceled || other.canceled || answer.watch_id != other.watch_id {
            return;
        }
        let (watch_id, revisions) = (answer.watch_id, (self.revisions.current, self.revisions.compacted));
        let before = self.sides.each_mut().map(|side| side.stream(stream).count(watch_id));
        // Who had the id before has been canceled.
        self.watches.retain(|watched| (watched.stream, watched.watch_id) != (stream, watch_id));
        self.watches.push(Watched::new((stream, watch_id), create, revisions, before));
        self.compare_watches(true).await;
        let current = self.revisions.current;
        if self.watches.last().is_some_and(|newest| newest.catches_up_silently(current)) {
            self.catch_up().await;
        }
    }

    /// Waits until the newest watch has caught up: until one that is made after it was given something of the past.
    /// Else a compaction that comes next overtakes it, or not.
    async fn catch_up(&mut self) {
        let caller = self.act_as(self.overseer());
        let Revisions { current, compacted } = self.revisions;
        if !self.history.iter().rev().any(|change| change.is_kept_from(current, compacted)) {
            self.ask_plainly(Request::Put(PutRequest { key: "probe".into(), ..Default::default() })).await;
            self.read_history().await;
        }
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision: self.revisions.current,
            ..Default::default()
        };
        let [mut one, mut other] = patience();
        let [reference, subject] = self.sides.each_mut().map(|side| side.stream(PROBE));
        tokio::join!(reference.create(create.clone()), subject.create(create));
        tokio::join!(reference.reach(0, 1, &mut one), subject.reach(0, 1, &mut other));
        self.close_stream(PROBE);
        self.act_as(caller);
    }

    /// Cancels the `nth` watch that was made on the stream.
    pub(crate) async fn cancel(&mut self, stream: usize, nth: usize) {
        const NEVER_MADE: i64 = 777;
        let made: Vec<usize> =
            (0..self.watches.len()).filter(|at| self.watches[*at].stream == stream).collect();
        let at = if made.is_empty() { None } else { Some(made[nth % made.len()]) };
        let watch_id = at.map_or(NEVER_MADE, |at| self.watches[at].watch_id);
        let open =
            self.watches.iter_mut().find(|one| one.stream == stream && one.watch_id == watch_id && one.open);
        let standing = if open.is_some() { Standing::Open } else { Standing::Absent };
        if let Some(watched) = open {
            watched.open = false;
        }
        self.ask(Request::Cancel { stream, watch_id, standing }).await;
    }

    /// Asks how far a stream is, where that is clear.
    pub(crate) async fn progress(&mut self, stream: usize) {
        let current = self.revisions.current;
        let mut open = self.watches.iter().filter(|one| one.stream == stream && one.open).peekable();
        if open.peek().is_some() && !open.any(|one| one.waits_beyond(current)) {
            self.ask(Request::Progress { stream, watches: Watches::Synced }).await;
        }
    }

    /// Closes every stream of the workload, and the one of everything `too`.
    pub(super) fn close_streams(&mut self, too: bool) {
        self.watches.clear();
        let keep = |stream: usize| stream == WITNESS && !too;
        self.sides.iter_mut().for_each(|side| side.close_streams(keep));
    }

    pub(crate) fn close_stream(&mut self, stream: usize) {
        self.watches.retain(|watched| watched.stream != stream);
        self.sides.iter_mut().for_each(|side| side.close_stream(stream));
    }

    /// Waits until everything that is committed was delivered to every watch on both servers, and compares it.
    pub(crate) async fn sync(&mut self) {
        if self.is_over() {
            return;
        }
        if self.revisions.current > self.synced {
            self.read_history().await;
            self.compare_watches(false).await;
        }
        self.compare_leftovers();
    }

    /// Reads the watch of everything up to the current revision.
    async fn read_history(&mut self) {
        let (revision, [mut one, mut other]) = (self.revisions.current, patience());
        let [reference, subject] = self.sides.each_mut().map(|side| side.stream(WITNESS));
        tokio::join!(
            reference.reach_revision(0, revision, &mut one),
            subject.reach_revision(0, revision, &mut other)
        );
        self.synced = revision;
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            prev_kv: true,
            ..Default::default()
        };
        if let Answer::Delivered(delivered) = self.compare_delivered(WITNESS, 0, create, 0) {
            let events = delivered.iter().filter_map(|delivery| match delivery {
                Delivery::Event { event, .. } => Some(Change::of(event)),
                _ => None,
            });
            self.history.extend(events);
        }
    }

    /// Waits for what each watch is owed, or only the newest, and compares what it was given.
    async fn compare_watches(&mut self, newest: bool) {
        let first = if newest { self.watches.len().saturating_sub(1) } else { 0 };
        for at in first..self.watches.len() {
            let owed = self.watches[at].owed(&self.history);
            let watched = &self.watches[at];
            let (stream, watch_id) = (watched.stream, watched.watch_id);
            let [mut one, mut other] = patience();
            let [reference, subject] = self.sides.each_mut().map(|side| side.stream(stream));
            let (first, second) = tokio::join!(
                reach(reference, watched, watched.before[0] + owed, &mut one),
                reach(subject, watched, watched.before[1] + owed, &mut other)
            );
            if !(first && second) {
                self.report.missed.push(terse(&(self.step, first, second, &watched)));
            }
            let (create, compacted) = (watched.create.clone(), watched.compact_revision);
            let delivered = self.compare_delivered(stream, watch_id, create, compacted);
            let ended = |delivery: &Delivery| matches!(delivery, Delivery::Canceled { .. });
            if matches!(delivered, Answer::Delivered(delivered) if delivered.iter().any(ended)) {
                self.watches[at].open = false;
                // As clients do. etcd holds the id until then.
                self.ask(Request::Cancel { stream, watch_id, standing: Standing::Compacted }).await;
            }
        }
    }

    /// Whatever came and is owed to nobody.
    pub(super) fn compare_leftovers(&mut self) {
        let [reference, subject] = &mut self.sides;
        let mut left = reference.leftovers();
        left.extend(subject.leftovers());
        for (stream, watch_id) in left {
            let watched =
                self.watches.iter().rfind(|one| (one.stream, one.watch_id) == (stream, watch_id)).cloned();
            let create = watched.as_ref().map(|watched| watched.create.clone()).unwrap_or_default();
            let compacted = watched.map_or(0, |watched| watched.compact_revision);
            self.compare_delivered(stream, watch_id, create, compacted);
        }
    }

    fn compare_delivered(
        &mut self,
        stream: usize,
        watch_id: i64,
        create: WatchCreateRequest,
        compact_revision: i64,
    ) -> Answer {
        let answers = self.sides.each_mut().map(|side| side.take_delivered(stream, watch_id));
        let newest = self.watches.iter_mut().rfind(|one| (one.stream, one.watch_id) == (stream, watch_id));
        if let Some(watched) = newest {
            watched.note_forgettable(&answers);
        }
        let [first, _] = match answers {
            [Answer::Delivered(first), Answer::Delivered(second)]
                if first.is_empty() && second.is_empty() =>
            {
                return Answer::Delivered(first);
            }
            answers => {
                let request = Request::Delivered { stream, watch_id, create, compact_revision };
                self.compare(request, answers)
            }
        };
        if let Answer::Delivered(delivered) = &first {
            self.report.events += delivered.len();
        }
        first
    }
}

/// For each server.
fn patience() -> [Patience; 2] {
    [Patience::new(DELIVERED_WITHIN), Patience::new(DELIVERED_WITHIN)]
}

/// Waits until the watch was given `count` events, and those beside them that one of the servers has forgotten.
async fn reach(stream: &mut WatchStream, watched: &Watched, count: usize, patience: &mut Patience) -> bool {
    loop {
        let beside = stream.waiting(watched.watch_id, |delivery| watched.is_forgettable(delivery));
        if !stream.reach(watched.watch_id, count + beside, patience).await {
            return false;
        }
        if stream.waiting(watched.watch_id, |delivery| watched.is_forgettable(delivery)) == beside {
            return true;
        }
    }
}
