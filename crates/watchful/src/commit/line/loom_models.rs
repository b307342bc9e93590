//! The lead as it goes from hand to hand, in each order of those who take it: see [`crate::loom_models`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count};

use super::*;
use crate::loom_models::model;
use crate::promise::{Promise, promise};

/// A write that does nothing but answer.
struct Job {
    promise: Promise<usize>,
    caller: Option<Arc<Caller>>,
}

impl InLine for Job {
    fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }
}

/// A committer without a store: the line, who leads it just now, and how much was done.
#[derive(Default)]
struct Committer {
    line: Line<Job>,
    leading: AtomicBool,
    done: Count,
}

/// One job a group, so that the lead is passed on where it can be.
const GROUP_MAX: usize = 1;

fn no_compaction() -> bool {
    false
}

impl Committer {
    fn run(&self, jobs: Vec<Job>) {
        assert!(!self.leading.swap(true, Ordering::SeqCst), "two lead at once");
        let first = self.done.fetch_add(jobs.len(), Ordering::SeqCst);
        assert!(self.leading.swap(false, Ordering::SeqCst));
        for (at, job) in jobs.into_iter().enumerate() {
            job.promise.give(first + at);
        }
    }

    fn lead(&self, done: &mut dyn FnMut() -> bool) {
        self.line.lead(GROUP_MAX, no_compaction, |jobs| self.run(jobs), done);
    }

    /// As a blocking write. False when the line was closed before it.
    fn write(&self) -> bool {
        let (promise, reply) = promise();
        let caller = Caller::this_thread();
        let job = Job { promise, caller: Some(Arc::clone(&caller)) };
        match self.line.enqueue(job) {
            Ok(leads) => wait_or_lead(&caller, leads, reply, |done| self.lead(done)).is_some(),
            Err(_) => false,
        }
    }

    /// As the write of a task, which cannot lead.
    fn write_in_a_task(&self) -> bool {
        let (promise, reply) = promise();
        match self.line.enqueue(Job { promise, caller: None }) {
            Ok(leads) => {
                assert!(!leads);
                reply.wait().is_some()
            }
            Err(_) => false,
        }
    }

    /// As the writer's thread. It ends when the line is closed and all that was accepted is done.
    fn run_writer(&self) {
        loop {
            match self.line.writer_turn(None, no_compaction) {
                WriterTurn::Lead => self.lead(&mut || false),
                WriterTurn::Compact => panic!("there is nothing to compact"),
                WriterTurn::Chores => {}
                WriterTurn::Stop => return,
            }
        }
    }
}

/// Whoever comes while somebody leads is led, by itself or by somebody else: nobody is left in line.
#[test]
fn every_blocking_write_is_done() {
    model(3, || {
        let committer = Arc::new(Committer::default());
        let others = [(); 2].map(|()| Arc::clone(&committer)).map(|one| thread::spawn(move || one.write()));
        assert!(committer.write());
        assert!(others.into_iter().all(|other| other.join().unwrap()));
        assert_eq!((committer.done.load(Ordering::SeqCst), committer.line.waiting()), (3, 0));
        assert!(!committer.line.queue.lock().led, "the next who comes must lead");
    });
}

/// A task's write beside a blocking one: the lead goes to the writer's thread and back, and the writer's thread does not
/// end before all that was accepted is done.
#[test]
fn the_writers_thread_leads_for_tasks_and_ends_last() {
    model(2, || {
        let committer = Arc::new(Committer::default());
        let writer = Arc::clone(&committer);
        let writer = thread::spawn(move || writer.run_writer());
        let task = Arc::clone(&committer);
        let task = thread::spawn(move || task.write_in_a_task());
        assert!(committer.write());
        assert!(task.join().unwrap());
        committer.line.close();
        writer.join().unwrap();
        assert_eq!(committer.done.load(Ordering::SeqCst), 2);
    });
}

/// A write that crosses with the close is refused or done, and the writer's thread ends.
#[test]
fn a_write_that_crosses_with_the_close_is_refused_or_done() {
    model(2, || {
        let committer = Arc::new(Committer::default());
        let writer = Arc::clone(&committer);
        let writer = thread::spawn(move || writer.run_writer());
        let task = Arc::clone(&committer);
        let task = thread::spawn(move || task.write_in_a_task());
        let blocking = Arc::clone(&committer);
        let blocking = thread::spawn(move || blocking.write());
        committer.line.close();
        let written = [task.join().unwrap(), blocking.join().unwrap()];
        writer.join().unwrap();
        let done = written.into_iter().filter(|written| *written).count();
        assert_eq!((committer.done.load(Ordering::SeqCst), committer.line.waiting()), (done, 0));
    });
}

/// Records wait to be forgotten while nobody leads: the writer's thread takes the lead for that, and whoever came meanwhile
/// is led all the same.
#[test]
fn who_comes_while_the_writer_compacts_is_led() {
    model(2, || {
        let committer = Arc::new(Committer::default());
        let pending = Arc::new(Flag::new(true));
        let (writer, compacts) = (Arc::clone(&committer), Arc::clone(&pending));
        let writer = thread::spawn(move || {
            let pending = || compacts.load(Ordering::SeqCst);
            loop {
                match writer.line.writer_turn(None, pending) {
                    WriterTurn::Lead => {
                        writer.line.lead(GROUP_MAX, pending, |jobs| writer.run(jobs), &mut || false);
                    }
                    WriterTurn::Compact => {
                        compacts.store(false, Ordering::SeqCst);
                        writer.line.pass_on(pending);
                    }
                    WriterTurn::Chores => {}
                    WriterTurn::Stop => return,
                }
            }
        });
        let task = Arc::clone(&committer);
        let task = thread::spawn(move || task.write_in_a_task());
        assert!(committer.write());
        assert!(task.join().unwrap());
        committer.line.close();
        writer.join().unwrap();
    });
}
