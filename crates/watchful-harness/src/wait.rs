//! Waiting for what must come, with an end to it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Longer than anything here takes: nothing waits for it unless something is lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The driver's answer. It must come, so nobody waits for ever if it does not.
pub fn answered<T>(answer: watchful::Answer<T>) -> T {
    let mut answer = pin!(answer);
    let mut cx = Context::from_waker(Waker::noop());
    eventually("the driver's answer", || match answer.as_mut().poll(&mut cx) {
        Poll::Ready(answer) => Some(answer.unwrap()),
        Poll::Pending => None,
    })
}

/// Asks again and again, giving others their turn, until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// An executor that is nothing but a loop: the library needs no runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(PATIENCE);
    }
}
