//! How much history is read, and in which order. The reader here makes its rows up as it goes, so that a history can be
//! long.

use std::cell::OnceCell;
use std::collections::VecDeque;

use watchful_revision::{Event, EventKind, KeyRange, Put, Record, Revision, encode_put};
use watchful_sync::{
    Engine, EngineSettings, HistoryChunk, Item, LagPolicy, ReadRequest, StreamId, WatchSpec, WatcherStanding,
    Work,
};
use watchful_testkit::SplitMix64;

use watchful_sync_world::World;

/// Every revision is one put of `k`.
fn event(main: u64) -> Event {
    let (at, mut bytes) = (Revision::start_of(main), Vec::new());
    let put = Put { key: b"k", value: b"", create_revision: 2, version: main - 1, lease: 0 };
    encode_put(at, &put, &mut bytes).unwrap();
    Event::new(Record::parse(at, bytes.into()).unwrap(), None)
}

/// Answers a read with one row a revision, and how many that was.
fn read(request: &ReadRequest) -> (HistoryChunk, u64) {
    let mut chunk = HistoryChunk::empty(request.scan, Revision::start_of(request.to + 1));
    let end = request.to.min(request.from.main + request.revisions_max - 1);
    let matches = OnceCell::new();
    for main in request.from.main..=end {
        let event = event(main);
        let matches = matches.get_or_init(|| request.matcher.matches(b"k", EventKind::Put));
        if chunk.charge_bytes() + event.charge_bytes() * matches.len() > request.bytes_max {
            chunk.end_at(Revision::start_of(main));
            return (chunk, main - request.from.main);
        }
        chunk.push(event, false, matches);
    }
    chunk.end_at(Revision::start_of(end + 1));
    (chunk, end + 1 - request.from.main)
}

/// Lets watchers from these starts, each on a stream of its own, catch up with a history of `revisions`. Returns how many
/// revisions were read.
fn catch_up(revisions: u64, starts: &[u64]) -> u64 {
    let mut engine = Engine::new(EngineSettings::default(), revisions, 0);
    for &start in starts {
        let stream = engine.attach(1 << 20);
        engine.watch(stream, 0, WatchSpec::new(KeyRange::key("k"), start));
    }
    let (mut revisions_read, mut reads, mut drained) = (0, Vec::new(), false);
    let mut given = vec![0; starts.len()];
    loop {
        for work in engine.turn() {
            match work {
                Work::Read(request) => reads.push(request),
                Work::Deliver { stream, item } => {
                    if let Item::Events { batch, .. } = &item {
                        given[stream.0 as usize] += batch.events().len() as u64;
                    }
                    engine.drained(stream, item.charge_bytes());
                    drained = true;
                }
                Work::Blocked { .. } => {}
            }
        }
        if reads.is_empty() {
            if !std::mem::take(&mut drained) {
                break;
            }
            continue;
        }
        let (chunk, passed) = read(&reads.remove(0));
        revisions_read += passed;
        engine.history(Ok(chunk));
    }
    assert!(engine.watchers().all(|watch| watch.standing == WatcherStanding::Synced));
    for (given, start) in given.into_iter().zip(starts) {
        assert_eq!(given, revisions + 1 - start, "the watcher from {start}");
    }
    revisions_read
}

/// Many watchers that start anywhere in a long history: scans of equal speed would each read their own part, thousands of
/// times the history in all.
#[test]
fn scans_read_history_about_twice() {
    const REVISIONS: u64 = 1_000_000;
    let seed = 20_260_822;
    let mut rng = SplitMix64::new(seed);
    let starts: Vec<u64> = (0..10_000).map(|_| 2 + rng.below(REVISIONS - 1)).collect();
    let revisions_read = catch_up(REVISIONS, &starts);
    let ratio = revisions_read as f64 / REVISIONS as f64;
    println!("10,000 random starts read {ratio:.3} times the history (seed {seed})");
    assert!(ratio <= 2.2, "{ratio} times the history (seed {seed})");
}

#[test]
fn watchers_from_one_start_read_history_once() {
    assert_eq!(catch_up(100_000, &[2; 1_000]), 99_999);
}

/// A scan far behind, and a stream of short ones that come and go, each new one ahead of it in the queue: it was never
/// read for again.
#[test]
fn a_long_scan_has_its_turn_while_short_ones_come_and_go() {
    let mut world = World::new();
    world.put_times(200);
    let far = world.attach(1 << 20);
    world.watch(far, 0, WatchSpec::new(KeyRange::key("a"), 2));
    for round in 0..60 {
        let near = world.attach(1 << 20);
        let start = world.model.current_revision() - (round % 3);
        world.watch(near, 0, WatchSpec::new(KeyRange::key("a"), start));
        let nearest = world.attach(1 << 20);
        world.watch(nearest, 0, WatchSpec::new(KeyRange::key("a"), start - 6));
        world.answer();
    }
    let next = world.engine.status(far, 0).unwrap().next_revision;
    assert!(next > 50, "after 60 reads it is at {next}");
    world.check_end();
}

/// A watcher five million revisions behind does not delay one that is five behind.
#[test]
fn a_short_scan_does_not_wait_for_a_long_one() {
    let mut engine = Engine::new(EngineSettings::default(), 5_000_000, 0);
    let far = engine.attach(1 << 20);
    engine.watch(far, 0, WatchSpec::new(KeyRange::key("k"), 2));
    let mut reads: Vec<ReadRequest> = Vec::new();
    let mut asked = |engine: &mut Engine| {
        let requests = engine.turn().into_iter().filter_map(|work| match work {
            Work::Read(request) => Some(request),
            _ => None,
        });
        reads.extend(requests);
        (!reads.is_empty()).then(|| reads.remove(0))
    };
    let first = asked(&mut engine).unwrap();
    let near = engine.attach(1 << 20);
    engine.watch(near, 0, WatchSpec::new(KeyRange::key("k"), 4_999_996));
    engine.history(Ok(read(&first).0));
    let mut reads_between = 0;
    while engine.status(near, 0).unwrap().standing != WatcherStanding::Synced {
        let next = asked(&mut engine).unwrap();
        engine.history(Ok(read(&next).0));
        reads_between += 1;
    }
    assert!(reads_between <= 2, "{reads_between} reads before the near one's");
}

/// Watches of a few connections, many on each, that start anywhere in a history. Their receivers take an item now and then.
struct Leisure {
    engine: Engine,
    streams: Vec<StreamId>,
    queued: Vec<VecDeque<usize>>,
    reads: VecDeque<ReadRequest>,
    revisions_read: u64,
}

impl Leisure {
    fn new(revisions: u64, streams: usize, watches: i64, rng: &mut SplitMix64) -> Self {
        let mut engine = Engine::new(EngineSettings::default(), revisions, 0);
        let streams: Vec<StreamId> = (0..streams).map(|_| engine.attach(1 << 20)).collect();
        for &stream in &streams {
            for watch in 0..watches {
                let start = 2 + rng.below(revisions - 1);
                engine.watch(stream, watch, WatchSpec::new(KeyRange::key("k"), start));
            }
        }
        let queued = vec![VecDeque::new(); streams.len()];
        Self { engine, streams, queued, reads: VecDeque::new(), revisions_read: 0 }
    }

    /// Returns false when there is nothing left to do.
    fn turn(&mut self) -> bool {
        for work in self.engine.turn() {
            match work {
                Work::Read(request) => self.reads.push_back(request),
                Work::Deliver { stream, item } => {
                    self.queued[stream.0 as usize].push_back(item.charge_bytes());
                }
                Work::Blocked { .. } => {}
            }
        }
        !self.reads.is_empty() || self.queued.iter().any(|queue| !queue.is_empty())
    }

    fn take(&mut self, stream: usize) {
        if let Some(bytes) = self.queued[stream].pop_front() {
            self.engine.drained(self.streams[stream], bytes);
        }
    }

    fn answer(&mut self) {
        if let Some(request) = self.reads.pop_front() {
            let (chunk, passed) = read(&request);
            self.revisions_read += passed;
            self.engine.history(Ok(chunk));
        }
    }
}

/// Ten connections with a thousand watches each: as their receivers hardly ever had room at the same moment, each was read
/// for by itself, and the history was read fifteen times.
#[test]
fn receivers_of_nearly_the_same_pace_share_what_was_read() {
    const REVISIONS: u64 = 500_000;
    let seed = 20_261_126;
    let mut rng = SplitMix64::new(seed);
    let mut world = Leisure::new(REVISIONS, 10, 500, &mut rng);
    while world.turn() {
        match rng.below(15) {
            stream @ 0..10 => world.take(usize::try_from(stream).unwrap()),
            _ => world.answer(),
        }
    }
    assert!(world.engine.watchers().all(|watch| watch.standing == WatcherStanding::Synced));
    assert_eq!(world.engine.gauges().kept_bytes, 0, "something is kept although nobody waits");
    let ratio = world.revisions_read as f64 / REVISIONS as f64;
    println!("10 streams read {ratio:.3} times the history (seed {seed})");
    assert!(ratio <= 8.0, "{ratio} times the history (seed {seed})");
}

/// The engine's own names for groups are used again. A chunk that was kept for the watches of `a` is not for those of `b`
/// that came when they had gone.
#[test]
fn what_is_kept_for_a_group_goes_with_it() {
    let mut world = World::new();
    world.put_times(40);
    let (quick, slow, late) = (world.attach(0), world.attach(0), world.attach(0));
    world.watch_quietly(quick, 0, WatchSpec::new(KeyRange::key("a"), 2));
    world.watch(slow, 0, WatchSpec::new(KeyRange::key("a"), 2));
    for _ in 0..6 {
        world.answer();
        world.hear(quick);
    }
    assert!(world.engine.gauges().kept_bytes > 0, "nothing is kept for the slow one");
    world.cancel_quietly(quick, 0);
    world.cancel_quietly(slow, 0);
    for start in 2..20 {
        world.watch_quietly(late, i64::try_from(start).unwrap(), WatchSpec::new(KeyRange::key("b"), start));
    }
    world.turn();
    world.check_end();
}

/// Two of the same: one takes what it is given, and the other is behind, so chunks are kept for it.
fn quick_and_slow(spec: &WatchSpec) -> World {
    let mut world = World::new();
    world.put_times(40);
    let (quick, slow) = (world.attach(0), world.attach(0));
    world.watch_quietly(quick, 0, spec.clone());
    world.watch(slow, 0, spec.clone());
    for _ in 0..6 {
        world.answer();
        world.hear(quick);
    }
    world
}

/// What is superseded changes, so what was read for one that conflates is true for a moment only.
#[test]
fn nothing_is_kept_for_those_that_conflate() {
    let spec = WatchSpec::new(KeyRange::key("a"), 2);
    assert!(quick_and_slow(&spec).engine.gauges().kept_bytes > 0, "others are kept for");
    let mut world = quick_and_slow(&spec.with_lag_policy(LagPolicy::Conflate));
    assert_eq!(world.engine.gauges().kept_bytes, 0);
    world.settle();
    world.check_end();
}

/// A chunk was read with previous values that a compaction has taken since; and who waits in it is to be told.
#[test]
fn a_compaction_takes_what_is_kept_with_it() {
    let mut world = quick_and_slow(&WatchSpec::new(KeyRange::key("a"), 2));
    assert!(world.engine.gauges().kept_bytes > 0);
    world.compact(41);
    assert_eq!(world.engine.gauges().kept_bytes, 0);
    world.settle();
    world.check_end();
}

/// A read that was out comes back with what was there before the compaction.
#[test]
fn what_was_read_before_a_compaction_is_not_kept_after_it() {
    for compacted in [true, false] {
        let mut world = quick_and_slow(&WatchSpec::new(KeyRange::key("a"), 2));
        let slow = world.receivers[1].stream;
        world.watch(slow, 1, WatchSpec::new(KeyRange::key("a"), 41));
        world.reads[0].go_on(usize::MAX, &world.model, None);
        let from = world.reads[0].request.from.main;
        world.compact(if compacted { from } else { from - 1 });
        world.answer();
        assert_eq!(world.engine.gauges().kept_bytes == 0, compacted, "there is somebody to keep it for");
        world.settle();
        world.check_end();
    }
}
