//! How long an answer is waited for: by the time that this process ran, and not by the clock.
//!
//! Where many programs share a few processors, or the whole machine is stopped for a moment, the clock goes on and nobody
//! works. A deadline that passed meanwhile would blame a server whose answer lies there unread. So time is counted in short
//! turns, and a turn that took long is one turn all the same.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

const TURN: Duration = Duration::from_millis(50);

/// What is left of the time that something may take.
pub(crate) struct Patience {
    turns: u128,
}

/// It took longer.
#[derive(Debug)]
pub(crate) struct OutOfPatience;

impl Patience {
    pub(crate) fn new(within: Duration) -> Self {
        Self { turns: within.as_millis() / TURN.as_millis() }
    }

    /// Waits for it, for as long as there is patience left.
    pub(crate) async fn wait<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T, OutOfPatience> {
        let mut wanted = pin!(wanted);
        loop {
            match tokio::time::timeout(TURN, &mut wanted).await {
                Ok(found) => return Ok(found),
                Err(_) if self.turns == 0 => return Err(OutOfPatience),
                Err(_) => self.turns -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A machine that stood still for eleven seconds looked like an etcd that had lost a watch.
    #[tokio::test]
    async fn a_moment_in_which_nothing_ran_is_not_counted() {
        let mut patience = Patience::new(TURN * 4);
        let (answers, mut inbox) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            std::thread::sleep(TURN * 8);
            answers.send(7).await
        });
        assert_eq!(patience.wait(inbox.recv()).await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn patience_ends() {
        let start = Instant::now();
        let mut patience = Patience::new(TURN * 2);
        assert!(patience.wait(std::future::pending::<()>()).await.is_err());
        assert!(start.elapsed() >= TURN * 2);
    }
}
