//! Several callers whose writes share one commit.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;

use watchful::{Error, Store, TxnRequest};

use crate::trials::Outcome;

/// Writes by several callers in one group, as good as always: they come while another one is being worked out. The first
/// is that other one. Answers in the order of the revisions they would take.
pub(super) fn write_together(store: &Store, mut writes: Vec<TxnRequest>) -> Outcome<Vec<Result<(), Error>>> {
    let first = writes.remove(0);
    if writes.is_empty() {
        return Ok(vec![store.execute(first).wait().map(drop)]);
    }
    let (begun, has_begun) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    let work = store.transact(move |txn| {
        // Nobody is there to hear it where the group was refused before.
        let _ = begun.send(());
        let _ = is_released.recv();
        txn.execute(&first).map(drop)
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| work.wait().map(drop));
        // An error: the write was refused before it was worked out.
        let _ = has_begun.recv();
        let mut waiting: Vec<_> = writes.into_iter().map(|write| Box::pin(store.execute(write))).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let early: Vec<_> = waiting.iter_mut().map(|write| write.as_mut().poll(&mut cx)).collect();
        drop(release);
        let first = first.join().map_err(|_| "a writer panicked")?;
        let mut answers = vec![first];
        for (write, early) in waiting.into_iter().zip(early) {
            answers.push(match early {
                std::task::Poll::Ready(answer) => answer.map(drop),
                std::task::Poll::Pending => finish(write).map(drop),
            });
        }
        Ok(answers)
    })
}

/// Waits for a write that was handed in.
fn finish<T: Send + 'static>(write: Pin<Box<watchful::Write<T>>>) -> Result<T, Error> {
    (*Pin::into_inner(write)).wait()
}
