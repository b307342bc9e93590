//! A broadcast channel of which one receiver does not read.

use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::Outcome;

/// The channel, and its one receiver.
pub struct Unread {
    sender: Sender<Vec<u8>>,
    receiver: Receiver<Vec<u8>>,
}

/// What a receiver has in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Had {
    /// Messages it was given.
    pub received: u64,
    /// Messages of which it was told that they are gone.
    pub told_lost: u64,
}

impl Unread {
    /// A channel that keeps so many messages.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (sender, receiver) = channel(capacity);
        Self { sender, receiver }
    }

    /// Sends, and nobody takes it.
    ///
    /// # Errors
    ///
    /// Never, as long as the receiver is there.
    pub fn send(&self, message: Vec<u8>) -> Outcome {
        self.sender.send(message).map(drop).map_err(|_| "nobody receives".into())
    }

    /// Takes everything that is left.
    pub fn drain(&mut self) -> Had {
        let mut had = Had { received: 0, told_lost: 0 };
        loop {
            match self.receiver.try_recv() {
                Ok(_) => had.received += 1,
                Err(TryRecvError::Lagged(lost)) => had.told_lost += lost,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return had,
            }
        }
    }
}
