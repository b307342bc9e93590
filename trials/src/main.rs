//! Trials that go on as long as they are let: `cargo xtask stress [TRIAL]... [--seed S] [--seconds N]`.
//!
//! **What it is for:** what no test of a few seconds meets. A trial is made of rounds, a round of a seed: it writes, breaks
//! something (a process, a disk, a file), and lets the checkers of `watchful-testkit` judge what is left. A round that fails
//! names its seed, and is run again by it.
//!
//! **What it is not for:** what one named test shows. A bug that a trial finds gets such a test, beside the code.

mod run;

mod tally;

mod rows;

mod trials;

mod threads;

mod kill;

mod compaction;

mod linear;

mod failpoints;

mod server;

mod disk;

mod damage;

mod hostile;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The program is its own helper where what is tried may end a process.
    if kill::is_child() {
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).as_deref() == Some(damage::READER) {
        return damage::read_for_ever();
    }
    run::run(&run::Arguments::parse())
}
