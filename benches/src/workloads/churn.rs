//! W7: what fifty thousand watches that come and as many that go each second cost those who put.
//!
//! Puts arrive at half of their highest rate, each timed from when it was due. Rounds without and with the coming and going
//! take turns. Watches come a millisecond's worth at a time, when they are due, each of a random key, and are cancelled ten
//! milliseconds later; the testkit checks what each is given, from its beginning to its end. When all are gone, nothing of
//! them may be left in the store.

use std::collections::{HashMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use watchful::{Durability, End, KeyRange, Store, StreamItem, WatchId, WatchOptions, WatchStream};
use watchful_testkit::checkers::{WatchChecker, gauges_return_to_zero};
use watchful_testkit::{Observation, SplitMix64, WatchSpec};

use super::arrivals::{Latencies, Puts};
use super::support::{figure, fill, open};
use super::watched::observation;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{KEYS_SEED, any_below, key_of};
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

const KEYS: u64 = 10_000;
const KEY_LEN: usize = 32;
const VALUE_LEN: usize = 256;
const CALLERS: u64 = 64;
const COMING_A_SECOND: u32 = 50_000;
const TICK: Duration = Duration::from_millis(1);
const COMING_A_TICK: usize = COMING_A_SECOND as usize / 1000;
/// Ten ticks' worth.
const LIVE: usize = 10 * COMING_A_TICK;
/// How long the last end may take.
const SILENCE_MAX: Duration = Duration::from_secs(30);

struct Bench {
    puts: Puts,
    window: Duration,
}

/// Watches that come and go on one stream.
struct Churn<'s> {
    store: &'s Store,
    stream: WatchStream,
    /// In order of age.
    live: VecDeque<WatchId>,
    /// Of those too that have been cancelled, until they have ended.
    checkers: HashMap<WatchId, WatchChecker>,
    rng: SplitMix64,
    ended: u64,
    events: u64,
}

/// What one round with churn showed.
struct Churned {
    latencies: Latencies,
    /// Watches that came and went, a second.
    rate: f64,
    events: u64,
}

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let folder = folder()?;
    let bench = Bench {
        puts: Puts::new(open(folder.path(), Durability::Synced)?, KEYS, KEY_LEN, VALUE_LEN)?,
        window: Duration::from_millis(gear.scale.pick(3000, 150)),
    };
    fill(&bench.puts.store, 0, KEYS, KEY_LEN, VALUE_LEN)?;
    let rate = bench.puts.highest_rate(CALLERS, bench.window)? / 2.0;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(bench.puts.arrive(rate, |passed| passed > bench.window)?);
        with.push(bench.round(rate)?);
    }
    let series = |of: &dyn Fn(&Churned) -> f64| with.iter().map(of).collect::<Series>();
    let p99 = |latencies: &Latencies| latencies.micros(0.99);
    let row = Row::new(
        "W7",
        format!("put p99, {COMING_A_SECOND} watches/s come and go"),
        "µs",
        series(&|round| p99(&round.latencies)),
    );
    Ok(vec![
        row.with_peer("without", without.iter().map(p99).collect())
            .with_goal(Goal::TimesPeer(1.2))
            .with("puts/s", rate)
            .with("p50 with", series(&|round| round.latencies.micros(0.5)).median())
            .with("p50 without", without.iter().map(|round| round.micros(0.5)).collect::<Series>().median())
            .with("watches/s", series(&|round| round.rate).median())
            .with("events to them", series(&|round| figure(round.events)).median()),
    ])
}

impl Bench {
    fn round(&self, rate: f64) -> Outcome<Churned> {
        let until = Instant::now() + self.window;
        let mut churn = Churn::new(&self.puts.store)?;
        let (churned, latencies) = thread::scope(|scope| {
            let churned = scope.spawn(|| churn.run(until));
            let latencies = self.puts.arrive(rate, |passed| passed > self.window);
            (churned.join(), latencies)
        });
        let seconds = churned.map_err(|_| "the churn panicked")??;
        let (ended, events) = (churn.ended, churn.events);
        drop(churn);
        nothing_is_left(&self.puts.store)?;
        Ok(Churned { latencies: latencies?, rate: figure(ended) / seconds, events })
    }
}

impl<'s> Churn<'s> {
    fn new(store: &'s Store) -> Outcome<Self> {
        let (stream, rng) = (store.watch_stream(None)?, SplitMix64::new(KEYS_SEED));
        let (live, checkers) = (VecDeque::new(), HashMap::new());
        Ok(Self { store, stream, live, checkers, rng, ended: 0, events: 0 })
    }

    /// Lets them come and go until the time is over, and then the last ones go. Returns the seconds it took.
    fn run(&mut self, until: Instant) -> Outcome<f64> {
        let (begun, mut due) = (Instant::now(), Instant::now());
        while due < until {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            for _ in 0..COMING_A_TICK {
                self.come()?;
            }
            self.go(LIVE);
            while self.take_for(Duration::ZERO)? {}
            due += TICK;
        }
        self.go(0);
        while !self.checkers.is_empty() {
            if !self.take_for(SILENCE_MAX)? {
                return Err(format!("{} watches did not end", self.checkers.len()).into());
            }
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    fn come(&mut self) -> Outcome {
        let range = KeyRange::key(key_of(any_below(&mut self.rng, KEYS), KEY_LEN));
        // It starts with the next revision, which may be a later one by the time it is made.
        let start = self.store.current_revision() + 1;
        let id = self.stream.control().watch(&WatchOptions::new(range.clone()))?;
        self.checkers.insert(id, WatchChecker::new(WatchSpec::new(range, start)));
        self.live.push_back(id);
        Ok(())
    }

    /// Cancels the oldest, until there are at most so many.
    fn go(&mut self, live: usize) {
        let gone = self.live.len().saturating_sub(live);
        self.live.drain(..gone).for_each(|id| self.stream.control().cancel(id));
    }

    /// Takes one item; false where none came in time.
    fn take_for(&mut self, timeout: Duration) -> Outcome<bool> {
        let Ok(item) = self.stream.wait_next_for(timeout) else { return Ok(false) };
        match item.ok_or("the stream is over")? {
            StreamItem::Created { watch, .. } => self.observe(watch, &Observation::Created)?,
            StreamItem::Events { batch, watches } => {
                let seen = observation(&batch);
                watches.iter().try_for_each(|watch| self.observe(watch, &seen))?;
                self.events += watches.len() as u64;
            }
            StreamItem::Ended { watches, end: End::Cancelled } => {
                for watch in watches.iter() {
                    self.observe(watch, &Observation::Cancelled)?;
                    self.checkers.remove(&watch);
                    self.ended += 1;
                }
            }
            other => return Err(format!("nobody asked for {other:?}").into()),
        }
        Ok(true)
    }

    fn observe(&mut self, watch: WatchId, observation: &Observation) -> Outcome {
        let checker = self.checkers.get_mut(&watch).ok_or("something came of a watch that is gone")?;
        Ok(checker.observe(observation)?)
    }
}

fn nothing_is_left(store: &Store) -> Outcome {
    let gauges = store.watch_gauges().wait()?;
    let counts = [
        ("streams", gauges.streams),
        ("watches", gauges.watches),
        ("groups", gauges.groups),
        ("members", gauges.members),
        ("scans", gauges.scans),
        ("indexed ranges", gauges.indexed_ranges),
        ("queued bytes", gauges.queued_bytes),
        ("reserved bytes", gauges.reserved_bytes),
        ("shared bytes", store.stats().shared_bytes),
    ];
    Ok(gauges_return_to_zero(counts.map(|(name, count)| (name, count as u64)))?)
}
