//! From history to live, and everything that can happen on the way.

use watchful_revision::KeyRange;
use watchful_sync::{StreamId, WatchSpec};

use watchful_sync_world::{World, pick};

const ROOMY: usize = 1 << 20;

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

/// A world with `revisions` puts of `a`, and one stream.
fn world(revisions: u64) -> (World, StreamId) {
    let mut world = World::new();
    for _ in 0..revisions {
        world.put("a");
    }
    let stream = world.attach(ROOMY);
    (world, stream)
}

#[test]
fn history_meets_live_without_gap_or_repeat() {
    let (mut world, stream) = world(2);
    world.watch(stream, 7, all(2));
    assert_eq!(world.asked(), ["2.0-3"]);
    world.put("a");
    world.put("b");
    world.answer();
    assert_eq!(world.asked(), [""; 0]);
    world.put("c");
    assert_eq!(world.hear(stream), ["7: created", "7: 2.0 3.0", "7: 4.0", "7: 5.0", "7: 6.0"]);
    world.check_end();
}

#[test]
fn what_was_published_beyond_the_bound_is_asked_for_again() {
    let (mut world, stream) = world(2);
    world.watch(stream, 0, all(2));
    // Five events are more than `recent_bytes_max`.
    for _ in 0..5 {
        world.put("a");
    }
    world.answer();
    assert_eq!(world.asked(), ["2.0-3", "4.0-8"]);
    world.answer_all();
    assert_eq!(world.asked(), ["7.0-8"]);
    world.hear(stream);
    world.check_end();
}

#[test]
fn a_watch_from_now_hears_live_events_alone() {
    let (mut world, stream) = world(3);
    world.watch(stream, 0, all(5));
    world.put("b");
    assert_eq!(world.asked(), [""; 0]);
    assert_eq!(world.hear(stream), ["0: created", "0: 5.0"]);
    world.check_end();
}

/// The queue of published batches overflows with many watchers synced: each of them is owed history then, and reading it
/// for each would be the work that the overflow was meant to spare. The head itself reads, once.
#[test]
fn an_overflow_costs_one_read_for_all_synced_watchers() {
    let mut world = World::new();
    let streams: Vec<_> = (0..50).map(|_| world.attach(ROOMY)).collect();
    for &stream in &streams {
        world.watch(stream, 0, all(2));
    }
    world.put_dropped("a");
    world.put_dropped("b");
    world.put("c");
    assert_eq!(world.asked(), ["head 2.0-2"]);
    assert_eq!(world.engine.gauges().synced_members, 50);
    world.answer();
    assert_eq!(world.asked(), ["head 3.0-4"]);
    world.answer();
    assert_eq!(world.asked(), [""; 0]);
    for &stream in &streams {
        assert_eq!(world.hear(stream), ["0: created", "0: 2.0", "0: 3.0 4.0"]);
    }
    world.check_end();
}

/// The head reads history, and has passed `b` already, when a watch of `b` from the past comes. Its own read is answered
/// first and ends at the head, so it was synced there; then the head's chunk came, without `b`, and 4 was lost.
#[test]
fn a_watch_that_comes_while_the_head_reads_is_not_synced_before_it() {
    let (mut world, stream) = world(1);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("a"), 3));
    world.put_dropped("a");
    world.put_dropped("b");
    assert_eq!(world.asked(), ["head 3.0-3"]);
    world.answer();
    assert_eq!(world.asked(), ["head 4.0-4"]);
    world.reads[0].go_on(1, &world.model, None);
    world.watch(stream, 1, WatchSpec::new(KeyRange::prefix("b"), 2));
    assert_eq!(world.asked(), ["2.0-3"]);
    world.answer_shared();
    world.answer_head();
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 4.0"]);
    world.check_end();
}

/// The same, with a watch that starts right after the head.
#[test]
fn a_watch_from_now_that_comes_while_the_head_reads_is_not_synced_before_it() {
    let (mut world, stream) = world(1);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("a"), 3));
    world.put_dropped("b");
    world.reads[0].go_on(1, &world.model, None);
    world.watch(stream, 1, WatchSpec::new(KeyRange::prefix("b"), 3));
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 3.0"]);
    world.check_end();
}

/// The head is in the middle of a revision that no chunk holds when a watch comes that starts at this very revision.
/// With the next part of it, the head was "handed out up to 2" once more, and the watch that waited for 3 was let in: it
/// never saw the first parts of 3.
#[test]
fn nobody_becomes_synced_in_the_middle_of_a_revision() {
    let (mut world, stream) = world(1);
    world.watch(stream, 0, all(3));
    world.put_dropped("a b c d e f g h");
    world.watch(stream, 1, WatchSpec::new(KeyRange::key("a"), 3));
    world.answer_head();
    assert_eq!(world.asked(), ["head 3.0-3", "head 3.2-3"]);
    world.watch(stream, 2, WatchSpec::new(KeyRange::prefix("b"), 2));
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: 3.0 3.1 …", "0: 3.2 3.3 3.4 …", "0: 3.5 3.6 3.7"]);
    assert_eq!(pick(&heard, 1), ["1: created", "1: 3.0"]);
    assert_eq!(pick(&heard, 2), ["2: created", "2: 3.1"]);
    world.check_end();
}

#[test]
fn a_huge_revision_comes_in_marked_parts_and_is_closed() {
    let (mut world, stream) = world(1);
    world.watch_quietly(stream, 0, WatchSpec::new(KeyRange::everything(), 3));
    world.watch_quietly(stream, 1, WatchSpec::new(KeyRange::between("a", "c").unwrap(), 3));
    world.put_dropped("a b c d e f");
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: 3.0 …", "0: 3.1 3.2 …", "0: 3.3 3.4 3.5"]);
    // Its last part came before the end of the revision was known, so an empty batch says that it was the last.
    assert_eq!(pick(&heard, 1), ["1: created", "1: 3.0 …", "1: 3.1 …", "1: end of 3"]);
    world.check_end();
}

#[test]
fn a_future_start_is_silent_until_then() {
    let (mut world, stream) = world(1);
    world.watch(stream, 0, all(5));
    world.put("a");
    world.put_dropped("a");
    world.put("a");
    world.put("a");
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: 5.0", "0: 6.0"]);
    world.check_end();
}

/// A batch that was kept from before a watch asked for `prev_kv` has no previous values, because nobody had wanted them
/// when it was published. Handed to that watch, it said that its keys were new.
#[test]
fn what_was_kept_before_prev_kv_was_asked_for_is_read_again() {
    let (mut world, stream) = world(1);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("b"), 3));
    world.put_dropped("b");
    world.put("a");
    world.watch(stream, 1, WatchSpec::new(KeyRange::key("a"), 4).with_prev_kv(true));
    world.answer_all();
    world.hear(stream);
    let watch = world.receiver(stream).watches.iter().find(|watch| watch.id == 1).unwrap();
    let event = watch.observed.events().next().unwrap();
    assert_eq!(event.prev().map(|prev| prev.revision().main), Some(2));
    world.check_end();
}

#[test]
fn one_scan_picks_up_everyone_it_passes() {
    let mut world = World::new();
    world.put_times(12);
    let streams: Vec<_> = (0..12).map(|_| world.attach(ROOMY)).collect();
    for (start, &stream) in (2..).zip(&streams) {
        world.watch_quietly(stream, 0, all(start));
    }
    world.turn();
    world.answer_all();
    // The history is five chunks long, and no scan of the seven starts that are not the last of their level is needed.
    assert!(world.reads_asked <= 9, "{:?}", world.asked());
    world.check_end();
}
