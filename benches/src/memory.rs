//! What the process holds: what it asked the allocator for, and what the system counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::workloads::support::figure;

/// Tells how many bytes are allocated now; none where nobody counts them.
pub type LiveBytes = fn() -> Option<usize>;

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) live: Option<usize>,
    /// What is resident and belongs to no file: the mapped pages of the data file do not count.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn now(live_bytes: LiveBytes) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { live: live_bytes(), anonymous: field(&status, "RssAnon:") }
    }
}

/// Does `work`, and looks meanwhile how high `of` gets, every so often. Returns both.
pub(crate) fn highest_while<T>(
    every: Duration,
    of: impl Fn() -> u64 + Sync,
    work: impl FnOnce() -> Outcome<T>,
) -> Outcome<(T, u64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut highest = of();
            while !over.load(Ordering::Relaxed) {
                thread::sleep(every);
                highest = highest.max(of());
            }
            highest
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let highest = looks.join().map_err(|_| "the look at memory panicked")?;
        Ok((done?, highest))
    })
}

/// Bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    figure(bytes) / f64::from(1 << 20)
}

/// A field of the status file, which counts in KiB; 0 where it is not told.
pub(crate) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn the_highest_is_kept_when_it_falls_again() {
        let (level, looks) = (AtomicU64::new(1), AtomicU64::new(0));
        let look = || {
            looks.fetch_add(1, Ordering::SeqCst);
            level.load(Ordering::SeqCst)
        };
        let seen = |times| while looks.load(Ordering::SeqCst) < times {};
        let (done, highest) = highest_while(Duration::ZERO, look, || {
            seen(1);
            level.store(7, Ordering::SeqCst);
            // One look may have begun before it rose.
            seen(looks.load(Ordering::SeqCst) + 2);
            level.store(2, Ordering::SeqCst);
            Ok("done")
        })
        .unwrap();
        assert_eq!((done, highest), ("done", 7));
    }
}
