//! The locks, atomics and threads of whatever waits here for another thread: outboxes, promises, the feed, the line of
//! writes.
//!
//! They are parking_lot's and the standard library's. With `--cfg loom` they are loom's, and the models in `loom_models` try
//! each order in which their threads can come. `cargo xtask concurrency loom` gives it to the unit tests of this crate alone:
//! loom is for tests, and in `RUSTFLAGS` it would change what tokio does as well, and build everything anew.
//!
//! **What it is not for:** counters, and locks that are held for a look-up. No wake hangs on those, and loom would have to
//! try them all the same.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
pub(crate) use modelled::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::sync::atomic;
    pub(crate) use std::thread;
    pub(crate) use std::thread_local;

    pub(crate) use parking_lot::{Condvar, Mutex};
}

/// Loom's own, with parking_lot's names and signatures.
#[cfg(loom)]
mod modelled {
    use std::fmt;
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    pub(crate) use loom::thread_local;

    /// Loom's own park forgets a wake that comes while the thread waits for a lock, and then finds deadlocks that are none.
    pub(crate) mod thread {
        use std::sync::Arc;

        pub(crate) use loom::thread::spawn;

        use super::{Condvar, Mutex};

        #[derive(Clone, Debug, Default)]
        pub(crate) struct Thread(Arc<Parker>);

        #[derive(Debug, Default)]
        struct Parker {
            woken: Mutex<bool>,
            signal: Condvar,
        }

        loom::thread_local! {
            static THIS: Thread = Thread::default();
        }

        pub(crate) fn current() -> Thread {
            THIS.with(Thread::clone)
        }

        pub(crate) fn park() {
            let Thread(parker) = current();
            let mut woken = parker.woken.lock();
            while !std::mem::take(&mut *woken) {
                parker.signal.wait(&mut woken);
            }
        }

        /// There is no time in a model: nobody in one waits like this.
        pub(crate) fn park_timeout(_: std::time::Duration) {
            park();
        }

        impl Thread {
            pub(crate) fn unpark(&self) {
                *self.0.woken.lock() = true;
                self.0.signal.notify_one();
            }
        }
    }

    /// Loom takes `SeqCst` for `AcqRel`, but for fences. So here are fences around it: a little more than is promised, and
    /// what the code relies on. And it lets a swap miss a store that came before it, but not another swap, so a store is one.
    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::Ordering;

        use loom::sync::atomic::fence;

        fn ordered<T>(ordering: Ordering, act: impl FnOnce() -> T) -> T {
            if ordering != Ordering::SeqCst {
                return act();
            }
            fence(Ordering::SeqCst);
            let done = act();
            fence(Ordering::SeqCst);
            done
        }

        macro_rules! atomic {
            ($name:ident, $of:ty) => {
                #[derive(Debug, Default)]
                pub(crate) struct $name(loom::sync::atomic::$name);

                impl $name {
                    pub(crate) fn new(value: $of) -> Self {
                        Self(loom::sync::atomic::$name::new(value))
                    }

                    pub(crate) fn load(&self, ordering: Ordering) -> $of {
                        ordered(ordering, || self.0.load(ordering))
                    }

                    pub(crate) fn store(&self, value: $of, ordering: Ordering) {
                        ordered(ordering, || self.0.swap(value, ordering));
                    }

                    #[allow(dead_code, reason = "not each of them is swapped")]
                    pub(crate) fn swap(&self, value: $of, ordering: Ordering) -> $of {
                        ordered(ordering, || self.0.swap(value, ordering))
                    }
                }
            };
        }

        atomic!(AtomicBool, bool);
        atomic!(AtomicU64, u64);
    }

    #[derive(Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// Empty only while its thread waits at a [`Condvar`].
    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        held: Option<loom::sync::MutexGuard<'a, T>>,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    pub(crate) struct WaitTimeoutResult;

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, held: self.0.lock().ok() }
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Mutex").finish_non_exhaustive()
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.held.as_ref().expect("it is not waiting")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.held.as_mut().expect("it is not waiting")
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.held = guard.held.take().and_then(|held| self.0.wait(held).ok());
        }

        /// The time is over at once: others may do anything in it, or nothing.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
            guard.held = None;
            loom::thread::yield_now();
            guard.held = guard.mutex.0.lock().ok();
            WaitTimeoutResult
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }

    impl WaitTimeoutResult {
        pub(crate) fn timed_out(&self) -> bool {
            true
        }
    }
}
