//! Rounds, one after the other, until the time is up; and what to do about one that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use watchful_testkit::SplitMix64;

use crate::tally::Tally;
use crate::trials::{ALL, Outcome, Round, Trial};

/// Trials that break processes, disks and files, and check that nothing is lost.
#[derive(clap::Parser)]
#[command(name = "cargo xtask stress")]
pub(crate) struct Arguments {
    /// Which of them; all of them, one after the other, where none is named
    #[arg(value_parser = PossibleValuesParser::new(ALL.iter().map(|trial| trial.name)))]
    trials: Vec<String>,
    /// The seed of the first round; the next round has the next one. By the clock, where none is given
    #[arg(long)]
    seed: Option<u64>,
    /// How long each of them goes on; a round that was begun is ended
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// So many rounds of each, however long they take
    #[arg(long, conflicts_with = "seconds")]
    rounds: Option<u64>,
    /// Only tell which trials there are
    #[arg(long)]
    list: bool,
}

/// When a trial is over.
#[derive(Clone, Copy)]
enum Until {
    Time(Duration),
    Rounds(u64),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.list {
        ALL.iter().for_each(|trial| println!("{:<12} {}", trial.name, trial.about));
        return ExitCode::SUCCESS;
    }
    let seed = arguments.seed.unwrap_or_else(seed_of_clock);
    let until = match arguments.rounds {
        Some(rounds) => Until::Rounds(rounds),
        None => Until::Time(Duration::from_secs(arguments.seconds)),
    };
    let wanted = |trial: &&Trial| {
        arguments.trials.is_empty() || arguments.trials.iter().any(|name| name == trial.name)
    };
    let failed: Vec<_> =
        ALL.iter().filter(wanted).filter(|trial| !take(trial, seed, until)).map(|trial| trial.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("FAILED: {}", failed.join(", "));
    ExitCode::FAILURE
}

fn seed_of_clock() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_secs()
}

/// One trial, up to its first failure. Tells whether there was none.
fn take(trial: &Trial, first_seed: u64, until: Until) -> bool {
    println!("{}, seed {first_seed}: {}", trial.name, trial.about);
    let (begun, mut tally, mut rounds) = (Instant::now(), Tally::default(), 0);
    let failure = loop {
        let seed = first_seed.wrapping_add(rounds);
        if let Err(failure) = round(trial, seed, &mut tally) {
            break Some((seed, failure));
        }
        rounds += 1;
        let over = match until {
            Until::Time(time) => begun.elapsed() >= time,
            Until::Rounds(count) => rounds >= count,
        };
        if over {
            break None;
        }
    };
    println!("{}: {rounds} rounds in {:.1} s: {tally}", trial.name, begun.elapsed().as_secs_f64());
    let Some((seed, failure)) = failure else { return has_tried_all(trial, first_seed, rounds, &tally) };
    println!("{}: FAILED: {failure}", trial.name);
    println!("to try again: cargo xtask stress {} --seed {seed} --rounds 1", trial.name);
    false
}

/// After so many rounds a trial has done everything that it is for. One that has not tries something else than it says.
const ROUNDS_ENOUGH: u64 = 20;

fn has_tried_all(trial: &Trial, first_seed: u64, rounds: u64, tally: &Tally) -> bool {
    let never = tally.never(trial.counted);
    if rounds < ROUNDS_ENOUGH || never.is_empty() {
        return true;
    }
    println!("{}: FAILED: in {rounds} rounds there were no {}", trial.name, never.join(", no "));
    println!("to try again: cargo xtask stress {} --seed {first_seed} --rounds {rounds}", trial.name);
    false
}

/// A round takes seconds. One that takes this long has lost something that somebody waits for.
const ROUND_MAX: Duration = Duration::from_secs(180);

/// Ends the program, with what is to be known, unless it is dropped in time.
fn watch_over(trial: &Trial, seed: u64) -> Sender<()> {
    let (ended, end) = channel::<()>();
    let name = trial.name;
    thread::spawn(move || {
        if end.recv_timeout(ROUND_MAX) == Err(RecvTimeoutError::Timeout) {
            println!("{name}: FAILED: a round did not come to its end in {} s", ROUND_MAX.as_secs());
            println!("to try again: cargo xtask stress {name} --seed {seed} --rounds 1");
            std::process::exit(1);
        }
    });
    ended
}

fn round(trial: &Trial, seed: u64, tally: &mut Tally) -> Result<(), String> {
    let _watched = watch_over(trial, seed);
    let dir = tempfile::tempdir().map_err(|error| format!("no folder to work in: {error}"))?;
    let result = catch_unwind(AssertUnwindSafe(|| -> Outcome {
        (trial.round)(&mut Round { seed, rng: SplitMix64::new(seed), dir: dir.path(), tally })
    }));
    let failure = match result {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        // Its message was printed when it happened.
        Err(_) => "a panic, told above".to_owned(),
    };
    Err(format!("{failure}\nits folder: {}", dir.keep().display()))
}
