//! Watches: where they start, what they are sent, and how they end.

use watchful::{
    End, EventFilter, KeyRange, ManualClock, Settings, Store, StreamItem, Update, Watch, WatchOptions,
};
use watchful_testkit::{Filters, Observation, WatchSpec, checkers};

use crate::support::{PATIENCE, Receiver, Twin, everything, narrow, settings};

fn next(watch: &mut Watch) -> Result<Update, End> {
    watch.wait_next_for(PATIENCE).expect("an update was owed").expect("the watch goes on")
}

#[test]
fn a_start_of_zero_means_from_the_next_change_on() {
    let mut twin = Twin::of("put a 1");
    for options in [WatchOptions::new(everything()), WatchOptions::new(everything()).start_at(0)] {
        let current_revision = twin.current_revision();
        let mut watch = twin.watch(&options).unwrap();
        assert_eq!(watch.next_revision(), current_revision + 1);
        twin.run("put a 2");
        let Ok(Update::Events(batch)) = next(&mut watch) else { panic!("an event is owed") };
        assert_eq!(batch.first_revision(), current_revision + 1);
    }
}

#[test]
fn a_start_in_the_past_gets_history_then_live_without_gap_or_repeat() {
    let mut twin = Twin::of("put a 1\n put b 1\n del a");
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2).with_prev_kv());
    seen.read_to(4);
    twin.run("put a 2\n txn { put b 2; del a }");
    seen.read_to(6);
    assert_eq!(
        seen.lines(),
        [
            "2.0 put a=1",
            "3.0 put b=1",
            "4.0 del a was 1",
            "5.0 put a=2",
            "6.0 put b=2 was 1",
            "6.1 del a was 2"
        ]
    );
    checkers::hand_over(&seen.spec, &seen.observed, &twin.model).unwrap();
    seen.check(&twin.model);
}

#[test]
fn a_start_above_the_current_revision_is_silent_until_then() {
    let mut twin = Twin::of("put a 1");
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 5));
    seen.watch.ask_progress(0);
    twin.run("put a 2\n put a 3\n put a 4\n put a 5");
    seen.read_to(6);
    assert_eq!(seen.lines(), ["5.0 put a=4", "6.0 put a=5"]);
    checkers::future_start(&seen.spec, &seen.observed).unwrap();
    seen.check(&twin.model);
}

#[test]
fn a_start_below_the_compact_revision_ends_at_once_with_compacted() {
    let twin = Twin::of("put a 1\n put a 2\n put a 3\n compact 4");
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 3));
    assert_eq!(seen.read_to_the_end(), Observation::Compacted { compact_revision: 4 });
    checkers::compacted_at_start(&seen.spec, &seen.observed, 4).unwrap();
    seen.check(&twin.model);
}

#[test]
fn a_start_at_the_compact_revision_gets_all_of_it_tombstones_too() {
    let mut twin = Twin::of("put a 1\n put b 1\n txn { put c 1; del a; put b 2 }\n put c 2\n compact 4");
    let expected = ["4.0 put c=1", "4.1 del a", "4.2 put b=2", "5.0 put c=2"];
    assert_eq!(twin.watch_lines(4), expected);
    twin.run("put d 1\n del d");
    assert_eq!(twin.watch_lines(4)[..4], expected);
    twin.reopen();
    assert_eq!(twin.watch_lines(4)[..4], expected);
}

/// The slices that were done before the store was closed are of one row each.
#[test]
fn a_start_at_the_compact_revision_gets_all_of_it_after_a_compaction_that_was_broken_off() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(1));
    for at in 0..100 {
        twin.run(&format!("txn {{ put a{} {at}; del b{}; put b{} {at} }}", at % 3, at % 2, (at + 1) % 2));
    }
    twin.run("compact 90");
    for _ in 0..5 {
        twin.reopen();
        twin.check();
        assert_eq!(twin.watch_lines(90)[0], "90.0 put a1=88");
    }
}

#[test]
fn a_watch_that_falls_behind_compaction_is_told_once_and_never_has_a_gap() {
    let mut twin = Twin::with(narrow());
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2));
    twin.run("put k0 first");
    assert!(seen.read_one(), "it is given what fits");
    for at in 1..500 {
        twin.run(&format!("put k{} {}", at % 7, "v".repeat(50)));
    }
    twin.run("compact 500");
    let end = seen.read_to_the_end();
    assert_eq!(end, Observation::Compacted { compact_revision: 500 });
    checkers::compacted(&seen.spec, &seen.observed).unwrap();
    checkers::compacted_is_true(&seen.spec, &seen.observed, &twin.model).unwrap();
    seen.check(&twin.model);
}

#[test]
fn a_watch_that_nothing_matches_becomes_synced_and_its_progress_advances() {
    let mut twin = Twin::of("put a 1\n put a 2");
    let mut seen = Receiver::open(&twin, WatchSpec::new(KeyRange::prefix("quiet"), 2));
    seen.read_to(3);
    checkers::becomes_synced(&seen.observed, 3).unwrap();
    twin.run("put a 3");
    seen.read_to(4);
    checkers::becomes_synced(&seen.observed, 4).unwrap();
    assert_eq!(seen.lines(), [""; 0]);
    seen.check(&twin.model);
}

#[test]
fn a_filter_that_drops_all_of_a_revision_sends_nothing_and_progress_advances() {
    let mut twin = Twin::of("put a 1\n del a");
    let filters = Filters { no_put: true, no_delete: false };
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2).with_filters(filters));
    seen.read_to(3);
    twin.run("txn { put a 2; put b 2 }\n txn { put a 3; del b }");
    seen.read_to(5);
    assert_eq!(seen.lines(), ["3.0 del a", "5.1 del b"]);
    seen.check(&twin.model);
    let filters = Filters { no_put: false, no_delete: true };
    let seen = twin.check_watch(WatchSpec::new(everything(), 2).with_filters(filters));
    checkers::filtered(&WatchSpec::new(everything(), 2).with_filters(filters), &seen).unwrap();
    assert_eq!(seen.events().count(), 4);
    let nothing = EventFilter { no_put: true, no_delete: true };
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2).with_filter(nothing)).unwrap();
    watch.ask_progress(5);
    assert_eq!(next(&mut watch), Ok(Update::Progress { revision: 5 }));
}

/// See `watch_api` for the same with a hundred thousand events and the memory they cost.
#[test]
fn a_receiver_that_stops_reading_continues_in_full_when_it_reads_again() {
    let mut twin = Twin::with(narrow());
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2));
    for at in 0..500 {
        twin.run(&format!("put k{} {}", at % 7, "v".repeat(50)));
    }
    seen.read_to(501);
    assert_eq!(seen.observed.events().count(), 500);
    seen.check(&twin.model);
}

#[test]
fn prev_kv_is_the_value_before_and_none_on_create_or_where_it_is_compacted_away() {
    let mut twin = Twin::of("put a 1");
    let mut live = Receiver::open(&twin, WatchSpec::new(everything(), 3).with_prev_kv());
    live.read_to(2.max(twin.current_revision() - 1));
    twin.run("txn { put a 2; put a 3 }\n del a\n put a 4\n put a 5");
    live.read_to(6);
    let expected =
        ["3.0 put a=2 was 1", "3.1 put a=3 was 2", "4.0 del a was 3", "5.0 put a=4", "6.0 put a=5 was 4"];
    assert_eq!(live.lines(), expected);
    live.check(&twin.model);
    let from_history = WatchSpec::new(everything(), 3).with_prev_kv();
    assert_eq!(crate::support::lines(&twin.check_watch(from_history)), expected);
    assert_eq!(twin.watch_lines(6), ["6.0 put a=5"], "nobody asked");

    twin.run("compact 6\n put b 1");
    crate::support::eventually("compaction to end", || (twin.stats().mvcc.versions == 2).then_some(()));
    let compacted = twin.check_watch(WatchSpec::new(everything(), 6).with_prev_kv());
    assert_eq!(crate::support::lines(&compacted), ["6.0 put a=5", "7.0 put b=1"]);
}

#[test]
fn a_live_batch_names_its_own_revision_and_one_from_history_the_stores_at_that_time() {
    let mut twin = Twin::of("put a 1\n put a 2\n put b 1");
    let mut watch = twin.watch(&WatchOptions::new(KeyRange::key("a")).start_at(2)).unwrap();
    let Ok(Update::Events(past)) = next(&mut watch) else { panic!("history is owed") };
    assert_eq!((past.last_revision(), past.head()), (3, 4));
    twin.run("put a 3");
    let Ok(Update::Events(live)) = next(&mut watch) else { panic!("an event is owed") };
    assert_eq!((live.last_revision(), live.head()), (5, 5));
}

#[test]
fn created_comes_before_anything_else_and_the_first_id_is_zero() {
    let twin = Twin::of("put a 1\n put a 2");
    let mut stream = twin.watch_stream(None).unwrap();
    let from = |start| WatchOptions::new(everything()).start_at(start);
    let ids: Vec<_> = (0..3).map(|at| stream.control().watch(&from(at + 1)).unwrap()).collect();
    assert_eq!(ids, [0, 1, 2]);
    let mut created = Vec::new();
    stream.control().ask_progress(3);
    loop {
        match stream.wait_next_for(PATIENCE).unwrap().unwrap() {
            StreamItem::Created { watch, .. } => created.push(watch),
            StreamItem::Events { watches, .. } => assert!(watches.iter().all(|id| created.contains(&id))),
            StreamItem::Progress { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(created, ids);
}

#[test]
fn an_id_in_use_is_refused_and_the_watch_that_has_it_goes_on() {
    let mut twin = Twin::of("put a 1");
    let mut stream = twin.watch_stream(None).unwrap();
    stream.control().watch_as(0, &WatchOptions::new(everything())).unwrap();
    stream.control().watch_as(0, &WatchOptions::new(everything())).unwrap();
    assert_eq!(stream.control().watch(&WatchOptions::new(everything())).unwrap(), 1, "0 is taken");
    let mut next = || stream.wait_next_for(PATIENCE).unwrap().unwrap();
    assert!(matches!(next(), StreamItem::Created { watch: 0, .. }));
    assert!(matches!(next(), StreamItem::Refused { watch: 0, .. }));
    assert!(matches!(next(), StreamItem::Created { watch: 1, .. }));
    twin.run("put a 2");
    let StreamItem::Events { watches, .. } = next() else { panic!("events are owed") };
    assert_eq!(watches.iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_cancelled_watch_hears_one_end_and_nothing_after_it_and_an_unknown_one_nothing() {
    let mut twin = Twin::of("put a 1");
    let mut stream = twin.watch_stream(None).unwrap();
    let control = stream.control().clone();
    let cancelled = control.watch(&WatchOptions::new(everything())).unwrap();
    let kept = control.watch(&WatchOptions::new(KeyRange::key("a"))).unwrap();
    control.cancel(99);
    control.cancel(cancelled);
    control.cancel(cancelled);
    // The cancel and the put may otherwise reach the driver together: then the event comes before the end, as it may.
    settle(&twin);
    twin.run("put a 2");
    control.ask_progress(3);
    let mut ends = 0;
    loop {
        match stream.wait_next_for(PATIENCE).unwrap().unwrap() {
            StreamItem::Created { .. } => {}
            StreamItem::Ended { watches, end } => {
                assert_eq!((watches.iter().collect::<Vec<_>>(), end), (vec![cancelled], End::Cancelled));
                ends += 1;
            }
            StreamItem::Events { watches, .. } => assert_eq!(watches.iter().collect::<Vec<_>>(), [kept]),
            StreamItem::Progress { .. } => break,
            other @ StreamItem::Refused { .. } => panic!("{other:?}"),
        }
    }
    assert_eq!(ends, 1);
    assert_eq!(control.status(cancelled).wait().unwrap(), None);
}

fn with_clock() -> (ManualClock, Settings) {
    let clock = ManualClock::default();
    (clock.clone(), settings().with_clock(clock))
}

/// Asks the driver something, so that it has seen everything before.
fn settle(store: &Store) {
    crate::support::gauges(store);
}

#[test]
fn periodic_progress_is_for_those_who_asked_and_is_skipped_where_an_event_was_sent() {
    let (clock, settings) = with_clock();
    let mut twin = Twin::with(settings);
    twin.run("put a 1");
    let mut asked = twin.watch(&WatchOptions::new(KeyRange::key("a")).with_progress_notify(true)).unwrap();
    let mut quiet = twin.watch(&WatchOptions::new(KeyRange::key("q")).with_progress_notify(true)).unwrap();
    let mut silent = twin.watch(&WatchOptions::new(KeyRange::key("q"))).unwrap();
    let interval = twin.settings.progress_interval;
    settle(&twin);
    // The first interval may have begun before they were synced; from here on it is theirs.
    clock.advance(interval);
    settle(&twin);
    let first = |watch: &mut Watch| match next(watch) {
        Ok(Update::Progress { revision }) => revision,
        other => panic!("{other:?}"),
    };
    assert_eq!((first(&mut asked), first(&mut quiet)), (2, 2));
    twin.run("put a 2");
    settle(&twin);
    clock.advance(interval);
    settle(&twin);
    assert!(matches!(next(&mut asked), Ok(Update::Events(_))));
    assert_eq!(first(&mut quiet), 3);
    clock.advance(interval);
    settle(&twin);
    assert_eq!(first(&mut asked), 3, "nothing was sent in this interval");
    silent.ask_progress(3);
    assert_eq!(first(&mut silent), 3, "the only progress is the one it asked for");
}

/// A client takes the answer as the point to resume every watch of the stream from.
#[test]
fn progress_that_was_asked_for_comes_once_every_watch_has_started_and_is_synced() {
    let mut twin = Twin::of("put a 1");
    let mut stream = twin.watch_stream(None).unwrap();
    let control = stream.control().clone();
    control.ask_progress(0);
    control.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    control.watch(&WatchOptions::new(KeyRange::key("f")).start_at(5)).unwrap();
    control.ask_progress(0);
    twin.run("put a 2");
    settle(&twin);
    twin.run("put a 3");
    let mut items = Vec::new();
    loop {
        match stream.wait_next_for(PATIENCE).unwrap().unwrap() {
            StreamItem::Progress { revision, watches } => {
                items.push(format!("progress {revision} {}", watches.is_none()));
                break;
            }
            StreamItem::Events { batch, .. } => {
                items.extend(batch.events().iter().map(|event| event.revision().main.to_string()));
            }
            _ => {}
        }
    }
    assert_eq!(items, ["2", "3", "4", "progress 4 true"], "not before 5 was the next to come");
}

#[test]
fn a_stream_without_watches_answers_no_question_for_progress() {
    let twin = Twin::of("put a 1");
    let mut stream = twin.watch_stream(None).unwrap();
    stream.control().ask_progress(0);
    settle(&twin);
    stream.control().watch(&WatchOptions::new(everything())).unwrap();
    assert!(matches!(stream.wait_next_for(PATIENCE), Ok(Some(StreamItem::Created { .. }))));
    stream.control().ask_progress(0);
    assert!(matches!(stream.wait_next_for(PATIENCE), Ok(Some(StreamItem::Progress { revision: 2, .. }))));
    settle(&twin);
    assert!(stream.wait_next_for(std::time::Duration::ZERO).is_err(), "one question, one answer");
}

#[test]
fn fragments_of_a_large_revision_are_marked_but_for_the_last() {
    let mut twin = Twin::with(narrow());
    let mut live = Receiver::open(&twin, WatchSpec::new(everything(), 2));
    let puts: Vec<String> = (0..200).map(|at| format!("put k{at:03} {at}")).collect();
    twin.run(&format!("txn {{ {} }}\n put z 1", puts.join("; ")));
    live.read_to(3);
    live.check(&twin.model);
    let past = twin.check_watch(WatchSpec::new(everything(), 2));
    for observed in [&live.observed, &past] {
        let marks: Vec<bool> = observed
            .observations()
            .iter()
            .filter_map(|observation| match observation {
                Observation::Batch(batch) if batch.first_revision == 2 => Some(batch.fragment),
                _ => None,
            })
            .collect();
        let (last, others) = marks.split_last().unwrap();
        assert!(others.len() > 3 && others.iter().all(|mark| *mark) && !last, "{marks:?}");
        checkers::atomic(&WatchSpec::new(everything(), 2), observed).unwrap();
    }
}

#[test]
fn a_watch_of_several_ranges_gets_one_order_and_each_event_once() {
    let mut twin = Twin::new();
    let mut spec = WatchSpec::new(KeyRange::prefix("a"), 2);
    spec.ranges.extend([KeyRange::between("ab", "c").unwrap(), KeyRange::key("x"), KeyRange::from_key("y")]);
    let mut live = Receiver::open(&twin, spec.clone());
    twin.run("put ab 1\n put x 1\n put c 1\n txn { put z 1; put a 1; put xx 1 }\n del a*");
    live.read_to(6);
    live.check(&twin.model);
    let expected = ["2.0 put ab=1", "3.0 put x=1", "5.0 put z=1", "5.1 put a=1", "6.0 del a", "6.1 del ab"];
    assert_eq!(live.lines(), expected);
    twin.check_watch(spec);
}

/// Whoever waits for a revision to come waits for it on a restored store too, where it comes a second time.
#[test]
fn a_start_in_the_future_is_silent_on_a_restored_store_too() {
    let twin = Twin::of("put a 1\nput a 2");
    let dir = tempfile::tempdir().unwrap();
    let (backup, folder) = (dir.path().join("backup"), dir.path().join("store"));
    twin.backup(&backup).unwrap();
    watchful::restore(&backup, &folder).unwrap();
    let restored = Store::open(&folder, settings()).unwrap();
    let mut watch = restored.watch(&WatchOptions::new(everything()).start_at(6)).unwrap();
    for revision in 4..=7 {
        assert_eq!(restored.put("a", "x").wait().unwrap().revision, revision);
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let Ok(Update::Events(batch)) = next(&mut watch) else { panic!("no progress was asked for") };
        seen.extend(batch.events().iter().map(|event| event.revision().main));
    }
    assert_eq!(seen, [6, 7]);
}
