//! A1 to A4: puts, gets, lists and transactions, with more and more of them in flight.
//!
//! Each round has a fresh server, with 10,000 keys in it. Callers are tasks on one thread, at most 64 on a connection; each
//! waits for its answer and checks it before it calls again. Keys are picked at random. Every put and transaction is
//! answered after the disk has it, on both servers.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::calls::{GET, LIST, Operation, PUT, TXN};
use super::closed_loop::{Callers, Plan, Until, fill};
use super::process::Spent;
use super::server::{Host, Side};
use super::turns::{Figure, in_turn};
use super::{KEYS, in_time, one_thread};
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::workloads::support::figure;

struct Kind {
    operation: Operation,
    name: &'static str,
    rate_unit: &'static str,
    /// How many are in flight, and how many times the peer's rate is wanted.
    cases: &'static [(usize, f64)],
    /// How many times the peer's time on a core may be spent.
    cpu: f64,
}

pub(crate) fn puts(gear: &Gear) -> Outcome<Vec<Row>> {
    const CASES: &[(usize, f64)] = &[(1, 1.2), (16, 1.7), (128, 1.7), (512, 1.7)];
    run(gear, "A1", &Kind { operation: PUT, name: "put", rate_unit: "puts/s", cases: CASES, cpu: 0.5 })
}

pub(crate) fn gets(gear: &Gear) -> Outcome<Vec<Row>> {
    const CASES: &[(usize, f64)] = &[(1, 1.5), (16, 1.5), (128, 1.5)];
    run(gear, "A2", &Kind { operation: GET, name: "get", rate_unit: "gets/s", cases: CASES, cpu: 0.5 })
}

pub(crate) fn lists(gear: &Gear) -> Outcome<Vec<Row>> {
    const CASES: &[(usize, f64)] = &[(1, 2.0), (16, 2.0)];
    let name = "list of 1,000 keys";
    run(gear, "A3", &Kind { operation: LIST, name, rate_unit: "lists/s", cases: CASES, cpu: 0.35 })
}

pub(crate) fn txns(gear: &Gear) -> Outcome<Vec<Row>> {
    const CASES: &[(usize, f64)] = &[(1, 1.3), (16, 2.5), (128, 3.0)];
    let name = "transaction (compare, put)";
    run(gear, "A4", &Kind { operation: TXN, name, rate_unit: "txns/s", cases: CASES, cpu: 0.3 })
}

fn run(gear: &Gear, workload: &'static str, kind: &Kind) -> Outcome<Vec<Row>> {
    in_turn(gear, workload, |side| Ok(Box::new(move |_| kind.round(gear, side))))
}

impl Kind {
    fn round(&self, gear: &Gear, side: Side) -> Outcome<Vec<Figure>> {
        let host = Host::start(gear, side)?;
        let runtime = one_thread()?;
        runtime.block_on(in_time("filling", fill(host.server.port(), KEYS, KEYS)))?;
        let mut figures = Vec::new();
        for (in_flight, rate_goal) in self.cases {
            figures.extend(runtime.block_on(self.case(gear, &host, *in_flight, *rate_goal))?);
        }
        Ok(figures)
    }

    async fn case(&self, gear: &Gear, host: &Host, in_flight: usize, rate_goal: f64) -> Outcome<[Figure; 2]> {
        let over = |millis| Until::Over(Duration::from_millis(millis));
        let callers = Callers::connect(host.server.port(), in_flight).await?;
        let plan = |until| Plan { operation: self.operation, keys: KEYS, until };
        callers.run(&plan(over(gear.scale.pick(500, 50)))).await?;
        let spent = Spent::since_now(host.server.process())?;
        let calls = callers.run(&plan(over(gear.scale.pick(2000, 150)))).await?;
        let (server, client) = spent.micros_each(calls.done)?;
        let case = format!("{}, {in_flight} in flight", self.name);
        let rate = Figure::new(&case, self.rate_unit, figure(calls.done) / calls.took.as_secs_f64())
            .with_goal(Goal::TimesPeerAtLeast(rate_goal))
            .with("p50 ms", millis(&calls.latencies, 0.5))
            .with("p99 ms", millis(&calls.latencies, 0.99))
            .with("client µs", client);
        let cpu = Figure::new(case, "server µs each", server).with_goal(Goal::TimesPeer(self.cpu));
        Ok([rate, cpu])
    }
}

/// A quantile in milliseconds.
pub(crate) fn millis(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    figure(latencies.value_at_quantile(quantile)) / 1e6
}
