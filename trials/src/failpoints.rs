//! The named places of the product (`failpoint!` in its source), one after the other and together: it is delayed there, fails
//! there, panics there, and is killed there.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use watchful::{Error, Store};
use watchful_harness::child::{Place, Program};
use watchful_harness::kill::{self, Moment};
use watchful_harness::linear::{self, Size};
use watchful_harness::threads::{self, Faults};
use watchful_harness::{PATIENCE, eventually, rows_at, settings};
use watchful_testkit::SplitMix64;

use crate::trials::{Outcome, Round};

/// Every place that a commit, a compaction or an opening comes by.
const PLACES: [&str; 14] = [
    "mvcc::open::scanned",
    "mvcc::open::marked",
    "mvcc::commit",
    "mvcc::committed",
    "mvcc::indexed",
    "mvcc::visible",
    "mvcc::compaction::scheduled",
    "mvcc::compaction::enforce",
    "mvcc::compaction::delete",
    "mvcc::compaction::finished",
    "mvcc::compaction::forget",
    "store::publish",
    "store::acknowledge",
    "store::drive",
];

/// Where a delay lets others come in between.
const DELAYED: [&str; 9] = [
    "mvcc::commit",
    "mvcc::committed",
    "mvcc::indexed",
    "mvcc::visible",
    "store::publish",
    "store::acknowledge",
    "store::drive",
    "store::read",
    "mvcc::compaction::forget",
];

const KILLS: usize = 12;

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    if !fail::has_failpoints() {
        return Err(
            "this program was built without failpoints: `cargo xtask stress` builds it with them".into()
        );
    }
    match round.seed % 5 {
        0 => delays(round),
        1 => errors(round),
        2 => panics(round),
        3 => panic_in_a_compaction(round),
        _ => kills(round),
    }
}

fn kills(round: &mut Round<'_>) -> Outcome {
    let (seed, mut rng) = (round.rng.next_u64(), round.rng.split());
    let moments = std::iter::repeat_with(|| Moment::At(place(&mut rng))).take(KILLS);
    super::kill::count(
        round.tally,
        kill::round(Program::Trials(super::kill::WORK), round.dir, seed, moments),
    );
    Ok(())
}

fn place(rng: &mut SplitMix64) -> Place {
    let name = *rng.pick(&PLACES);
    let time = if name.starts_with("mvcc::open") { 1 } else { 1 + rng.below(60) };
    Place { name, time }
}

fn delays(round: &mut Round<'_>) -> Outcome {
    let scenario = fail::FailScenario::setup();
    for place in DELAYED {
        if round.rng.chance(2) {
            fail::cfg(place, &format!("{}%sleep({})", 1 + round.rng.below(10), round.rng.below(4)))?;
        }
    }
    // What is read in between is held against the history first: it takes less time than what watches.
    let size = Size { lives: 1, ..super::linear::size(round) };
    let book = linear::run(round.dir, round.rng.next_u64(), size, &AtomicU64::new(0));
    super::linear::count(round.tally, linear::check(round.dir, book));
    let done = threads::run(round.rng.next_u64(), 1, Faults::None);
    scenario.teardown();
    round.tally.add("rounds with delays", 1);
    super::threads::count(round.tally, done);
    Ok(())
}

fn errors(round: &mut Round<'_>) -> Outcome {
    let scenario = fail::FailScenario::setup();
    fail::cfg("mvcc::commit", &format!("{}%return", 1 + round.rng.below(10)))?;
    fail::cfg("mvcc::history", &format!("{}%return", 1 + round.rng.below(10)))?;
    let done = threads::run(round.rng.next_u64(), 1, Faults::Told);
    scenario.teardown();
    super::threads::count(round.tally, done);
    Ok(())
}

/// How many planted panics have come.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Nobody waits for ever for a store whose own code has panicked, and nothing of what was acknowledged is lost.
fn panics(round: &mut Round<'_>) -> Outcome {
    const PLACES: [&str; 8] = [
        "mvcc::commit",
        "mvcc::committed",
        "mvcc::indexed",
        "mvcc::visible",
        "store::publish",
        "store::acknowledge",
        "store::drive",
        "store::read",
    ];
    count_panics();
    let scenario = fail::FailScenario::setup();
    let (place, size) = (*round.rng.pick(&PLACES), super::linear::size(round));
    // Sooner or later, and rarely too late: a commit holds a call of each client at most, and is read now and then.
    let times = if place == "store::read" { 3 } else { size.calls / 4 };
    fail::cfg(place, &format!("{}*off->1*panic->off", round.rng.below(times)))?;
    let (folder, seed, before) = (round.dir.to_owned(), round.rng.next_u64(), PANICS.load(Ordering::SeqCst));
    let book = in_time(place, move || linear::run(&folder, seed, size, &PANICS))?;
    scenario.teardown();
    match PANICS.load(Ordering::SeqCst) - before {
        0 => round.tally.add(format!("rounds in which no panic came to {place}"), 1),
        _ => round.tally.add("rounds with a panic", 1),
    }
    super::linear::count(round.tally, linear::check(round.dir, book));
    Ok(())
}

/// The same, where only a compaction comes by: what is kept is whole, and what was begun is brought to its end.
fn panic_in_a_compaction(round: &mut Round<'_>) -> Outcome {
    const PLACE: &str = "mvcc::compaction::forget";
    // Each of five keys is there, or was deleted last of all.
    const LEFT_MAX: u64 = 10;
    count_panics();
    let (size, seed) = (super::linear::size(round), round.rng.next_u64());
    let book = linear::run(round.dir, seed, Size { lives: 1, ..size }, &PANICS);
    super::linear::count(round.tally, linear::check(round.dir, book));
    let scenario = fail::FailScenario::setup();
    fail::cfg(PLACE, "1*panic->off")?;
    let (folder, before) = (round.dir.to_owned(), PANICS.load(Ordering::SeqCst));
    let (current, rows) = in_time(PLACE, move || {
        let store = Store::open(&folder, settings()).expect("nothing is wrong with it");
        let current = store.current_revision();
        let rows = rows_at(&store, current);
        // It may be answered before the panic or after it, and it may lead the group that the panic comes to.
        let _ = catch_unwind(AssertUnwindSafe(|| store.compact(current).wait()));
        eventually("a panic in the compaction", || (PANICS.load(Ordering::SeqCst) > before).then_some(()));
        let refused = store.put("key/0", "after it").wait();
        assert!(matches!(refused, Err(Error::Closed)), "after a panic somebody writes: {refused:?}");
        (current, rows)
    })?;
    scenario.teardown();
    round.tally.add("rounds with a panic in a compaction", 1);
    let store = Store::open(round.dir, settings())?;
    assert_eq!((rows_at(&store, current), store.compact_revision()), (rows, current));
    eventually("the compaction to end", || (store.stats().mvcc.versions <= LEFT_MAX).then_some(()));
    Ok(())
}

/// Does it on a thread of its own, which may wait for ever.
fn in_time<T: Send + 'static>(place: &str, work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    let (done, end) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    end.recv_timeout(2 * PATIENCE).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("somebody waits for ever after a panic at {place}").into(),
        RecvTimeoutError::Disconnected => format!("what is told above, after a panic at {place}").into(),
    })
}

/// Panics that are wanted are counted, and need not be told.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if watchful_harness::linear::is_planted(info.payload()) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            } else {
                usual(info);
            }
        }));
    });
}
