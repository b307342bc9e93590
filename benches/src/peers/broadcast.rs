//! A naive fan-out: one broadcast channel, a receiver for each watcher.

use std::sync::Arc;

use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::Outcome;

/// What is sent: as much as an event tells.
pub(crate) struct Message {
    pub(crate) revision: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

pub(crate) struct Broadcast {
    sender: Sender<Arc<Message>>,
    receivers: Vec<Receiver<Arc<Message>>>,
}

impl Broadcast {
    pub(crate) fn new(watchers: usize) -> Self {
        let (sender, first) = channel(16);
        let mut receivers = vec![first];
        receivers.extend((1..watchers).map(|_| sender.subscribe()));
        Self { sender, receivers }
    }

    /// Sends, and lets every receiver take its message and hand it to `check`, with the receiver's number.
    pub(crate) fn deliver(
        &mut self,
        message: Message,
        mut check: impl FnMut(usize, &Message) -> Outcome,
    ) -> Outcome {
        if self.sender.send(Arc::new(message)).is_err() {
            return Err("nobody receives".into());
        }
        for (number, receiver) in self.receivers.iter_mut().enumerate() {
            check(number, &*receiver.try_recv()?)?;
        }
        Ok(())
    }
}
