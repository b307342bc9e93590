//! Bugs that etcd had or has, told as tests. Each opens with its number and its story.

use watchful_revision::KeyRange;
use watchful_sync::{WatchSpec, WatcherStanding};
use watchful_testkit::{Op, checkers};

use watchful_sync_world::{World, pick};

const ROOMY: usize = 1 << 20;

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

fn world(revisions: u64) -> World {
    let mut world = World::new();
    world.put_times(revisions);
    world
}

/// etcd 22264: a watcher D revisions behind is caught up in steps of 1,000, and each step reads the whole rest of the
/// backlog: D²/2000 revisions, under the lock that writers need. Here each revision is asked for once.
#[test]
fn etcd_22264_a_backlog_is_read_once() {
    let mut world = world(200);
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    world.settle();
    let mut next = 2;
    for asked in world.asked() {
        let from: u64 = asked.split('.').next().unwrap().parse().unwrap();
        assert_eq!(from, next, "{asked}");
        // Three events fill a chunk.
        next += 3;
    }
    assert_eq!(next, 203);
    world.check_end();
}

/// etcd 22294: with more than 512 unsynced watchers, those whose start is compacted are told so again at every round, and
/// are never removed.
#[test]
fn etcd_22294_many_compacted_watchers_are_told_once_each() {
    let mut world = world(20);
    let streams: Vec<_> = (0..3).map(|_| world.attach(ROOMY)).collect();
    for (at, &stream) in streams.iter().cycle().take(1_500).enumerate() {
        world.watch_quietly(stream, i64::try_from(at).unwrap(), all(2 + at as u64 % 12));
    }
    world.turn();
    world.compact(15);
    world.answer_all();
    assert_eq!(world.engine.gauges().watches, 0);
    for &stream in &streams {
        world.hear(stream);
        let watches = &world.receiver(stream).watches;
        assert_eq!(watches.len(), 500);
        assert!(watches.iter().all(|watch| !watch.alive && watch.observed.observations().len() == 2));
    }
    world.check_end();
}

/// etcd 20242: progress is withheld from a whole stream, for good, while one of its watchers is slow or waits for the
/// future, and the question is forgotten. Here the question is kept, and other streams never notice.
#[test]
fn etcd_20242_a_slow_or_future_watcher_starves_nobody_else() {
    let mut world = world(12);
    let (slow, other) = (world.attach(0), world.attach(ROOMY));
    world.watch(slow, 0, all(2));
    world.watch(slow, 1, all(15));
    world.watch(other, 0, WatchSpec::new(KeyRange::key("a"), 2));
    world.ask_progress(slow, 0);
    world.ask_progress(other, 0);
    // The slow one takes nothing.
    world.answer_all();
    assert_eq!(world.hear(other).last().unwrap(), "progress 13");
    world.settle();
    world.put("a");
    world.put("a");
    world.settle();
    // The answer came as soon as the future one was next: everything before its start had been given.
    let heard = world.receiver(slow).heard();
    assert_eq!(heard[heard.len() - 3..], ["0: 14.0", "progress 14", "0,1: 15.0"]);
    world.check_end();
}

/// etcd 17529 and 17555: a watcher that was behind when the store was compacted went on at the compact revision, and was
/// never told that events were missing.
#[test]
fn etcd_17529_17555_no_gap_without_a_notice() {
    let mut world = world(8);
    let (full, reading) = (world.attach(0), world.attach(ROOMY));
    world.watch(full, 0, all(2));
    world.answer_all();
    world.watch(reading, 0, all(2));
    world.compact(9);
    world.answer_all();
    assert_eq!(world.hear(full).last().unwrap(), "0: compacted 9");
    assert_eq!(world.hear(reading), ["0: created", "0: compacted 9"]);
    world.check_end();
}

/// etcd 15220 and 20221: the answer to a progress request went out while events below it were still queued.
#[test]
fn etcd_15220_20221_progress_overtakes_nothing() {
    let mut world = world(3);
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, all(2));
    world.ask_progress(stream, 0);
    world.put("a");
    world.answer();
    world.put_dropped("a");
    world.ask_progress(stream, 6);
    assert_eq!(world.hear(stream), ["0: created", "0: 2.0 3.0 4.0", "0: 5.0", "progress 5"]);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: 6.0", "progress 6"]);
    world.check_end();
}

/// etcd 15271: after a reconnect, a watch was given events older than those it had.
#[test]
fn etcd_15271_revisions_never_go_back() {
    let mut world = world(10);
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    for _ in 0..6 {
        world.put("a");
        world.receive(stream, 1);
        world.answer_all();
        world.report(stream);
        world.turn();
    }
    world.settle();
    let watch = &world.receiver(stream).watches[0];
    checkers::ordered(&watch.spec, &watch.observed).unwrap();
    world.check_end();
}

/// etcd 17247: events came twice where a watcher fell out of the synced ones and back.
#[test]
fn etcd_17247_nothing_comes_twice() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    for round in 0..5 {
        world.put_times(9);
        assert_ne!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Synced, "{round}");
        world.settle();
        assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Synced);
    }
    let watch = &world.receiver(stream).watches[0];
    checkers::unique(&watch.spec, &watch.observed).unwrap();
    assert_eq!(watch.observed.events().count(), 45);
    world.check_end();
}

/// etcd 15248: a watch that goes on from the last revision it was told of lost the rest of that revision, or had it twice.
#[test]
fn etcd_15248_a_watch_goes_on_where_another_ended() {
    let mut world = world(5);
    world.put("a b c d e f");
    world.put("a");
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    // It ends in the middle of revision 7: the part is dropped.
    for _ in 0..3 {
        world.answer();
        world.receive(stream, usize::MAX);
        world.report(stream);
        world.turn();
    }
    world.cancel(stream, 0);
    world.settle();
    let first = &world.receiver(stream).watches[0];
    let (spec, first) = (first.spec.clone(), first.observed.clone());
    let next_revision = first.next_revision(&spec);
    assert_eq!(next_revision, 7);
    assert!(first.events().any(|event| event.revision().main == 7));
    world.watch(stream, 0, all(next_revision));
    world.settle();
    let second = &world.receiver(stream).watches[1].observed.clone();
    checkers::resumable(&spec, &[&first, second], &world.model).unwrap();
    assert_eq!(second.events().count(), 7);
    world.check_end();
}

/// etcd 17557: a watcher whose keys are quiet stayed unsynced for ever, and got no progress.
#[test]
fn etcd_17557_quiet_keys_become_synced() {
    let mut world = world(50);
    let stream = world.attach(0);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("quiet"), 2));
    world.ask_progress(stream, 0);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "progress 51"]);
    world.check_end();
}

/// etcd 19487 and 9775: a watch from a future revision was given events from before it, or progress that said so.
#[test]
fn etcd_19487_9775_nothing_before_a_future_start() {
    let mut world = world(2);
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, all(6).with_progress_notify(true));
    for _ in 0..3 {
        world.put("a");
        world.tick();
        world.ask_progress(stream, 0);
    }
    world.put_dropped("a");
    world.put("a");
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0)[..2], ["0: created", "0: progress 5"]);
    world.check_end();
}

/// etcd 8443 and 19577: a watch that was cancelled or dropped at the wrong moment left its watcher behind, for ever.
#[test]
fn etcd_8443_19577_nothing_is_left_behind() {
    for moment in 0..4 {
        let mut world = world(9);
        let stream = world.attach(0);
        world.watch(stream, 0, all(2));
        world.watch(stream, 1, all(11));
        world.watch(stream, 2, all(30));
        (0..moment).for_each(|_| {
            world.put("a");
            if !world.reads.is_empty() {
                world.answer();
            }
        });
        if moment % 2 == 0 {
            (0..3).for_each(|id| world.cancel(stream, id));
            assert_eq!(world.engine.gauges().members, 0);
        }
        world.check_end();
    }
}

/// etcd 16839 and 21355: events for receivers that do not read pile up in memory.
#[test]
#[cfg_attr(miri, ignore = "it fills outboxes, which Miri takes hours for")]
fn etcd_16839_21355_congestion_costs_bounded_memory() {
    let mut world = World::new();
    let streams: Vec<_> = (0..4).map(|_| world.attach(0)).collect();
    for &stream in &streams {
        (0..5).for_each(|id| {
            let key = ["a", "b", "c", "d", "e"][usize::try_from(id).unwrap()];
            world.watch(stream, id, WatchSpec::new(KeyRange::key(key), 2));
        });
    }
    let keys = ["a", "b", "c", "d", "e"].map(|key| Op::put(key, vec![b'v'; 50]));
    for _ in 0..200 {
        world.write(&keys, false);
        // The world checks each outbox at each delivery.
        if !world.reads.is_empty() {
            world.answer();
        }
    }
    let control_bytes = 4 * 5 * watchful_sync::Item::CONTROL_BYTES;
    assert!(
        world.engine.gauges().queued_bytes <= 4 * 2 * watchful_sync_world::CHUNK_BYTES_MAX + control_bytes
    );
    world.check_end();
}
