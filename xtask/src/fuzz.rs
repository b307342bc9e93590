//! `cargo xtask fuzz`: the targets of `watchful-fuzz` under libFuzzer, on whatever toolchain there is.
//!
//! Coverage comes from flags that a stable compiler takes, and only our own crates are compiled with them: cargo calls this
//! program in the compiler's place for the crates of the workspace (see [`instrument`]). So what they depend on is shared with every
//! other build, and what was built for fuzzing lies beside what was built for tests. With cargo-fuzz, which has a workspace of its
//! own, each of some 300 crates would be built once more.
//!
//! Inputs that reach something new stay under `target/fuzz/corpus`, and the next run goes on from them.

pub(crate) mod instrument;

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use xshell::{Shell, cmd};

use crate::{Outcome, root};
use report::{Run, Stats};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them; all of them, one after the other, where none is named
    targets: Vec<String>,
    /// How long each of them goes on
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// What libFuzzer's choices follow from; by the clock, where none is given
    #[arg(long)]
    seed: Option<u32>,
    /// Only run this input through the one target that is named, without a fuzzer
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Only tell which targets there are
    #[arg(long)]
    list: bool,
}

impl Arguments {
    /// Every target, for so long each, from one seed.
    pub(crate) fn each_for(seconds: u64, seed: u32) -> Self {
        Self { targets: Vec::new(), seconds, seed: Some(seed), replay: None, list: false }
    }
}

/// What the fuzzer's program is told of the target by.
const TARGET: &str = "WATCHFUL_FUZZ_TARGET";

/// An input that takes longer than this has found something: hangs are bugs as well.
const INPUT_SECONDS_MAX: u32 = 25;

/// From so many seconds a target on, a better build pays.
const LONG_SECONDS: u64 = 10;

/// How long a failing input is made smaller.
const SHRINK_SECONDS: u32 = 10;

/// Much more than any target needs.
const MEMORY_MB_MAX: u32 = 3072;

pub(crate) fn run(shell: &Shell, arguments: &Arguments) -> Outcome {
    let known = targets()?;
    if arguments.list {
        known.iter().for_each(|target| println!("{:<16} {}", target.name, target.about));
        return Ok(());
    }
    if let Some(name) = arguments.targets.iter().find(|name| !known.iter().any(|it| it.name == **name)) {
        return Err(
            format!("there is no target {name}; `cargo xtask fuzz --list` tells which there are").into()
        );
    }
    if let Some(input) = &arguments.replay {
        let [target] = &arguments.targets[..] else {
            return Err("name the one target to replay with".into());
        };
        return Ok(cmd!(shell, "cargo run --quiet --package watchful-fuzz -- {target} {input}").run()?);
    }
    let wanted = |target: &&Target| arguments.targets.is_empty() || arguments.targets.contains(&target.name);
    let begun = Instant::now();
    let program = instrument::build(shell, arguments.seconds >= LONG_SECONDS)?;
    println!("built in {:.0} s", begun.elapsed().as_secs_f64());
    let runs = known.iter().filter(wanted).map(|target| fuzz(shell, &program, target, arguments));
    report::tell(&runs.collect::<Outcome<Vec<_>>>()?)
}

/// A target, as its list in `fuzz/src/lib.rs` has it.
struct Target {
    name: String,
    about: String,
    len_max: String,
}

/// Read from the source, because the program that knows them is not built yet.
fn targets() -> Outcome<Vec<Target>> {
    let text = fs::read_to_string(root().join("fuzz/src/lib.rs"))?;
    Ok(targets_in(&text))
}

fn targets_in(text: &str) -> Vec<Target> {
    let field = |row: &str, name: &str| {
        let value = row.lines().find_map(|line| line.trim().strip_prefix(name))?;
        Some(value.trim_matches(|one: char| " :,\"".contains(one)).to_owned())
    };
    let rows = text.split("    Target {").skip(1);
    let target = |row| {
        Some(Target {
            name: field(row, "name")?,
            about: field(row, "about")?,
            len_max: field(row, "len_max")?.replace('_', ""),
        })
    };
    rows.filter_map(target).collect()
}

/// Runs one target until its time is up or something is found.
fn fuzz(shell: &Shell, program: &Path, target: &Target, arguments: &Arguments) -> Outcome<Run> {
    let name = &target.name;
    println!("{name}: {}", target.about);
    let place = root().join("target/fuzz");
    let (corpus, found) = (place.join("corpus").join(name), place.join("found").join(name));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let kept = ["seeds", "regressions"].map(|folder| root().join("fuzz").join(folder).join(name));
    let kept = kept.iter().filter(|folder| folder.is_dir());
    let args = [
        format!("-max_total_time={}", arguments.seconds),
        // Of 0 libFuzzer makes one by the clock.
        format!("-seed={}", arguments.seed.unwrap_or(0)),
        format!("-max_len={}", target.len_max),
        // Long inputs from the start: a schedule of five steps finds nothing.
        "-len_control=0".to_owned(),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MB_MAX}"),
        format!("-artifact_prefix={}/", found.display()),
        "-print_final_stats=1".to_owned(),
    ];
    let _scratch = shell.push_env("TMPDIR", scratch());
    let _target = shell.push_env(TARGET, name);
    let output = cmd!(shell, "{program} {args...} {corpus} {kept...}").quiet().ignore_status().output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    fs::write(place.join(format!("{name}.log")), &log)?;
    let mut run = Run {
        name: name.clone(),
        stats: Stats::read(&log),
        corpus: inputs_in(&corpus)?.len(),
        failure: None,
    };
    if output.status.success() {
        println!("    {}", run.stats);
        return Ok(run);
    }
    // One that was found before keeps its name.
    let input = report::input(&log).map(|input| shrunk(shell, program, &input)).transpose()?;
    println!("{}", report::failure(&log));
    run.failure =
        Some(input.ok_or_else(|| format!("{name} ended with {}, and named no input", output.status))?);
    Ok(run)
}

/// A smaller input that fails too, where one is found soon.
fn shrunk(shell: &Shell, program: &Path, input: &Path) -> Outcome<PathBuf> {
    let mut smaller = input.to_owned().into_os_string();
    smaller.push(".small");
    let smaller = PathBuf::from(smaller);
    let args = [
        "-minimize_crash=1".to_owned(),
        format!("-max_total_time={SHRINK_SECONDS}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-exact_artifact_path={}", smaller.display()),
    ];
    cmd!(shell, "{program} {args...} {input}").quiet().ignore_status().output()?;
    Ok(if smaller.is_file() { smaller } else { input.to_owned() })
}

fn inputs_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// Where the stores of the targets are: in memory, where there is such a place.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_read_from_their_list() {
        let all = targets().unwrap();
        let names: Vec<_> = all.iter().map(|target| target.name.as_str()).collect();
        assert!(names.contains(&"schedules") && names.contains(&"requests"), "{names:?}");
        assert!(all.iter().all(|target| target.len_max.parse::<usize>().is_ok() && !target.about.is_empty()));
    }
}
