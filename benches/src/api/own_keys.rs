//! A11: 100,000 watchers, each of a key of its own, on ten streams; puts of random keys among them, 64 in flight.
//!
//! A put carries when it was called, so each delivery tells how long it took. Each watcher's events are checked by its key's
//! version, which counts from 1; in the end there have to be as many deliveries as puts.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::sync::watch;

use super::calls::{Operation, PUT, put};
use super::closed_loop::{Callers, Calls, Plan, Until, new_latencies, note};
use super::connection::Connection;
use super::fields::KeyValue;
use super::one_put::nanos;
use super::process::Spent;
use super::server::{Host, Server};
use super::turns::{Figure, Rounds, in_turn};
use super::unary::millis;
use super::watching::{WatchStream, of_key};
use super::{STREAMS, in_time, key, two_threads};
use crate::Outcome;
use crate::gear::Gear;
use crate::keys::number_in;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

const IN_FLIGHT: usize = 64;

/// How often it is looked whether everything has come.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// What the watchers' tasks share.
struct Deliveries {
    count: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

/// A watcher of one key.
#[derive(Clone)]
struct KeyFollower {
    key: Vec<u8>,
    /// The version that has come last.
    version: u64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let watchers: u64 = gear.scale.pick(100_000, 10_000);
    let window = Duration::from_millis(gear.scale.pick(3000, 300));
    in_turn(gear, "A11", |side| {
        let round = move |_| {
            let host = Host::start(gear, side)?;
            two_threads()?.block_on(measure(&host.server, watchers, window))
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

async fn measure(server: &Server, watchers: u64, window: Duration) -> Outcome<Vec<Figure>> {
    let deliveries =
        Arc::new(Deliveries { count: AtomicU64::new(0), latencies: Mutex::new(new_latencies()?) });
    let (over, is_over) = watch::channel(());
    let mut tasks = Vec::new();
    for stream in 0..STREAMS as u64 {
        let (first, each) = (stream * watchers / STREAMS as u64, watchers / STREAMS as u64);
        let open = in_time("creating watches", create(server, first..first + each));
        tasks.push(tokio::spawn(take_until(open.await?, is_over.clone(), Arc::clone(&deliveries))));
    }
    let callers = Callers::connect(server.port(), IN_FLIGHT).await?;
    let spent = Spent::since_now(server.process())?;
    let plan = Plan { operation: PUT_NOW, keys: watchers, until: Until::Over(window) };
    let calls = callers.run(&plan).await?;
    in_time("the deliveries", deliveries.reach(calls.done)).await?;
    drop(over);
    for task in tasks {
        task.await??;
    }
    figures(watchers, &calls, &deliveries, spent.micros_each(calls.done)?)
}

/// A put with the time of its call.
const PUT_NOW: Operation = Operation { request: put_now, ..PUT };

fn put_now(number: u64) -> Outcome<Bytes> {
    put(number, nanos(origin().elapsed()))
}

/// What the times in the values count from.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

async fn create(server: &Server, keys: Range<u64>) -> Outcome<(WatchStream, Vec<KeyFollower>)> {
    let mut stream = WatchStream::open(&Connection::open(server.port()).await?).await?;
    stream.create(keys.clone().map(|number| of_key(key(number)))).await?;
    Ok((stream, keys.map(|number| KeyFollower { key: key(number), version: 0 }).collect()))
}

/// Takes events until it is over.
async fn take_until(
    (mut stream, mut followers): (WatchStream, Vec<KeyFollower>),
    mut over: watch::Receiver<()>,
    deliveries: Arc<Deliveries>,
) -> Outcome {
    loop {
        let take = stream.take(|watch, put| {
            note(&deliveries.latencies, followers[watch].take(&put)?);
            deliveries.count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        tokio::select! {
            taken = take => drop(taken?),
            _ = over.changed() => return Ok(()),
        }
    }
}

impl KeyFollower {
    /// Returns how long ago the put was called.
    fn take(&mut self, put: &KeyValue<'_>) -> Outcome<Duration> {
        if put.key != self.key || put.version != self.version + 1 {
            return Err(format!("version {} was to come, and there came {put:?}", self.version + 1).into());
        }
        self.version += 1;
        let called = number_in(put.value).ok_or("a value is too short")?;
        Ok(origin().elapsed().saturating_sub(Duration::from_nanos(called)))
    }
}

impl Deliveries {
    /// Waits until there are so many. More are an error, as each put has one watcher.
    async fn reach(&self, puts: u64) -> Outcome {
        loop {
            match self.count.load(Ordering::Relaxed) {
                count if count == puts => return Ok(()),
                count if count > puts => return Err(format!("{count} deliveries of {puts} puts").into()),
                _ => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            }
        }
    }
}

fn figures(
    watchers: u64,
    calls: &Calls,
    deliveries: &Deliveries,
    (server_each, client_each): (f64, f64),
) -> Outcome<Vec<Figure>> {
    let latencies = deliveries.latencies.lock().map_err(|_| "a watcher panicked")?;
    let name = format!("{watchers} watchers on keys of their own");
    let half = Goal::TimesPeer(0.5);
    Ok(vec![
        Figure::new(&name, "puts/s", figure(calls.done) / calls.took.as_secs_f64())
            .with_goal(Goal::TimesPeerAtLeast(1.7))
            .with("put p99 ms", millis(&calls.latencies, 0.99))
            .with("client µs", client_each),
        Figure::new(&name, "server µs a put", server_each),
        Figure::new(&name, "ms to delivery, p50", millis(&latencies, 0.5)).with_goal(half),
        Figure::new(&name, "ms to delivery, p99", millis(&latencies, 0.99)).with_goal(half),
    ])
}
