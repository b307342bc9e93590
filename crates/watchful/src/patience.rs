//! How long a thread looks before it parks.
//!
//! To park and be woken costs some 50 µs on the machines this was measured on, ten times what a put and its delivery to a
//! hundred watchers take. A thread that is about to be given something is better off if it looks for it that long. Whether
//! it is about to be, only the past can tell: each time it looked in vain it stays away for twice as many waits, so a
//! thread that is never met pays for a look in every [`SKIP_MAX`] waits.

use std::cell::Cell;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The longest look: somewhat more than one wake, so that one of two threads that wait for each other is met by the other,
/// which still parks.
const LOOK_MAX: Duration = Duration::from_micros(100);

/// The most waits that are not looked at after looking in vain.
const SKIP_MAX: u32 = 256;

/// One waiting place's past.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// How many waits are left until it looks again.
    skip: Cell<u32>,
    /// How many were skipped after the last look in vain; 0 after one that was not.
    skipped: Cell<u32>,
}

impl Patience {
    /// Looks for a while whether `is_there`, if that is likely to be worth it. Returns whether it is there.
    pub(crate) fn look(&self, is_there: impl Fn() -> bool) -> bool {
        // In a model a look is one look: what comes in the meantime is another order to try.
        if cfg!(loom) {
            return is_there();
        }
        if !self.is_worth_it() {
            return false;
        }
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS_A_TURN {
                if is_there() {
                    self.found();
                    return true;
                }
                std::hint::spin_loop();
            }
            if begun.elapsed() >= LOOK_MAX {
                self.not_found();
                return false;
            }
            // Whoever is to bring it may be waiting for this very core.
            thread::yield_now();
        }
    }

    fn is_worth_it(&self) -> bool {
        match self.skip.get() {
            0 => has_cores(),
            skip => {
                self.skip.set(skip - 1);
                false
            }
        }
    }

    fn found(&self) {
        self.skipped.set(0);
    }

    fn not_found(&self) {
        let skip = (2 * self.skipped.get()).clamp(1, SKIP_MAX);
        self.skipped.set(skip);
        self.skip.set(skip);
    }
}

/// How often a thread looks before it lets others have the core.
const LOOKS_A_TURN: u32 = 32;

/// With one core, nothing comes while this thread looks.
fn has_cores() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, Into::into)) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many waits of `waits` are looked at when nothing is ever there.
    fn looks(patience: &Patience, waits: u32) -> u32 {
        let looked = |_: &u32| {
            let looks = patience.skip.get() == 0;
            if looks {
                patience.not_found()
            } else {
                _ = patience.is_worth_it()
            }
            looks
        };
        (0..waits).filter(looked).count().try_into().unwrap()
    }

    #[test]
    fn who_looks_in_vain_looks_less_and_less() {
        let patience = Patience::default();
        assert_eq!(looks(&patience, 1 + 1 + 1 + 2 + 1 + 4), 3);
        looks(&patience, 4096);
        assert!(looks(&patience, 10 * (SKIP_MAX + 1)) <= 11);
    }

    #[test]
    fn who_is_met_goes_on_looking() {
        let patience = Patience::default();
        looks(&patience, 4096);
        while patience.skip.get() > 0 {
            assert!(!patience.look(|| true), "it is not looked at before its turn");
        }
        if has_cores() {
            assert!((0..100).all(|_| patience.look(|| true)));
        }
    }
}
