//! Building with coverage: this program in the compiler's place.
//!
//! cargo starts `RUSTC_WORKSPACE_WRAPPER` with the compiler's path and arguments, for the workspace's own crates alone, and
//! keeps what comes of it apart from what is built otherwise.
//!
//! There is no address sanitizer in it: it takes a nightly compiler and everything built anew, and finds what unsafe code does
//! wrong, of which there is one crate, around LMDB's C, which no flag of ours reaches.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use xshell::{Shell, cmd};

use crate::{Outcome, dev_program};

/// Says to this program that it is started in the compiler's place, and with which flags.
const FLAGS: &str = "WATCHFUL_FUZZ_RUSTC_FLAGS";

/// What libFuzzer looks at: a counter for each edge, where each is, and what is compared with what. cargo-fuzz's flags, and
/// none that is unstable.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Goes against the profile, for runs that are longer than the build.
const FOR_LONG: &str = "-Copt-level=2";

/// Builds the fuzzer's program, and tells where it is: beside this one.
pub(super) fn build(shell: &Shell, for_long: bool) -> Outcome<PathBuf> {
    find_cxx(shell)?;
    let flags: Vec<_> = COVERAGE.into_iter().chain(for_long.then_some(FOR_LONG)).collect();
    let this = std::env::current_exe()?;
    let cargo = cmd!(shell, "cargo build --workspace --features watchful-fuzz/libfuzzer --bin fuzz");
    cargo.env("RUSTC_WORKSPACE_WRAPPER", &this).env(FLAGS, flags.join(" ")).run()?;
    Ok(dev_program("fuzz")?)
}

fn find_cxx(shell: &Shell) -> Outcome {
    let cxx = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let found = cmd!(shell, "{cxx} --version").quiet().ignore_stdout().ignore_stderr().run();
    found.map_err(|error| {
        let remedy = "install one, for example g++ or clang, or name it in CXX";
        format!("libFuzzer is built by a C++ compiler, and there is none ({error}): {remedy}").into()
    })
}

/// Where this program was started in the compiler's place: does that. Comes back only if it was not, or cannot.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    let flags = std::env::var(FLAGS).ok()?;
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next()?;
    let args: Vec<_> = args.collect();
    let mut command = Command::new(compiler);
    command.args(&args);
    // A build script runs while the fuzzer's program is still to be linked, and without its counters.
    let is_build_script = args.iter().any(|arg| arg == "build_script_build");
    let is_question = !args.iter().any(|arg| arg == "--crate-name");
    if !is_build_script && !is_question {
        command.args(flags.split(' '));
    }
    let error = command.exec();
    eprintln!("error: the compiler does not start: {error}");
    Some(ExitCode::FAILURE)
}
