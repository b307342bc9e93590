//! A6: one put at a time: from its call until each of 100, 1,000 and 10,000 watchers of its prefix has the event.
//!
//! Every watcher's delivery is timed, and the quantiles are over all of them. The next put begins when the last watcher has
//! the one before, and the caller its answer. Ten connections; revisions are checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::burst::Streams;
use super::calls::PUT;
use super::closed_loop::new_latencies;
use super::connection::Connection;
use super::process::Spent;
use super::server::{Host, Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::unary::millis;
use super::watching::{Follower, WatchStream};
use super::{KEYS, STREAMS, in_time, two_threads};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};

struct Case {
    watchers: usize,
    puts: u64,
}

/// What the put's caller and the watchers share.
struct Shared {
    origin: Instant,
    /// When the put that is under way was called, in nanoseconds since the origin.
    called: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let cases: &[Case] = gear.scale.pick(
        &[
            Case { watchers: 100, puts: 1000 },
            Case { watchers: 1000, puts: 500 },
            Case { watchers: 10_000, puts: 100 },
        ],
        &[Case { watchers: 100, puts: 50 }, Case { watchers: 1000, puts: 20 }],
    );
    in_turn(gear, "A6", |side| {
        let round = move |_| {
            let each = cases.iter().map(|case| case.measure(gear, side));
            Ok(each.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

impl Case {
    fn measure(&self, gear: &Gear, side: Side) -> Outcome<[Figure; 3]> {
        let host = Host::start(gear, side)?;
        two_threads()?.block_on(in_time("puts, one at a time", self.puts(&host.server)))
    }

    async fn puts(&self, server: &Server) -> Outcome<[Figure; 3]> {
        let streams = Streams::open(server.port(), self.watchers).await?;
        let (latencies, spent) = self.deliver(server, streams).await?;
        let (server_each, client_each) = spent.micros_each(self.puts * self.watchers as u64)?;
        let name = format!("one put to {} watchers", self.watchers);
        let half = Goal::TimesPeer(0.5);
        Ok([
            Figure::new(&name, "ms to delivery, p50", millis(&latencies, 0.5)).with_goal(half),
            Figure::new(&name, "ms to delivery, p99", millis(&latencies, 0.99)).with_goal(half),
            Figure::new(&name, "server µs each", server_each).with("client µs", client_each),
        ])
    }

    async fn deliver(&self, server: &Server, streams: Streams) -> Outcome<(Histogram<u64>, Spent)> {
        let method = Connection::open(server.port()).await?.method(PUT.path)?;
        let shared = Arc::new(Shared {
            origin: Instant::now(),
            called: AtomicU64::new(0),
            latencies: Mutex::new(new_latencies()?),
        });
        let (send, mut delivered) = unbounded_channel();
        for (stream, followers) in streams.0 {
            tokio::spawn(take_each(stream, followers, self.puts, Arc::clone(&shared), send.clone()));
        }
        drop(send);
        let spent = Spent::since_now(server.process())?;
        for number in 0..self.puts {
            shared.called.store(shared.nanos_now(), Ordering::Release);
            let answer = method.call((PUT.request)(number % KEYS)?).await?;
            (PUT.check)(number, &answer)?;
            all_streams(&mut delivered).await?;
        }
        let latencies = shared.latencies.lock().map_err(|_| "a watcher panicked")?.clone();
        Ok((latencies, spent))
    }
}

/// Until each stream has told that its watchers have the event.
async fn all_streams(delivered: &mut UnboundedReceiver<Outcome>) -> Outcome {
    for _ in 0..STREAMS {
        delivered.recv().await.ok_or("the watchers are gone")??;
    }
    Ok(())
}

async fn take_each(
    mut stream: WatchStream,
    mut followers: Vec<Follower>,
    puts: u64,
    shared: Arc<Shared>,
    delivered: UnboundedSender<Outcome>,
) {
    for _ in 0..puts {
        let outcome = take_one(&mut stream, &mut followers, &shared).await;
        // Whoever waits has given up where nobody receives.
        if delivered.send(outcome).is_err() {
            return;
        }
    }
}

/// One event for each watcher of the stream.
async fn take_one(stream: &mut WatchStream, followers: &mut [Follower], shared: &Shared) -> Outcome {
    let mut left = followers.len();
    while left > 0 {
        left -= stream.take(|watch, put| followers[watch].take(&put)).await?;
        shared.note()?;
    }
    Ok(())
}

impl Shared {
    fn nanos_now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }

    /// One delivery.
    fn note(&self) -> Outcome {
        let latency = self.nanos_now() - self.called.load(Ordering::Acquire);
        self.latencies.lock().map_err(|_| "a watcher panicked")?.saturating_record(latency);
        Ok(())
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
