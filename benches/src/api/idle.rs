//! A8: what idle watchers weigh: 1,000 to 100,000 on ten streams, each of a key of its own, and 100 to 10,000 streams of one
//! watcher each, on ten connections.
//!
//! The figure is what the server's resident memory rose by while they were created, for each of them. A few watchers are
//! there before, so that the code which serves them is in memory already.

use super::connection::Connection;
use super::server::{Host, Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::watching::{WatchStream, of_key};
use super::{STREAMS, in_time, key, one_thread};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

/// On each connection, before memory is looked at.
const WARM_UP_WATCHERS: usize = 10;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let watchers: &[usize] = gear.scale.pick(&[1000, 10_000, 100_000], &[1000, 10_000]);
    let streams: &[usize] = gear.scale.pick(&[100, 1000, 10_000], &[100, 500]);
    in_turn(gear, "A8", |side| {
        let round = move |_| {
            let on_ten = watchers.iter().map(|count| {
                let each = weigh(gear, side, STREAMS, count / STREAMS)?;
                let figure = Figure::new(format!("{count} idle on {STREAMS} streams"), "B a watcher", each);
                Ok(with_goal_at_most(figure, count, watchers, 0.25))
            });
            let alone = streams.iter().map(|count| {
                let figure = Figure::new(
                    format!("{count} idle streams of one"),
                    "B a stream",
                    weigh(gear, side, *count, 1)?,
                );
                Ok(with_goal_at_most(figure, count, streams, 0.5))
            });
            on_ten.chain(alone).collect()
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

/// The goal is for the most of them: few weigh less than what a server's memory varies by.
fn with_goal_at_most(figure: Figure, count: &usize, counts: &[usize], times_peer: f64) -> Figure {
    let is_most = counts.iter().max() == Some(count);
    if is_most { figure.with_goal(Goal::TimesPeer(times_peer)) } else { figure }
}

/// Bytes a watcher, with so many streams of so many watchers.
fn weigh(gear: &Gear, side: Side, streams: usize, watchers: usize) -> Outcome<f64> {
    let host = Host::start(gear, side)?;
    let runtime = one_thread()?;
    let server = &host.server;
    let connections = runtime.block_on(Connection::open_some(server.port(), STREAMS))?;
    let warm = runtime.block_on(in_time("warming up", create(&connections, STREAMS, WARM_UP_WATCHERS)))?;
    let before = server.process().resident()?;
    let open = runtime.block_on(in_time("creating watches", create(&connections, streams, watchers)))?;
    let after = server.process().resident()?;
    runtime.block_on(in_time("a look whether it still answers", answers(server)))?;
    drop((warm, open));
    Ok(figure(after.saturating_sub(before)) / figure((streams * watchers) as u64))
}

async fn create(connections: &[Connection], streams: usize, watchers: usize) -> Outcome<Vec<WatchStream>> {
    let mut open = Vec::with_capacity(streams);
    for (number, connection) in (0..streams).zip(connections.iter().cycle()) {
        let mut stream = WatchStream::open(connection).await?;
        let first = (number * watchers) as u64;
        stream.create((first..first + watchers as u64).map(|number| of_key(key(number)))).await?;
        open.push(stream);
    }
    Ok(open)
}

async fn answers(server: &Server) -> Outcome {
    let get = Connection::open(server.port()).await?.method(super::calls::GET.path)?;
    get.call(super::calls::get(0)?).await.map(drop)
}
