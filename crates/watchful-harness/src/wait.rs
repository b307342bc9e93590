//! Waiting for what must come, with an end to it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use watchful::{Defragmented, Error, Store};

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
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// Exchanges the store's file. That reads did not end in time says that the machine is slow, unless it is said again and again.
///
/// # Errors
///
/// What the store said.
pub fn defragment(store: &Store) -> Result<Defragmented, Error> {
    const TRIES_MORE: usize = 5;
    for _ in 0..TRIES_MORE {
        match store.defragment() {
            // Only its text tells it from other errors.
            Err(Error::Other(other)) if other.to_string().contains("read transactions did not end") => {}
            done => return done,
        }
    }
    store.defragment()
}

/// An executor that is nothing but a loop: the library needs no runtime. Whoever is not woken in time has been forgotten, and
/// that what it waits for may be there by then is no excuse.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark {
        thread: Thread,
        is_woken: AtomicBool,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.is_woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }
    let unpark = Arc::new(Unpark { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let deadline = Instant::now() + PATIENCE;
        while !unpark.is_woken.swap(false, Ordering::Acquire) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody was woken");
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_woken_goes_on() {
        let mut looks = 0;
        let value = block_on(std::future::poll_fn(|cx| {
            looks += 1;
            // From another thread, after this one has looked.
            let later = cx.waker().clone();
            thread::spawn(move || later.wake());
            if looks == 3 { Poll::Ready(looks) } else { Poll::Pending }
        }));
        assert_eq!(value, 3);
    }
}
