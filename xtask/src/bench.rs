//! `cargo xtask bench`: the benchmarks, built for release.
//!
//! The work, the list of names and what `--quick` means belong to `watchful-benches`; this only starts its program
//! and hands the arguments on.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    Ok(cmd!(shell, "cargo run --release --package watchful-benches -- {args...}").run()?)
}
