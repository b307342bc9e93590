//! `cargo xtask bench`: the benchmarks, built for release, and the server that some of them start.
//!
//! The work, the list of names and what `--quick` means belong to `watchful-benches`; this only builds, starts its program
//! and hands the arguments on. The program finds the server beside itself.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --release --package watchful-server --package watchful-benches").run()?;
    Ok(cmd!(shell, "cargo run --release --package watchful-benches -- {args...}").run()?)
}
