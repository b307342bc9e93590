//! Group commit: one transaction of LMDB carries everybody who waits.
//!
//! Whoever leads takes all that waits, works out each transaction in order, and commits once. A blocking caller who finds
//! nobody leading leads its own group on its own thread, because a hop to another thread and back costs more than a
//! small commit. Once its own write is done it passes the lead on: to a blocking caller of the next group, who would
//! have to be woken anyway, or to the writer's thread, which leads for async callers.
//!
//! In this order and no other: commit, make visible, publish, acknowledge.

mod line;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watchful_mvcc::{Group, Mvcc, MvccError};

use crate::compacted::CompactionWaits;
use crate::distribution::DistributionCounts;
use crate::failpoint::failpoint;
use crate::feed::Feed;
use crate::promise::{Promise, Reply, promise};
use crate::{Clock, Error};

pub(crate) use line::{Caller, WriterTurn, wait_or_lead};

use line::{InLine, Line};

/// What a caller gets: its own answer or error, or the panic of its own closure.
pub(crate) type Outcome<R, E> = Result<Result<R, E>, Panic>;

/// What a closure panicked with.
pub(crate) type Panic = Box<dyn std::any::Any + Send>;

/// One caller's part of a group.
pub(crate) trait Job: InLine + Send {
    /// Works it out in the group.
    fn work_out(&mut self, group: &mut Group<'_>);

    /// The group was committed, or was not: answers the caller.
    fn settle(self: Box<Self>, committed: Result<(), MvccError>);
}

struct Work<F, R, E> {
    work: Option<F>,
    outcome: Option<Outcome<R, E>>,
    promise: Promise<Outcome<R, E>>,
    caller: Option<Arc<Caller>>,
    settled: Option<Settled>,
}

/// Called with whether the write took effect, after the commit and before the caller hears.
pub(crate) type Settled = Box<dyn FnOnce(bool) + Send>;

/// A job of `work`, and where its answer will be.
pub(crate) fn job<F, R, E>(
    work: F,
    settled: Option<Settled>,
    caller: Option<Arc<Caller>>,
) -> (Box<dyn Job>, Reply<Outcome<R, E>>)
where
    F: FnOnce(&mut Group<'_>) -> Result<R, E> + Send + 'static,
    R: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (promise, reply) = promise();
    (Box::new(Work { work: Some(work), outcome: None, promise, caller, settled }), reply)
}

impl<F, R, E> Job for Work<F, R, E>
where
    F: FnOnce(&mut Group<'_>) -> Result<R, E> + Send,
    R: Send,
    E: From<Error> + Send,
{
    fn work_out(&mut self, group: &mut Group<'_>) {
        if let Some(work) = self.work.take() {
            // A transaction that panics is dropped like one that fails: it reaches the group only when it is whole.
            self.outcome = Some(catch_unwind(AssertUnwindSafe(|| work(group))));
        }
    }

    fn settle(self: Box<Self>, committed: Result<(), MvccError>) {
        let outcome = match (self.outcome, committed) {
            // Its own refusal, too, may have been worked out on what others of the group did, and that is taken back.
            (None | Some(Ok(_)), Err(failure)) => Ok(Err(Error::from(failure).into())),
            (None, Ok(())) => Ok(Err(Error::Closed.into())),
            (Some(own), _) => own,
        };
        if let Some(settled) = self.settled {
            settled(matches!(outcome, Ok(Ok(_))));
        }
        self.promise.give(outcome);
    }
}

impl<F, R, E> InLine for Work<F, R, E> {
    fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }
}

impl InLine for Box<dyn Job> {
    fn caller(&self) -> Option<&Arc<Caller>> {
        (**self).caller()
    }
}

/// Settles a job. A caller's own waker may panic, or the value that nobody waits for any more when it is dropped: that was
/// told by the panic's own message, and must not cost others of the group their answers.
fn answer(job: Box<dyn Job>, committed: Result<(), MvccError>) {
    let _ = catch_unwind(AssertUnwindSafe(|| job.settle(committed)));
}

pub(crate) struct Committer {
    mvcc: Mvcc,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
    group_max: usize,
    slice_rows: usize,
    line: Line<Box<dyn Job>>,
    pub(crate) compacted: CompactionWaits,
    pub(crate) counts: CommitCounts,
}

/// What is to be known of a group that was run.
struct Ran {
    /// Those who were answered and those who waited meanwhile.
    callers: usize,
    /// How long the commit itself took: nothing, when there was none.
    took: Duration,
}

/// How writes were grouped.
#[derive(Debug, Default)]
pub(crate) struct CommitCounts {
    pub(crate) groups: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) largest_group: AtomicU64,
    pub(crate) group_sizes: DistributionCounts,
    pub(crate) microseconds: DistributionCounts,
}

/// A group that is being led. A panic of ours in it must not leave anybody waiting for ever.
struct Led<'c> {
    committer: &'c Committer,
    jobs: Vec<Box<dyn Job>>,
    /// Everybody was answered. (Whether the thread is panicking would tell nothing: who leads may be a user's `Drop`.)
    is_done: bool,
}

impl<'c> Led<'c> {
    fn by(committer: &'c Committer, jobs: Vec<Box<dyn Job>>) -> Self {
        Self { committer, jobs, is_done: false }
    }
}

impl Drop for Led<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.committer.feed.note_panic();
            self.committer.give_up(std::mem::take(&mut self.jobs));
        }
    }
}

thread_local! {
    static LEADS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether this thread is inside a group: a write that it waited for would wait for itself.
pub(crate) fn is_leading() -> bool {
    LEADS.get()
}

impl Committer {
    pub(crate) fn new(
        mvcc: Mvcc,
        feed: Arc<Feed>,
        clock: Arc<dyn Clock>,
        group_max: usize,
        slice_rows: usize,
    ) -> Self {
        let (line, compacted, counts) = Default::default();
        Self { mvcc, feed, clock, group_max, slice_rows, line, compacted, counts }
    }

    /// Puts a job in line. Returns whether the caller is to lead; an async caller is never asked.
    pub(crate) fn enqueue(&self, job: Box<dyn Job>) -> bool {
        self.line.enqueue(job).unwrap_or_else(|job| {
            job.settle(Ok(()));
            false
        })
    }

    /// Leads groups until `done`, then passes the lead on; or until nobody waits.
    pub(crate) fn lead(&self, done: &mut dyn FnMut() -> bool) {
        let run = |jobs| {
            self.run(jobs);
        };
        self.line.lead(self.group_max, || self.mvcc.compaction_pending(), run, done);
    }

    /// Leads for tasks until nobody waits. The writer's thread does.
    pub(crate) fn lead_for_tasks(&self) {
        loop {
            let jobs = self.next_group();
            if jobs.is_empty() {
                return;
            }
            let ran = self.run(jobs);
            self.gather(ran);
        }
    }

    /// Waits a moment for those who were just answered, so that they and those who wait already share one commit.
    ///
    /// Callers that write again as soon as they are answered would fall into two halves otherwise, one of which waits
    /// while the other is committed: half the throughput and twice the wait. A caller that is alone is not waited for.
    /// The moment is a part of what the commit took, so it costs little where nobody comes back.
    fn gather(&self, ran: Ran) {
        /// However slow the disk is.
        const GATHER_MAX: Duration = Duration::from_millis(1);
        self.line.gather(ran.callers.min(self.group_max), (ran.took / 2).min(GATHER_MAX));
    }

    fn next_group(&self) -> Vec<Box<dyn Job>> {
        self.line.next_group(self.group_max, || self.mvcc.compaction_pending())
    }

    fn pass_on(&self) {
        self.line.pass_on(|| self.mvcc.compaction_pending());
    }

    /// Works out and commits one group, and answers everybody in it.
    fn run(&self, jobs: Vec<Box<dyn Job>>) -> Ran {
        let mut led = Led::by(self, jobs);
        let committed = self.commit(&mut led.jobs);
        let took = committed.as_ref().copied().unwrap_or_default();
        let committed = committed.map(drop);
        self.compacted.tell(&self.mvcc, &committed);
        self.count(led.jobs.len() as u64);
        // Before anybody is answered: who has come back since then would be counted twice, and waited for in vain.
        let callers = led.jobs.len() + self.line.waiting();
        failpoint!("store::acknowledge");
        for job in led.jobs.drain(..) {
            answer(job, committed.clone());
        }
        led.is_done = true;
        Ran { callers, took }
    }

    fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<Duration, MvccError> {
        let mut group = self.mvcc.begin_group()?;
        LEADS.set(true);
        for job in jobs {
            job.work_out(&mut group);
        }
        LEADS.set(false);
        if self.mvcc.compaction_pending() {
            group.compact_slice(self.slice_rows)?;
        }
        let began = self.clock.now();
        let batches = group.commit()?;
        let took = self.clock.now().saturating_sub(began);
        failpoint!("store::publish");
        self.feed.publish(batches, self.mvcc.compact_revision());
        self.counts.microseconds.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        Ok(took)
    }

    fn count(&self, jobs: u64) {
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.counts.transactions.fetch_add(jobs, Ordering::Relaxed);
        self.counts.largest_group.fetch_max(jobs, Ordering::Relaxed);
        self.counts.group_sizes.add(jobs);
    }

    /// What the writer's thread is to do next; waits up to `sleep` for it. None sleeps until something comes.
    pub(crate) fn writer_turn(&self, sleep: Option<Duration>, may_compact: bool) -> WriterTurn {
        self.line.writer_turn(sleep, || may_compact && self.mvcc.compaction_pending())
    }

    /// Forgets a slice of superseded records in a commit of its own. The writer's thread leads meanwhile.
    pub(crate) fn compact_alone(&self) -> Result<(), MvccError> {
        let mut led = Led::by(self, Vec::new());
        let forgotten = self.commit_slice();
        match &forgotten {
            Ok(()) => self.compacted.tell(&self.mvcc, &forgotten),
            Err(error) => self.compacted.fail(error),
        }
        led.is_done = true;
        self.pass_on();
        forgotten
    }

    fn commit_slice(&self) -> Result<(), MvccError> {
        /// Alone there is nobody to hold up but who comes in the middle: some 2 ms.
        const ALONE: usize = 8;
        let mut group = self.mvcc.begin_group()?;
        group.compact_slice(self.slice_rows.saturating_mul(ALONE))?;
        group.commit()?;
        Ok(())
    }

    /// Wakes the writer's thread to look for chores.
    pub(crate) fn turn(&self) {
        self.line.turn();
    }

    /// This store's own code has panicked. What became of `jobs`, which were a group, nobody knows, and nobody can go on.
    pub(crate) fn give_up(&self, jobs: Vec<Box<dyn Job>>) {
        LEADS.set(false);
        self.compacted.close();
        let waiting = self.line.give_up();
        jobs.into_iter().for_each(|job| answer(job, Err(MvccError::OutcomeUnknown)));
        waiting.into_iter().for_each(|job| answer(job, Ok(())));
    }

    /// Refuses new jobs; what waits is still done.
    pub(crate) fn close(&self) {
        self.line.close();
        self.compacted.close();
    }

    pub(crate) fn mvcc(&self) -> &Mvcc {
        &self.mvcc
    }
}

#[cfg(test)]
mod tests;
