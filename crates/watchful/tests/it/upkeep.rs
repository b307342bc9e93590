//! Notes, hashes, and waiting for compaction, through the facade.

use watchful::{Error, Store, Update, WatchOptions};
use watchful_testkit::WatchSpec;

use crate::support::{PATIENCE, Receiver, Twin, block_on, everything, settings};

/// An alarm is noted in the transaction that it guards; watchers see the keys of that transaction, and nothing else.
#[test]
fn notes_are_kept_with_the_transaction_and_seen_by_no_watcher() {
    let twin = Twin::new();
    let mut watch = twin.watch(&WatchOptions::new(everything())).unwrap();
    let noted = twin.transact(|txn| {
        txn.set_note("alarm/1", "nospace")?;
        txn.note("alarm/1")
    });
    let noted = noted.wait().unwrap();
    assert_eq!((noted.revision, noted.changed, noted.value.as_deref()), (1, false, Some(&b"nospace"[..])));
    let failed = twin.transact(|txn| {
        txn.put("k", "v")?;
        txn.set_note("alarm/2", "corrupt")?;
        Err::<(), _>(Error::abort("on second thought"))
    });
    assert!(matches!(block_on(failed), Err(Error::Aborted { .. })));
    let both = twin.transact(|txn| {
        txn.put("k", "v")?;
        assert!(txn.remove_note("alarm/1")?);
        txn.set_note("alarm/3", "")?;
        txn.notes("alarm/")
    });
    assert_eq!(block_on(both).unwrap().value.len(), 1);
    let Some(Ok(Update::Events(batch))) = watch.wait_next_for(PATIENCE).unwrap() else { panic!() };
    assert_eq!((batch.last_revision(), batch.events().len()), (2, 1));
    assert_eq!((twin.note("alarm/1").unwrap(), twin.notes("alarm/").unwrap().len()), (None, 1));
    let refused = twin.transact(|txn| txn.set_note("n".repeat(600), "")).wait().unwrap_err();
    assert!(refused.to_string().contains("1 to 511"), "{refused}");
}

/// A store is the same before and after its compaction has deleted what it may, and so is its copy.
#[test]
fn a_hash_stays_while_compaction_goes_on() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(1));
    for at in 0..200 {
        twin.run(&format!("put a {at}\nput b {at}"));
    }
    twin.run("compact 300");
    let first = twin.hash(0).unwrap();
    let compacted = twin.compacted();
    for _ in 0..5 {
        assert_eq!(twin.hash(0).unwrap(), first);
    }
    compacted.wait().unwrap();
    assert_eq!(twin.hash(0).unwrap(), first);
    assert_eq!((first.revision, first.compact_revision), (401, 300));
    assert!(matches!(twin.hash(299), Err(Error::Compacted { compact_revision: 300 })));
    let backup = twin.path().join("backup");
    twin.backup(&backup).unwrap();
    let before = twin.hash_all().unwrap();
    let folder = tempfile::tempdir().unwrap();
    watchful::restore(&backup, folder.path().join("copy")).unwrap();
    let copy = Store::open(folder.path().join("copy"), settings()).unwrap();
    assert_eq!(copy.hash(0).unwrap(), first);
    assert_ne!(copy.hash_all().unwrap(), before, "a restored store has an epoch of its own");
}

/// Waiting for compaction: at once where there is none, and otherwise when its last row is gone, however it is waited.
#[test]
fn compaction_can_be_waited_for() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(1));
    twin.compacted().wait().unwrap();
    block_on(twin.compacted()).unwrap();
    for at in 0..300 {
        twin.run(&format!("put a {at}"));
    }
    for revision in [100, 200, 301] {
        twin.run(&format!("compact {revision}"));
        let (first, second) = (twin.compacted(), twin.compacted());
        first.wait().unwrap();
        block_on(second).unwrap();
        assert_eq!(twin.stats().mvcc.superseded, 301 - revision);
    }
    twin.run("put a new\ncompact 302");
    twin.compacted().wait().unwrap();
    assert_eq!(twin.stats().mvcc.versions, 1);
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), 302));
    seen.read_to(302);
    seen.check(&twin.model);
}

/// The file is exchanged under a watch, a reader and writers of both kinds, and none of them sees it.
#[test]
fn a_defragmentation_is_seen_by_nobody() {
    let mut twin = Twin::new();
    for round in 0..6 {
        let value = format!("{round}").repeat(3000);
        twin.run(&(0..20).map(|at| format!("put k{at} {value}\n")).collect::<String>());
    }
    let current = twin.current_revision();
    twin.run(&format!("compact {current}"));
    twin.compacted().wait().unwrap();
    let mut seen = Receiver::open(&twin, WatchSpec::new(everything(), current).with_prev_kv());
    let before = twin.stats().mvcc;
    let done = twin.defragment().unwrap();
    assert!(done.bytes_after < before.file_bytes / 2, "{done:?}");
    assert_eq!(twin.stats().mvcc.file_bytes, done.bytes_after);
    let inside = Store::clone(&twin);
    let refused = twin.transact(move |_| inside.defragment()).wait();
    assert!(matches!(refused, Err(Error::InsideTransaction)));
    for round in 0..20 {
        std::thread::scope(|scope| {
            let store = Store::clone(&twin);
            let defragmenting = scope.spawn(move || store.defragment());
            twin.run(&format!("put a {round}\nput k1 {round}\ndel a"));
            defragmenting.join().unwrap().unwrap();
        });
    }
    seen.read_to(twin.current_revision());
    seen.check(&twin.model);
    twin.check();
    twin.reopen();
    twin.check();
}

/// A store that is closed before it has deleted everything says so to those who wait.
#[test]
fn whoever_waits_for_compaction_hears_that_the_store_is_closed() {
    let mut twin = Twin::with(settings().with_compaction_slice_rows(1));
    let many = twin.transact(|txn| (0..50_000_u32).try_for_each(|at| txn.put("a", at.to_be_bytes())));
    many.wait().unwrap();
    twin.put("a", "last").wait().unwrap();
    let store = Store::clone(&twin);
    store.compact(3).wait().unwrap();
    let waiting = [store.compacted(), {
        store.close();
        store.compacted()
    }];
    let is_left = store.stats().mvcc.superseded > 0;
    for answer in waiting.map(watchful::Answer::wait) {
        match answer {
            Ok(()) => assert!(!is_left, "it is not done"),
            Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
        }
    }
    drop(store);
    twin.reopen();
    twin.compacted().wait().unwrap();
    assert_eq!(twin.stats().mvcc.superseded, 0);
}
