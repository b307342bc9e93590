//! One encoding of a batch for everybody who gets it, within a budget.
//!
//! The encoding hangs on the batch, which all streams share, and goes with it. What encodings take up is counted for the
//! whole server; beyond the budget, and where a batch has one receiver only, events are encoded straight into the
//! connection instead. That costs the same bytes and one encoding a watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use watchful::{Batch, Event};
use watchful_wire::{Events, HasEvents, StoredEvents, encode_events, encoded_events_len};

use crate::counts::Counts;

/// What all encodings together may take up: as much as the store's own shared buffers by default.
const ENCODED_BYTES_MAX: usize = 64 << 20;

/// How much is taken up by encodings that are held.
#[derive(Debug, Default)]
pub(crate) struct EncodedBudget {
    used_bytes: AtomicUsize,
}

/// Bytes that are counted while somebody holds them.
struct Counted {
    bytes: Vec<u8>,
    budget: Arc<EncodedBudget>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl EncodedBudget {
    /// What encodings take up now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Takes `bytes` out of the budget, if they are there.
    fn take(&self, bytes: usize) -> bool {
        let before = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= ENCODED_BYTES_MAX;
        if !fits {
            self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Encodes the events, once for all who will ask the batch for it. None where the budget is used up.
    fn encode(self: &Arc<Self>, events: &[Event], counts: &Counts) -> Option<Bytes> {
        let len = encoded_events_len(events);
        if !self.take(len) {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        encode_events(events, &mut bytes);
        counts.watch_encoded_bytes.add(len as u64);
        Some(Bytes::from_owner(Counted { bytes, budget: Arc::clone(self) }))
    }
}

/// A batch whose events are read where they are.
#[derive(Debug)]
struct Whole(Arc<Batch>);

impl HasEvents for Whole {
    fn events(&self) -> &[Event] {
        self.0.events()
    }
}

/// All events of a batch, for one of `receivers` watches of this stream.
pub(super) fn whole(
    batch: &Arc<Batch>,
    receivers: usize,
    budget: &Arc<EncodedBudget>,
    counts: &Counts,
) -> Events {
    let is_shared = receivers > 1 || Arc::strong_count(batch) > 1;
    match batch.encoding().get() {
        Some(bytes) => return Events::encoded(bytes.clone()),
        None if is_shared => {
            if let Some(bytes) = budget.encode(batch.events(), counts) {
                return Events::encoded(batch.encoding().get_or_init(|| bytes).clone());
            }
        }
        None => {}
    }
    part(batch, 0, batch.events().len(), counts)
}

/// The events `from..to` of a batch, to be encoded into the connection.
pub(super) fn part(batch: &Arc<Batch>, from: usize, to: usize, counts: &Counts) -> Events {
    let events = Events::stored(StoredEvents::new(Arc::new(Whole(Arc::clone(batch))), from, to));
    counts.watch_encoded_bytes.add(events.encoded_len() as u64);
    events
}
