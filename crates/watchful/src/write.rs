//! A write, as a caller holds it: awaited in a task or waited for on a thread.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use watchful_mvcc::Group;

use crate::Error;
use crate::commit::{Caller, Committer, Outcome, Settled, is_leading, job, wait_or_lead};
use crate::promise::Reply;

/// A write that happens once it is awaited, or waited for.
///
/// - `.await` hands it to the store's writer thread, which leads the group commit. It works in any runtime.
/// - [`wait`](Write::wait) needs no runtime: this thread leads its own group commit, unless somebody leads already.
///
/// Dropped before either, nothing is written. Dropped after its first poll, it is written all the same; only the answer
/// is lost.
#[must_use = "nothing is written until it is awaited or waited for"]
pub struct Write<T, E = Error> {
    state: State<T, E>,
}

type Start<T, E> = Box<dyn FnOnce(Option<Arc<Caller>>) -> Started<T, E> + Send>;

struct Started<T, E> {
    reply: Reply<Outcome<T, E>>,
    leads: bool,
}

enum State<T, E> {
    /// It has not been handed in yet.
    New {
        committer: Arc<Committer>,
        start: Start<T, E>,
    },
    Waiting(Reply<Outcome<T, E>>),
    Done,
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Write<T, E> {
    pub(crate) fn new(
        committer: Arc<Committer>,
        settled: Option<Settled>,
        work: impl FnOnce(&mut Group<'_>) -> Result<T, E> + Send + 'static,
    ) -> Self {
        let queue = Arc::clone(&committer);
        let start = move |caller| {
            let (job, reply) = job(work, settled, caller);
            Started { leads: queue.enqueue(job), reply }
        };
        Self { state: State::New { committer, start: Box::new(start) } }
    }

    /// Writes, and waits on this thread until it is done.
    ///
    /// # Errors
    ///
    /// The transaction's own error, or why the group could not be committed; [`Error::InsideTransaction`] when this is
    /// called in a transaction's closure.
    ///
    /// # Panics
    ///
    /// With the transaction's own panic, if its closure panicked. With one of the store's own code, if this thread led the
    /// group that it happened in: who leads works for everybody who waits.
    pub fn wait(self) -> Result<T, E> {
        let (committer, start) = match self.state {
            State::New { committer, start } => (committer, start),
            State::Waiting(reply) => return answer(reply.wait()),
            State::Done => return Err(Error::Closed.into()),
        };
        if is_leading() {
            return Err(Error::InsideTransaction.into());
        }
        let caller = Caller::this_thread();
        let Started { reply, leads } = start(Some(Arc::clone(&caller)));
        answer(wait_or_lead(&caller, leads, reply, |done| committer.lead(done)))
    }
}

fn answer<T, E: From<Error>>(outcome: Option<Outcome<T, E>>) -> Result<T, E> {
    match outcome {
        Some(Ok(own)) => own,
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(Error::Closed.into()),
    }
}

impl<T, E: From<Error>> Future for Write<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let mut reply = match std::mem::replace(&mut self.state, State::Done) {
            State::New { start, .. } => start(None).reply,
            State::Waiting(reply) => reply,
            State::Done => return Poll::Ready(Err(Error::Closed.into())),
        };
        match Pin::new(&mut reply).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(answer(outcome)),
            Poll::Pending => {
                self.state = State::Waiting(reply);
                Poll::Pending
            }
        }
    }
}

impl<T, E> Unpin for Write<T, E> {}

impl<T, E> fmt::Debug for Write<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New { .. } => "new",
            State::Waiting(_) => "waiting",
            State::Done => "done",
        };
        write!(f, "Write({state})")
    }
}
