//! `cargo xtask stress`: trials that go on as long as they are let.
//!
//! The trials, their list and their arguments belong to `watchful-trials`; this only builds and starts that program, with
//! the checks of the dev profile and the failpoints in it. The server that they start is built beside it, without either
//! feature or trial.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --quiet --package watchful-server --bin watchful").run()?;
    let trials = cmd!(shell, "cargo run --quiet --package watchful-trials --features failpoints --");
    Ok(trials.args(args).run()?)
}
