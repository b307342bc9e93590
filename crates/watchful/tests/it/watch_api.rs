//! The rest of the watching interface: barriers, gauges, tokens, streams, bounds, policies of time, and copies.

use std::time::Duration;

use watchful::{
    CompactionPolicy, End, Error, LagPolicy, ManualClock, Store, StreamItem, Update, WatchOptions,
    WatcherStanding,
};
use watchful_testkit::{Policy, WatchSpec};

use crate::support::{
    PATIENCE, Receiver, Twin, answered, block_on, check_budgets, check_nothing_is_left, eventually,
    everything, gauges, get, narrow, rows_at, settings,
};

/// The story of this one: with an outbox full and nobody reading, the driver asked for room, was told that none had come,
/// and asked again, for ever; nobody else was served. A full outbox must cost nothing until somebody reads.
#[test]
fn a_full_outbox_does_not_keep_the_driver_busy() {
    let twin = Twin::with(narrow());
    let mut stalled = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    for at in 0..100 {
        twin.put(format!("k{at}"), "v".repeat(200)).wait().unwrap();
    }
    let status = eventually("the watch to be blocked", || {
        answered(stalled.status()).filter(|status| status.standing == WatcherStanding::Blocked)
    });
    assert!(status.queued_bytes > twin.settings.outbox_bytes_max / 2, "{status:?}");
    let mut other = twin.watch(&WatchOptions::new(everything())).unwrap();
    other.ask_progress(101);
    assert_eq!(other.wait_next_for(PATIENCE).unwrap(), Some(Ok(Update::Progress { revision: 101 })));
    let mut events = 0;
    while events < 100 {
        if let Ok(Update::Events(batch)) = stalled.wait_next_for(PATIENCE).unwrap().unwrap() {
            events += batch.events().len();
        }
    }
}

/// The story of this one: the writer raised the published revision, then queued the batch. A driver that looked in between
/// took the batch for lost and read it from the disk. A watch that keeps up must cost no reading.
#[test]
fn a_watch_that_keeps_up_reads_no_history() {
    let mut twin = Twin::new();
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 2));
    seen.read_to(1);
    for at in 0..500 {
        twin.run(&format!("put a {at}"));
    }
    seen.read_to(501);
    seen.check(&twin.model);
    let stats = twin.stats();
    assert_eq!(stats.history_rows, 0, "{stats:?}");
}

#[test]
fn progress_on_demand_is_a_barrier() {
    let twin = Twin::new();
    let mut watch = twin.watch(&WatchOptions::new(everything())).unwrap();
    for round in 0..100_u64 {
        let written = twin.put("a", round.to_string()).wait().unwrap().revision;
        watch.ask_progress(written);
        let mut last = None;
        loop {
            match watch.wait_next_for(PATIENCE).unwrap().unwrap().unwrap() {
                Update::Events(batch) => last = Some(batch.last_revision()),
                Update::Progress { revision } => break assert!(revision >= written),
            }
        }
        assert_eq!(last, Some(written), "the barrier came without the event");
    }
}

#[test]
fn status_tells_lag_and_what_is_queued() {
    let twin = Twin::with(narrow());
    let watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    let synced =
        eventually("synced", || answered(watch.status()).filter(|it| it.standing == WatcherStanding::Synced));
    let created = StreamItem::CONTROL_BYTES;
    assert_eq!((synced.lag_revisions, synced.next_revision, synced.queued_bytes), (0, 2, created));
    let future = twin.watch(&WatchOptions::new(everything()).start_at(1000)).unwrap();
    assert_eq!(answered(future.status()).unwrap().standing, WatcherStanding::Future);
    for at in 0..100 {
        twin.put(format!("k{at}"), "v".repeat(100)).wait().unwrap();
    }
    let behind =
        eventually("lag", || answered(watch.status()).filter(|it| it.standing == WatcherStanding::Blocked));
    assert_eq!(behind.next_revision + behind.lag_revisions, 102);
    assert!(behind.lag_revisions > 50 && behind.queued_bytes > 0, "{behind:?}");
    assert_eq!(answered(twin.watchers()).len(), 2);
    assert_eq!(gauges(&twin).lag_revisions_max, behind.lag_revisions);
    assert!(watch.ask_and_drop());
    drop(future);
    check_nothing_is_left(&twin);
}

trait AskAndDrop {
    fn ask_and_drop(self) -> bool;
}

impl AskAndDrop for watchful::Watch {
    fn ask_and_drop(self) -> bool {
        self.ask_progress(0);
        true
    }
}

#[test]
fn cancel_by_drop_leaves_nothing_behind() {
    let twin = Twin::with(narrow());
    for at in 0..100 {
        twin.put(format!("k{at}"), "v".repeat(100)).wait().unwrap();
    }
    for taken in 0..20 {
        let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
        (0..taken).for_each(|_| drop(watch.wait_next_for(PATIENCE).unwrap()));
        // A batch that outlives its watch is the receiver's own.
        let held = watch.wait_next_for(PATIENCE).unwrap();
        drop(watch);
        drop(held);
    }
    check_nothing_is_left(&twin);
}

#[test]
fn a_token_is_good_after_a_reopening_and_refused_by_another_store() {
    let mut twin = Twin::of("put a 1\n put a 2");
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    watch.wait_next_for(PATIENCE).unwrap().unwrap().unwrap();
    let token = watch.resume_token();
    let text = token.to_string();
    drop(watch);
    twin.run("put a 3\n !reopen\n put a 4");
    let resumed = WatchOptions::new(everything()).resume(text.parse().unwrap());
    let mut watch = twin.watch(&resumed).unwrap();
    let Ok(Update::Events(batch)) = watch.wait_next_for(PATIENCE).unwrap().unwrap() else { panic!() };
    assert_eq!(batch.first_revision(), token.next_revision());

    let other = Twin::of("put a 1\n put a 2");
    let refused = other.watch(&resumed).unwrap_err();
    assert!(matches!(refused, Error::TokenRefused { .. }));
    assert!(refused.to_string().contains("another store; list again"), "{refused}");
    let stream = other.watch_stream(None).unwrap();
    assert!(matches!(stream.control().watch(&resumed), Err(Error::TokenRefused { .. })));
}

/// Whoever lists the watchers can tell which are on a stream of his.
#[test]
fn a_stream_knows_the_name_that_the_store_gave_it() {
    let twin = Twin::new();
    let [mut first, mut second] = [(); 2].map(|()| twin.watch_stream(None).unwrap());
    for stream in [&mut first, &mut second] {
        stream.control().watch(&WatchOptions::new(everything())).unwrap();
        let created = stream.wait_next_for(PATIENCE).unwrap();
        assert!(matches!(created, Some(StreamItem::Created { .. })), "{created:?}");
    }
    let names = [first.control().stream().unwrap(), second.control().stream().unwrap()];
    assert_ne!(names[0], names[1]);
    let mut listed: Vec<_> = answered(twin.watchers()).iter().map(|status| status.stream).collect();
    listed.sort_unstable();
    assert_eq!(listed, names);
}

#[test]
fn a_stream_carries_ten_thousand_watches() {
    const WATCHES: u64 = 10_000;
    let twin = Twin::new();
    let mut stream = twin.watch_stream(Some(8 << 20)).unwrap();
    for at in 0..WATCHES {
        let range = if at % 2 == 0 { everything() } else { watchful::KeyRange::key(format!("k{at}")) };
        assert_eq!(stream.control().watch(&WatchOptions::new(range)).unwrap(), i64::try_from(at).unwrap());
    }
    twin.put("k77", "1").wait().unwrap();
    stream.control().ask_progress(2);
    let (mut created, mut told) = (0, 0);
    loop {
        match stream.wait_next_for(PATIENCE).unwrap().unwrap() {
            StreamItem::Created { .. } => created += 1,
            StreamItem::Events { watches, .. } => told += watches.len() as u64,
            StreamItem::Progress { watches: None, .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((created, told), (WATCHES, WATCHES / 2 + 1));
    assert_eq!(gauges(&twin).watches as u64, WATCHES);
    drop(stream);
    check_nothing_is_left(&twin);
}

/// Whoever has everything until then gets what is accepted until then.
#[test]
fn closing_ends_every_watch_with_closed_after_what_was_accepted() {
    for _ in 0..50 {
        let twin = Twin::new();
        let mut watch = twin.watch(&WatchOptions::new(everything())).unwrap();
        let mut stream = twin.watch_stream(None).unwrap();
        stream.control().watch(&WatchOptions::new(everything())).unwrap();
        eventually("both to be synced", || (gauges(&twin).synced_members == 2).then_some(()));
        twin.put("a", "1").wait().unwrap();
        Store::close(&twin);
        assert!(matches!(watch.wait_next_for(PATIENCE), Ok(Some(Ok(Update::Events(_))))));
        assert_eq!(watch.wait_next_for(PATIENCE).unwrap(), Some(Err(End::Closed)));
        assert_eq!(block_on(watch.next()), None);
        let items: Vec<_> = stream.items().collect();
        assert!(matches!(&items[..], [StreamItem::Created { .. }, StreamItem::Events { .. }]), "{items:?}");
        assert!(matches!(twin.watch(&WatchOptions::new(everything())), Err(Error::Closed)));
        assert!(matches!(stream.control().watch(&WatchOptions::new(everything())), Err(Error::Closed)));
        assert!(matches!(twin.watchers().wait(), Err(Error::Closed)));
    }
}

/// A handle for watching must not keep the folder of a store that was closed and dropped.
#[test]
fn a_stream_that_outlives_its_store_does_not_keep_the_folder() {
    let mut twin = Twin::of("put a 1");
    let stream = twin.watch_stream(None).unwrap();
    let watch = twin.watch(&WatchOptions::new(everything())).unwrap();
    twin.reopen();
    assert_eq!(twin.current_revision(), 2);
    drop((stream, watch));
}

#[test]
fn a_receiver_that_never_reads_costs_bounded_memory_and_then_gets_everything() {
    const EVENTS: u64 = 100_000;
    let twin = Twin::new();
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    for round in 0..EVENTS / 100 {
        let written = twin.transact(move |txn| {
            (0..100).try_for_each(|at| txn.put(format!("k{at}"), (round * 100 + at).to_string()))?;
            Ok::<_, Error>(())
        });
        written.wait().unwrap();
        if round % 100 == 0 {
            check_budgets(&twin, &twin.settings, |_| twin.settings.outbox_bytes_max);
        }
    }
    let mut next = 0;
    while next < EVENTS {
        let Ok(Update::Events(batch)) = watch.wait_next_for(PATIENCE).unwrap().unwrap() else { panic!() };
        for event in batch.events() {
            assert_eq!(event.value(), next.to_string().as_bytes());
            next += 1;
        }
    }
    drop(watch);
    check_nothing_is_left(&twin);
}

/// One of two reads, and what was read for it is kept for the other, who is behind: so much and no more, and only as long as
/// somebody is behind.
#[test]
fn what_is_kept_for_those_who_are_behind_has_a_bound_and_an_end() {
    const EVENTS: u64 = 2_000;
    let twin = Twin::with(narrow());
    for at in 0..EVENTS {
        twin.put(format!("k{at}"), "v".repeat(100)).wait().unwrap();
    }
    let mut watches = [(); 2].map(|()| twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap());
    let mut kept_bytes_max = 0;
    for watch in &mut watches {
        while watch.next_revision() < EVENTS + 2 {
            let found = check_budgets(&twin, &twin.settings, |_| 2 * twin.settings.outbox_bytes_max);
            kept_bytes_max = kept_bytes_max.max(found.kept_bytes);
            watch.wait_next_for(PATIENCE).unwrap().unwrap().unwrap();
        }
    }
    assert!(kept_bytes_max > 0, "nothing was kept");
    eventually("the end of it", || (gauges(&twin).kept_bytes == 0).then_some(()));
    drop(watches);
    check_nothing_is_left(&twin);
}

#[test]
fn a_huge_revision_comes_in_marked_fragments_and_closes() {
    const EVENTS: u32 = 100_000;
    let twin = Twin::new();
    let mut live = twin.watch(&WatchOptions::new(everything())).unwrap();
    let written = twin.transact(|txn| {
        (0..EVENTS).try_for_each(|at| txn.put(format!("k{at:06}"), "v"))?;
        Ok::<_, Error>(())
    });
    assert_eq!(written.wait().unwrap().revision, 2);
    let past = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    for mut watch in [live, past] {
        let (mut next, mut fragments) = (0, 0);
        loop {
            let Ok(Update::Events(batch)) = watch.wait_next_for(PATIENCE).unwrap().unwrap() else { panic!() };
            assert_eq!((batch.first_revision(), batch.last_revision()), (2, 2));
            for event in batch.events() {
                assert_eq!(event.revision().sub, next);
                next += 1;
            }
            if !batch.is_fragment() {
                break;
            }
            assert_eq!(watch.next_revision(), 2, "a resumption begins the revision again");
            fragments += 1;
        }
        assert_eq!((next, watch.next_revision()), (EVENTS, 3));
        assert!(fragments > 5, "{fragments} fragments");
    }
    live = twin.watch(&WatchOptions::new(everything())).unwrap();
    live.ask_progress(2);
    assert_eq!(live.wait_next_for(PATIENCE).unwrap(), Some(Ok(Update::Progress { revision: 2 })));
}

#[test]
fn a_publish_queue_that_holds_nothing_loses_nothing() {
    let mut twin = Twin::with(settings().with_publish_queue_bytes_max(0));
    let mut seen: Vec<_> = [Policy::Replay, Policy::Conflate]
        .map(|policy| {
            Receiver::open(&twin, WatchSpec::new(everything(), 2).with_prev_kv().with_policy(policy))
        })
        .into();
    for at in 0..300 {
        twin.run(&format!("txn {{ put k{} {at}; del k{} }}", at % 7, (at + 3) % 7));
    }
    for seen in &mut seen {
        seen.read_to(301);
        seen.check(&twin.model);
    }
}

/// It stood still for ever where its batch was lost to the queue, and the outbox held anything at all.
#[test]
fn a_value_that_is_larger_than_an_outbox_comes_after_what_is_queued() {
    let twin = Twin::with(narrow().with_publish_queue_bytes_max(0));
    let mut watch = twin.watch(&WatchOptions::new(everything())).unwrap();
    let value = "v".repeat(2 * twin.settings.outbox_bytes_max);
    twin.put("a", value.clone()).wait().unwrap();
    // That it was made is queued, and nothing is taken out while the history is read.
    eventually("the read", || {
        let found = gauges(&twin);
        (found.lag_revisions_max == 0 || found.blocked_members > 0).then_some(())
    });
    let Ok(Update::Events(batch)) = watch.wait_next_for(PATIENCE).unwrap().unwrap() else { panic!() };
    assert_eq!(batch.events()[0].value(), value.as_bytes());
}

#[test]
fn a_lagging_watch_is_cancelled_or_conflated_where_it_asked_for_that() {
    let mut twin = Twin::with(narrow());
    let open =
        |twin: &Twin, policy| Receiver::open(twin, WatchSpec::new(everything(), 2).with_policy(policy));
    let mut cancelled = open(&twin, Policy::Cancel);
    let mut conflated = open(&twin, Policy::Conflate);
    eventually("synced", || (gauges(&twin).synced_members == 2).then_some(()));
    for at in 0..400 {
        twin.run(&format!("put k{} {}", at % 4, "v".repeat(100 + at % 3)));
    }
    let next = loop {
        match cancelled.watch.wait_next_for(PATIENCE).unwrap() {
            Some(Err(End::Lagged { next_revision })) => break next_revision,
            other => assert!(cancelled.see(other)),
        }
    };
    assert_eq!(next, cancelled.watch.next_revision(), "it goes on where it stopped");
    cancelled.check(&twin.model);
    conflated.read_to(401);
    conflated.check(&twin.model);
    assert!(conflated.observed.events().count() < 300, "nothing was conflated");
    assert!(twin.watch(&WatchOptions::new(everything()).with_lag_policy(LagPolicy::Conflate)).is_ok());
}

#[test]
fn policies_compact_by_the_clock() {
    let clock = ManualClock::default();
    let seconds = Duration::from_secs;
    let twin =
        Twin::with(settings().with_clock(clock.clone()).with_compaction(CompactionPolicy::KeepRevisions(10)));
    for at in 0..50 {
        twin.put("a", at.to_string()).wait().unwrap();
    }
    clock.advance(seconds(10));
    eventually("the compaction", || (twin.compact_revision() == 42).then_some(()));

    let clock = ManualClock::default();
    let policy = CompactionPolicy::KeepFor(seconds(100));
    let twin = Twin::with(settings().with_clock(clock.clone()).with_compaction(policy));
    twin.put("a", "old").wait().unwrap();
    twin.put("a", "older than the window").wait().unwrap();
    for _ in 0..10 {
        // The writer's thread takes a sample at each turn of the clock, before it does what is put in line after that.
        clock.advance(seconds(10));
        block_on(twin.put("a", "new")).unwrap();
    }
    clock.advance(seconds(10));
    eventually("the compaction", || (twin.compact_revision() >= 3).then_some(()));
    assert!(twin.compact_revision() < twin.current_revision(), "the window is kept");
}

#[test]
fn a_backup_that_is_taken_while_others_write_is_one_revision_and_can_be_restored() {
    let twin = Twin::new();
    let place = tempfile::tempdir().unwrap();
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                at += 1;
                let both = twin.transact(move |txn| {
                    txn.put("a", at.to_string())?;
                    txn.put(format!("b{}", at % 100), at.to_string())
                });
                both.wait().unwrap();
            }
        });
        eventually("some writes", || (twin.current_revision() > 50).then_some(()));
        assert!(twin.backup(&backup).unwrap() > 0);
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(twin.backup(&backup).is_err(), "a copy goes to a new file");
    let mut watch = twin.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    watch.wait_next_for(PATIENCE).unwrap().unwrap().unwrap();
    let token = watch.resume_token();

    watchful::restore(&backup, &restored).unwrap();
    assert!(watchful::check(&restored).unwrap().is_ok());
    assert!(watchful::restore(&backup, &restored).is_err(), "there is a store already");
    let copy = Store::open(&restored, settings()).unwrap();
    let revision = copy.current_revision();
    assert!(revision > 50 && revision <= twin.current_revision());
    assert_eq!(rows_at(&copy, revision), rows_at(&twin, revision));
    assert_eq!(get(&copy, "a").unwrap(), (revision - 1).to_string());
    let refused = copy.watch(&WatchOptions::new(everything()).resume(token));
    assert!(matches!(refused, Err(Error::TokenRefused { .. })), "its revisions will be given out again");
}
