//! sled's `watch_prefix`: what a Rust program that wants to watch a store has today.
//!
//! Each subscriber has a queue of 1,024 events, which is sled's own and no setting.

use std::path::Path;
use std::time::Duration;

use crate::Outcome;

/// A sled database, and who watches a prefix of it.
pub struct Sled {
    tree: sled::Db,
    subscribers: Vec<sled::Subscriber>,
}

impl Sled {
    /// A new database in the folder `dir` with so many subscribers to `prefix`.
    ///
    /// # Errors
    ///
    /// Whatever sled fails with.
    pub fn open(dir: &Path, prefix: &[u8], subscribers: usize) -> Outcome<Self> {
        let tree = sled::open(dir)?;
        let subscribers = (0..subscribers).map(|_| tree.watch_prefix(prefix)).collect();
        Ok(Self { tree, subscribers })
    }

    /// Puts, and lets every subscriber take its event and hand it to `check`, with the subscriber's number.
    ///
    /// # Errors
    ///
    /// Where a subscriber's event does not come, and what `check` fails with.
    pub fn deliver(
        &mut self,
        key: &[u8],
        value: &[u8],
        mut check: impl FnMut(usize, &[u8], &[u8]) -> Outcome,
    ) -> Outcome {
        self.tree.insert(key, value)?;
        for (number, subscriber) in self.subscribers.iter_mut().enumerate() {
            let sled::Event::Insert { key, value } = subscriber.next().ok_or("the subscription is over")?
            else {
                return Err("nothing was removed".into());
            };
            check(number, &key, &value)?;
        }
        Ok(())
    }

    /// Something that puts, for another thread.
    pub fn putter(&self) -> impl Fn(&[u8], &[u8]) -> Outcome + Send + use<> {
        let tree = self.tree.clone();
        move |key, value| {
            tree.insert(key, value)?;
            Ok(())
        }
    }

    /// How many events the first subscriber has, until none comes for so long.
    pub fn drain(&mut self, silence: Duration) -> u64 {
        let Some(subscriber) = self.subscribers.first_mut() else { return 0 };
        std::iter::from_fn(|| subscriber.next_timeout(silence).ok()).map(|_| 1).sum()
    }
}
