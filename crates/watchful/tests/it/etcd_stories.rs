//! What etcd's users went through, and what happens here instead. Each test opens with the story.
//!
//! Stories that need a certain interleaving of the engine's facts are told again where these can be ordered at will:
//! `watchful-sync` (`tests/it`, `schedules` and `world`) and `watchful-mvcc` (`tests/it`, `compaction` and `against_model`).
//! 8443 and 19577 are also `watch_api::cancel_by_drop_leaves_nothing_behind`; 16839 and 21355 are
//! `watch_api::a_receiver_that_never_reads_costs_bounded_memory_and_then_gets_everything`; 19179 and 18089 are
//! `behaviour::watch::a_start_at_the_compact_revision_gets_all_of_it_after_a_compaction_that_was_broken_off`.

use std::future::Future;
use std::task::Poll;

use watchful::{KeyRange, RangeOptions, StreamItem, Update, WatchOptions};
use watchful_testkit::{Observation, WatchSpec, checkers};

use crate::support::{
    PATIENCE, Receiver, Twin, check_nothing_is_left, eventually, everything, gauges, narrow, settings,
};

/// etcd 22264: its catch-up read the whole backlog at each turn, sent a thousand revisions of it, and held the lock that
/// writers need meanwhile. With a backlog of D revisions it read about D²/2000 of them. Here each revision of the backlog
/// is read once, in chunks, under no lock.
#[test]
fn a_backlog_is_read_once_however_long() {
    let twin = Twin::new();
    let backlog = 20_000;
    fill(&twin, backlog);
    let before = twin.stats();
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    let mut events = 0;
    while events < backlog {
        if let Some(Ok(Update::Events(batch))) = watch.wait_next_for(PATIENCE).unwrap() {
            events += batch.events().len() as u64;
        }
    }
    let read = twin.stats().history_rows - before.history_rows;
    assert!(read < backlog + backlog / 10, "{read} rows were read for {backlog}");
    assert!(twin.stats().history_reads - before.history_reads > 5, "in chunks");
}

/// Puts that are awaited in company, so that they share commits.
fn fill(twin: &Twin, revisions: u64) {
    let value = "v".repeat(100);
    let mut writes: Vec<_> = (0..revisions).map(|at| twin.put(format!("k{}", at % 1000), &value)).collect();
    crate::support::block_on(std::future::poll_fn(|cx| {
        writes.retain_mut(|write| match std::pin::Pin::new(write).poll(cx) {
            Poll::Ready(done) => done.map(|_| false).unwrap(),
            Poll::Pending => true,
        });
        if writes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }));
}

/// etcd 18109: with ten thousand watchers, or one far behind, puts took many times as long. Here the writer pushes a
/// batch and goes on; this counts what it waits for instead of measuring it: while no receiver reads and every outbox is
/// full, every put is still acknowledged.
#[test]
fn a_writer_waits_for_no_watcher() {
    let twin = Twin::with(narrow());
    let stalled: Vec<_> = (0..200)
        .map(|at| twin.watch(&WatchOptions::new(everything()).start_at(2 + at % 2)).unwrap())
        .collect();
    for at in 0..500 {
        twin.put(format!("k{at}"), "v".repeat(200)).wait().unwrap();
    }
    assert_eq!(twin.current_revision(), 501);
    let found = gauges(&twin);
    assert_eq!(found.watches, 200);
    let most = 200 * twin.settings.outbox_bytes_max;
    assert!(found.queued_bytes <= most, "{} of {most}", found.queued_bytes);
    drop(stalled);
    check_nothing_is_left(&twin);
}

/// etcd 22294: with 512 or more unsynced watchers, those that were compacted were told so again and again, for ever.
/// Here each is told once, and is then gone.
#[test]
fn a_thousand_compacted_watches_are_told_once_each() {
    let twin = Twin::of("put a 1\n put a 2\n put a 3\n compact 4");
    let mut stream = twin.watch_stream(None).unwrap();
    for _ in 0..1000 {
        stream.control().watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    }
    stream.control().watch(&WatchOptions::new(everything()).start_at(4)).unwrap();
    stream.control().ask_progress(4);
    let mut told = vec![0; 1001];
    loop {
        match stream.wait_next_for(PATIENCE).unwrap().unwrap() {
            StreamItem::Ended { watches, end } => {
                assert_eq!(end, watchful::End::Compacted { compact_revision: 4 });
                watches.iter().for_each(|id| told[usize::try_from(id).unwrap()] += 1);
            }
            StreamItem::Progress { .. } => break,
            _ => {}
        }
    }
    assert_eq!(told, [vec![1; 1000], vec![0]].concat());
    assert_eq!(gauges(&twin).watches, 1);
}

/// etcd 22376: a key was deleted and made again in one transaction, and the store compacted at that very revision. The
/// compaction took the live value with it. Here every row of the compacted revision stays until the next compaction, and
/// the newest put of a living key always does.
#[test]
fn a_key_deleted_and_made_again_in_one_revision_survives_compaction_there() {
    for script in ["put a 1\n txn { del a; put a 2 }", "put a 1\n txn { del a; put a x; del a; put a 2 }"] {
        let mut twin = Twin::of(script);
        twin.run("compact 3\n put b 1\n put b 2");
        eventually("compaction to end", || (twin.stats().mvcc.superseded <= 5).then_some(()));
        for _ in 0..2 {
            assert_eq!(twin.get("a").unwrap().unwrap().value(), b"2");
            twin.check();
            twin.reopen();
        }
        twin.run("compact 5");
        eventually("compaction to end", || (twin.stats().mvcc.versions == 2).then_some(()));
        twin.reopen();
        assert_eq!(twin.get("a").unwrap().unwrap().value(), b"2");
        twin.check();
    }
}

/// etcd 20242: one watch that was slow, or that started in the future, kept the progress of its whole stream back, or
/// let it through although that watch had not started. Here a watch by itself has its own outbox, and on a stream the
/// question waits only for the watches of that stream.
#[test]
fn a_slow_or_future_watch_starves_nobody_elses_progress() {
    let twin = Twin::with(narrow());
    let slow = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    let future = twin.watch(&WatchOptions::new(everything()).start_at(1_000_000)).unwrap();
    for at in 0..200 {
        twin.put(format!("k{at}"), "v".repeat(200)).wait().unwrap();
    }
    let mut quiet = twin.watch(&WatchOptions::new(KeyRange::key("q"))).unwrap();
    quiet.ask_progress(201);
    assert_eq!(quiet.wait_next_for(PATIENCE).unwrap(), Some(Ok(Update::Progress { revision: 201 })));
    drop((slow, future));
}

/// etcd 17529 and 17555: a watch that was being caught up while the store was compacted skipped what was gone, and never
/// heard of it. Here, round after round, a compaction meets a watch in every stage of catching up: it gets all, or all up
/// to some revision and then one `Compacted`.
#[test]
fn events_are_never_lost_without_a_compaction_notice() {
    let mut compacted = 0;
    for round in 0..30 {
        let mut twin = Twin::with(narrow());
        for at in 0..80 {
            twin.run(&format!("put k{} {}", at % 5, "v".repeat(60)));
        }
        let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2));
        let target = 40 + round;
        for _ in 0..round % 7 {
            seen.read_one();
        }
        twin.run(&format!("compact {target}\n put z 1"));
        seen.read_to(82);
        seen.check(&twin.model);
        let ended = matches!(seen.observed.observations().last(), Some(Observation::Compacted { .. }));
        compacted += u32::from(ended);
        assert!(ended || seen.observed.events().count() == 81, "round {round}");
    }
    assert!(compacted > 0, "no round met a watch that was behind");
}

/// etcd 15220 and 20221: a progress response overtook events that were still on their way, so a client that resumed from
/// it lost them. Here progress is an element of the same queue. Every barrier is asked for right after a put, before
/// anything of it was read.
#[test]
fn progress_overtakes_no_event() {
    let mut twin = Twin::with(narrow());
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2));
    for at in 0..300_u64 {
        twin.run(&format!("put k{} {}", at % 7, "v".repeat(50)));
        seen.watch.ask_progress(at + 2);
        if at % 50 == 49 {
            seen.read_to(at + 2);
            assert_eq!(seen.observed.events().count() as u64, at + 1);
        }
    }
    checkers::bookmarkable(&seen.spec, &seen.observed).unwrap();
    seen.check(&twin.model);
}

/// etcd 15271: a revision went back on a watch after a reconnection. etcd 17247: an event came twice. Here a watch that
/// is dropped in the middle and resumed from its token goes on exactly there, however often.
#[test]
fn a_watch_resumed_again_and_again_loses_and_repeats_nothing() {
    let mut twin = Twin::with(narrow());
    for at in 0..300 {
        twin.run(&format!("txn {{ put a{} {at}; put b {at} }}", at % 7));
    }
    let spec = WatchSpec::new(everything(), 2).with_prev_kv();
    let mut parts = Vec::new();
    let mut next = Receiver::open(&twin, spec);
    while next.watch.next_revision() <= 301 {
        for _ in 0..1 + parts.len() % 3 {
            next.read_one();
        }
        let token = next.watch.resume_token();
        let spec = WatchSpec { start_revision: token.next_revision(), ..next.spec.clone() };
        let options = crate::support::watch_options(&spec).resume(token.to_string().parse().unwrap());
        let watch = twin.watch(&options).unwrap();
        parts.push(std::mem::replace(&mut next, Receiver::new(watch, spec)).observed);
    }
    assert!(parts.len() > 10);
    let whole = WatchSpec::new(everything(), 2).with_prev_kv();
    checkers::resumable(&whole, &parts.iter().collect::<Vec<_>>(), &twin.model).unwrap();
    assert!(parts.iter().map(|part| part.events().count()).sum::<usize>() >= 600);
}

/// etcd 15248: a watch that was resumed at a revision got events of the revision before it. A range over a revision's
/// events that begins in its middle is no such thing here: a start is a whole revision.
#[test]
fn a_resumed_watch_gets_nothing_of_the_revision_before() {
    let twin = Twin::of("txn { put a 1; put b 1 }\n txn { put a 2; put b 2 }");
    assert_eq!(twin.watch_lines(3), ["3.0 put a=2", "3.1 put b=2"]);
}

/// etcd 9775 and 19487: a watch that was to start at a future revision was sent events before it, after a restore or when
/// it was moved between lists. Here nothing is sent before its start, in any setting.
#[test]
fn a_future_watch_gets_nothing_before_its_start() {
    for settings in [settings(), narrow()] {
        let mut twin = Twin::with(settings);
        let mut seen: Vec<_> =
            (2..40).map(|start| Receiver::open(&twin, WatchSpec::new(everything(), start))).collect();
        for at in 0..50 {
            twin.run(&format!("txn {{ put a {at}; put b {} }}", "v".repeat(100)));
        }
        for seen in &mut seen {
            seen.read_to(51);
            checkers::future_start(&seen.spec, &seen.observed).unwrap();
            seen.check(&twin.model);
        }
    }
}

/// etcd 17557: a watcher whose keys nobody changed stayed unsynced, was compacted, and never heard of progress. Here a
/// cursor moves with the chunk, whether anything matched or not.
#[test]
fn a_watcher_of_quiet_keys_is_not_left_behind() {
    let mut twin = Twin::with(narrow());
    for at in 0..200 {
        twin.run(&format!("put k{} {}", at % 7, "v".repeat(50)));
    }
    let mut seen = Receiver::open(&twin, WatchSpec::new(KeyRange::key("quiet"), 2));
    seen.read_to(201);
    twin.run("compact 201\n put k0 1");
    seen.read_to(202);
    checkers::becomes_synced(&seen.observed, 202).unwrap();
    seen.check(&twin.model);
}

/// etcd 17780: the newest record was a tombstone, compaction took it, and after a restart the revision went back: a later
/// write got a revision that watchers had seen already. Here the newest row is never taken, and the compact revision is a
/// lower bound.
#[test]
fn the_revision_does_not_go_back_when_the_newest_record_was_a_compacted_tombstone() {
    let mut twin = Twin::of("put a 1\n put b 1\n del a\n compact 4");
    let mut readings = vec![twin.current_revision()];
    for _ in 0..3 {
        twin.reopen();
        readings.push(twin.current_revision());
    }
    checkers::revision_never_goes_back(readings).unwrap();
    assert_eq!(
        twin.run("put c 1\n del b\n del c\n compact 7\n !reopen\n put d 1"),
        "5\n6 deleted 1\n7 deleted 1\nok\nok\n8\n"
    );
    twin.check();
}

/// etcd 9506 and 21284: each compaction walked every key that lives, with the index locked. Here it costs what was
/// superseded: with many keys that nobody changed, a compaction reads a handful of rows.
#[test]
fn compaction_does_not_walk_the_living() {
    let twin = Twin::new();
    let keys = twin.transact(|txn| {
        (0..20_000).try_for_each(|at| txn.put(format!("k{at:05}"), "v"))?;
        Ok::<_, watchful::Error>(())
    });
    keys.wait().unwrap();
    for at in 0..10 {
        twin.put("a", at.to_string()).wait().unwrap();
    }
    twin.compact(twin.current_revision()).wait().unwrap();
    eventually("compaction to end", || (twin.stats().mvcc.versions == 20_001).then_some(()));
    let read = twin.stats().mvcc.compaction_rows_read;
    assert!(read <= 100, "{read} rows were read to forget 9");
}

/// etcd 8443 and 19577: a stream that was closed while its watches were being made or cancelled left some behind.
#[test]
fn whatever_order_they_go_in_nothing_is_left_of_them() {
    let twin = Twin::with(narrow());
    for at in 0..50 {
        twin.put(format!("k{at}"), "v".repeat(100)).wait().unwrap();
    }
    for round in 0..50_u64 {
        let stream = twin.watch_stream(None).unwrap();
        let control = stream.control().clone();
        let alone = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
        for at in 0..round % 9 {
            let id = control.watch(&WatchOptions::new(everything()).start_at(2 + at * 20)).unwrap();
            if at % 3 == 0 {
                control.cancel(id);
            }
        }
        control.ask_progress(0);
        if round % 2 == 0 {
            drop((alone, stream, control));
        } else {
            drop((control, stream, alone));
        }
    }
    check_nothing_is_left(&twin);
}

/// A delivered revision can be read at once: a watcher that asks the store for what it was just told must find it.
#[test]
fn what_was_delivered_can_be_read() {
    let twin = Twin::new();
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..500).for_each(|at| drop(twin.put("a", at.to_string()).wait().unwrap())));
        let mut last = 1;
        while last < 501 {
            let Some(Ok(Update::Events(batch))) = watch.wait_next_for(PATIENCE).unwrap() else { panic!() };
            last = batch.last_revision();
            let found = twin.view_at(last).unwrap().range(&everything(), &RangeOptions::default()).unwrap();
            assert_eq!(found.records[0].mod_revision(), last);
        }
    });
}
