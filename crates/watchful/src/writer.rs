//! The store's own writing thread: it leads group commits for async callers, and does what comes due: expired leases,
//! compaction by policy, and forgetting superseded records while nobody writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use watchful_mvcc::Group;
use watchful_revision::LeaseId;

use crate::commit::{Committer, WriterTurn, job};
use crate::feed::Feed;
use crate::lease::LeaseClock;
use crate::{Clock, CompactionPolicy, Error};

/// How often the policy of keeping so many revisions is looked at.
const REVISIONS_INTERVAL: Duration = Duration::from_secs(10);

/// How finely a window of time is kept: its tenth.
const SAMPLES_A_WINDOW: u32 = 10;

/// How long to leave compaction alone after the disk refused a slice.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    committer: Arc<Committer>,
    leases: Arc<LeaseClock>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    compact_again: Duration,
    feed: Arc<Feed>,
}

/// When the writer is gone nothing more will be published, and nobody leads for tasks. Where it has panicked somebody may wait
/// for that; otherwise the line is closed and empty.
impl Drop for Writer {
    fn drop(&mut self) {
        self.committer.give_up(Vec::new());
        self.feed.close();
    }
}

impl Writer {
    pub(crate) fn new(
        committer: Arc<Committer>,
        leases: Arc<LeaseClock>,
        clock: Arc<dyn Clock>,
        policy: CompactionPolicy,
        feed: Arc<Feed>,
    ) -> Self {
        let (policy, compact_again) = (Policy::new(policy, clock.now()), Duration::ZERO);
        Self { committer, leases, clock, policy, compact_again, feed }
    }

    /// Runs until the committer is closed and all that was accepted is done.
    pub(crate) fn run(mut self) {
        loop {
            let (now, next) = (self.clock.now(), self.next_chore());
            let sleep = next.and_then(|next| self.clock.sleep_until(next));
            match self.committer.writer_turn(sleep, now >= self.compact_again) {
                WriterTurn::Lead => self.committer.lead_for_tasks(),
                WriterTurn::Compact => {
                    if self.committer.compact_alone().is_err() {
                        self.compact_again = self.clock.now() + RETRY_AFTER;
                    }
                }
                WriterTurn::Chores => self.chores(),
                WriterTurn::Stop => return,
            }
        }
    }

    fn next_chore(&self) -> Option<Duration> {
        let retry = (self.compact_again > self.clock.now()).then_some(self.compact_again);
        [retry, self.leases.next_due(), self.policy.next].into_iter().flatten().min()
    }

    fn chores(&mut self) {
        for lease in self.leases.take_due() {
            self.expire(lease);
        }
        let mvcc = self.committer.mvcc();
        let due = self.policy.due(self.clock.now(), mvcc.current_revision());
        if let Some(revision) = due.filter(|revision| *revision > mvcc.compact_revision()) {
            self.put_in_line(move |group| Ok(group.schedule_compaction(revision)?), None);
        }
        // What was put in line is led by the next turn, together with whatever else came in.
    }

    fn expire(&self, lease: LeaseId) {
        let (begin, end) = (Arc::clone(&self.leases), Arc::clone(&self.leases));
        let work = move |group: &mut Group<'_>| {
            if begin.begin_expiry(lease) {
                group.txn(|txn| txn.lease_revoke(lease))?;
            }
            Ok(())
        };
        self.put_in_line(work, Some(Box::new(move |written| end.end_expiry(lease, written))));
    }

    fn put_in_line(
        &self,
        work: impl FnOnce(&mut Group<'_>) -> Result<(), Error> + Send + 'static,
        settled: Option<crate::commit::Settled>,
    ) {
        // Nobody waits for the answer: what fails is due again.
        let (job, _reply) = job(work, settled, None);
        self.committer.enqueue(job);
    }
}

/// A compaction policy at work.
struct Policy {
    policy: CompactionPolicy,
    next: Option<Duration>,
    /// When which revision was the newest, for a window of time.
    samples: VecDeque<(Duration, u64)>,
}

impl Policy {
    fn new(policy: CompactionPolicy, now: Duration) -> Self {
        let mut new = Self { policy, next: None, samples: VecDeque::new() };
        new.next = new.interval().map(|_| now);
        new
    }

    fn interval(&self) -> Option<Duration> {
        match self.policy {
            CompactionPolicy::Manual => None,
            CompactionPolicy::KeepRevisions(_) => Some(REVISIONS_INTERVAL),
            CompactionPolicy::KeepFor(window) => Some(window / SAMPLES_A_WINDOW),
        }
    }

    /// The revision to compact at, if the time has come to do so.
    fn due(&mut self, now: Duration, current_revision: u64) -> Option<u64> {
        if self.next? > now {
            return None;
        }
        self.next = self.interval().map(|interval| now + interval);
        match self.policy {
            CompactionPolicy::Manual => None,
            CompactionPolicy::KeepRevisions(keep) => {
                (current_revision + 1).checked_sub(keep).filter(|at| *at > 1)
            }
            CompactionPolicy::KeepFor(window) => self.older_than(window, now, current_revision),
        }
    }

    fn older_than(&mut self, window: Duration, now: Duration, current_revision: u64) -> Option<u64> {
        self.samples.push_back((now, current_revision));
        let mut found = None;
        while self.samples.front().is_some_and(|(at, _)| *at + window <= now) {
            found = self.samples.pop_front().map(|(_, revision)| revision);
        }
        found.filter(|revision| *revision > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_what_was_the_newest_when_it_began() {
        let seconds = Duration::from_secs;
        let mut policy = Policy::new(CompactionPolicy::KeepFor(seconds(10)), seconds(0));
        let due: Vec<Option<u64>> = (0..14).map(|at| policy.due(seconds(at), 100 + at)).collect();
        let mut expected = vec![None; 10];
        expected.extend([Some(100), Some(101), Some(102), Some(103)]);
        assert_eq!(due, expected);
    }

    #[test]
    fn so_many_revisions_are_kept() {
        let mut policy = Policy::new(CompactionPolicy::KeepRevisions(5), Duration::ZERO);
        assert_eq!(policy.due(Duration::ZERO, 3), None, "there are fewer");
        assert_eq!(policy.due(Duration::from_secs(9), 100), None, "it is not yet time");
        assert_eq!(policy.due(Duration::from_secs(10), 100), Some(96), "96 to 100 are five");
    }
}
