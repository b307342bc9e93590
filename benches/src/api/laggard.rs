//! A9: what a watcher 1,000 to 500,000 revisions behind costs those who put.
//!
//! First the highest rate of puts is measured, with 64 in flight. Then puts arrive at half of it, at times that are fixed
//! beforehand: in one window with no watcher, and in one for each distance. Through a whole window somebody is that far behind:
//! as soon as one has caught up the next begins. Each server has its own rate, and its own window without as its measure.
//! What a server has not answered some seconds after its window is counted and given up, and the next window begins when it
//! answers again.

use std::time::{Duration, Instant};

use super::burst::take_all;
use super::calls::{GET, PUT, get, revision_in};
use super::closed_loop::{Callers, Plan, Until, fill};
use super::connection::Connection;
use super::open_loop::{Arrivals, arrive};
use super::server::{Host, Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::unary::millis;
use super::watching::{Follower, WatchStream, of_all_keys};
use super::{KEYS, in_time, two_threads};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

const IN_FLIGHT: usize = 64;

/// Puts that arrive are spread over so many connections.
const CONNECTIONS: usize = 4;

struct Case<'h> {
    side: Side,
    server: &'h Server,
    distances: &'h [u64],
    window: Duration,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let distances: &[u64] = gear.scale.pick(&[1000, 10_000, 100_000, 500_000], &[1000, 5000]);
    let longest = distances.iter().copied().max().unwrap_or_default();
    in_turn(gear, "A9", |side| {
        let (host, runtime) = (Host::start(gear, side)?, two_threads()?);
        runtime.block_on(in_time("filling", fill(host.server.port(), longest + 1000, KEYS)))?;
        let window = Duration::from_millis(gear.scale.pick(3000, 200));
        let mut is_over = false;
        let round = move |_| {
            let (case, mut figures) = (Case { side, server: &host.server, distances, window }, Vec::new());
            if is_over {
                return Ok(figures);
            }
            match runtime.block_on(case.measure(&mut figures)) {
                Err(error) if side == Side::Etcd => {
                    // What a peer does not live through is its result too, and ours goes on.
                    eprintln!(
                        "  {} is left out from here on: {error}; {}",
                        side.name(),
                        host.server.last_words()
                    );
                    is_over = true;
                }
                outcome => outcome?,
            }
            Ok(figures)
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

impl Case<'_> {
    async fn measure(&self, figures: &mut Vec<Figure>) -> Outcome {
        let rate = self.highest_rate().await? / 2.0;
        let without = self.window(rate).await?;
        figures.push(figure_of(0, rate, &without));
        for behind in self.distances {
            let laggards = tokio::spawn(laggards(self.server.port(), *behind, Instant::now() + self.window));
            let with = self.window(rate).await?;
            let laggards = in_time("the last laggard", async { laggards.await? }).await?;
            figures.push(figure_of(*behind, rate, &with).with("caught up in the window", laggards));
            let ratio = p99(&with) / p99(&without);
            let figure = Figure::new(case_of(*behind), "p99 with, by p99 without", ratio);
            figures.push(figure.with_goal(Goal::AtMost(1.2)));
            in_time("an answer after a laggard", self.answer()).await?;
        }
        Ok(())
    }

    /// Puts, on connections of their own: what is given up unanswered may not weigh on the next window. A peer's connection
    /// may break under the load; its puts are unanswered then.
    async fn window(&self, rate: f64) -> Outcome<Arrivals> {
        let connections = Connection::open_some(self.server.port(), CONNECTIONS).await?;
        let arrivals = arrive(&connections, KEYS, rate, self.window).await?;
        match &arrivals.broken {
            Some(error) if self.side == Side::Watchful => Err(format!("a put: {error}").into()),
            _ => Ok(arrivals),
        }
    }

    /// Waits until a put is answered.
    async fn answer(&self) -> Outcome {
        let connection = Connection::open(self.server.port()).await?;
        let answer = connection.method(PUT.path)?.call((PUT.request)(0)?).await?;
        (PUT.check)(0, &answer)
    }

    async fn highest_rate(&self) -> Outcome<f64> {
        let callers = Callers::connect(self.server.port(), IN_FLIGHT).await?;
        let plan = Plan { operation: PUT, keys: KEYS, until: Until::Over(self.window / 2) };
        let calls = callers.run(&plan).await?;
        Ok(figure(calls.done) / calls.took.as_secs_f64())
    }
}

fn case_of(behind: u64) -> String {
    format!("put, a watcher {behind} behind")
}

fn figure_of(behind: u64, rate: f64, arrivals: &Arrivals) -> Figure {
    Figure::new(case_of(behind), "p99 ms", p99(arrivals))
        .with("p50 ms", millis(&arrivals.latencies, 0.5))
        .with("puts/s due", rate)
        .with("refused", figure(arrivals.refused))
        .with("unanswered", figure(arrivals.unanswered))
}

fn p99(arrivals: &Arrivals) -> f64 {
    millis(&arrivals.latencies, 0.99)
}

/// One after the other, until the time is over. Returns how many caught up, the last one in part.
async fn laggards(port: u16, behind: u64, until: Instant) -> Outcome<f64> {
    let mut caught_up = 0.0;
    loop {
        let connection = Connection::open(port).await?;
        let newest = newest_revision(&connection).await?;
        let first = newest + 1 - behind;
        let mut stream = WatchStream::open(&connection).await?;
        stream.ask(of_all_keys(1, i64::try_from(first)?))?;
        let mut followers = [Follower { next: first }];
        let left = until.saturating_duration_since(Instant::now());
        let caught = tokio::time::timeout(left, take_all(&mut stream, &mut followers, newest + 1)).await;
        match caught {
            Ok(caught) => caught?,
            Err(_) => return Ok(caught_up + figure(followers[0].next - first) / figure(behind)),
        }
        caught_up += 1.0;
    }
}

async fn newest_revision(connection: &Connection) -> Outcome<u64> {
    let answer = connection.method(GET.path)?.call(get(0)?).await?;
    revision_in(&answer)
}
