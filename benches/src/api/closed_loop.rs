//! Callers that each wait for their answer before they call again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::calls::{Operation, PUT};
use super::connection::{Connection, Method};
use super::in_time;
use crate::Outcome;
use crate::keys::{KEYS_SEED, any_below};
use watchful_testkit::SplitMix64;

/// How many callers share a connection.
const CALLERS_A_CONNECTION: usize = 64;

/// What so many callers got.
pub(crate) struct Calls {
    pub(crate) done: u64,
    pub(crate) latencies: Histogram<u64>,
    pub(crate) took: Duration,
}

/// What every caller does.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) operation: Operation,
    /// Keys are picked at random below this.
    pub(crate) keys: u64,
    pub(crate) until: Until,
}

#[derive(Clone, Copy)]
pub(crate) enum Until {
    Over(Duration),
    /// All callers together.
    Done(u64),
}

/// Callers on their connections, one connection for each 64 of them.
pub(crate) struct Callers {
    connections: Vec<Connection>,
    count: usize,
}

impl Callers {
    pub(crate) async fn connect(port: u16, count: usize) -> Outcome<Self> {
        let connections = Connection::open_some(port, count.div_ceil(CALLERS_A_CONNECTION)).await?;
        Ok(Self { connections, count })
    }

    pub(crate) async fn run(&self, plan: &Plan) -> Outcome<Calls> {
        let latencies = Arc::new(Mutex::new(new_latencies()?));
        let mut tasks = Vec::with_capacity(self.count);
        let begun = Instant::now();
        for caller in 0..self.count {
            let method = self.connections[caller % self.connections.len()].method(plan.operation.path)?;
            let share = self.share_of(caller, plan.until);
            let rng = SplitMix64::new(KEYS_SEED + caller as u64);
            tasks.push(tokio::spawn(call(method, plan.clone(), share, rng, Arc::clone(&latencies))));
        }
        let all = async {
            let mut done = 0;
            for task in tasks {
                done += task.await??;
            }
            Ok(done)
        };
        let done = in_time("calls", all).await?;
        let took = begun.elapsed();
        let latencies = latencies.lock().map_err(|_| "a caller panicked")?.clone();
        Ok(Calls { done, latencies, took })
    }

    /// What is left to one caller of what all have to do.
    fn share_of(&self, caller: usize, until: Until) -> Until {
        match until {
            Until::Over(_) => until,
            Until::Done(all) => {
                let (count, caller) = (self.count as u64, caller as u64);
                Until::Done(all / count + u64::from(caller < all % count))
            }
        }
    }
}

async fn call(
    method: Method,
    plan: Plan,
    until: Until,
    mut rng: SplitMix64,
    latencies: Arc<Mutex<Histogram<u64>>>,
) -> Outcome<u64> {
    let (begun, mut done) = (Instant::now(), 0);
    let goes_on = |done: u64| match until {
        Until::Over(window) => begun.elapsed() < window,
        Until::Done(count) => done < count,
    };
    while goes_on(done) {
        let number = any_below(&mut rng, plan.keys);
        let request = (plan.operation.request)(number)?;
        let called = Instant::now();
        let answer = method.call(request).await?;
        note(&latencies, called.elapsed());
        (plan.operation.check)(number, &answer)?;
        done += 1;
    }
    Ok(done)
}

/// So many puts of the keys below `keys`, one after the other, with many callers.
pub(crate) async fn fill(port: u16, puts: u64, keys: u64) -> Outcome {
    const CALLERS: u64 = 512;
    let callers = usize::try_from(CALLERS)?;
    let connections = Connection::open_some(port, callers.div_ceil(CALLERS_A_CONNECTION)).await?;
    let mut tasks = Vec::with_capacity(callers);
    for (caller, connection) in (0..CALLERS).zip(connections.iter().cycle()) {
        let method = connection.method(PUT.path)?;
        tasks.push(tokio::spawn(async move {
            for number in (caller..puts).step_by(callers) {
                (PUT.check)(number, &method.call((PUT.request)(number % keys)?).await?)?;
            }
            Outcome::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// From a nanosecond to a minute.
pub(crate) fn new_latencies() -> Outcome<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

pub(crate) fn note(latencies: &Mutex<Histogram<u64>>, latency: Duration) {
    if let Ok(mut latencies) = latencies.lock() {
        latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }
}
