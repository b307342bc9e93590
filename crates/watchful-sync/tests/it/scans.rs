//! How much history is read, and in which order. The reader here makes its rows up as it goes, so that a history can be
//! long.

use std::cell::OnceCell;

use watchful_revision::{Event, EventKind, KeyRange, Put, Record, Revision, encode_put};
use watchful_sync::{
    Engine, EngineSettings, HistoryChunk, Item, ReadRequest, WatchSpec, WatcherStanding, Work,
};
use watchful_testkit::SplitMix64;

use crate::world::World;

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
    let (mut revisions_read, mut reads) = (0, Vec::new());
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
                }
                Work::Blocked { .. } => {}
            }
        }
        if reads.is_empty() {
            break;
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
