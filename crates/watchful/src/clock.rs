//! The time, given from outside, so that a test can turn it: leases, compaction by age and progress intervals go by it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Tells the time to a store.
///
/// Only differences matter. The time never goes back.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time since some moment that stays the same.
    fn now(&self) -> Duration;

    /// How long to sleep, in real time, until it is `deadline`; none when only [`Clock::on_turn`]'s callback will tell.
    fn sleep_until(&self, deadline: Duration) -> Option<Duration>;

    /// Calls `wake` whenever the time jumps. A clock that just runs never calls it.
    fn on_turn(&self, wake: Arc<dyn Fn() + Send + Sync>);
}

/// The machine's own clock, which does not jump when somebody sets the date.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> Option<Duration> {
        Some(deadline.saturating_sub(self.now()))
    }

    fn on_turn(&self, _wake: Arc<dyn Fn() + Send + Sync>) {}
}

/// A clock that stands still until it is turned, for tests.
///
/// ```
/// use std::time::Duration;
/// use watchful::{Clock, ManualClock};
///
/// let clock = ManualClock::default();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Duration::from_secs(5));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    shared: Arc<Mutex<Turned>>,
}

#[derive(Default)]
struct Turned {
    now: Duration,
    wakes: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl ManualClock {
    /// Turns the clock on by `time` and wakes whoever may have waited for it.
    pub fn advance(&self, time: Duration) {
        let wakes = {
            let mut turned = self.shared.lock();
            turned.now += time;
            turned.wakes.clone()
        };
        for wake in wakes {
            wake();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.shared.lock().now
    }

    fn sleep_until(&self, _deadline: Duration) -> Option<Duration> {
        None
    }

    fn on_turn(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.shared.lock().wakes.push(wake);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({:?})", self.shared.lock().now)
    }
}
