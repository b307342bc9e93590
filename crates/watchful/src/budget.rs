//! The store-wide budget for buffers that many watchers share.
//!
//! A chunk's matched rows are copied once, into one buffer, and every watcher's events are slices of it. One event that
//! a stalled receiver holds would keep all of its buffer alive. So buffers are charged whole, for as long as any slice
//! lives; once the budget is used up, rows get a buffer each, which costs more allocations and pins nothing.
//!
//! While history is being read, two buffers whose last slice is gone are kept for the next reads: one that the system has
//! to clear first costs more than what is read into it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
    /// Large buffers whose last slice is gone, for the next reads. None while history is not being read: what a slow
    /// receiver gives back then is not kept.
    spares: Mutex<Option<Vec<Vec<u8>>>>,
}

/// How many buffers are kept for the next reads: one that is read into, and one that a receiver is just done with.
const SPARES_MAX: usize = 2;

/// Smaller buffers are not worth keeping, and larger ones (one revision that no chunk holds) are too much to keep.
const SPARE_BYTES: RangeInclusive<usize> = 64 << 10..=1 << 20;

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), bytes_max, spares: Mutex::default() })
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A buffer to read into: one that was used before, if there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spares.lock().get_or_insert_default().pop().unwrap_or_default()
    }

    /// The buffer, or a copy of its own size where most of it is empty: what is charged is what it takes.
    pub(crate) fn fitted(&self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.capacity() <= 2 * bytes.len() {
            return bytes;
        }
        let copy = bytes.as_slice().to_vec();
        self.spare(bytes);
        copy
    }

    /// Nothing was read for a while.
    pub(crate) fn forget_spares(&self) {
        *self.spares.lock() = None;
    }

    fn spare(&self, bytes: Vec<u8>) {
        let mut spares = self.spares.lock();
        let Some(spares) = &mut *spares else { return };
        let fits = self.used_bytes().saturating_add(bytes.capacity()) <= self.bytes_max;
        if fits && SPARE_BYTES.contains(&bytes.capacity()) && spares.len() < SPARES_MAX {
            spares.push(bytes);
        }
    }

    /// A buffer that is charged until its last slice is gone; the bytes back when there is no room for it.
    pub(crate) fn share(self: &Arc<Self>, bytes: Vec<u8>) -> Result<Bytes, Vec<u8>> {
        let len = bytes.capacity();
        let charged = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(len).filter(|used| *used <= self.bytes_max)
        });
        match charged {
            Ok(_) => Ok(Bytes::from_owner(Charged { bytes, len, budget: Arc::clone(self) })),
            Err(_) => Err(bytes),
        }
    }
}

struct Charged {
    bytes: Vec<u8>,
    len: usize,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.len, Ordering::Relaxed);
        self.budget.spare(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_whose_last_slice_is_gone_is_used_again() {
        let budget = Budget::new(4 << 20);
        let slice = budget.share(vec![7; *SPARE_BYTES.start()]).unwrap().slice(3..5);
        assert_eq!(budget.buffer().capacity(), 0, "it is still held");
        drop(slice);
        assert_eq!((budget.buffer().capacity(), budget.buffer().capacity()), (*SPARE_BYTES.start(), 0));
        budget.spare(Vec::with_capacity(SPARE_BYTES.end() + 1));
        (0..9).for_each(|_| budget.spare(Vec::with_capacity(*SPARE_BYTES.end())));
        assert_eq!(budget.spares.lock().as_ref().unwrap().len(), SPARES_MAX);
        budget.forget_spares();
        assert_eq!(budget.buffer().capacity(), 0);
    }

    /// A receiver that was slower than the reader gave its buffers back when nobody was there to forget them.
    #[test]
    fn what_comes_back_when_nothing_is_read_is_not_kept() {
        let budget = Budget::new(4 << 20);
        drop(budget.buffer());
        let held = budget.share(vec![7; *SPARE_BYTES.start()]).unwrap();
        budget.forget_spares();
        drop(held);
        assert_eq!(budget.buffer().capacity(), 0);
    }

    #[test]
    fn a_buffer_that_is_mostly_empty_is_charged_for_what_is_in_it() {
        let budget = Budget::new(1 << 20);
        let mut bytes = budget.buffer();
        bytes.reserve_exact(*SPARE_BYTES.start());
        bytes.extend_from_slice(b"few");
        let fitted = budget.fitted(bytes);
        assert_eq!((&fitted[..], fitted.capacity()), (&b"few"[..], 3));
        assert_eq!(budget.buffer().capacity(), *SPARE_BYTES.start());
        assert_eq!(budget.fitted(vec![1; 9]), [1; 9]);
    }

    #[test]
    fn a_buffer_is_charged_until_its_last_slice_is_gone() {
        let budget = Budget::new(100);
        let shared = budget.share(Vec::with_capacity(60)).unwrap();
        assert!(budget.share(Vec::with_capacity(60)).is_err());
        let slice = shared.slice(..0).slice_ref(&shared[..0]);
        drop(shared);
        drop(slice);
        assert_eq!(budget.used_bytes(), 0);
        let held = budget.share(vec![7; 60]).unwrap().slice(3..5);
        assert_eq!((&held[..], budget.used_bytes()), (&[7, 7][..], 60));
    }
}
