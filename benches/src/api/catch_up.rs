//! A7: catching up over 100,000 events, from revision 1: 1, 100 and 1,000 watchers.
//!
//! One watcher has a connection to itself; the others are on ten. Each round has a fresh server, into which the history was
//! put, one revision a put. The time is from the first request until the last watcher has its last event; revisions are
//! checked. etcd takes minutes for 1,000 watchers, so it does that once.

use std::time::Instant;

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
    /// Whether etcd does it in the first round only.
    once: bool,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let cases: &[Case] = gear.scale.pick(
        &[
            Case { watchers: 1, goal: 100.0, once: false },
            Case { watchers: 100, goal: 5.0, once: false },
            Case { watchers: 1000, goal: 5.0, once: true },
        ],
        &[Case { watchers: 1, goal: 100.0, once: false }, Case { watchers: 100, goal: 5.0, once: false }],
    );
    let events = gear.scale.pick(100_000, 2000);
    in_turn(gear, "A7", |side| {
        let round = move |round: usize| {
            let host = Host::start(gear, side)?;
            let runtime = two_threads()?;
            runtime.block_on(in_time("filling", fill(host.server.port(), events, KEYS)))?;
            let taken = cases.iter().filter(|case| side == Side::Watchful || round == 0 || !case.once);
            let each = taken.map(|case| runtime.block_on(case.measure(&host.server, events)));
            Ok(each.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

impl Case {
    async fn measure(&self, server: &Server, events: u64) -> Outcome<[Figure; 2]> {
        let count = self.watchers.min(STREAMS);
        let connections = Connection::open_some(server.port(), count).await?;
        let (begun, spent) = (Instant::now(), Spent::since_now(server.process())?);
        let each = self.watchers / count;
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::spawn(catch_up(connection, each, FIRST + events)))
            .collect();
        let all = async {
            for task in tasks {
                task.await??;
            }
            Ok(())
        };
        in_time("catching up", all).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let deliveries = events * self.watchers as u64;
        let (server_each, client_each) = spent.micros_each(deliveries)?;
        let name = format!("{} watchers catch up over {events} events", self.watchers);
        Ok([
            Figure::new(&name, "events/s", figure(deliveries) / seconds)
                .with_goal(Goal::TimesPeerAtLeast(self.goal))
                .with("seconds", seconds)
                .with("client µs", client_each),
            Figure::new(&name, "server µs each", server_each),
        ])
    }
}

async fn catch_up(connection: Connection, watchers: usize, end: u64) -> Outcome {
    let mut stream = WatchStream::open(&connection).await?;
    stream.ask(of_all_keys(watchers, 1))?;
    let mut followers = vec![Follower { next: FIRST }; watchers];
    take_all(&mut stream, &mut followers, end).await
}
