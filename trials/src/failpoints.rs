//! The named places of the product (`failpoint!` in its source), one after the other and together: it is delayed there, fails
//! there, panics there, and is killed there.

use std::panic;
use std::sync::{Once, mpsc};
use std::thread;

use watchful_harness::child::{Place, Program};
use watchful_harness::kill::{self, Moment};
use watchful_harness::threads::{self, Faults};
use watchful_harness::{PATIENCE, linear};
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
    match round.rng.below(4) {
        0 => delays(round),
        1 => errors(round),
        2 => panics(round),
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

/// Nobody waits for ever for a store whose own code has panicked, and nothing of what was acknowledged is lost.
fn panics(round: &mut Round<'_>) -> Outcome {
    const PANICS: [&str; 9] = [
        "mvcc::commit",
        "mvcc::committed",
        "mvcc::indexed",
        "mvcc::visible",
        "mvcc::compaction::forget",
        "store::publish",
        "store::acknowledge",
        "store::drive",
        "store::read",
    ];
    quiet();
    let scenario = fail::FailScenario::setup();
    let place = *round.rng.pick(&PANICS);
    fail::cfg(place, &format!("{}*off->1*panic->off", round.rng.below(300)))?;
    let (folder, seed, size) = (round.dir.to_owned(), round.rng.next_u64(), super::linear::size(round));
    let (done, end) = mpsc::channel();
    thread::spawn(move || done.send(linear::run(&folder, seed, size)));
    let book = end
        .recv_timeout(PATIENCE)
        .map_err(|_| format!("somebody waits for ever after a panic at {place}"))?;
    scenario.teardown();
    round.tally.add("rounds with a panic", 1);
    super::linear::count(round.tally, linear::check(round.dir, book));
    Ok(())
}

/// Panics that are wanted need not be told.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|text| text.starts_with("failpoint ")) {
                usual(info);
            }
        }));
    });
}
