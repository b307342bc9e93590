//! One value, from the thread that makes it to the caller who waits for it: in an async task or on a plain thread, with
//! the same waker. This is why the library needs no runtime and works in any.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The end that gives the value. Dropped without giving one, the other end learns that too.
#[derive(Debug)]
pub(crate) struct Promise<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The end that waits.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    shared: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Given(T),
    /// The promise was dropped, or the value has been taken.
    Over,
}

pub(crate) fn promise<T>() -> (Promise<T>, Reply<T>) {
    let shared = Arc::new(Mutex::new(State::Waiting(None)));
    (Promise { shared: Arc::clone(&shared) }, Reply { shared })
}

impl<T> Promise<T> {
    pub(crate) fn give(self, value: T) {
        self.settle(State::Given(value));
    }

    fn settle(&self, state: State<T>) {
        let before = std::mem::replace(&mut *self.shared.lock(), state);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let waiting = matches!(&*self.shared.lock(), State::Waiting(_));
        if waiting {
            self.settle(State::Over);
        }
    }
}

impl<T> Reply<T> {
    /// The value, if it is there already.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.shared.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Given(value) => Some(value),
            before => {
                *state = before;
                None
            }
        }
    }

    /// Waits on this thread. None when the promise was dropped.
    pub(crate) fn wait(mut self) -> Option<T> {
        block_on(|cx| Pin::new(&mut self).poll(cx))
    }
}

impl<T> Future for Reply<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Given(value) => Poll::Ready(Some(value)),
            State::Over => Poll::Ready(None),
            State::Waiting(_) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker that unparks this thread. Made once a thread: a blocking put must not allocate it each time.
fn thread_waker() -> Waker {
    thread_local! {
        static WAKER: Waker = Arc::new(Unpark(thread::current())).into();
    }
    WAKER.with(Waker::clone)
}

/// Polls on this thread until there is something, parked in between.
pub(crate) fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = thread_waker();
    loop {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// As [`block_on`], for at most `timeout`.
pub(crate) fn block_on_for<T>(
    timeout: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let (waker, deadline) = (thread_waker(), Instant::now().checked_add(timeout));
    loop {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}
