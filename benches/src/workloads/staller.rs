//! W4: ten thousand are synced; one of them stalls for a million events, and goes on.
//!
//! Puts arrive a thousand a second, each is delivered to all, and each delivery is timed from when its put was due. A round
//! has three windows: everybody reads; one does not; and, after a million events in transactions of a thousand, it reads
//! again, as fast as it can. In the end it has to have everything.

use std::thread;
use std::time::{Duration, Instant};

use watchful::{Durability, Error, Settings, Store};

use super::arrivals::Puts;
use super::support::{figure, open};
use super::tail::Tail;
use super::watched::CheckedWatch;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{key_of, value_of};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
/// Large enough that an outbox is full well before the window is over.
const VALUE_LEN: usize = 1024;
const BULK_VALUE_LEN: usize = 64;
const A_TRANSACTION: u64 = 1000;
const PUTS_A_SECOND: f64 = 1000.0;

/// How long it may take to go on, whatever its load.
const SILENCE_MAX: Duration = Duration::from_secs(30);

struct Bench<'a> {
    puts: &'a Puts,
    tail: Tail<'a>,
    one: One,
    window: Duration,
    stalled_for: u64,
}

/// The one that stalls.
struct One {
    watch: CheckedWatch,
    /// How many it has had.
    events: u64,
    /// What it was owed when it last began to read, and when it had that.
    owed: u64,
    had_it: Option<Instant>,
}

#[derive(Default)]
struct Rounds {
    reading: Series,
    stalling: Series,
    going_on: Series,
    queued: Series,
    /// From when it went on until it had everything.
    seconds_behind: Series,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let watches: usize = gear.scale.pick(10_000, 1000);
    let folder = folder()?;
    let puts = Puts::new(open(folder.path(), Durability::Synced)?, KEYS, KEY_LEN, VALUE_LEN)?;
    let mut bench = Bench {
        tail: Tail::open(&puts, watches)?,
        one: One::new(&puts.store)?,
        puts: &puts,
        window: Duration::from_millis(gear.scale.pick(2000, 80)),
        stalled_for: gear.scale.pick(1_000_000, 50_000),
    };
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        bench.round(&mut rounds)?;
    }
    Ok(rows(watches, bench.stalled_for, rounds))
}

fn rows(watches: usize, events: u64, rounds: Rounds) -> Vec<Row> {
    let latency = |what: &str, ours: Series| {
        Row::new("W4", format!("delivery p99 to {watches}, one {what}"), "µs", ours)
            .with_peer("all read", rounds.reading.clone())
            .with_goal(Goal::TimesPeer(1.2))
            .with("puts/s", PUTS_A_SECOND)
    };
    let queued = Row::new("W4", format!("queued for the one after {events} events"), "B", rounds.queued);
    vec![
        latency("stalls", rounds.stalling),
        latency(&format!("goes on after {events} events"), rounds.going_on)
            .with("s until it has them", rounds.seconds_behind.median()),
        queued.with_goal(Goal::AtMost(figure(Settings::default().outbox_bytes_max as u64))),
    ]
}

impl Bench<'_> {
    fn round(&mut self, rounds: &mut Rounds) -> Outcome {
        self.tail.settle()?;
        rounds.reading.0.push(self.window_with(true)?);
        self.catch_up()?;
        rounds.stalling.0.push(self.window_with(false)?);
        bulk(&self.puts.store, self.stalled_for)?;
        self.tail.settle()?;
        rounds.queued.0.push(figure(self.one.watch.queued_bytes()? as u64));
        let begun = Instant::now();
        rounds.going_on.0.push(self.window_with(true)?);
        self.catch_up()?;
        let had_it = self.one.had_it.ok_or("the one has not what it was owed")?;
        rounds.seconds_behind.0.push((had_it - begun).as_secs_f64());
        Ok(())
    }

    /// The 99th percentile of the deliveries of one window, while the one reads or does not.
    fn window_with(&mut self, reads: bool) -> Outcome<f64> {
        let until = Instant::now() + self.window;
        self.one.is_owed(self.puts.store.current_revision());
        let (puts, one, window) = (self.puts, &mut self.one, self.window);
        thread::scope(|scope| {
            let reader = reads.then(|| scope.spawn(move || one.read_until(until)));
            puts.arrive(PUTS_A_SECOND, |passed| passed > window)?;
            reader.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join).map_err(|_| "the one panicked")?
        })?;
        Ok(self.tail.latencies()?.micros(0.99))
    }

    /// Lets the one have everything: as many events as there are versions, as all of them have been put since it began.
    fn catch_up(&mut self) -> Outcome {
        let newest = self.puts.store.current_revision();
        while self.one.watch.next_revision() <= newest {
            if !self.one.take_for(SILENCE_MAX)? {
                return Err("nothing comes to the one".into());
            }
        }
        let (had, put) = (self.one.events, self.puts.store.stats().mvcc.versions);
        if had == put { Ok(()) } else { Err(format!("the one had {had} events of {put}").into()) }
    }
}

impl One {
    fn new(store: &Store) -> Outcome<Self> {
        let watch = CheckedWatch::open(store, store.current_revision() + 1)?;
        Ok(Self { watch, events: 0, owed: 0, had_it: None })
    }

    fn is_owed(&mut self, revision: u64) {
        (self.owed, self.had_it) = (revision, None);
    }

    fn read_until(&mut self, until: Instant) -> Outcome {
        while Instant::now() < until {
            self.take_for(until.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    /// Takes what comes next; false where nothing came in time.
    fn take_for(&mut self, timeout: Duration) -> Outcome<bool> {
        let came = self.watch.take_for(timeout)?;
        self.events += came.unwrap_or_default() as u64;
        if self.watch.next_revision() > self.owed {
            self.had_it.get_or_insert_with(Instant::now);
        }
        Ok(came.is_some())
    }
}

/// So many events, in transactions of a thousand. They were due at no time.
fn bulk(store: &Store, events: u64) -> Outcome {
    for transaction in 0..events / A_TRANSACTION {
        let first = transaction * A_TRANSACTION % KEYS;
        let put_all = store.transact(move |txn| {
            (first..first + A_TRANSACTION)
                .try_for_each(|number| txn.put(key_of(number, KEY_LEN), value_of(0, BULK_VALUE_LEN)))?;
            Ok::<_, Error>(())
        });
        put_all.wait()?;
    }
    Ok(())
}
