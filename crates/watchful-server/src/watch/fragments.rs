//! Large revisions: cut to the request limit for watches that asked for it, put together for those that did not.
//!
//! The engine hands a revision that does not fit one batch out in marked parts. A watch with `fragment` gets them as they
//! come, cut further where a part is above the limit. One without gets the revision whole, as etcd's clients expect: its
//! parts are held, as shares of their batches, until the last has come.
//!
//! Whether a part goes on shows only with the next: where nothing more of the revision is for the watch, an empty batch
//! closes it. So a watch with `fragment` is always one part behind. Say that revision 7 is one change of 1.4 MB: its part
//! comes marked, the empty batch after it, and the client gets one answer, without the mark. An answer without events
//! would look like progress.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use watchful::{Batch, Event, WatchId};
use watchful_wire::{Events, encode_events, encoded_events_len};

use crate::counts::Counts;

/// Parts of revisions that wait for the next, by watch.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Of watches that get revisions whole: every part so far.
    parts: HashMap<WatchId, Vec<Arc<Batch>>>,
    /// Of watches that take parts: the last one.
    last: HashMap<WatchId, Arc<Batch>>,
}

/// What of a batch is still to go out to a watch that takes parts.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) batch: Arc<Batch>,
    /// The first event of it.
    pub(super) from: usize,
    /// Whether more of its last revision comes after it.
    pub(super) goes_on: bool,
}

impl Held {
    /// Takes a batch in. Gives back what is whole now: the parts before it and the batch itself; none where more is to
    /// come.
    pub(super) fn add(&mut self, watch: WatchId, batch: &Arc<Batch>) -> Option<Vec<Arc<Batch>>> {
        if batch.is_fragment() {
            self.parts.entry(watch).or_default().push(Arc::clone(batch));
            return None;
        }
        let mut parts = self.parts.remove(&watch).unwrap_or_default();
        parts.push(Arc::clone(batch));
        Some(parts)
    }

    /// Takes a batch in for a watch that takes parts. Gives back what can go out now.
    pub(super) fn pass(&mut self, watch: WatchId, batch: &Arc<Batch>) -> VecDeque<Pieces> {
        let before = self.last.remove(&watch);
        let closes = before.is_some() && batch.events().is_empty() && !batch.is_fragment();
        let pieces = |batch, goes_on| Pieces { batch, from: 0, goes_on };
        let mut out: VecDeque<_> = before.map(|before| pieces(before, !closes)).into_iter().collect();
        if batch.is_fragment() {
            self.last.insert(watch, Arc::clone(batch));
        } else if !closes {
            out.push_back(pieces(Arc::clone(batch), false));
        }
        out
    }

    /// Whether no revision is being put together for anybody: the usual case.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The watch is over.
    pub(super) fn forget(&mut self, watch: WatchId) {
        self.parts.remove(&watch);
        self.last.remove(&watch);
    }
}

/// Where the piece that begins at event `from` ends: as many events as stay below `bytes_max`, and at least one.
pub(super) fn piece_end(events: &[Event], from: usize, bytes_max: usize) -> usize {
    let mut bytes = 0;
    for (at, event) in events.iter().enumerate().skip(from) {
        bytes += encoded_events_len(std::slice::from_ref(event));
        if bytes >= bytes_max && at > from {
            return at;
        }
    }
    events.len()
}

/// A revision put together from its parts, and encoded.
pub(super) struct Joined {
    parts: Vec<Arc<Batch>>,
    bytes: Bytes,
}

impl Joined {
    pub(super) fn new(parts: Vec<Arc<Batch>>, counts: &Counts) -> Self {
        let len = parts.iter().map(|part| encoded_events_len(part.events())).sum();
        let mut bytes = Vec::with_capacity(len);
        parts.iter().for_each(|part| encode_events(part.events(), &mut bytes));
        counts.watch_encoded_bytes.add(len as u64);
        Self { parts, bytes: bytes.into() }
    }

    /// Whether it is made of these parts.
    pub(super) fn is_of(&self, parts: &[Arc<Batch>]) -> bool {
        self.parts.len() == parts.len() && self.parts.iter().zip(parts).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    pub(super) fn events(&self) -> Events {
        Events::encoded(self.bytes.clone())
    }
}
