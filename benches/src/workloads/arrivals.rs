//! Puts that arrive at times which are fixed beforehand, whatever became of those before: an open loop.
//!
//! Each is timed from the moment it was due, so that a store which stalls cannot hide the puts that had to wait.

use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use watchful::Store;
use watchful_testkit::SplitMix64;

use super::support::{figure, runtime};
use crate::Outcome;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};
use crate::rounds::Series;

/// How puts are made: to keys below `keys`, at random.
pub(crate) struct Puts {
    pub(crate) store: Store,
    pub(crate) runtime: Runtime,
    pub(crate) keys: u64,
    key_len: usize,
    value_len: usize,
}

/// How long things took, from when they were due.
pub(crate) struct Latencies(Histogram<u64>);

/// What a value begins with, so that whoever is given it can tell how late it comes: when its put was due, in nanoseconds
/// since this was first asked for. Never 0.
pub(crate) fn stamp(due: Instant) -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    nanos(due.saturating_duration_since(*EPOCH)).max(1)
}

impl Puts {
    pub(crate) fn new(store: Store, keys: u64, key_len: usize, value_len: usize) -> Outcome<Self> {
        Ok(Self { store, runtime: runtime()?, keys, key_len, value_len })
    }

    /// Puts a second, with so many callers that each wait for their own.
    pub(crate) fn highest_rate(&self, callers: u64, window: Duration) -> Outcome<f64> {
        let begun = Instant::now();
        let callers: Vec<_> = (0..callers).map(|caller| self.caller(caller, begun + window)).collect();
        let mut puts = 0;
        for caller in callers {
            puts += self.runtime.block_on(caller)??;
        }
        Ok(figure(puts) / begun.elapsed().as_secs_f64())
    }

    fn caller(&self, number: u64, until: Instant) -> tokio::task::JoinHandle<Result<u64, watchful::Error>> {
        let (store, keys, key_len, value_len) = (self.store.clone(), self.keys, self.key_len, self.value_len);
        self.runtime.spawn(async move {
            let (mut rng, mut puts) = (SplitMix64::new(KEYS_SEED + number), 0);
            while Instant::now() < until {
                store.put(key_of(any_below(&mut rng, keys), key_len), value_of(puts, value_len)).await?;
                puts += 1;
            }
            Ok(puts)
        })
    }

    /// Puts at `rate` a second until `is_over` says so of the time at which the next is due. So whatever was due is put and
    /// counted, even where whoever puts cannot keep up: those that are late then are the slowest.
    pub(crate) fn arrive(&self, rate: f64, is_over: impl Fn(Duration) -> bool) -> Outcome<Latencies> {
        let latencies = Arc::new(Mutex::new(Latencies::new()?));
        let (waiting, all_done) = mpsc::channel::<Outcome>();
        let (mut rng, mut at, begun) = (SplitMix64::new(KEYS_SEED), 0.0, Instant::now());
        while !is_over(Duration::from_secs_f64(at)) {
            let due = begun + Duration::from_secs_f64(at);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let key = key_of(any_below(&mut rng, self.keys), self.key_len);
            let write = self.store.put(key, value_of(stamp(due), self.value_len));
            let (latencies, waiting) = (Arc::clone(&latencies), waiting.clone());
            self.runtime.spawn(async move {
                let written = write.await.map(drop).map_err(Into::into);
                note(&latencies, due.elapsed());
                // Whoever waits for the answers goes on to the last.
                let _ = waiting.send(written);
            });
            at += 1.0 / rate;
        }
        drop(waiting);
        all_done.iter().collect::<Outcome>()?;
        let latencies = latencies.lock().map_err(|_| "a put panicked")?;
        Ok(Latencies(latencies.0.clone()))
    }
}

impl Latencies {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 60_000_000_000, 3)?))
    }

    /// What was due at that stamp came now, for so many.
    pub(crate) fn came(&mut self, due: u64, now: u64, count: u64) {
        self.0.saturating_record_n(now.saturating_sub(due), count);
    }

    /// In microseconds.
    pub(crate) fn micros(&self, quantile: f64) -> f64 {
        figure(self.0.value_at_quantile(quantile)) / 1e3
    }

    /// The same of each round.
    pub(crate) fn micros_each<'a>(rounds: impl IntoIterator<Item = &'a Self>, quantile: f64) -> Series {
        rounds.into_iter().map(|latencies| latencies.micros(quantile)).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

fn note(latencies: &Mutex<Latencies>, latency: Duration) {
    if let Ok(mut latencies) = latencies.lock() {
        latencies.0.saturating_record(nanos(latency));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use watchful::Durability;

    use super::super::support::open;
    use super::*;

    #[test]
    fn whatever_is_due_is_put_and_counted_where_whoever_puts_cannot_keep_up() {
        let dir = tempfile::tempdir().unwrap();
        let puts = Puts::new(open(dir.path(), Durability::Unsynced).unwrap(), 100, 32, 8).unwrap();
        let window = Duration::from_micros(5);
        let latencies = puts.arrive(1e9, |due| due >= window).unwrap();
        assert!((5000..=5001).contains(&latencies.count()), "{}", latencies.count());
        assert_eq!(puts.store.stats().mvcc.versions, latencies.count());
    }
}
