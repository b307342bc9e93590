//! `cargo xtask stress`: trials that go on as long as they are let.
//!
//! The trials, their list and their arguments belong to `watchful-trials`; this only builds and starts that program, with
//! the checks of the dev profile and the failpoints in it. The server that they start is built beside it, without either
//! feature or trial.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --quiet --package watchful-server --bin watchful").run()?;
    run_with_server_of_tests(shell, args)
}

/// The same, for a caller that has just run the tests: the server that they built lies there already.
pub(crate) fn run_with_server_of_tests(shell: &Shell, args: &[String]) -> Outcome {
    let trials = cmd!(shell, "cargo run --quiet --package watchful-trials --features failpoints --");
    Ok(trials.args(args).run()?)
}
