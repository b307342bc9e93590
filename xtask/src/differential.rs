//! `cargo xtask differential`: the same seeded workload against a real etcd and against Watchful, compared.
//!
//! The work and its arguments belong to `watchful-differential`; this builds the server and starts that program:
//! `cargo xtask differential --seeds 100`, `--seed 7`, `--steps 5000`, `--keep-going`, `--help`.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    cmd!(shell, "cargo build --package watchful-server --bin watchful").run()?;
    Ok(cmd!(shell, "cargo run --quiet --package watchful-differential -- {args...}").run()?)
}
