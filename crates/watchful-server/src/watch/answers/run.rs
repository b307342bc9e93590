//! Several batches in one answer, where they wait for the same watches.
//!
//! When changes come faster than answers go out, an answer is dearer than an event: a header, a message and a frame for each
//! watch. etcd too puts what has piled up into one.

use std::sync::Arc;
use std::task::{Context, Poll};

use watchful::{Batch, StreamItem, WatchIds};
use watchful_wire::{Events, encoded_events_len};

use super::{Answers, Dealt};
use crate::watch::encoded;

/// What the events of several batches may take up in one answer.
const RUN_BYTES_MAX: usize = 64 << 10;

/// Batches that waited for the same watches: one answer for each watch, instead of one for each batch.
pub(super) struct Run {
    pub(super) events: Events,
    pub(super) count: usize,
    pub(super) head: u64,
}

impl Answers {
    /// The batch, and those that wait behind it for the same watches, as far as they fit an answer of moderate size: when
    /// changes come faster than answers go out, an answer is dearer than an event.
    pub(super) fn with_those_after(
        &mut self,
        batch: Arc<Batch>,
        watches: &WatchIds,
        cx: &mut Context<'_>,
    ) -> Dealt {
        let mut run = vec![batch];
        let mut bytes = 0;
        while let Some(last) = run.last()
            && self.may_be_joined(last)
        {
            bytes += encoded_events_len(last.events());
            if bytes >= RUN_BYTES_MAX {
                break;
            }
            match self.poll_item(cx) {
                Poll::Ready(Some(StreamItem::Events { batch, watches: others }))
                    if others == *watches && self.may_be_joined(&batch) =>
                {
                    run.push(batch);
                }
                Poll::Ready(other) => {
                    self.next = other;
                    break;
                }
                Poll::Pending => break,
            }
        }
        if let [_, .., last] = run.as_slice() {
            let head = last.head();
            let count = run.iter().map(|batch| batch.events().len()).sum();
            let encode =
                |batch| encoded::whole(batch, watches.len(), &self.shared.encoded, &self.shared.counts);
            return Dealt::Run(Run { events: Events::joined(run.iter().map(encode)), count, head });
        }
        Dealt::Events(run.swap_remove(0))
    }

    /// Whether nobody has to be asked how this batch goes out: not one of the watches takes parts, and no revision is
    /// being put together.
    fn may_be_joined(&self, batch: &Batch) -> bool {
        self.watches.fragment.is_empty() && self.held.is_empty() && !batch.is_fragment()
    }
}
