//! A5: a burst of puts, and 100, 1,000 and 10,000 watchers of one prefix, on ten connections.
//!
//! 128 puts are in flight. The time is from the first call until the last watcher has its last event. Each watcher's events
//! are checked: every revision once, and in order. For Watchful the bytes that were encoded and copied are told by the
//! server itself: an event is to be encoded once, whoever gets it.

use std::time::Instant;

use super::calls::PUT;
use super::closed_loop::{Callers, Plan, Until};
use super::connection::Connection;
use super::fields::KeyValue;
use super::process::Spent;
use super::server::{Host, Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::unary::millis;
use super::watching::{Follower, WatchStream, of_all_keys};
use super::{KEYS, STREAMS, in_time, two_threads};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

const IN_FLIGHT: usize = 128;

/// The revision of the first put into an empty store.
const FIRST: u64 = 2;

struct Case {
    watchers: usize,
    puts: u64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let cases: &[Case] = gear.scale.pick(
        &[
            Case { watchers: 100, puts: 20_000 },
            Case { watchers: 1000, puts: 3000 },
            Case { watchers: 10_000, puts: 400 },
        ],
        &[Case { watchers: 100, puts: 500 }, Case { watchers: 1000, puts: 100 }],
    );
    in_turn(gear, "A5", |side| {
        let round = move |_| {
            let each = cases.iter().map(|case| case.measure(gear, side));
            Ok(each.collect::<Outcome<Vec<_>>>()?.concat())
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

impl Case {
    fn measure(&self, gear: &Gear, side: Side) -> Outcome<Vec<Figure>> {
        let host = Host::start(gear, side)?;
        two_threads()?.block_on(in_time("the burst", self.burst(&host.server, side)))
    }

    async fn burst(&self, server: &Server, side: Side) -> Outcome<Vec<Figure>> {
        let streams = Streams::open(server.port(), self.watchers).await?;
        let callers = Callers::connect(server.port(), IN_FLIGHT).await?;
        let encoded = Encoded::so_far(server, side)?;
        let (begun, spent) = (Instant::now(), Spent::since_now(server.process())?);
        let followers = streams.follow(FIRST + self.puts);
        let calls = callers.run(&Plan { operation: PUT, keys: KEYS, until: Until::Done(self.puts) }).await?;
        followers.await?;
        let seconds = begun.elapsed().as_secs_f64();
        let deliveries = self.puts * self.watchers as u64;
        let (server_each, client_each) = spent.micros_each(deliveries)?;
        let name = format!("burst to {} watchers", self.watchers);
        let rate = Figure::new(&name, "events/s", figure(deliveries) / seconds)
            .with_goal(Goal::TimesPeerAtLeast(1.3))
            .with("puts/s", figure(self.puts) / seconds)
            .with("put p99 ms", millis(&calls.latencies, 0.99))
            .with("client µs", client_each);
        let cpu = Figure::new(&name, "server µs each", server_each).with_goal(Goal::TimesPeer(0.5));
        let mut figures = vec![rate, cpu];
        figures.extend(encoded.figures(server, side, &name, (self.puts, deliveries))?);
        Ok(figures)
    }
}

/// Watchers of all keys on ten streams, each on a connection of its own.
pub(crate) struct Streams(pub(crate) Vec<(WatchStream, Vec<Follower>)>);

impl Streams {
    /// Into an empty store: the next event is its first.
    pub(crate) async fn open(port: u16, watchers: usize) -> Outcome<Self> {
        let mut streams = Vec::with_capacity(STREAMS);
        for _ in 0..STREAMS {
            let mut stream = WatchStream::open(&Connection::open(port).await?).await?;
            stream.create(of_all_keys(watchers / STREAMS, 0)).await?;
            streams.push((stream, vec![Follower { next: FIRST }; watchers / STREAMS]));
        }
        Ok(Self(streams))
    }

    /// Begins at once to take events, until each watcher has all before `end`.
    fn follow(self, end: u64) -> impl Future<Output = Outcome> {
        let tasks: Vec<_> = self
            .0
            .into_iter()
            .map(|(mut stream, mut followers)| {
                tokio::spawn(async move { take_all(&mut stream, &mut followers, end).await })
            })
            .collect();
        async move {
            for task in tasks {
                task.await??;
            }
            Ok(())
        }
    }
}

/// Takes events until each watcher has all before `end`.
pub(crate) async fn take_all(stream: &mut WatchStream, followers: &mut [Follower], end: u64) -> Outcome {
    let mut left = followers.len();
    while left > 0 {
        let take = |watch: usize, put: KeyValue<'_>| {
            let follower = followers.get_mut(watch).ok_or("nobody has that watch id")?;
            follower.take(&put)?;
            left -= usize::from(follower.next == end);
            Ok(())
        };
        stream.take(take).await?;
    }
    Ok(())
}

/// What Watchful says it has written for watchers.
struct Encoded {
    encoded: f64,
    copied: f64,
}

impl Encoded {
    fn so_far(server: &Server, side: Side) -> Outcome<Self> {
        match side {
            Side::Watchful => Ok(Self {
                encoded: server.metric("watchful_watch_encoded_bytes_total")?,
                copied: server.metric("watchful_watch_copied_bytes_total")?,
            }),
            Side::Etcd => Ok(Self { encoded: 0.0, copied: 0.0 }),
        }
    }

    /// For each of so many events, and of so many deliveries.
    fn figures(
        &self,
        server: &Server,
        side: Side,
        name: &str,
        (events, deliveries): (u64, u64),
    ) -> Outcome<Vec<Figure>> {
        if side == Side::Etcd {
            return Ok(Vec::new());
        }
        let now = Self::so_far(server, side)?;
        let encoded = (now.encoded - self.encoded) / figure(events);
        let copied = (now.copied - self.copied) / figure(deliveries);
        Ok(vec![
            Figure::new(name, "bytes encoded an event", encoded),
            Figure::new(name, "bytes copied a delivery", copied),
        ])
    }
}
