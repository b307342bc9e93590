//! A naive fan-out: one broadcast channel, a receiver for each watcher.

use std::sync::Arc;

use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::Outcome;

/// What is sent: as much as an event tells.
pub struct Message {
    /// The revision of the change.
    pub revision: u64,
    /// The key that changed.
    pub key: Vec<u8>,
    /// Its value now.
    pub value: Vec<u8>,
}

/// The channel, and everybody who receives from it.
pub struct Broadcast {
    sender: Sender<Arc<Message>>,
    receivers: Vec<Receiver<Arc<Message>>>,
}

impl Broadcast {
    /// A channel with so many receivers.
    #[must_use]
    pub fn new(watchers: usize) -> Self {
        let (sender, first) = channel(16);
        let mut receivers = vec![first];
        receivers.extend((1..watchers).map(|_| sender.subscribe()));
        Self { sender, receivers }
    }

    /// Sends, and lets every receiver take its message and hand it to `check`, with the receiver's number.
    ///
    /// # Errors
    ///
    /// Where a receiver has nothing to take, and what `check` fails with.
    pub fn deliver(
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
