//! `cargo xtask ci`: everything a change has to pass, one step after the other, each with a heading and its time.
//!
//! A step that fails does not keep the next ones from running: one run tells all there is to mend. The table at the
//! end has a row for each step, and the command fails if one of them did. `.ci/run` runs the tests first, by
//! themselves, and the rest through this command.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::{Outcome, bench, concurrency, fuzz, main_job, plant, root, stress, test, tidy};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave the tests out, for a caller that has just run them
    #[arg(long)]
    skip_tests: bool,
}

struct Step {
    name: &'static str,
    run: fn(&Shell) -> Outcome,
}

/// In the order they run: what a person waits for most, first.
const STEPS: &[Step] = &[
    Step { name: TESTS, run: |shell| test::run(shell, &[]) },
    Step { name: "format", run: format },
    Step { name: "clippy", run: clippy },
    Step { name: "documentation", run: documentation },
    Step { name: "tidy", run: |_| tidy::run(root(), &tidy::Arguments::default()) },
    Step {
        name: "trials, shortly",
        // With one seed for all: a change is not stopped by what another would have been stopped by too. The long passes have others.
        run: |shell| stress::run_with_server_of_tests(shell, &words("--seconds 1 --seed 1")),
    },
    Step {
        name: "fuzzing, shortly",
        // From one seed too, for the same reason.
        run: |shell| fuzz::run(shell, &fuzz::Arguments::each_for(FUZZ_SECONDS, 1)),
    },
    Step { name: "orders of threads", run: concurrency::loom },
    Step { name: "planted faults apply", run: |shell| plant::run(shell, &plant::Arguments::check()) },
    Step { name: "benchmarks, quickly", run: |shell| bench::run(shell, &words("--quick")) },
    Step { name: "the README's main job", run: main_job::run },
    Step { name: "git-history", run: git_history },
];

const TESTS: &str = "tests";

const FUZZ_SECONDS: u64 = 1;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

pub(crate) fn run(shell: &Shell, arguments: &Arguments) -> Outcome {
    // Of what is built for release here no figure is looked at, and optimising the whole program takes minutes.
    shell.set_var("CARGO_PROFILE_RELEASE_LTO", "off");
    shell.set_var("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    shell.set_var("CARGO_PROFILE_RELEASE_DEBUG", "none");
    shell.set_var("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    let steps = STEPS.iter().filter(|step| !(arguments.skip_tests && step.name == TESTS));
    let rows: Vec<Row> = steps.map(|step| take(shell, step)).collect();
    println!("\n{}", table(&rows));
    match rows.iter().filter(|row| !row.passed).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} steps failed", rows.len()).into()),
    }
}

fn take(shell: &Shell, step: &Step) -> Row {
    println!("\n== {} ==", step.name);
    let start = Instant::now();
    let outcome = (step.run)(shell);
    let row = Row { name: step.name, passed: outcome.is_ok(), took: start.elapsed() };
    match outcome {
        Ok(()) => println!("== {}: {:.1} s ==", row.name, row.took.as_secs_f64()),
        Err(error) => println!("== {}: FAILED after {:.1} s: {error} ==", row.name, row.took.as_secs_f64()),
    }
    row
}

/// What became of a step.
struct Row {
    name: &'static str,
    passed: bool,
    took: Duration,
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<24} {:>8}\n", "step", "seconds");
    for row in rows {
        let mark = if row.passed { "" } else { "  FAILED" };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{:<24} {:>8.1}{mark}", row.name, row.took.as_secs_f64());
    }
    let total: f64 = rows.iter().map(|row| row.took.as_secs_f64()).sum();
    text + &format!("{:<24} {total:>8.1}", "all")
}

fn format(shell: &Shell) -> Outcome {
    Ok(cmd!(shell, "cargo fmt --all --check").run()?)
}

fn clippy(shell: &Shell) -> Outcome {
    cmd!(shell, "cargo clippy --workspace --all-targets -- -D warnings").run()?;
    // What is left out there, because only the trials or the benchmarks ask for it.
    let trials = cmd!(shell, "cargo clippy --workspace --bin watchful-trials");
    trials.args(["--features", "watchful-trials/failpoints", "--", "-D", "warnings"]).run()?;
    let benches = cmd!(shell, "cargo clippy --workspace --all-targets");
    Ok(benches.args(["--features", "watchful-benches/peers", "--", "-D", "warnings"]).run()?)
}

fn documentation(shell: &Shell) -> Outcome {
    Ok(cmd!(shell, "cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?)
}

/// Replays a repository of three commits, which is made anew each time: so is the store.
fn git_history(shell: &Shell) -> Outcome {
    let history = small_history(shell, &root().join("target/xtask/small-history"))?;
    Ok(cmd!(shell, "cargo run --release --package watchful --example git-history -- {history} --fresh")
        .run()?)
}

/// Makes a git repository in `folder`: a file comes, changes, and goes.
fn small_history(shell: &Shell, folder: &Path) -> Result<PathBuf, xshell::Error> {
    shell.remove_path(folder)?;
    shell.create_dir(folder)?;
    let _here = shell.push_dir(folder);
    git(shell, &["init", "--quiet"])?;
    shell.write_file("first", "1\n")?;
    commit(shell, "Write the first file")?;
    shell.write_file("first", "2\n")?;
    shell.write_file("folder/second", "2\n")?;
    commit(shell, "Change it, and write a second one")?;
    shell.remove_path("first")?;
    commit(shell, "Delete the first file")?;
    Ok(folder.to_owned())
}

fn commit(shell: &Shell, subject: &str) -> Result<(), xshell::Error> {
    git(shell, &["add", "--all"])?;
    let who =
        ["-c", "user.name=Watchful", "-c", "user.email=watchful@example.com", "-c", "commit.gpgSign=false"];
    git(shell, &[&who[..], &["commit", "--quiet", "--message", subject]].concat())
}

/// Runs git on the repository of this folder, even inside a hook, where variables name another one.
fn git(shell: &Shell, args: &[&str]) -> Result<(), xshell::Error> {
    let git = cmd!(shell, "git {args...}").quiet();
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE").run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_step_its_seconds_and_its_failure() {
        let row = |name, passed, seconds| Row { name, passed, took: Duration::from_secs(seconds) };
        let expected = "step                      seconds\n\
                        tests                        12.0\n\
                        clippy                        3.0  FAILED\n\
                        all                          15.0";
        assert_eq!(table(&[row("tests", true, 12), row("clippy", false, 3)]), expected);
    }

    #[test]
    fn only_the_tests_can_be_left_out() {
        assert_eq!(STEPS.iter().filter(|step| step.name == TESTS).count(), 1);
    }

    #[test]
    fn the_small_history_has_three_commits() {
        let shell = Shell::new().unwrap();
        if cmd!(shell, "git --version").quiet().ignore_stdout().run().is_err() {
            eprintln!("SKIPPED, this test checks nothing: git was not found on PATH");
            return;
        }
        let parent = shell.create_temp_dir().unwrap();
        let history = small_history(&shell, &parent.path().join("history")).unwrap();
        let count =
            cmd!(shell, "git -C {history} rev-list --count HEAD").env_remove("GIT_DIR").quiet().read();
        assert_eq!(count.unwrap(), "3");
    }
}
