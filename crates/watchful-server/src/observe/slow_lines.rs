//! How often slow requests are told: a disk that stalls makes every request slow, and the log should not be the next
//! thing that is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The most lines in one second.
const LINES_A_SECOND: u64 = 10;

/// Bounds the lines. Where two threads cross a second at once, a line more or fewer may be told.
#[derive(Debug)]
pub(crate) struct SlowLines {
    start: Instant,
    /// The second that is counted, and how many lines were asked for in it.
    second: AtomicU64,
    asked: AtomicU64,
    untold: AtomicU64,
}

impl Default for SlowLines {
    fn default() -> Self {
        let [second, asked, untold] = Default::default();
        Self { start: Instant::now(), second, asked, untold }
    }
}

impl SlowLines {
    /// Whether a line may be told now; and then how many were not since the last one.
    pub(crate) fn may_tell(&self) -> Option<u64> {
        self.may_tell_in(self.start.elapsed().as_secs())
    }

    fn may_tell_in(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.asked.store(0, Ordering::Relaxed);
        }
        if self.asked.fetch_add(1, Ordering::Relaxed) < LINES_A_SECOND {
            return Some(self.untold.swap(0, Ordering::Relaxed));
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_are_told_and_the_next_one_says_how_many_were_not() {
        let lines = SlowLines::default();
        let told = (0..100).filter(|_| lines.may_tell_in(7).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(lines.may_tell_in(8), Some(90));
        assert_eq!(lines.may_tell_in(8), Some(0));
    }
}
