//! One value, from the thread that makes it to the caller who waits for it: in an async task or on a plain thread, with
//! the same waker. This is why the library needs no runtime and works in any.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::patience::Patience;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::thread_local;

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

struct Unpark {
    thread: Thread,
    /// For a look by a thread that has not parked yet.
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // In this order: a thread that is looking then finds that it need not park, and nobody asks the system for anything.
        self.thread.unpark();
        self.woken.store(true, Ordering::Release);
    }
}

/// This thread's own way to wait. Made once a thread: a blocking put must not allocate it each time.
#[derive(Clone)]
struct Waiting {
    unpark: Arc<Unpark>,
    waker: Waker,
    patience: Rc<Patience>,
}

impl Waiting {
    fn of_this_thread() -> Self {
        thread_local! {
            static WAITING: Waiting = Waiting::new();
        }
        WAITING.with(Self::clone)
    }

    fn new() -> Self {
        let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
        Self { waker: Arc::clone(&unpark).into(), unpark, patience: Rc::default() }
    }

    fn poll<T>(&self, poll: &mut impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.unpark.woken.store(false, Ordering::Relaxed);
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Looks whether a wake comes before it is worth parking. Where one came the next park ends at once.
    fn look(&self) {
        self.patience.look(|| self.unpark.woken.load(Ordering::Acquire));
    }
}

/// Polls on this thread until there is something, parked in between.
pub(crate) fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waiting = Waiting::of_this_thread();
    loop {
        if let Poll::Ready(value) = waiting.poll(&mut poll) {
            return value;
        }
        thread::park();
    }
}

/// As [`block_on`], for what may well come before a park would be over: it looks for it first.
pub(crate) fn block_on_soon<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waiting = Waiting::of_this_thread();
    loop {
        if let Poll::Ready(value) = waiting.poll(&mut poll) {
            return value;
        }
        waiting.look();
        thread::park();
    }
}

/// As [`block_on_soon`], for at most `timeout`.
pub(crate) fn block_on_for<T>(
    timeout: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let (waiting, deadline) = (Waiting::of_this_thread(), Instant::now().checked_add(timeout));
    loop {
        if let Poll::Ready(value) = waiting.poll(&mut poll) {
            return Some(value);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => {
                waiting.look();
                thread::park_timeout(left);
            }
            None => {
                waiting.look();
                thread::park();
            }
        }
    }
}
