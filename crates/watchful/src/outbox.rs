//! The bounded queue to one receiver.
//!
//! It has no bound of its own: the sync engine counts what is in it and puts in only what fits. What the receiver takes
//! out is counted here and told to the engine when something is put in, or, where the engine waits for room, as soon as
//! half is free. So a receiver that keeps up sends the engine no messages at all.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use watchful_sync::{Item, StreamId};

use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) struct Outbox {
    bytes_max: usize,
    stream: OnceLock<StreamId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    queued_bytes: usize,
    /// Taken out, and not yet told to the engine.
    untold_bytes: usize,
    /// The engine waits for half of the outbox to be free.
    awaited: bool,
    closed: bool,
    waker: Option<Waker>,
}

/// What a receiver took, and whether the engine is to be told.
pub(crate) struct Taken {
    pub(crate) item: Option<Item>,
    pub(crate) tell: bool,
}

impl Outbox {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, stream: OnceLock::new(), state: Mutex::default() }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The engine's name for it; none until the driver has attached it.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.stream.get().copied()
    }

    pub(crate) fn attached_as(&self, stream: StreamId) {
        let fresh = self.stream.set(stream).is_ok();
        debug_assert!(fresh, "an outbox is attached once");
    }

    /// Puts items in, without waking the receiver. Returns what was taken out since the engine was last told.
    pub(crate) fn put(&self, items: impl IntoIterator<Item = Item>) -> usize {
        let mut state = self.state.lock();
        for item in items {
            state.queued_bytes += item.charge_bytes();
            state.items.push_back(item);
        }
        std::mem::take(&mut state.untold_bytes)
    }

    /// The engine waits for room. Returns what was taken out since it was last told: there may be room already.
    pub(crate) fn await_room(&self) -> usize {
        let mut state = self.state.lock();
        state.awaited = state.queued_bytes > self.bytes_max / 2;
        std::mem::take(&mut state.untold_bytes)
    }

    /// What was taken out since the engine was last told.
    pub(crate) fn untold(&self) -> usize {
        std::mem::take(&mut self.state.lock().untold_bytes)
    }

    pub(crate) fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }

    /// The next item; nothing at the end, once it is closed and empty.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Taken> {
        let mut state = self.state.lock();
        match state.items.pop_front() {
            Some(item) => Poll::Ready(self.account(&mut state, item)),
            None if state.closed => Poll::Ready(Taken { item: None, tell: false }),
            None => {
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    state.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn account(&self, state: &mut State, item: Item) -> Taken {
        let bytes = item.charge_bytes();
        state.queued_bytes -= bytes;
        state.untold_bytes += bytes;
        let tell = state.awaited && state.queued_bytes <= self.bytes_max / 2;
        if tell {
            state.awaited = false;
        }
        if state.items.is_empty() {
            // A burst may have made the queue long; an idle receiver need not keep that.
            state.items.shrink_to(16);
        }
        Taken { item: Some(item), tell }
    }
}

#[cfg(test)]
mod tests {
    use watchful_sync::Refusal;

    use super::*;

    fn item() -> Item {
        Item::Refused { watch: 1, refusal: Refusal::DuplicateWatchId }
    }

    fn take(outbox: &Outbox) -> Option<Taken> {
        match outbox.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_engine_is_told_once_half_is_free() {
        let outbox = Outbox::new(4 * Item::CONTROL_BYTES);
        assert_eq!(outbox.put([item(), item(), item(), item()]), 0);
        assert_eq!(outbox.await_room(), 0);
        let told: Vec<bool> = (0..4).map(|_| take(&outbox).unwrap().tell).collect();
        assert_eq!(told, [false, true, false, false]);
        assert_eq!(outbox.untold(), 4 * Item::CONTROL_BYTES);
        assert!(take(&outbox).is_none());
        outbox.close();
        assert!(take(&outbox).unwrap().item.is_none());
    }
}
