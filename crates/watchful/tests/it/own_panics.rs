//! The store's own code panics: nobody waits for ever, and nothing that was acknowledged is lost.
//!
//! Found in the making of `cargo xtask stress failpoints`, which shows it. Whoever led a group when the store's own code
//! panicked took the lead along: every write after it, and every caller whose write was in line, waited for ever, and so did
//! whoever watched once the driver's or the reader's thread was gone. A service would have stood still, with nothing in its
//! log but one panic.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use watchful::{Clock, End, Error, Store, Update, WatchOptions};

use crate::support::{PATIENCE, everything, settings};

/// A clock that breaks, once, on the store's thread of this name, or on a thread that is not the store's.
#[derive(Clone, Debug)]
struct Breaking {
    on: Option<&'static str>,
    is_armed: Arc<AtomicBool>,
}

impl Breaking {
    fn on(name: Option<&'static str>) -> Self {
        Self { on: name, is_armed: Arc::default() }
    }

    fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }
}

impl Clock for Breaking {
    fn now(&self) -> Duration {
        let here = thread::current();
        let name = here.name().filter(|name| name.starts_with("watchful-"));
        if name == self.on && self.is_armed.swap(false, Ordering::SeqCst) {
            panic!("the clock breaks, as the test wants it");
        }
        Duration::ZERO
    }

    fn sleep_until(&self, _deadline: Duration) -> Option<Duration> {
        None
    }

    fn on_turn(&self, _wake: Arc<dyn Fn() + Send + Sync>) {}
}

#[test]
fn a_panic_in_a_group_leaves_nobody_waiting() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Breaking::on(None));
    let store = Store::open(dir.path(), settings().with_clock(clock.clone())).unwrap();
    store.put("a", "1").wait().unwrap();
    let mut watch = store.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    let update = watch.wait_next_for(PATIENCE).expect("the first put was owed");
    assert!(matches!(update, Some(Ok(Update::Events(_)))), "{update:?}");
    let (inside, is_inside) = channel();
    let (go, may_go) = channel();
    let leader = thread::spawn({
        let store = store.clone();
        move || {
            let work = move |txn: &mut watchful::Txn<'_, '_, '_>| {
                inside.send(()).unwrap();
                may_go.recv().unwrap();
                txn.put("a", "2").map(drop)
            };
            store.transact(work).wait()
        }
    });
    is_inside.recv().unwrap();
    // One waits in line, and one is awaited by a task.
    let mut awaited = pin!(store.put("b", "1"));
    assert!(awaited.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    clock.arm();
    go.send(()).unwrap();
    assert!(leader.join().is_err(), "the panic goes on in whoever led");
    assert!(matches!(crate::support::block_on(awaited), Err(Error::Closed)));
    assert!(matches!(store.put("c", "1").wait(), Err(Error::Closed)));

    // Reads go on, and whoever watches is told that it is over.
    assert_eq!(store.get("a").unwrap().unwrap().value(), b"1");
    assert_eq!(watch.wait_next_for(PATIENCE), Ok(Some(Err(End::Closed))));
    drop(store);
    let store = Store::open(dir.path(), settings()).unwrap();
    assert_eq!(store.put("d", "1").wait().unwrap().revision, store.current_revision());
}

#[test]
fn a_panic_of_the_driver_ends_every_watch() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Breaking::on(Some("watchful-driver")));
    let store = Store::open(dir.path(), settings().with_clock(clock.clone())).unwrap();
    let mut watch = store.watch(&WatchOptions::new(everything())).unwrap();
    watch.ask_progress(1);
    assert_eq!(watch.wait_next_for(PATIENCE), Ok(Some(Ok(Update::Progress { revision: 1 }))));
    clock.arm();
    store.put("a", "1").wait().unwrap();
    while let Some(update) = watch.wait_next_for(PATIENCE).expect("the end was owed") {
        assert!(matches!(update, Ok(_) | Err(End::Closed)));
    }
    assert!(matches!(store.watch(&WatchOptions::new(everything())), Err(Error::Closed)));
    // Who only writes and reads goes on.
    assert_eq!(store.put("b", "1").wait().unwrap().revision, 3);
}
