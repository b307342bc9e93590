//! How values spread, counted in powers of two: one relaxed increment and one addition a value, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many buckets there are: the last bound is 2^27, some two minutes in microseconds.
const BUCKETS: usize = 28;

/// How many values there were, by size.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = watchful::Store::open(dir.path(), watchful::Settings::default())?;
/// store.put("a", "1").wait()?;
/// let sizes = store.stats().commit_group_sizes;
/// assert_eq!((sizes.count(), sizes.sum()), (1, 1));
/// assert_eq!(sizes.buckets().next(), Some((1, 1))); // one group of at most one transaction
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl Distribution {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The buckets, ascending: each with the largest value it is for, and how many values are in it and in no smaller
    /// one. The bounds are 1, 2, 4 and so on; what is larger than the last one is in the last bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().enumerate().map(|(power, count)| (1 << power, *count))
    }
}

/// A [`Distribution`] that is being counted.
#[derive(Debug, Default)]
pub(crate) struct DistributionCounts {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl DistributionCounts {
    pub(crate) fn add(&self, value: u64) {
        self.counts[bucket_of(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Distribution {
        Distribution {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// The smallest power of two that is not below `value`.
fn bucket_of(value: u64) -> usize {
    let power = u64::BITS - value.saturating_sub(1).leading_zeros();
    (power as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_bucket_of_the_next_power_of_two() {
        let counts = DistributionCounts::default();
        for value in [0, 1, 2, 3, 4, 5, 1024, 1025, u64::from(u32::MAX)] {
            counts.add(value);
        }
        let now = counts.now();
        let filled: Vec<_> = now.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(1, 2), (2, 1), (4, 2), (8, 1), (1024, 1), (2048, 1), (1 << 27, 1)]);
        assert_eq!((now.count(), now.sum()), (9, 2064 + u64::from(u32::MAX)));
    }
}
