//! Concurrent clients of one store, each of whose calls and answers is written down: the history must be one that a store
//! could have had, one call at a time (`watchful_testkit::linear`).
//!
//! Some calls are sent and their answer is not waited for, and now and then the store is closed while everybody calls: then
//! nobody knows what became of a call.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread;

use parking_lot::Mutex;
use watchful::{KeyRange, RangeOptions, Store, WatchOptions};
use watchful_testkit::checkers::WatchChecker;
use watchful_testkit::linear::{self, Answer, Call};
use watchful_testkit::{
    Compare, CompareTarget, Comparison, Op, OpResult, RangeAnswer, SplitMix64, Txn, WatchSpec,
};

use crate::{Receiver, block_on, observation, request, result, rows, settings};

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Calls that were sent.
    pub calls: u64,
    /// Of them, those whose outcome nobody knows.
    pub unknown: u64,
    /// Revisions that they came to.
    pub revisions: u64,
}

impl Done {
    /// Counts a history.
    #[must_use]
    pub fn of(calls: &[Call], revisions: u64) -> Self {
        let unknown = calls.iter().filter(|call| call.answer.is_none()).count();
        Self { calls: calls.len() as u64, unknown: unknown as u64, revisions }
    }
}

/// Writes down what was sent and answered, in the order in which it was.
#[derive(Default)]
pub struct Book {
    next: AtomicU64,
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

/// Opens the store in `folder` again and again, and lets all clients call it.
#[must_use]
pub fn run(folder: &Path, seed: u64, size: Size) -> Book {
    let (mut rng, book) = (SplitMix64::new(seed), Book::default());
    for life in 0..size.lives {
        // Where it is closed in the middle, that many calls are sent before.
        let is_last = life + 1 == size.lives;
        let closed_after = if is_last { u64::MAX } else { rng.below(size.clients * size.calls) };
        live(folder, &book, &format!("{life}"), (size, closed_after), &mut rng);
    }
    book
}

fn live(folder: &Path, book: &Book, name: &str, (size, closed_after): (Size, u64), rng: &mut SplitMix64) {
    let store = Store::open(folder, settings()).unwrap();
    let (sent, next) = (AtomicU64::new(0), store.current_revision() + 1);
    let mut watch = store.watch(&WatchOptions::new(KeyRange::everything()).start_at(next)).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut checker = WatchChecker::new(WatchSpec::new(KeyRange::everything(), next));
            for update in watch.updates().map_while(observation) {
                checker.observe(&update).unwrap();
            }
        });
        let clients: Vec<_> = (0..size.clients)
            .map(|client| {
                let (store, sent, mut rng) = (store.clone(), &sent, rng.split());
                scope.spawn(move || {
                    for number in 0..size.calls {
                        if sent.fetch_add(1, Ordering::SeqCst) == closed_after {
                            store.close();
                        }
                        if !call(&store, book, &mut rng, &format!("{name}.{client}.{number}")) {
                            break;
                        }
                    }
                })
            })
            .collect();
        (0..3).for_each(|_| drop(store.defragment()));
        clients.into_iter().for_each(|client| client.join().unwrap());
        // The watch ends with it.
        drop(store);
    });
}

/// Checks what was written down, and what the store in `folder` tells of it.
pub fn check(folder: &Path, book: Book) -> Done {
    let store = Store::open(folder, settings()).unwrap();
    let mut history = Receiver::open(&store, WatchSpec::new(KeyRange::everything(), 2));
    history.read_to(store.current_revision());
    let events: Vec<_> = history.observed.events().cloned().collect();
    let calls = book.into_calls();
    let model = linear::check(&calls, &events).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(model.current_revision(), store.current_revision());
    history.check(&model);
    Done::of(&calls, model.current_revision())
}

/// Makes a call. False where the store is no more.
fn call(store: &Store, book: &Book, rng: &mut SplitMix64, value: &str) -> bool {
    let ops = ops(rng, value);
    let sent = book.now();
    let (is_there, answer) = match &ops[..] {
        [Op::Range { range, .. }] if rng.chance(2) => (true, Some(read(store, range))),
        _ => write(store, &ops, rng.below(8)),
    };
    book.note(ops, sent, answer);
    is_there
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

fn write(store: &Store, ops: &[Op], manner: u64) -> (bool, Option<Told>) {
    let write = store.execute(request(ops));
    if manner == 0 {
        // It is in line, and whoever sent it is gone.
        let _ = pin!(write).poll(&mut Context::from_waker(Waker::noop()));
        return (true, None);
    }
    // A store whose own code panics is no more, either: whoever waited for it knows nothing.
    let done = catch_unwind(AssertUnwindSafe(|| if manner < 4 { block_on(write) } else { write.wait() }));
    match done {
        Ok(Ok(done)) => (true, Some((done.revision, done.value.responses.iter().map(result).collect()))),
        _ => (false, None),
    }
}
