//! `cargo xtask stress`: trials that go on as long as they are let.
//!
//! The trials, their list and their arguments belong to `watchful-trials`; this only builds and starts that program, with
//! the checks of the dev profile in it, and the server beside it, which some of them start.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --quiet --package watchful-server --package watchful-trials").run()?;
    Ok(cmd!(shell, "cargo run --quiet --package watchful-trials -- {args...}").run()?)
}
