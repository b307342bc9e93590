//! Writes: closures that abort, panic or wait, groups of all kinds of callers, and what happens at the end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use watchful::{End, Error, KeyRange, Store, Update, WatchOptions};

use crate::support::{PATIENCE, Twin, block_on, get, settings};

#[test]
fn an_aborted_transaction_leaves_no_trace_and_says_why() {
    let twin = Twin::of("put a 1");
    let aborted = twin.transact(|txn| {
        txn.put("a", "2")?;
        txn.put("b", "2")?;
        Err::<(), _>(Error::abort("the stars were wrong"))
    });
    let error = aborted.wait().unwrap_err();
    assert_eq!(error.to_string(), "the transaction was aborted: the stars were wrong");
    assert_eq!(twin.current_revision(), 2);
    twin.check();
}

#[test]
fn a_closure_may_fail_with_an_error_of_its_own() {
    #[derive(Debug)]
    enum Own {
        Poor,
        Store,
    }
    impl From<Error> for Own {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let twin = Twin::of("put a 1");
    let own = twin.transact(|txn| if txn.get("a")?.is_some() { Err::<(), _>(Own::Poor) } else { Ok(()) });
    assert!(matches!(own.wait(), Err(Own::Poor)));
    let stores = twin.transact(|txn| Ok::<_, Own>(txn.put("", "1")?));
    assert!(matches!(stores.wait(), Err(Own::Store)));
    twin.check();
}

/// The panic is the caller's own, wherever the closure ran; nobody else in the group notices.
#[test]
fn a_panic_goes_on_in_its_caller_and_the_store_goes_on() {
    let twin = Twin::of("put a 1");
    let panics = |store: &Store| {
        store.transact(|txn| {
            txn.put("a", "2")?;
            if txn.has_put() {
                panic!("of my own making")
            }
            Ok::<_, Error>(())
        })
    };
    let caught = thread::scope(|scope| {
        let blocking = scope.spawn(|| panics(&twin).wait().map(drop)).join().unwrap_err();
        let awaiting = scope.spawn(|| block_on(panics(&twin)).map(drop)).join().unwrap_err();
        [blocking, awaiting]
    });
    for panic in caught {
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of my own making"));
    }
    assert_eq!(twin.put("a", "3").wait().unwrap().revision, 3);
    assert_eq!(block_on(twin.put("a", "4")).unwrap().revision, 4);
}

/// For the panic above: the compiler must not see that it always comes.
trait HasPut {
    fn has_put(&self) -> bool;
}

impl HasPut for watchful::Txn<'_, '_, '_> {
    fn has_put(&self) -> bool {
        self.get("a").is_ok()
    }
}

#[test]
fn a_write_waited_for_inside_a_transaction_is_refused() {
    let twin = Twin::of("put a 1");
    for awaits in [false, true] {
        let store = Store::clone(&twin);
        let nested = twin.transact(move |txn| {
            txn.put("a", "2")?;
            store.put("b", "1").wait().map(drop)
        });
        let answer = if awaits { block_on(nested) } else { nested.wait() };
        assert!(matches!(answer, Err(Error::InsideTransaction)));
    }
    twin.check();
}

#[test]
fn nothing_is_written_until_it_is_awaited_and_all_of_it_once_it_was() {
    let twin = Twin::new();
    drop(twin.put("never", "1"));
    let mut polled = twin.put("polled", "1");
    let _ = Pin::new(&mut polled).poll(&mut Context::from_waker(Waker::noop()));
    drop(polled);
    // What was handed in before comes before.
    twin.put("after", "1").wait().unwrap();
    block_on(twin.put("after", "2")).unwrap();
    assert_eq!(get(&twin, "never"), None);
    assert_eq!(get(&twin, "polled").as_deref(), Some("1"));
}

#[test]
fn blocking_and_async_callers_share_groups_and_each_gets_its_own_answer() {
    const EACH: usize = 200;
    let twin = Twin::with(settings().with_group_transactions_max(8));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut revisions: Vec<u64> = thread::scope(|scope| {
        let put = |name: &'static str, at: usize| twin.put(format!("{name}{at}"), name);
        let blocking: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                scope.spawn(move || (0..EACH).map(|at| put(name, at).wait().unwrap().revision).collect())
            })
            .into();
        let awaiting: Vec<_> = ["d", "e", "f"]
            .map(|name| {
                let writes: Vec<_> = (0..EACH).map(|at| put(name, at)).collect();
                runtime.spawn(async move {
                    let mut revisions = Vec::new();
                    for write in writes {
                        revisions.push(write.await.unwrap().revision);
                    }
                    revisions
                })
            })
            .into();
        let blocking = blocking.into_iter().flat_map(|thread| -> Vec<u64> { thread.join().unwrap() });
        let awaiting = awaiting.into_iter().flat_map(|task| runtime.block_on(task).unwrap());
        blocking.chain(awaiting).collect()
    });
    revisions.sort_unstable();
    assert_eq!(revisions, (2..2 + 6 * EACH as u64).collect::<Vec<_>>(), "each revision once");
    let stats = twin.stats();
    assert!(stats.commit_group_max <= 8 && stats.commit_transactions == 6 * EACH as u64, "{stats:?}");
    let (sizes, times) = (stats.commit_group_sizes, stats.commit_microseconds);
    assert_eq!((sizes.count(), sizes.sum()), (stats.commit_groups, stats.commit_transactions));
    assert!(sizes.buckets().all(|(bound, count)| bound <= 8 || count == 0), "{sizes:?}");
    assert!(times.count() >= stats.commit_groups && times.sum() > 0, "{times:?}");
    assert_eq!(twin.view().unwrap().count(&KeyRange::everything()).unwrap(), 6 * EACH as u64);
}

#[test]
fn one_that_fails_in_a_group_takes_nobody_with_it() {
    let twin = Twin::new();
    let mut writes: Vec<_> =
        (0..50).map(|at| twin.put(if at % 5 == 0 { String::new() } else { format!("k{at}") }, "1")).collect();
    let mut answers = vec![None; 50];
    block_on(std::future::poll_fn(|cx| {
        for (write, answer) in writes.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(done) = Pin::new(write).poll(cx)
            {
                *answer = Some(done.map_err(|error| error.to_string()));
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    }));
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().is_err(), at % 5 == 0, "{at}");
    }
    assert_eq!(twin.current_revision(), 41);
}

#[test]
fn a_closed_store_refuses_writes_and_what_was_accepted_is_there() {
    let mut twin = Twin::new();
    let mut accepted: Vec<_> = (0..100).map(|at| twin.put(format!("k{at}"), "1")).collect();
    let mut cx = Context::from_waker(Waker::noop());
    for write in &mut accepted {
        let _ = Pin::new(write).poll(&mut cx);
    }
    let late = twin.put("late", "1");
    Store::close(&twin);
    assert!(matches!(twin.put("a", "1").wait(), Err(Error::Closed)));
    assert!(matches!(block_on(twin.put("a", "1")), Err(Error::Closed)));
    assert!(matches!(late.wait(), Err(Error::Closed)));
    drop(accepted);
    twin.reopen();
    assert_eq!(twin.view().unwrap().count(&KeyRange::everything()).unwrap(), 100);
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [
        settings().with_chunk_bytes_max(0),
        settings().with_chunk_bytes_max(1 << 20),
        settings().with_group_transactions_max(0),
        settings().with_progress_interval(std::time::Duration::ZERO),
        settings().with_compaction(watchful::CompactionPolicy::KeepRevisions(0)),
    ] {
        let error = Store::open(dir.path(), wrong).unwrap_err();
        assert!(matches!(error, Error::Settings { .. }) && error.to_string().contains("must"), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

/// The store joins its threads when it is closed, and its writer's thread waits for whoever leads. Closed inside a
/// transaction, the leader waited for the writer and the writer for the leader.
#[test]
fn a_store_that_is_closed_inside_a_transaction_does_not_wait_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    let (inside, mut watch) =
        (store.clone(), store.watch(&WatchOptions::new(KeyRange::everything())).unwrap());
    watch.ask_progress(1);
    assert_eq!(watch.wait_next_for(PATIENCE), Ok(Some(Ok(Update::Progress { revision: 1 }))));
    let closing = store.transact(move |txn| {
        inside.close();
        txn.put("a", "1")
    });
    assert_eq!(closing.wait().unwrap().revision, 2);
    assert!(matches!(store.put("b", "2").wait(), Err(Error::Closed)));
    let Ok(Some(Ok(Update::Events(batch)))) = watch.wait_next_for(PATIENCE) else {
        panic!("it was accepted")
    };
    assert_eq!(batch.last_revision(), 2);
    assert_eq!(watch.wait_next_for(PATIENCE), Ok(Some(Err(End::Closed))));
}
