//! A7: catching up over 100,000 events, from revision 1: 1, 100 and 1,000 watchers.
//!
//! One watcher has a connection to itself; the others are on ten. Each round has a fresh server, into which the history was
//! put, one revision a put. The time is from the first request until the last watcher has its last event; revisions are
//! checked. etcd takes minutes for 1,000 watchers, so it does all of this once, or a record lends what it took another day;
//! and where it is not done after a bound, its rate is that of what has come by then.

use std::time::{Duration, Instant};

use super::burst::take_all;
use super::closed_loop::fill;
use super::connection::Connection;
use super::process::Spent;
use super::server::{Host, Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::watching::{Follower, WatchStream, of_all_keys};
use super::{KEYS, STREAMS, in_time, two_threads};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

/// The revision of the first event.
const FIRST: u64 = 2;

struct Case {
    watchers: usize,
    /// How many times the peer's rate is wanted.
    goal: f64,
}

/// How long the peer may take for one case.
const PEER_MAX: Duration = Duration::from_secs(300);

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let cases: &[Case] = gear.scale.pick(
        &[
            Case { watchers: 1, goal: 100.0 },
            Case { watchers: 100, goal: 5.0 },
            Case { watchers: 1000, goal: 5.0 },
        ],
        &[Case { watchers: 1, goal: 100.0 }, Case { watchers: 100, goal: 5.0 }],
    );
    let events = gear.scale.pick(100_000, 2000);
    in_turn(gear, "A7", |side| {
        let round = move |round: usize| {
            if side == Side::Etcd && (round > 0 || gear.leaves_long_cells) {
                return Ok(Vec::new());
            }
            let host = Host::start(gear, side)?;
            let runtime = two_threads()?;
            runtime.block_on(in_time("filling", fill(host.server.port(), events, KEYS)))?;
            let each = cases.iter().map(|case| runtime.block_on(case.measure(&host.server, side, events)));
            Ok(each.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

impl Case {
    async fn measure(&self, server: &Server, side: Side, events: u64) -> Outcome<[Figure; 2]> {
        let count = self.watchers.min(STREAMS);
        let connections = Connection::open_some(server.port(), count).await?;
        let (begun, spent) = (Instant::now(), Spent::since_now(server.process())?);
        let (each, end, until) = (self.watchers / count, FIRST + events, begun + PEER_MAX);
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::spawn(catch_up(connection, each, end, until)))
            .collect();
        let mut deliveries = 0;
        for task in tasks {
            deliveries += task.await??;
        }
        let (seconds, all) = (begun.elapsed().as_secs_f64(), events * self.watchers as u64);
        if deliveries < all && side == Side::Watchful {
            return Err(format!("{deliveries} of {all} events had come after {PEER_MAX:?}").into());
        }
        let (server_each, client_each) = spent.micros_each(deliveries)?;
        let name = format!("{} watchers catch up over {events} events", self.watchers);
        Ok([
            Figure::new(&name, "events/s", figure(deliveries) / seconds)
                .with_goal(Goal::TimesPeerAtLeast(self.goal))
                .with("seconds", seconds)
                .with("share done", figure(deliveries) / figure(all))
                .with("client µs", client_each),
            Figure::new(&name, "server µs each", server_each),
        ])
    }
}

/// Returns how many events have come until all have, or the time is over.
async fn catch_up(connection: Connection, watchers: usize, end: u64, until: Instant) -> Outcome<u64> {
    let mut stream = WatchStream::open(&connection).await?;
    stream.ask(of_all_keys(watchers, 1))?;
    let mut followers = vec![Follower { next: FIRST }; watchers];
    let all = tokio::time::timeout_at(until.into(), take_all(&mut stream, &mut followers, end)).await;
    if let Ok(taken) = all {
        taken?;
    }
    Ok(followers.iter().map(|follower| follower.next - FIRST).sum())
}
