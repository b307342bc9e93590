//! The store-wide budget for buffers that many watchers share.
//!
//! A chunk's matched rows are copied once, into one buffer, and every watcher's events are slices of it. One event that
//! a stalled receiver holds would keep all of its buffer alive. So buffers are charged whole, for as long as any slice
//! lives; once the budget is used up, rows get a buffer each, which costs more allocations and pins nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), bytes_max })
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
