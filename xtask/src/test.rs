//! `cargo xtask test`: the tests of every crate, with cargo's own words to the last line.
//!
//! It is `cargo test --workspace` and no more, so that there is one way to run the tests. What comes after `test` is
//! handed on: `cargo xtask test key_range` runs the tests with that in their name.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    Ok(cmd!(shell, "cargo test --workspace {args...}").run()?)
}
