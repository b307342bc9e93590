//! Receivers that are slower than the writer.

use watchful_revision::KeyRange;
use watchful_sync::{LagPolicy, WatchSpec, WatcherStanding};
use watchful_testkit::Op;

use watchful_sync_world::{CHUNK_BYTES_MAX, World, pick};

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

#[test]
fn a_full_outbox_leaves_the_cursor_where_it_is() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    world.put_times(20);
    let status = world.engine.status(stream, 0).unwrap();
    assert_eq!((status.standing, status.next_revision), (WatcherStanding::Blocked, 7));
    assert_eq!(world.asked(), [""; 0]);
    world.settle();
    world.check_end();
}

#[test]
fn cancel_on_lag_says_where_to_go_on() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2).with_lag_policy(LagPolicy::Cancel));
    world.put_times(20);
    let heard = world.hear(stream);
    assert_eq!(heard[4..], ["0: 5.0", "0: 6.0", "0: lagged, next 7"]);
    world.check_end();
}

/// A watch that starts in the past is no laggard: it has never been synced.
#[test]
fn catching_up_is_not_lagging() {
    let mut world = World::new();
    world.put_times(30);
    let stream = world.attach(0);
    world.watch(stream, 0, all(2).with_lag_policy(LagPolicy::Cancel));
    world.answer_all();
    assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Blocked);
    world.settle();
    assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Synced);
    world.check_end();
}

#[test]
fn conflation_skips_what_is_superseded_and_keeps_deletes() {
    let mut world = World::new();
    world.put("a");
    world.put("b");
    world.write(&[Op::delete("a")], false);
    world.put("a");
    let stream = world.attach(0);
    world.watch(stream, 0, all(2).with_lag_policy(LagPolicy::Conflate));
    world.watch(stream, 1, all(2));
    world.answer_all();
    let heard = world.hear(stream);
    assert_eq!(pick(&heard, 0), ["0: created", "0: conflated 2-5: 3.0 4.0 5.0"]);
    world.answer_all();
    world.put("b");
    assert_eq!(pick(&world.hear(stream), 0), ["0: 6.0"]);
    world.check_end();
}

/// Two reads keep room on one stream, and a live batch finds none: its member is blocked. The reads come back without a
/// match. Nobody drains an outbox that is empty already, so the member was blocked for ever.
#[test]
fn room_that_comes_back_from_a_read_wakes_the_blocked() {
    let mut world = World::new();
    (0..3).for_each(|_| _ = world.put("b"));
    let stream = world.attach(3 * CHUNK_BYTES_MAX);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("a"), 5));
    world.watch(stream, 1, WatchSpec::new(KeyRange::key("nobody"), 4));
    world.watch(stream, 2, WatchSpec::new(KeyRange::key("nobody"), 2));
    assert_eq!(world.asked(), ["4.0-4", "2.0-4"]);
    world.write(&[Op::put("a", vec![b'v'; 200])], false);
    assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Blocked);
    world.settle();
    assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Synced);
    world.check_end();
}

/// The head's own read came to a row that no outbox holds, while an outbox held a little. Its member was blocked until half
/// of the outbox is free, which it was already: nobody was going to report, and the watch stood still for ever.
#[test]
fn a_row_that_no_outbox_holds_does_not_block_an_outbox_with_room() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2).with_lag_policy(LagPolicy::Cancel));
    world.write(&[Op::put("a", vec![b'v'; 4 * CHUNK_BYTES_MAX])], true);
    world.answer_head();
    assert_eq!(world.engine.status(stream, 0).unwrap().standing, WatcherStanding::Unsynced);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: 2.0"]);
    world.check_end();
}

/// The room for a chunk was kept once a stream and read, but members of one group on one stream that were picked up at
/// different places were each given the chunk from their place on: with k of them, k times what was kept.
#[test]
fn members_of_one_group_on_one_stream_do_not_get_a_chunk_each() {
    let mut world = World::new();
    world.put_times(20);
    let stream = world.attach(0);
    for id in 0..4 {
        world.watch_quietly(stream, id, all(2 + u64::try_from(id).unwrap()));
    }
    world.turn();
    world.answer();
    assert_eq!(world.hear(stream)[4..], ["0: 2.0", "0,1: 3.0", "0,1,2: 4.0"]);
    world.answer();
    assert_eq!(world.hear(stream), ["0,1,2,3: 5.0 6.0 7.0"]);
    world.settle();
    world.check_end();
}

/// A revision that no outbox holds still comes, part by part, and a row that no outbox holds comes alone.
#[test]
fn nothing_is_too_large_to_come() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    let large = |key: &str| Op::put(key, vec![b'v'; 4 * CHUNK_BYTES_MAX]);
    world.write(&[large("a"), Op::put("b", "v"), large("c"), Op::put("d", "v")], false);
    world.settle();
    let heard = world.receiver(stream).heard();
    assert_eq!(heard[1..], ["0: 2.0 …", "0: 2.1 …", "0: 2.2 …", "0: 2.3"]);
    world.check_end();
}
