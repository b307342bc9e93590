//! "You have everything up to r": never too early, never lost.

use watchful_revision::KeyRange;
use watchful_sync::{LagPolicy, WatchSpec};
use watchful_testkit::Op;

use watchful_sync_world::{World, pick};

const ROOMY: usize = 1 << 20;

fn all(start_revision: u64) -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), start_revision)
}

#[test]
fn a_question_asked_before_all_are_synced_is_kept_and_answered_once() {
    let mut world = World::new();
    world.put("a");
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, all(3));
    world.watch(stream, 1, all(2));
    world.ask_progress(stream, 0);
    world.ask_progress(stream, 0);
    assert_eq!(world.hear(stream), ["0: created", "1: created"]);
    world.answer_all();
    assert_eq!(world.hear(stream), ["1: 2.0", "progress 2"]);
    world.put("a");
    assert_eq!(world.hear(stream), ["0,1: 3.0"]);
    world.check_end();
}

#[test]
fn no_answer_while_one_watch_starts_in_the_future() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, all(2));
    world.watch(stream, 1, all(4));
    world.ask_progress(stream, 0);
    world.put("a");
    assert_eq!(world.hear(stream), ["0: created", "1: created", "0: 2.0"]);
    world.put("a");
    assert_eq!(world.hear(stream), ["0: 3.0", "progress 3"]);
    world.check_end();
}

#[test]
fn the_answer_waits_for_the_revision_that_was_asked_for() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, WatchSpec::new(KeyRange::key("quiet"), 2));
    world.ask_progress(stream, 3);
    world.put("a");
    assert_eq!(world.hear(stream), ["0: created"]);
    world.put_dropped("a");
    assert_eq!(world.hear(stream), [""; 0]);
    world.answer_all();
    assert_eq!(world.hear(stream), ["progress 3"]);
    world.check_end();
}

/// The outbox is full when the answer is due, and the receiver was told to report only where somebody waits for room.
#[test]
fn an_answer_that_finds_no_room_waits_for_it() {
    let mut world = World::new();
    let stream = world.attach(0);
    world.watch(stream, 0, all(2));
    world.put_times(5);
    world.ask_progress(stream, 0);
    world.settle();
    assert_eq!(world.receiver(stream).heard().last().unwrap(), "progress 6");
    world.check_end();
}

#[test]
fn a_stream_without_watches_is_silent() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.ask_progress(stream, 0);
    world.put("a");
    assert_eq!(world.hear(stream), [""; 0]);
    world.watch(stream, 0, all(2));
    world.ask_progress(stream, 0);
    world.cancel(stream, 0);
    world.answer_all();
    assert_eq!(world.hear(stream), ["0: created", "0: cancelled"]);
    world.check_end();
}

#[test]
fn the_interval_is_for_those_who_asked_and_were_quiet() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    let notify = |key: &str| WatchSpec::new(KeyRange::key(key), 2).with_progress_notify(true);
    world.watch(stream, 0, notify("a"));
    world.watch(stream, 1, notify("quiet"));
    world.watch(stream, 2, WatchSpec::new(KeyRange::key("quiet"), 2));
    world.put("a");
    world.tick();
    world.turn();
    let heard = world.hear(stream);
    assert_eq!(heard[3..], ["0: 2.0", "1: progress 2"]);
    world.tick();
    world.turn();
    let heard = world.hear(stream);
    assert_eq!((pick(&heard, 0), pick(&heard, 1)), (vec!["0: progress 2"], vec!["1: progress 2"]));
    world.check_end();
}

/// Whatever the head read was superseded for a conflating watch, which was given nothing, and was taken all the same for one
/// that had been given something: it was not told where it stands until one interval later, or never where that goes on.
#[test]
fn what_is_superseded_is_nothing_that_was_given() {
    let mut world = World::new();
    let (stream, other) = (world.attach(ROOMY), world.attach(ROOMY));
    world.watch(stream, 0, all(2).with_lag_policy(LagPolicy::Conflate).with_progress_notify(true));
    world.watch(other, 0, all(2));
    world.put("a");
    world.tick();
    world.turn();
    assert_eq!(world.hear(stream), ["0: created", "0: 2.0"]);
    world.write(&vec![Op::put("ab", "v"); 6], true);
    world.answer_head();
    world.tick();
    world.turn();
    assert_eq!(world.hear(stream), ["0: progress 2"]);
    world.check_end();
}

/// Synced watchers have a part of a revision. What they have everything of is the revision before.
#[test]
fn no_progress_in_the_middle_of_a_revision() {
    let mut world = World::new();
    let stream = world.attach(ROOMY);
    world.watch(stream, 0, all(2).with_progress_notify(true));
    world.put_dropped("a b c d e f");
    world.answer();
    world.ask_progress(stream, 0);
    world.tick();
    world.turn();
    assert_eq!(world.hear(stream), ["0: created", "0: 2.0 2.1 2.2 …"]);
    world.answer_all();
    assert_eq!(world.hear(stream).last().unwrap(), "progress 2");
    world.check_end();
}
