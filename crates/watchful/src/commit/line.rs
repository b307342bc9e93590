//! The line of those who want to write, and whose turn it is to lead.
//!
//! It knows nothing of what is written: it is the protocol by which the lead goes from thread to thread, so that somebody
//! leads whenever somebody waits, and never two. The models of `loom_models` run it in each order of its threads.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::promise::{Reply, block_on};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Condvar, Mutex};

/// What waits in line.
pub(crate) trait InLine {
    /// The blocking caller, who can lead.
    fn caller(&self) -> Option<&Arc<Caller>>;
}

/// A thread that waits for its write, and may be asked to lead meanwhile.
pub(crate) struct Caller {
    thread: Thread,
    leads: AtomicBool,
}

impl Caller {
    pub(crate) fn this_thread() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), leads: AtomicBool::new(false) })
    }

    fn lead(&self) {
        self.leads.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Whether the lead was passed here since this was last asked.
    pub(crate) fn took_lead(&self) -> bool {
        self.leads.swap(false, Ordering::Acquire)
    }
}

/// Waits on this caller's thread for what its job comes to. It leads where it is asked to: `leads` is what
/// [`Line::enqueue`] said, and `lead` leads until it is told that this job is done. None where nothing comes.
pub(crate) fn wait_or_lead<T>(
    caller: &Caller,
    leads: bool,
    mut reply: Reply<T>,
    lead: impl Fn(&mut dyn FnMut() -> bool),
) -> Option<T> {
    let lead_for = |reply: &Reply<T>| {
        let mut early = None;
        lead(&mut || {
            early = reply.take();
            early.is_some()
        });
        early
    };
    if leads && let Some(value) = lead_for(&reply) {
        return Some(value);
    }
    block_on(|cx| match Pin::new(&mut reply).poll(cx) {
        Poll::Pending if caller.took_lead() => match lead_for(&reply) {
            Some(value) => Poll::Ready(Some(value)),
            None => Pin::new(&mut reply).poll(cx),
        },
        polled => polled,
    })
}

pub(crate) struct Line<J> {
    queue: Mutex<Queue<J>>,
    /// For the writer's thread.
    signal: Condvar,
}

struct Queue<J> {
    waiting: VecDeque<J>,
    /// Somebody leads, or has been asked to.
    led: bool,
    /// It is the writer's thread that was asked.
    writer_leads: bool,
    /// There may be chores for the writer's thread.
    turned: bool,
    /// How many must wait before the writer's thread, which gathers them, is to be told; 0 when it does not gather.
    awaited: usize,
    closed: bool,
}

/// What the writer's thread should do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriterTurn {
    Lead,
    /// Nobody leads, and superseded records wait to be forgotten. The lead is the writer's until it passes it on.
    Compact,
    /// The time has come for something, or the clock has jumped.
    Chores,
    Stop,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            led: false,
            writer_leads: false,
            turned: false,
            awaited: 0,
            closed: false,
        };
        Self { queue: Mutex::new(queue), signal: Condvar::new() }
    }
}

impl<J: InLine> Line<J> {
    /// Puts a job in line. Returns whether the caller is to lead; an async caller is never asked.
    ///
    /// # Errors
    ///
    /// The job, where the line is closed.
    pub(crate) fn enqueue(&self, job: J) -> Result<bool, J> {
        let blocking = job.caller().is_some();
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(job);
        }
        queue.waiting.push_back(job);
        if std::mem::replace(&mut queue.led, true) {
            if queue.waiting.len() == queue.awaited {
                self.signal.notify_one();
            }
            return Ok(false);
        }
        if !blocking {
            self.ask_writer(&mut queue);
        }
        Ok(blocking)
    }

    fn ask_writer(&self, queue: &mut Queue<J>) {
        queue.writer_leads = true;
        self.signal.notify_one();
    }

    /// The next group, for who leads, of `group_max` at most. When nobody waits it is empty, and nobody leads any more.
    pub(crate) fn next_group(&self, group_max: usize, compaction_pending: impl Fn() -> bool) -> Vec<J> {
        let mut queue = self.queue.lock();
        let count = queue.waiting.len().min(group_max);
        if count == 0 {
            self.nobody_leads(&mut queue, compaction_pending);
        }
        queue.waiting.drain(..count).collect()
    }

    /// Leads until `done`, then passes the lead on; or until nobody waits. `run` does the work of a group.
    pub(crate) fn lead(
        &self,
        group_max: usize,
        compaction_pending: impl Fn() -> bool,
        run: impl Fn(Vec<J>),
        done: &mut dyn FnMut() -> bool,
    ) {
        loop {
            let jobs = self.next_group(group_max, &compaction_pending);
            if jobs.is_empty() {
                return;
            }
            run(jobs);
            if done() {
                return self.pass_on(&compaction_pending);
            }
        }
    }

    /// Gives the lead away: to a blocking caller who waits, to the writer's thread, or to nobody.
    pub(crate) fn pass_on(&self, compaction_pending: impl Fn() -> bool) {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() {
            return self.nobody_leads(&mut queue, compaction_pending);
        }
        match queue.waiting.iter().find_map(|job| job.caller()) {
            Some(caller) => caller.lead(),
            None => self.ask_writer(&mut queue),
        }
    }

    fn nobody_leads(&self, queue: &mut Queue<J>, compaction_pending: impl Fn() -> bool) {
        queue.led = false;
        if queue.closed || compaction_pending() {
            self.signal.notify_one();
        }
    }

    /// Waits until `all` are in line, but no longer than `patience`. The writer's thread does, while it leads.
    pub(crate) fn gather(&self, all: usize, patience: Duration) {
        let mut queue = self.queue.lock();
        if all < 2 || queue.waiting.len() >= all || queue.closed || queue.turned {
            return;
        }
        queue.awaited = all;
        self.signal.wait_for(&mut queue, patience);
        queue.awaited = 0;
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().waiting.len()
    }

    /// What the writer's thread is to do next; waits up to `sleep` for it. None sleeps until something comes.
    pub(crate) fn writer_turn(
        &self,
        sleep: Option<Duration>,
        compaction_pending: impl Fn() -> bool,
    ) -> WriterTurn {
        let mut queue = self.queue.lock();
        let mut slept = false;
        loop {
            // Before what was put in line after it: whoever turns a clock and then writes has turned it first.
            if std::mem::take(&mut queue.turned) {
                return WriterTurn::Chores;
            }
            if std::mem::take(&mut queue.writer_leads) {
                return WriterTurn::Lead;
            }
            if queue.closed && queue.waiting.is_empty() && !queue.led {
                return WriterTurn::Stop;
            }
            if !queue.led && !queue.closed && compaction_pending() {
                queue.led = true;
                return WriterTurn::Compact;
            }
            if slept {
                return WriterTurn::Chores;
            }
            match sleep {
                Some(sleep) => slept = self.signal.wait_for(&mut queue, sleep).timed_out(),
                None => self.signal.wait(&mut queue),
            }
        }
    }

    /// Wakes the writer's thread to look for chores.
    pub(crate) fn turn(&self) {
        self.queue.lock().turned = true;
        self.signal.notify_one();
    }

    /// Whoever led is gone, and nobody leads after it: refuses new jobs, and gives back what waits.
    pub(crate) fn give_up(&self) -> VecDeque<J> {
        let mut queue = self.queue.lock();
        (queue.closed, queue.led) = (true, false);
        self.signal.notify_one();
        std::mem::take(&mut queue.waiting)
    }

    /// Refuses new jobs; what waits is still done.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.signal.notify_one();
    }
}

#[cfg(test)]
mod loom_models;
