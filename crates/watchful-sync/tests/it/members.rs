//! Watches that share: ids, members, groups and streams, and the names they leave behind.

use watchful_revision::KeyRange;
use watchful_sync::{Standings, WatchSpec};

use watchful_sync_world::{World, pick};

const ROOMY: usize = 1 << 20;

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

#[test]
fn a_duplicate_id_is_refused_and_the_first_lives_on() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.watch(stream, 5, all(2));
    world.watch(stream, 5, all(2));
    world.put("a");
    assert_eq!(world.hear(stream), ["5: created", "5: refused DuplicateWatchId", "5: 2.0"]);
    world.cancel(stream, 5);
    world.watch(stream, 5, all(3));
    world.put("a");
    assert_eq!(world.hear(stream), ["5: cancelled", "5: created", "5: 3.0"]);
    world.check_end();
}

#[test]
fn watches_of_one_group_and_stream_share_a_batch() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    (0..3).for_each(|id| world.watch(stream, id, all(2)));
    assert_eq!(world.engine.gauges().members, 1);
    world.put("a");
    world.cancel(stream, 1);
    world.put("a");
    assert_eq!(world.hear(stream)[3..], ["0,1,2: 2.0", "1: cancelled", "0,2: 3.0"]);
    world.check_end();
}

#[test]
fn watches_from_different_starts_become_one_member() {
    let mut world = World::new();
    world.put_times(3);
    let stream = world.attach(ROOMY);
    (0..4).for_each(|id| world.watch_quietly(stream, id, all(2 + u64::try_from(id).unwrap())));
    world.turn();
    assert_eq!(world.engine.gauges().members, 4);
    world.answer_all();
    assert_eq!(world.engine.gauges().members, 1);
    world.put("a");
    assert_eq!(world.hear(stream).last().unwrap(), "0,1,2,3: 5.0");
    world.check_end();
}

/// Watches are counted, not the members that they share.
#[test]
fn watches_are_counted_by_where_they_stand() {
    let mut world = World::new();
    world.put("a");
    let (behind, live) = (world.attach(ROOMY), world.attach(ROOMY));
    (0..3).for_each(|id| world.watch(live, id, all(3)));
    (3..5).for_each(|id| world.watch(live, id, all(9)));
    (0..4).for_each(|id| world.watch_quietly(behind, id, all(2)));
    world.turn();
    let standings = Standings { future: 2, synced: 3, unsynced: 4, blocked: 0 };
    assert_eq!(world.engine.gauges().standings, standings);
    world.answer_all();
    world.check_end();
}

/// A group goes while a read for it is out, and another comes and is given its name. What was matched for the first is
/// not for the second.
#[test]
fn a_group_that_takes_anothers_name_gets_nothing_of_its_read() {
    let mut world = World::new();
    world.put("a");
    world.put("b");
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("a"), 2));
    world.reads[0].go_on(usize::MAX, &world.model, None);
    world.cancel(stream, 0);
    world.watch(stream, 1, WatchSpec::new(KeyRange::prefix("b"), 2));
    world.answer_all();
    assert_eq!(pick(&world.hear(stream), 1), ["1: created", "1: 3.0"]);
    world.check_end();
}

/// The same with the head's read.
#[test]
fn a_group_that_takes_anothers_name_gets_nothing_of_the_heads_read() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("c"), 2));
    world.watch(stream, 1, WatchSpec::new(KeyRange::prefix("a"), 2));
    world.put_dropped("ab b");
    world.reads[0].go_on(usize::MAX, &world.model, None);
    world.cancel(stream, 1);
    world.watch(stream, 1, WatchSpec::new(KeyRange::prefix("b"), 1));
    world.answer_shared();
    world.answer_all();
    assert_eq!(pick(&world.hear(stream), 1), ["1: created", "1: cancelled", "1: created", "1: 2.1"]);
    world.check_end();
}

/// A stream goes while its reads are out, and another is given its name. The room that was kept for the first is not
/// taken from the second.
#[test]
fn a_stream_that_goes_with_reads_out_leaves_nothing_behind() {
    let mut world = World::new();
    world.put_times(9);
    let gone = world.attach(ROOMY);
    world.watch(gone, 0, all(2));
    world.watch(gone, 1, all(9));
    assert_eq!(world.reads.len(), 2);
    world.detach(gone);
    let next = world.attach(0);
    assert_eq!(gone, next);
    world.watch(next, 0, all(2));
    world.answer_all();
    world.check_end();
}

#[test]
fn everything_goes_in_any_order() {
    let mut world = World::new();
    world.put_times(9);
    let streams = [world.attach(0), world.attach(0)];
    for (at, &stream) in streams.iter().enumerate() {
        (0..5).for_each(|id| world.watch(stream, id, all(u64::try_from(id).unwrap() * 3 + at as u64 + 1)));
    }
    world.put_dropped("a");
    world.cancel(streams[0], 3);
    world.answer();
    world.detach(streams[1]);
    world.cancel(streams[0], 0);
    world.cancel(streams[0], 0);
    world.check_end();
}
