//! Reads against compaction, and lists against writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use watchful::{Error, KeyRange, RangeOptions, Update, WatchOptions};

use crate::support::{PATIENCE, Twin, everything, settings};

/// A long read goes in short turns, and compaction may come between any two. It then ends with `Compacted`: an answer
/// that it does give has every key. Each round changes every key in one transaction, so a torn answer would show two
/// rounds, or fewer keys.
#[test]
fn a_long_read_that_compaction_overtakes_ends_with_compacted_and_never_with_keys_missing() {
    const KEYS: usize = 3000;
    let twin = Twin::with(settings().with_compaction_slice_rows(100_000));
    let write = |round: u64| {
        let written = twin.transact(move |txn| {
            (0..KEYS).try_for_each(|at| txn.put(format!("k{at:05}"), round.to_string()))?;
            Ok::<_, Error>(())
        });
        written.wait().unwrap().revision
    };
    write(0);
    let done = AtomicBool::new(false);
    let (mut whole, mut overtaken) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=40 {
                let revision = write(round);
                twin.compact(revision).wait().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let view = twin.view().unwrap();
            let mut read = Vec::new();
            let scanned = view.scan(&everything()).try_for_each(|turn| {
                read.extend(turn?);
                Ok::<_, Error>(())
            });
            let ranged = view.range(&everything(), &RangeOptions::default()).map(|found| found.records);
            for answer in [scanned.map(|()| read), ranged] {
                match answer {
                    Ok(records) => {
                        assert_eq!(records.len(), KEYS, "keys are missing");
                        let values: std::collections::BTreeSet<_> =
                            records.iter().map(|it| it.value()).collect();
                        assert_eq!(values.len(), 1, "two rounds in one view");
                        whole += 1;
                    }
                    Err(Error::Compacted { compact_revision }) => {
                        assert!(compact_revision > view.revision());
                        overtaken += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    println!("{whole} reads were whole, {overtaken} were overtaken");
    assert!(whole > 0 && overtaken > 0, "{whole} whole, {overtaken} overtaken");
}

/// "List, then watch" is what nearly everybody does. In each round, while others write, delete and compact: the list with
/// every later event applied to it is the store.
#[test]
fn list_then_watch_under_concurrent_writes_loses_nothing() {
    let twin = Twin::with(settings().with_chunk_bytes_max(2 << 10).with_outbox_bytes_max(8 << 10));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for name in ["a", "b"] {
            let (twin, done) = (&twin, &done);
            scope.spawn(move || {
                let mut at = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    at += 1;
                    let key = format!("{name}{}", at % 11);
                    if at.is_multiple_of(3) {
                        twin.delete(&key).wait().map(drop).unwrap()
                    } else {
                        twin.put(&key, at.to_string()).wait().map(drop).unwrap()
                    }
                    if at.is_multiple_of(50) {
                        // The other one may have compacted further.
                        let _ = twin.compact(twin.current_revision() - 1).wait();
                    }
                }
            });
        }
        for round in 0..150 {
            one_round(&twin, round);
        }
        done.store(true, Ordering::SeqCst);
    });
}

fn one_round(twin: &Twin, round: u64) {
    let options = WatchOptions::new(KeyRange::prefix("a")).and(KeyRange::prefix("b"));
    let mut listed = twin.list_then_watch(&options).unwrap();
    let of =
        |record: &watchful::Record| (record.key().to_vec(), (record.value().to_vec(), record.mod_revision()));
    let mut state: BTreeMap<_, _> = listed.records.iter().map(of).collect();
    let start = listed.view.revision();
    assert_eq!(listed.watch.next_revision(), start + 1);
    let target = start + 5 + round % 20;
    loop {
        match listed.watch.wait_next_for(PATIENCE).unwrap().unwrap() {
            Ok(Update::Events(batch)) => {
                for event in batch.events() {
                    assert!(event.revision().main > start, "it was in the list already");
                    match event.kind() {
                        watchful::EventKind::Put => state.extend([of(event.record())]),
                        watchful::EventKind::Delete => drop(state.remove(event.key())),
                    }
                }
                if batch.last_revision() >= target && !batch.is_fragment() {
                    break;
                }
            }
            Ok(Update::Progress { .. }) => {}
            // Told, and so not lost: this round says nothing more.
            Err(watchful::End::Compacted { .. }) => return,
            Err(end) => panic!("{end}"),
        }
    }
    let reached = listed.watch.next_revision() - 1;
    let found =
        match twin.view_at(reached).and_then(|view| view.range(&everything(), &RangeOptions::default())) {
            Ok(found) => found.records.iter().map(of).collect::<BTreeMap<_, _>>(),
            Err(Error::Compacted { .. }) => return,
            Err(error) => panic!("{error}"),
        };
    assert_eq!(state, found, "round {round}: from {start} to {reached}");
}
