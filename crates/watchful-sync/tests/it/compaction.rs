//! A watch that falls behind compaction hears it once, whatever its standing, and nothing is lost silently.

use watchful_revision::KeyRange;
use watchful_sync::{StreamId, WatchSpec};
use watchful_testkit::Op;

use watchful_sync_world::{World, pick};

const ROOMY: usize = 1 << 20;

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

fn world(revisions: u64) -> (World, StreamId) {
    let mut world = World::new();
    world.put_times(revisions);
    let stream = world.attach(ROOMY);
    (world, stream)
}

#[test]
fn told_once_while_riding() {
    let (mut world, stream) = world(6);
    world.watch(stream, 0, all(2));
    world.compact(5);
    assert_eq!(world.hear(stream), ["0: created", "0: compacted 5"]);
    world.answer_all();
    world.compact(6);
    assert_eq!(world.hear(stream), [""; 0]);
    world.check_end();
}

/// The reader finds the compaction before the engine has heard of it.
#[test]
fn told_once_by_the_reader() {
    let (mut world, stream) = world(6);
    world.watch(stream, 0, all(2));
    world.watch(stream, 1, all(6));
    world.compact_untold(5);
    world.answer_all();
    world.tell_compacted();
    world.turn();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: compacted 5"]);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 6.0 7.0"]);
    world.check_end();
}

#[test]
fn told_once_while_ready() {
    let (mut world, stream) = world(6);
    world.watch_quietly(stream, 0, all(2));
    world.compact(5);
    assert_eq!(world.asked(), [""; 0]);
    assert_eq!(world.hear(stream), ["0: created", "0: compacted 5"]);
    world.check_end();
}

#[test]
fn told_once_while_blocked() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    world.put_times(12);
    assert_eq!(world.engine.gauges().blocked_members, 1);
    world.compact(13);
    let heard = world.hear(stream);
    assert_eq!(heard.last().unwrap(), "0: compacted 13");
    world.check_end();
}

#[test]
fn told_once_while_waiting_for_the_future() {
    let (mut world, stream) = world(2);
    world.watch(stream, 0, all(5));
    (0..6).for_each(|_| _ = world.commit(&[Op::put("a", "v")]));
    world.compact(7);
    assert_eq!(world.hear(stream), ["0: created", "0: compacted 7"]);
    world.check_end();
}

/// The head's own read is out, and compaction passes the head: synced watchers lose what the head had not handed out.
#[test]
fn told_once_while_synced_and_the_head_is_behind() {
    let (mut world, stream) = world(2);
    world.watch(stream, 0, all(4));
    (0..5).for_each(|_| _ = world.put_dropped("a"));
    world.compact(8);
    world.watch(stream, 1, all(8));
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: compacted 8"]);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 8.0"]);
    world.check_end();
}

#[test]
fn told_at_once_when_it_starts_below() {
    let (mut world, stream) = world(6);
    world.compact(5);
    world.watch(stream, 0, all(4));
    assert_eq!(world.hear(stream), ["0: created", "0: compacted 5"]);
    world.check_end();
}

#[test]
fn everything_at_the_compact_revision_is_served_tombstones_too() {
    let (mut world, stream) = world(2);
    world.write(&[Op::delete("a")], false);
    world.compact(4);
    world.watch(stream, 0, all(4));
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: 4.0"]);
    world.check_end();
}

/// A part of a revision has been sent when the revision is compacted away: the receiver is to drop the part.
#[test]
fn in_the_middle_of_a_fragmented_revision() {
    let (mut world, stream) = world(1);
    world.put("a b c d e f");
    world.put("a");
    world.watch(stream, 0, all(3));
    world.answer();
    world.compact(4);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: 3.0 3.1 3.2 …", "0: compacted 4"]);
    world.check_end();
}

#[test]
fn at_a_fragmented_revision_it_goes_on() {
    let (mut world, stream) = world(1);
    world.put("a b c d e f");
    world.watch(stream, 0, all(3));
    world.answer();
    world.compact(3);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: 3.0 3.1 3.2 …", "0: 3.3 3.4 3.5"]);
    world.check_end();
}

/// A damaged record ends those who are owed it. Who rides from further on is owed nothing of it, and was ended with
/// them; it asks again, from its own place.
#[test]
fn damage_ends_only_those_who_are_owed_it() {
    let (mut world, stream) = world(6);
    world.damaged = Some(3);
    world.watch_quietly(stream, 0, all(2));
    world.watch_quietly(stream, 1, WatchSpec::new(KeyRange::key("a"), 4));
    world.turn();
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: unreadable: damaged"]);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 4.0 5.0 6.0", "1: 7.0"]);
    world.check_end();
}
