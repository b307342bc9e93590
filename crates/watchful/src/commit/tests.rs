//! How the writer counts those who will come back.

use super::*;
use crate::Settings;

fn committer(dir: &std::path::Path) -> Arc<Committer> {
    let settings = Settings::default();
    let (mvcc, _report) = Mvcc::open(dir, &settings.mvcc()).unwrap();
    let feed = Arc::new(Feed::new(mvcc.current_revision(), mvcc.compact_revision(), 1 << 20));
    Arc::new(Committer::new(mvcc, feed, settings.clock, 1000, 1000))
}

/// A caller that writes again as soon as it is answered, for so many times.
fn put_again(committer: &Arc<Committer>, times: u32) {
    let queue = Arc::clone(committer);
    let again: Settled = Box::new(move |_| {
        if times > 0 {
            put_again(&queue, times - 1);
        }
    });
    let put =
        |group: &mut Group<'_>| Ok::<_, Error>(group.txn(|txn| txn.put(b"k", b"v", Default::default()))?);
    let (job, _reply) = job(put, Some(again), None);
    committer.enqueue(job);
}

/// Callers that were back before the writer looked were once counted twice: as answered, and as waiting. So the writer
/// waited for more of them than there were, until its patience was over, after each commit.
#[test]
fn who_is_back_before_all_are_answered_is_one_caller() {
    let dir = tempfile::tempdir().unwrap();
    let committer = committer(dir.path());
    (0..5).for_each(|_| put_again(&committer, 3));
    for _ in 0..3 {
        let ran = committer.run(committer.next_group());
        assert_eq!((ran.callers, committer.line.waiting()), (5, 5));
    }
    assert_eq!(committer.counts.transactions.load(Ordering::Relaxed), 15);
}

#[test]
fn who_waited_meanwhile_is_counted_too() {
    let dir = tempfile::tempdir().unwrap();
    let committer = committer(dir.path());
    (0..2).for_each(|_| put_again(&committer, 0));
    let jobs = committer.next_group();
    (0..3).for_each(|_| put_again(&committer, 0));
    assert_eq!(committer.run(jobs).callers, 5);
}

/// A lease was revoked and a put named it, in one group, whose commit failed. The revocation was taken back, and the put was
/// told all the same that there is no such lease: a client that hears so takes its session for lost, and the lease lives on.
#[test]
fn a_refusal_is_not_told_when_what_it_was_worked_out_on_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let committer = committer(dir.path());
    let mut group = committer.mvcc.begin_group().unwrap();
    let refuse = |_: &mut Group<'_>| Err::<(), _>(Error::LeaseNotFound { id: 7 });
    let settled = |committed| {
        let (mut job, reply) = job(refuse, None, None);
        job.work_out(&mut group);
        job.settle(committed);
        reply.wait().unwrap().unwrap()
    };
    let [kept, taken_back] = [Ok(()), Err(MvccError::OutcomeUnknown)].map(settled);
    assert!(matches!(kept, Err(Error::LeaseNotFound { id: 7 })), "{kept:?}");
    assert!(matches!(taken_back, Err(Error::OutcomeUnknown)), "{taken_back:?}");
}
