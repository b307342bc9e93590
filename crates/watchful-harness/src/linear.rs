//! Concurrent clients of one store, each of whose calls and answers is written down: the history must be one that a store
//! could have had, one call at a time (`watchful_testkit::linear`).
//!
//! Some calls are sent and their answer is not waited for: then nobody knows what became of them. Now and then the store is
//! closed while everybody calls, and whoever is told so knows that the call did nothing. Nothing else may go wrong, unless a
//! panic of the store's own code was planted, and only from there on until the store is opened again.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use parking_lot::Mutex;
use watchful::{End, Error, KeyRange, RangeOptions, Store, Update, Watch, WatchOptions};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::linear::{self, Answer, Call};
use watchful_testkit::{
    Compare, CompareTarget, Comparison, Op, OpResult, RangeAnswer, SplitMix64, Txn, WatchSpec,
};

use crate::{PATIENCE, Receiver, block_on, defragment, observation, request, result, rows, settings};

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Calls that were sent.
    pub calls: u64,
    /// Of them, those whose outcome nobody knows.
    pub unknown: u64,
    /// Calls beside them that a closed store refused.
    pub refused: u64,
    /// Revisions that they came to.
    pub revisions: u64,
}

impl Done {
    /// Counts a history.
    #[must_use]
    pub fn of(calls: &[Call], revisions: u64) -> Self {
        let unknown = calls.iter().filter(|call| call.answer.is_none()).count();
        Self { calls: calls.len() as u64, unknown: unknown as u64, refused: 0, revisions }
    }
}

/// Writes down what was sent and answered, in the order in which it was.
#[derive(Default)]
pub struct Book {
    next: AtomicU64,
    refused: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl Book {
    /// The place of what happens now among everything that does.
    pub fn now(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Writes a call down, and its answer: the store's revision and one result an operation.
    pub fn note(&self, ops: Vec<Op>, sent: u64, answer: Option<(u64, Vec<OpResult>)>) {
        let answer = answer.map(|(revision, results)| Answer { at: self.now(), revision, results });
        self.calls.lock().push(Call { ops, sent, answer });
    }

    /// Everything that was written down.
    #[must_use]
    pub fn into_calls(self) -> Vec<Call> {
        self.calls.into_inner()
    }
}

/// How many keys there are.
const KEYS: u64 = 5;

fn key(number: u64) -> String {
    format!("key/{}", number % KEYS)
}

/// What a client asks for next. Of one call no two operations write the same key, and a value that is put is `value`.
pub fn ops(rng: &mut SplitMix64, value: &str) -> Vec<Op> {
    let number = rng.below(KEYS);
    let some = || KeyRange::between("key/1", "key/4").unwrap();
    match rng.below(16) {
        0..=4 => vec![Op::put(key(number), value)],
        5 => vec![Op::delete(key(number))],
        6 => vec![Op::DeleteRange(some())],
        7 | 8 => vec![Op::range(KeyRange::key(key(number)))],
        9 | 10 => vec![Op::range(KeyRange::everything())],
        11 => vec![Op::Txn(Txn {
            then_ops: vec![Op::put(key(number), value), Op::range(some()), Op::delete(key(number + 1))],
            ..Txn::default()
        })],
        _ => {
            let target = CompareTarget::Version(rng.below(4));
            vec![Op::Txn(Txn {
                compares: vec![Compare::key(key(number), Comparison::Greater, target)],
                then_ops: vec![Op::put(key(number), value), Op::range(some())],
                else_ops: vec![Op::delete(key(number)), Op::put(key(number + 1), value)],
            })]
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How often the store is opened.
    pub lives: u64,
    /// How many clients there are.
    pub clients: u64,
    /// How many calls each of them makes each time.
    pub calls: u64,
}

/// Opens the store in `folder` again and again, and lets all clients call it. `panics` counts those of the store's own code
/// that were planted and have happened: it is always 0 where none was.
#[must_use]
pub fn run(folder: &Path, seed: u64, size: Size, panics: &AtomicU64) -> Book {
    let (mut rng, book) = (SplitMix64::new(seed), Book::default());
    for life in 0..size.lives {
        // Where it is closed in the middle, that many calls are sent before.
        let is_last = life + 1 == size.lives;
        let closed_after = if is_last { u64::MAX } else { rng.below(size.clients * size.calls) };
        live(Life::open(folder, panics), &book, &format!("{life}"), (size, closed_after), &mut rng);
    }
    book
}

/// A store that is open, and whether anything may go wrong in it.
struct Life<'a> {
    store: Store,
    is_closed: AtomicBool,
    panics: &'a AtomicU64,
    panics_before: u64,
}

impl<'a> Life<'a> {
    fn open(folder: &Path, panics: &'a AtomicU64) -> Self {
        let panics_before = panics.load(Ordering::SeqCst);
        let store = Store::open(folder, settings()).unwrap();
        Self { store, is_closed: AtomicBool::new(false), panics, panics_before }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.store.close();
    }

    /// The store's own code has panicked, as was planted.
    fn is_broken(&self) -> bool {
        self.panics.load(Ordering::SeqCst) > self.panics_before
    }

    /// Whoever calls may be told that the store is closed.
    fn may_be_over(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst) || self.is_broken()
    }
}

/// The watch ends with it, also where somebody panics: a failure must not become a hang.
struct Over<'l>(&'l Life<'l>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn live(life: Life<'_>, book: &Book, name: &str, (size, closed_after): (Size, u64), rng: &mut SplitMix64) {
    let (sent, next) = (AtomicU64::new(0), life.store.current_revision() + 1);
    let watch = watch(&life, next);
    thread::scope(|scope| {
        let (life, sent) = (&life, &sent);
        let _over = Over(life);
        scope.spawn(move || {
            let Some(mut watch) = watch else { return };
            let mut checker = checker(next);
            watch.updates().for_each(|update| see(life, &mut checker, update));
        });
        scope.spawn(move || read_what_is_new(life, book));
        let clients: Vec<_> = (0..size.clients)
            .map(|client| {
                let mut rng = rng.split();
                scope.spawn(move || {
                    // How many calls were answered, or dropped on purpose.
                    (0..size.calls)
                        .take_while(|number| {
                            if sent.fetch_add(1, Ordering::SeqCst) == closed_after {
                                life.close();
                            }
                            call(life, book, &mut rng, &format!("{name}.{client}.{number}"))
                        })
                        .count() as u64
                })
            })
            .collect();
        for _ in 0..3 {
            match defragment(&life.store) {
                Ok(_) => {}
                Err(Error::OutcomeUnknown) if life.is_broken() => {}
                Err(error) => panic!("the file could not be exchanged: {error}"),
            }
            replay(life);
        }
        let done: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        if !life.may_be_over() {
            assert_eq!(done, size.clients * size.calls, "calls were lost in a store that nobody closed");
        }
        replay(life);
    });
}

/// A watch of everything; none where the store is over.
fn watch(life: &Life<'_>, start_revision: u64) -> Option<Watch> {
    match life.store.watch(&WatchOptions::new(KeyRange::everything()).start_at(start_revision)) {
        Ok(watch) => Some(watch),
        Err(Error::Closed) if life.may_be_over() => None,
        Err(error) => panic!("a watch could not be made: {error}"),
    }
}

fn checker(start_revision: u64) -> WatchChecker {
    WatchChecker::new(WatchSpec::new(KeyRange::everything(), start_revision))
}

/// A watch goes on as long as its store does: nothing is compacted, and nobody cancels it.
fn see(life: &Life<'_>, checker: &mut WatchChecker, update: Result<Update, End>) {
    match update {
        Err(End::Closed) if life.may_be_over() => {}
        Err(end) => panic!("a watch is ended for nothing: {end}"),
        update => checker.observe(&observation(update).expect("it is no end")).unwrap(),
    }
}

/// A watch of all that ever happened, which comes to the present.
fn replay(life: &Life<'_>) {
    let (current, mut checker) = (life.store.current_revision(), checker(1));
    let Some(mut watch) = watch(life, 1) else { return };
    watch.ask_progress(current);
    loop {
        let update = watch.wait_next_for(PATIENCE).expect("progress was asked for and never came");
        let update = update.expect("whoever is told of an end asks for no more");
        let is_over = match update {
            Ok(Update::Progress { revision }) => revision >= current,
            Ok(Update::Events(_)) => false,
            Err(_) => true,
        };
        see(life, &mut checker, update);
        if is_over {
            return;
        }
    }
}

/// Checks what was written down, and what the store in `folder` tells of it.
pub fn check(folder: &Path, book: Book) -> Done {
    let store = Store::open(folder, settings()).unwrap();
    let mut history = Receiver::open(&store, WatchSpec::new(KeyRange::everything(), 2));
    history.read_to(store.current_revision());
    let events: Vec<_> = history.observed.events().cloned().collect();
    let refused = book.refused.load(Ordering::SeqCst);
    let calls = book.into_calls();
    let model = linear::check(&calls, &events).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(model.current_revision(), store.current_revision());
    history.check(&model);
    Done { refused, ..Done::of(&calls, model.current_revision()) }
}

/// Makes a call. False where the store is over, and whoever called it was told so.
fn call(life: &Life<'_>, book: &Book, rng: &mut SplitMix64, value: &str) -> bool {
    let ops = ops(rng, value);
    let sent = book.now();
    let came = match &ops[..] {
        [Op::Range { range, .. }] if rng.chance(2) => Came::Answer(read(&life.store, range)),
        _ => write(life, &ops, rng.below(8)),
    };
    match came {
        Came::Answer(told) => book.note(ops, sent, Some(told)),
        Came::Dropped => book.note(ops, sent, None),
        Came::Lost => {
            book.note(ops, sent, None);
            return false;
        }
        Came::Refused => {
            book.refused.fetch_add(1, Ordering::SeqCst);
            return false;
        }
    }
    true
}

/// What came of a call.
enum Came {
    Answer(Told),
    /// It is in line, and whoever sent it is gone.
    Dropped,
    /// The store's own code panicked: nobody knows.
    Lost,
    /// The store is closed: the call did nothing, and is no part of the history.
    Refused,
}

type Told = (u64, Vec<OpResult>);

/// A read outside of any transaction.
fn read(store: &Store, range: &KeyRange) -> Told {
    let view = store.view().unwrap();
    let found = view.range(range, &RangeOptions::default()).unwrap();
    let (rows, more) = (rows(&found.records), found.more);
    let answer = RangeAnswer { rows, count: usize::try_from(found.count).unwrap(), more };
    (view.revision(), vec![OpResult::Range(answer)])
}

/// Reads everything as soon as there is a new revision, and so right when one becomes visible.
fn read_what_is_new(life: &Life<'_>, book: &Book) {
    let (mut read_last, everything) = (0, KeyRange::everything());
    while !life.may_be_over() {
        if life.store.current_revision() == read_last {
            thread::yield_now();
            continue;
        }
        let sent = book.now();
        let told = read(&life.store, &everything);
        read_last = told.0;
        book.note(vec![Op::range(everything.clone())], sent, Some(told));
    }
}

fn write(life: &Life<'_>, ops: &[Op], manner: u64) -> Came {
    let write = life.store.execute(request(ops));
    let done = catch_unwind(AssertUnwindSafe(|| match manner {
        0 => pin!(write).poll(&mut Context::from_waker(Waker::noop())),
        1..4 => Poll::Ready(block_on(write)),
        _ => Poll::Ready(write.wait()),
    }));
    match done {
        Ok(Poll::Pending) => Came::Dropped,
        Ok(Poll::Ready(Ok(done))) => {
            Came::Answer((done.revision, done.value.responses.iter().map(result).collect()))
        }
        Ok(Poll::Ready(Err(Error::Closed))) if life.may_be_over() => Came::Refused,
        Ok(Poll::Ready(Err(Error::OutcomeUnknown))) if life.is_broken() => Came::Lost,
        Ok(Poll::Ready(Err(error))) => panic!("nothing went wrong, and a call is told: {error}"),
        // It came to whoever led the group.
        Err(panic) if is_planted(&*panic) => Came::Lost,
        Err(panic) => resume_unwind(panic),
    }
}

/// Whether a failpoint was told to panic so.
#[must_use]
pub fn is_planted(panic: &(dyn Any + Send)) -> bool {
    panic.downcast_ref::<String>().is_some_and(|text| text.starts_with("failpoint "))
}
