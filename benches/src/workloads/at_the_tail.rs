//! W8: what a watcher five million behind costs ten thousand at the tail.
//!
//! Puts arrive a thousand a second, each is delivered to all at the tail, and each delivery is timed from when its put was
//! due. Rounds without and with a laggard take turns. It watches the same keys, and goes on from round to round until it has
//! caught up; then the next begins.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use watchful::Durability;

use super::arrivals::{Latencies, Puts};
use super::behind::Laggards;
use super::support::{figure, fill_revisions, open};
use super::tail::Tail;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 64;
const PUTS_A_SECOND: f64 = 1000.0;

/// How large.
#[derive(Clone, Copy)]
struct Size {
    behind: u64,
    tail: usize,
    window: Duration,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let size = Size {
        behind: gear.scale.pick(5_000_000, 50_000),
        tail: gear.scale.pick(10_000, 1000),
        window: Duration::from_millis(gear.scale.pick(2500, 100)),
    };
    let folder = folder()?;
    let history = open(folder.path(), Durability::Unsynced)?;
    fill_revisions(&history, size.behind + 1000, KEYS, KEY_LEN, VALUE_LEN)?;
    drop(history);
    let synced = case(folder.path(), Durability::Synced, "synced", size)?.with_goal(Goal::TimesPeer(1.2));
    // No goal speaks of it: without the disk's part of the latency, what the laggard adds is a larger part of it.
    let unsynced = case(folder.path(), Durability::Unsynced, "unsynced", size)?;
    Ok(vec![synced, unsynced])
}

fn case(dir: &Path, durability: Durability, how: &str, size: Size) -> Outcome<Row> {
    let puts = Puts::new(open(dir, durability)?, KEYS, KEY_LEN, VALUE_LEN)?;
    let mut tail = Tail::open(&puts, size.tail)?;
    let mut laggards = Laggards::new(&puts.store, size.behind);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(round(&puts, &mut tail, None, size.window)?);
        with.push(round(&puts, &mut tail, Some(&mut laggards), size.window)?);
    }
    let caught_up = laggards.finish()?;
    let name = format!("delivery p99 to {} at the tail, one {} behind, {how}", size.tail, size.behind);
    let p = |rounds: &[Latencies], quantile| Latencies::micros_each(rounds, quantile);
    Ok(Row::new("W8", name, "µs", p(&with, 0.99))
        .with_peer("without", p(&without, 0.99))
        .with("p50 with", p(&with, 0.5).median())
        .with("p50 without", p(&without, 0.5).median())
        .with("puts/s", PUTS_A_SECOND)
        .with("laggards in all", figure(caught_up.laggards))
        .with("read of each given", caught_up.read_of_given))
}

fn round(
    puts: &Puts,
    tail: &mut Tail<'_>,
    laggards: Option<&mut Laggards<'_>>,
    window: Duration,
) -> Outcome<Latencies> {
    tail.settle()?;
    let until = Instant::now() + window;
    thread::scope(|scope| {
        let laggards = laggards.map(|laggards| scope.spawn(move || laggards.run_until(until)));
        puts.arrive(PUTS_A_SECOND, |passed| passed > window)?;
        laggards.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join).map_err(|_| "the laggard panicked")?
    })?;
    tail.latencies()
}
