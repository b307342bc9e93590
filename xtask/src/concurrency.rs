//! `cargo xtask concurrency [loom|miri|tsan]`: what no test can meet by chance, looked for by tools that try it.
//!
//! - **loom** runs the models of `crates/watchful/src/loom_models.rs` in each order in which their threads can come.
//! - **miri** interprets the tests of the crates without I/O: undefined behaviour, data races, leaks. Its properties get few
//!   cases, for it is some hundred times slower.
//! - **tsan** is ThreadSanitizer under the facade's stress and behaviour tests, with a standard library that is built for it.
//!   LMDB's own code is not: what it does to shared memory without a lock is how it works.
//!
//! The last two need a nightly toolchain with `miri` and `rust-src`. Where there is none that is said, and nothing is checked.

use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::Outcome;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them; all of them, one after the other, where none is named
    #[arg(value_enum)]
    tools: Vec<Tool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// Every order of the models' threads
    Loom,
    /// Undefined behaviour and data races in the crates without I/O
    Miri,
    /// Data races under the facade's stress
    Tsan,
}

pub(crate) fn run(shell: &Shell, arguments: &Arguments) -> Outcome {
    let all = Tool::value_variants();
    let tools = if arguments.tools.is_empty() { all } else { &arguments.tools };
    for tool in tools {
        match tool {
            Tool::Loom => loom(shell)?,
            Tool::Miri => miri(shell)?,
            Tool::Tsan => tsan(shell)?,
        }
    }
    Ok(())
}

/// Only the unit tests of the one crate are compiled with the flag: all they need is there from the other tests.
pub(crate) fn loom(shell: &Shell) -> Outcome {
    let build = cmd!(shell, "cargo rustc --package watchful --lib --profile test");
    let build = build.args(["--message-format", "json-render-diagnostics", "--", "--cfg", "loom"]);
    let models =
        executable_in(&build.read()?).ok_or("cargo does not tell where it put the models")?.to_owned();
    println!("Running the models ({models})");
    Ok(cmd!(shell, "{models} loom_models").run()?)
}

/// What cargo says that it built, in its JSON.
fn executable_in(messages: &str) -> Option<&str> {
    let (_, path) = messages.rsplit_once(r#""executable":""#)?;
    path.split('"').next()
}

/// The crates that do no I/O of their own; what a model of a store is judged by is not worth the time.
const PURE: [&str; 4] = ["watchful-revision", "watchful-watcher-index", "watchful-sync", "watchful-bbolt"];

fn miri(shell: &Shell) -> Outcome {
    if cmd!(shell, "cargo +nightly miri --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return skipped("miri", "rustup component add --toolchain nightly miri rust-src");
    }
    let packages = PURE.iter().flat_map(|package| ["--package", package]);
    let tests = cmd!(shell, "cargo +nightly miri test {packages...} --target-dir target/miri --lib --tests");
    // Properties read their regressions, and the time.
    Ok(tests.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "2").run()?)
}

fn tsan(shell: &Shell) -> Outcome {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let sysroot = cmd!(shell, "rustc +nightly --print sysroot").quiet().ignore_stderr().read();
    let library = sysroot.map(|sysroot| format!("{sysroot}/lib/rustlib/src/rust/library"));
    if !library.is_ok_and(|library| shell.path_exists(library)) || !cfg!(target_arch = "x86_64") {
        return skipped("tsan", "rustup component add --toolchain nightly rust-src");
    }
    let tests = cmd!(shell, "cargo +nightly test -Zbuild-std --target {TARGET} --target-dir target/tsan");
    let tests = tests.args(["--package", "watchful", "--test", "it", "--", "stress", "behaviour"]);
    Ok(tests.env("RUSTFLAGS", "-Zsanitizer=thread").env("TSAN_OPTIONS", "halt_on_error=1").run()?)
}

fn skipped(tool: &str, remedy: &str) -> Outcome {
    println!("SKIPPED, {tool} checked nothing: this machine has no toolchain for it ({remedy})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_last_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null,\"fresh\":true}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/deps/models-1\",\"fresh\":false}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable_in(messages), Some("/deps/models-1"));
        assert_eq!(executable_in("{\"executable\":null}"), None);
    }
}
