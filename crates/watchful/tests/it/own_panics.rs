//! The store's own code panics: nobody waits for ever, and nothing that was acknowledged is lost.
//!
//! Found in the making of `cargo xtask stress failpoints`, which shows it. Whoever led a group when the store's own code
//! panicked took the lead along: every write after it, and every caller whose write was in line, waited for ever, and so did
//! whoever watched once the driver's or the reader's thread was gone. A service would have stood still, with nothing in its
//! log but one panic.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use watchful::{Clock, Committed, End, Error, Store, Txn, Update, WatchOptions};

use crate::support::{PATIENCE, block_on, everything, settings};

/// Says that it has come to here, and waits until it may go on.
type Pause = (Sender<()>, Receiver<()>);

type OnTurn = Arc<dyn Fn() + Send + Sync>;

/// A clock that breaks, once, on the store's thread of this name, or on a thread that is not the store's.
#[derive(Clone)]
struct Breaking {
    on: Option<&'static str>,
    is_armed: Arc<AtomicBool>,
    /// Says that the thread is about to break, and waits until it may.
    pause: Arc<Mutex<Option<Pause>>>,
    wakes: Arc<Mutex<Vec<OnTurn>>>,
}

impl Breaking {
    fn on(name: Option<&'static str>) -> Self {
        Self { on: name, is_armed: Arc::default(), pause: Arc::default(), wakes: Arc::default() }
    }

    fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    /// Makes the store's threads look at the time.
    fn turn(&self) {
        self.wakes.lock().unwrap().iter().for_each(|wake| wake());
    }
}

impl fmt::Debug for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaking").field("on", &self.on).finish_non_exhaustive()
    }
}

impl Clock for Breaking {
    fn now(&self) -> Duration {
        let here = thread::current();
        let name = here.name().filter(|name| name.starts_with("watchful-"));
        if name == self.on && self.is_armed.swap(false, Ordering::SeqCst) {
            if let Some((here, go)) = self.pause.lock().unwrap().take() {
                here.send(()).unwrap();
                go.recv().unwrap();
            }
            panic!("the clock breaks, as the test wants it");
        }
        Duration::ZERO
    }

    fn sleep_until(&self, _deadline: Duration) -> Option<Duration> {
        None
    }

    fn on_turn(&self, wake: OnTurn) {
        self.wakes.lock().unwrap().push(wake);
    }
}

/// A thread that leads a group with a put of "a" in it, and goes on with that when it is told to.
fn leader_of_a_put(
    store: &Store,
    value: &'static str,
) -> (JoinHandle<Result<Committed<()>, Error>>, Sender<()>) {
    let (inside, is_inside) = channel();
    let (go, may_go) = channel();
    let work = move |txn: &mut Txn<'_, '_, '_>| {
        inside.send(()).unwrap();
        may_go.recv().unwrap();
        txn.put("a", value).map(drop)
    };
    let put = store.transact(work);
    let leader = thread::spawn(move || put.wait());
    is_inside.recv().unwrap();
    (leader, go)
}

#[test]
fn a_panic_in_a_group_leaves_nobody_waiting() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Breaking::on(None));
    let store = Store::open(dir.path(), settings().with_clock(clock.clone())).unwrap();
    store.put("a", "1").wait().unwrap();
    let mut watch = store.watch(&WatchOptions::new(everything()).start_at(2)).unwrap();
    let update = watch.wait_next_for(PATIENCE).expect("the first put was owed");
    assert!(matches!(update, Some(Ok(Update::Events(_)))), "{update:?}");
    let (leader, go) = leader_of_a_put(&store, "2");
    // One waits in line, and one is awaited by a task.
    let mut awaited = pin!(store.put("b", "1"));
    assert!(awaited.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    clock.arm();
    go.send(()).unwrap();
    assert!(leader.join().is_err(), "the panic goes on in whoever led");
    assert!(matches!(block_on(awaited), Err(Error::Closed)));
    assert!(matches!(store.put("c", "1").wait(), Err(Error::Closed)));
    assert!(store.stats().has_panicked);

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
    assert!(store.stats().has_panicked);
    // Who only writes and reads goes on.
    assert_eq!(store.put("b", "1").wait().unwrap().revision, 3);
}

/// Who began to watch, or asked about watching, while the driver was panicking, was forgotten in what it had not heard yet: the
/// watch was there, and silent for ever.
#[test]
fn a_panic_of_the_driver_ends_what_it_has_not_heard_of() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Breaking::on(Some("watchful-driver")));
    let store = Store::open(dir.path(), settings().with_clock(clock.clone())).unwrap();
    let first = store.watch(&WatchOptions::new(everything())).unwrap();
    let (here, is_here) = channel();
    let (go, may_go) = channel();
    *clock.pause.lock().unwrap() = Some((here, may_go));
    clock.arm();
    first.ask_progress(1);
    is_here.recv().unwrap();
    let mut unheard = store.watch(&WatchOptions::new(everything())).unwrap();
    let gauges = store.watch_gauges();
    go.send(()).unwrap();
    assert_eq!(unheard.wait_next_for(PATIENCE), Ok(Some(Err(End::Closed))));
    assert!(matches!(gauges.wait(), Err(Error::Closed)));
}

/// Whoever waits for a write in a task needs the writer's thread. Where that was gone, the first of them asked it to lead, and
/// every write after it waited for ever.
#[test]
fn a_panic_of_the_writer_leaves_nobody_waiting() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Breaking::on(Some("watchful-writer")));
    let store = Store::open(dir.path(), settings().with_clock(clock.clone())).unwrap();
    store.put("a", "1").wait().unwrap();
    let mut watch = store.watch(&WatchOptions::new(everything())).unwrap();
    clock.arm();
    clock.turn();
    assert!(matches!(block_on(store.put("a", "2")), Err(Error::Closed)));
    assert!(matches!(store.put("a", "3").wait(), Err(Error::Closed)));
    assert_eq!(watch.wait_next_for(PATIENCE), Ok(Some(Err(End::Closed))));
    assert!(store.stats().has_panicked);
    assert_eq!(store.get("a").unwrap().unwrap().value(), b"1");
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker breaks, as the test wants it");
    }
}

/// A caller's waker that panicked took the answers of all who came after it in the group along: they heard that the store was
/// closed and nothing done, although it was on the disk; and the store was closed.
#[test]
fn a_waker_that_panics_costs_nobody_else_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    let (leader, go) = leader_of_a_put(&store, "1");
    // Both wait in line, so that they are one group.
    let (mut first, mut second) = (pin!(store.put("b", "1")), pin!(store.put("c", "1")));
    let panics = Waker::from(Arc::new(Panics));
    assert!(first.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    go.send(()).unwrap();
    leader.join().unwrap().unwrap();
    assert_eq!(block_on(second).unwrap().revision, 4);
    assert_eq!(block_on(first).unwrap().revision, 3);
    assert_eq!(store.put("d", "1").wait().unwrap().revision, 5);
    assert!(!store.stats().has_panicked, "it was not the store's own code");
}
