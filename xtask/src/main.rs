//! The project's chores, in Rust: `cargo xtask <command>`.
//!
//! **What it is for:** what has to be done again and again is done by one command, the same for a person and for the
//! machine that checks each change. `cargo xtask help` lists the commands.
//!
//! **What it is not for:** nothing of the library is in here, and nothing of the library needs it. This file only
//! dispatches; each command has a module of its own.

mod ci;

mod main_job;

mod tidy;

mod test;

mod bench;

mod differential;

mod stress;

mod fuzz;

mod plant;

mod concurrency;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, io};

use clap::{Parser, Subcommand};
use xshell::Shell;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything a change has to pass, and say how long each step took
    Ci(ci::Arguments),
    /// Check what the compiler cannot: arrows, front pages, documents, links
    Tidy(tidy::Arguments),
    /// Run the tests; arguments go to `cargo test`
    #[command(disable_help_flag = true)]
    Test(Passed),
    /// Run benchmarks, compare their records and draw them: `--help` tells; arguments go to the benchmarks' own program
    #[command(disable_help_flag = true)]
    Bench(Passed),
    /// Compare with a real etcd: `[--seeds N|A..B] [--seed S] [--steps N] [--keep-going]`
    #[command(disable_help_flag = true)]
    Differential(Passed),
    /// Break processes, disks and files, and see that nothing is lost: `[TRIAL]... [--seed S] [--seconds N] [--list]`
    #[command(disable_help_flag = true)]
    Stress(Passed),
    /// Try what reads bytes or takes steps by a fuzzer that looks at coverage
    Fuzz(fuzz::Arguments),
    /// Put faults in on purpose, and see that the trials catch them
    Plant(plant::Arguments),
    /// Try the orders of threads with loom, Miri and ThreadSanitizer: `[loom|miri|tsan]...`
    Concurrency(concurrency::Arguments),
}

/// Arguments for another program.
#[derive(clap::Args)]
struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    if let Some(code) = fuzz::instrument::as_compiler() {
        return code;
    }
    match dispatch(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    let shell = Shell::new()?;
    shell.change_dir(root());
    match command {
        Command::Ci(arguments) => ci::run(&shell, &arguments),
        Command::Tidy(arguments) => tidy::run(root(), &arguments),
        Command::Test(passed) => test::run(&shell, &passed.args),
        Command::Bench(passed) => bench::run(&shell, &passed.args),
        Command::Differential(passed) => differential::run(&shell, &passed.args),
        Command::Stress(passed) => stress::run(&shell, &passed.args),
        Command::Fuzz(arguments) => fuzz::run(&shell, &arguments),
        Command::Plant(arguments) => plant::run(&shell, &arguments),
        Command::Concurrency(arguments) => concurrency::run(&shell, &arguments),
    }
}

/// Where cargo puts a program of the dev profile, whatever its target folder is: beside this one.
fn dev_program(name: &str) -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

/// Where cargo puts a program that is built for release.
fn release_program(name: &str) -> io::Result<PathBuf> {
    let of_dev = env::current_exe()?;
    let target = of_dev.ancestors().nth(2).unwrap_or(root());
    Ok(target.join("release").join(name))
}

/// The folder of the workspace.
fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
