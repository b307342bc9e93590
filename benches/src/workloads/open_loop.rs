//! Puts that come when they are due, whatever became of those before.
//!
//! Each is timed from the moment it was due, so that a store which stalls cannot hide the puts that had to wait. The highest
//! rate, of which a load is a part, is measured with callers that each wait for their own.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use watchful::Store;
use watchful_testkit::SplitMix64;

use super::support::figure;
use crate::Outcome;
use crate::keys::{KEYS_SEED, any_below, key_of, value_of};

const CALLERS: u64 = 64;

/// Who puts what: random keys of so many, and values that begin with when they were due.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) store: &'a Store,
    pub(crate) runtime: &'a Runtime,
    pub(crate) keys: u64,
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    /// What values count from.
    pub(crate) epoch: Instant,
}

/// How long things took, in nanoseconds.
pub(crate) type Latencies = Histogram<u64>;

pub(crate) fn new_latencies() -> Outcome<Latencies> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// A quantile, in microseconds.
pub(crate) fn micros(latencies: &Latencies, quantile: f64) -> f64 {
    figure(latencies.value_at_quantile(quantile)) / 1e3
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Two threads, which make the calls and take what is delivered.
pub(crate) fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?)
}

impl Load<'_> {
    /// Puts a second, with so many callers that each wait for their own.
    pub(crate) fn highest_rate(&self, window: Duration) -> Outcome<f64> {
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let pairs = Pairs { rng: SplitMix64::new(KEYS_SEED + caller), ..self.pairs() };
                self.runtime.spawn(call(self.store.clone(), pairs, begun + window))
            })
            .collect();
        let mut puts = 0;
        for caller in callers {
            puts += self.runtime.block_on(caller)??;
        }
        Ok(figure(puts) / begun.elapsed().as_secs_f64())
    }

    /// Puts from now on, so many a second, for so long. Returns how long each took, from when it was due until its caller
    /// heard.
    pub(crate) fn arrive(&self, rate: f64, window: Duration) -> Outcome<Latencies> {
        let latencies = Arc::new(Mutex::new(new_latencies()?));
        let (waiting, all_done) = mpsc::channel::<Outcome>();
        let (begun, mut pairs, mut at) = (Instant::now(), self.pairs(), 0.0);
        while at < window.as_secs_f64() {
            let due = begun + Duration::from_secs_f64(at);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (key, value) = pairs.next(nanos(due - self.epoch));
            let write = self.store.put(key, value);
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
        Ok(latencies.clone())
    }

    fn pairs(&self) -> Pairs {
        let Self { keys, key_len, value_len, .. } = *self;
        Pairs { rng: SplitMix64::new(KEYS_SEED), keys, key_len, value_len }
    }
}

/// Random keys, and values that begin with a number.
struct Pairs {
    rng: SplitMix64,
    keys: u64,
    key_len: usize,
    value_len: usize,
}

impl Pairs {
    fn next(&mut self, number: u64) -> (Vec<u8>, Vec<u8>) {
        let key = any_below(&mut self.rng, self.keys);
        (key_of(key, self.key_len), value_of(number, self.value_len))
    }
}

async fn call(store: Store, mut pairs: Pairs, until: Instant) -> Result<u64, watchful::Error> {
    let mut puts = 0;
    while Instant::now() < until {
        let (key, value) = pairs.next(0);
        store.put(key, value).await?;
        puts += 1;
    }
    Ok(puts)
}

fn note(latencies: &Mutex<Latencies>, latency: Duration) {
    if let Ok(mut latencies) = latencies.lock() {
        latencies.saturating_record(nanos(latency));
    }
}
