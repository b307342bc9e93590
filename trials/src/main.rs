//! Trials that go on as long as they are let: `cargo xtask stress [TRIAL]... [--seed S] [--seconds N]`.
//!
//! **What it is for:** what no test of a few seconds meets. A trial is made of rounds, a round of a seed: it writes, breaks
//! something (a process, a disk, a file), and lets the checkers of `watchful-testkit` judge what is left. A round that fails
//! names its seed, and is run again by it.
//!
//! **What it is not for:** what one named test shows. A bug that a trial finds gets such a test, beside the code.

mod run;

mod tally;

mod trials;

mod hostile;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    run::run(&run::Arguments::parse())
}
