//! `cargo xtask stress`: trials that go on as long as they are let.
//!
//! The trials, their list and their arguments belong to `watchful-trials`; this only builds and starts that program, with
//! the checks of the dev profile and the failpoints in it. The server that they start is built beside it, without either
//! feature or trial.
//!
//! Programs are named among the whole workspace's, here and in the other commands, so that all of them take other people's
//! crates with the same features: what `cargo test --workspace` built is not built again.

use xshell::{Shell, cmd};

use crate::{Outcome, dev_program};

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --quiet --workspace --bin watchful").run()?;
    run_with_server_of_tests(shell, args)
}

/// The same, for a caller that has just run the tests: the server that they built lies there already.
pub(crate) fn run_with_server_of_tests(shell: &Shell, args: &[String]) -> Outcome {
    let build = cmd!(shell, "cargo build --quiet --workspace --bin watchful-trials");
    build.args(["--features", "watchful-trials/failpoints"]).run()?;
    let trials = dev_program("watchful-trials")?;
    Ok(cmd!(shell, "{trials} {args...}").quiet().run()?)
}
