//! The differential test: `cargo xtask differential`.
//!
//! **What it is for:** the same seeded workload is played, step by step, against a real etcd and against Watchful, each
//! freshly started in a folder of its own. Every answer, every error's code and text, and everything that every watch
//! delivers is compared field by field. What differs is a fault, or it is on the list of [`known`] differences, which
//! docs/COMPATIBILITY.md tells to people. A workload that fails shrinks to the few steps that matter.
//!
//! **What it is not for:** requests that overlap in time are not compared, nor is speed; and what etcd itself leaves to
//! chance (ids, the order of a hash table) is taken out of the answers in [`answer`] and [`side`].
//!
//! # How a workload is played
//!
//! - [`workload`] makes the [`step`]s of a seed; their revisions are [`tokens`], told when they run.
//! - [`run`] asks both [`side`]s, waits until every watch was given what it is [`owed`], and compares.
//! - [`scenes`] are the steps that take more than one request.
//! - [`caller`] and [`auth`] are who asks, and the calls about users; [`straight`] is for those who may not do everything.
//! - [`program`] starts and ends the servers, [`stream`] reads watches with [`patience`], [`leases`] names leases.
//! - [`shrink`] and [`show`] are for what was found.
#![forbid(unsafe_code)]

mod workload;

mod keys;

mod step;

mod tokens;

mod caller;

mod auth;

mod request;

mod straight;

mod answer;

mod run;

mod scenes;

mod owed;

mod known;

mod side;

mod patience;

mod stream;

mod leases;

mod program;

mod shrink;

mod show;

mod terse;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::program::Program;
use crate::run::{Options, Pair, Report};

/// What went wrong with the test itself.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Plays the same seeded workloads against a real etcd and against Watchful, and compares everything they say.
#[derive(Parser)]
#[command(name = "cargo xtask differential")]
struct Arguments {
    /// The seeds to play: FIRST..END, or how many from 0 on
    #[arg(long, default_value = "10", value_parser = seeds)]
    seeds: Range<u64>,
    /// One seed only
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Steps of each workload
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// With users in every seed, not only in every third
    #[arg(long)]
    users: bool,
    /// Go on after a difference, in the same workload and with further seeds
    #[arg(long)]
    keep_going: bool,
    /// Show everything that is asked and answered
    #[arg(long)]
    transcript: bool,
    /// How many runs a failing workload may take to shrink; 0 shows it as it is
    #[arg(long, default_value_t = 150)]
    shrink_tries: usize,
    /// The etcd to go by
    #[arg(long, default_value = "etcd")]
    etcd: PathBuf,
    /// The Watchful to test
    #[arg(long, default_value = "target/debug/watchful")]
    watchful: PathBuf,
    /// Test another etcd instead of Watchful: nothing may differ then
    #[arg(long)]
    itself: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|error| format!("{text:?} is no number ({error}): give 20, or 5..25"))
    };
    let range = match text.split_once("..") {
        Some((first, end)) => number(first)?..number(end)?,
        None => 0..number(text)?,
    };
    if range.is_empty() { Err("there is no seed in it: give 20, or 5..25".to_owned()) } else { Ok(range) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Returning ends the servers, and removes their folders.
    let played = tokio::select! {
        played = play(&arguments) => played,
        stopped = stopped() => Err(stopped.unwrap_or_else(|error| error.into())),
    };
    match played {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} seeds found a difference that is not listed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits until somebody wants this to end.
async fn stopped() -> io::Result<Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    Ok("stopped by a signal".into())
}

/// Plays the seeds. How many of them found a difference.
async fn play(arguments: &Arguments) -> Result<usize, Failure> {
    let mut failed = 0;
    for seed in arguments.seed.map_or(arguments.seeds.clone(), |seed| seed..seed + 1) {
        let start = Instant::now();
        let with_users = arguments.users || workload::has_users(seed);
        let pair = pair(arguments).with_web_tokens(with_users && workload::has_web_tokens(seed));
        let steps = workload::steps(seed, arguments.steps, with_users);
        let options = Options { keep_going: arguments.keep_going, transcript: arguments.transcript };
        let report = run::run(&pair, &steps, options).await?;
        print!("{}", show::transcript(&pair, &report));
        println!(
            "seed {seed}: {} answers and {} events compared in {:.1} s, {} differences{}",
            report.exchanges,
            report.events,
            start.elapsed().as_secs_f64(),
            report.differences.len(),
            show::known(&report)
        );
        for missed in &report.missed {
            println!("  not delivered in time: {missed}");
        }
        if report.is_clean() {
            continue;
        }
        failed += 1;
        tell(arguments, &pair, &steps, &report).await?;
        if !arguments.keep_going {
            break;
        }
    }
    Ok(failed)
}

fn pair(arguments: &Arguments) -> Pair {
    let etcd = Program::etcd(&arguments.etcd);
    let subject = if arguments.itself {
        Program { name: "etcd again", ..etcd.clone() }
    } else {
        Program::watchful(&arguments.watchful)
    };
    Pair { reference: etcd, subject, has_known: !arguments.itself }
}

/// Tells what differed, and the smallest workload in which it does.
async fn tell(
    arguments: &Arguments,
    pair: &Pair,
    steps: &[step::Step],
    report: &Report,
) -> Result<(), Failure> {
    for difference in &report.differences {
        println!("\n{}", show::difference(pair, difference));
    }
    for output in &report.output {
        println!("{output}");
    }
    let Some(first) = report.differences.first().filter(|_| arguments.shrink_tries > 0) else {
        return Ok(());
    };
    println!("shrinking …");
    match shrink::shrink(pair, &steps[..=first.step], &first.request, arguments.shrink_tries).await? {
        None => println!("it did not come again, so it depends on time"),
        Some(found) => {
            println!("{} steps are enough ({} runs):\n", found.steps.len(), found.tries);
            println!("{}", show::transcript(pair, &found.report));
            for difference in &found.report.differences {
                println!("{}", show::difference(pair, difference));
            }
        }
    }
    Ok(())
}
