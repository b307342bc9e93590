//! `cargo xtask bench`: the benchmarks, built for release, and the server that some of them start.
//!
//! The work, the list of names and what `--quick` means belong to `watchful-benches`; this only builds, starts its program
//! and hands the arguments on. The program finds the server beside itself. Other people's storage is built here and nowhere
//! else but for its lints.

use xshell::{Shell, cmd};

use crate::{Outcome, release_program};

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    // Not among the whole workspace's: so the server takes other people's crates nearly as `cargo run --release` does.
    let build = cmd!(shell, "cargo build --release --package watchful-server --package watchful-benches");
    build.args(["--features", "watchful-benches/peers"]).run()?;
    let benches = release_program("watchful-benches")?;
    Ok(cmd!(shell, "{benches} {args...}").quiet().run()?)
}
