//! What became of each target, in figures.

use std::fmt;
use std::path::PathBuf;

use crate::Outcome;

/// One target's run.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) stats: Stats,
    /// How many inputs there are now that each reach something that the others do not.
    pub(super) corpus: usize,
    /// An input that fails.
    pub(super) failure: Option<PathBuf>,
}

/// What libFuzzer said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    executions: u64,
    executions_a_second: u64,
    /// Edges of our code that were reached, and edges with how often they were.
    edges: u64,
    features: u64,
    memory_mb: u64,
}

impl Stats {
    /// From the log: `stat::` lines at its end, and `cov:` and `ft:` in the last line that has them.
    pub(super) fn read(log: &str) -> Self {
        let stat = |name: &str| {
            let value = log.lines().rev().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| value.trim_start_matches(':').trim().parse().ok()).unwrap_or(0)
        };
        let last = |name: &str| {
            let mut words = log.lines().rev().find(|line| line.contains(name))?.split_whitespace();
            words.by_ref().find(|word| *word == name)?;
            words.next()?.parse().ok()
        };
        Self {
            executions: stat("stat::number_of_executed_units"),
            executions_a_second: stat("stat::average_exec_per_sec"),
            edges: last("cov:").unwrap_or(0),
            features: last("ft:").unwrap_or(0),
            memory_mb: stat("stat::peak_rss_mb"),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, executions_a_second, edges, features, memory_mb } = self;
        write!(
            f,
            "{executions} executions, {executions_a_second} a second, {edges} edges, {features} features, {memory_mb} MB"
        )
    }
}

/// The part of the log that says what is wrong.
pub(super) fn failure(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let is_first =
        |line: &&str| line.contains("panicked at") || line.starts_with("==") || line.contains("ERROR:");
    let first = lines.iter().position(is_first).unwrap_or(lines.len().saturating_sub(LINES_MAX));
    lines[first..].iter().take(LINES_MAX).map(|line| format!("    {line}\n")).collect()
}

/// Where the log says that the input is which fails.
pub(super) fn input(log: &str) -> Option<PathBuf> {
    let line = log.lines().rev().find_map(|line| line.split_once("Test unit written to "));
    line.map(|(_, path)| path.trim().into())
}

const LINES_MAX: usize = 30;

/// The summary; an error where something failed.
pub(super) fn tell(runs: &[Run]) -> Outcome {
    println!(
        "\n{:<16}{:>12}{:>10}{:>8}{:>10}{:>8}",
        "target", "executions", "a second", "edges", "features", "corpus"
    );
    for Run { name, stats, corpus, failure } in runs {
        let Stats { executions, executions_a_second, edges, features, .. } = stats;
        let failed = if failure.is_some() { "  FAILED" } else { "" };
        println!(
            "{name:<16}{executions:>12}{executions_a_second:>10}{edges:>8}{features:>10}{corpus:>8}{failed}"
        );
    }
    let failed: Vec<_> = runs.iter().filter_map(|run| Some((&run.name, run.failure.as_ref()?))).collect();
    for (name, input) in &failed {
        println!("to try again: cargo xtask fuzz {name} --replay {}", input.display());
        println!("to keep it:   cp {} fuzz/regressions/{name}/", input.display());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{} targets failed", failed.len()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let log = "INFO: Loaded 1 modules\n#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #7\tNEW    cov: 120 ft: 431 corp: 9/80b lim: 4 exec/s: 0 rss: 41Mb L: 4/4 MS: 1 CopyPart-\n\
                   Done 900 runs in 3 second(s)\nstat::number_of_executed_units: 900\n\
                   stat::average_exec_per_sec:     300\nstat::peak_rss_mb:              41\n";
        let expected =
            Stats { executions: 900, executions_a_second: 300, edges: 120, features: 431, memory_mb: 41 };
        assert_eq!(Stats::read(log), expected);
    }

    #[test]
    fn of_a_failure_the_panic_is_told() {
        let log = "#2 INITED\nthread '<unnamed>' panicked at a.rs:1:\nit is wrong\nstack backtrace:\n";
        assert!(failure(log).starts_with("    thread '<unnamed>' panicked at a.rs:1:\n    it is wrong\n"));
    }

    /// An input that had been found before was taken for none, because its file was there; the targets after it were not run.
    #[test]
    fn the_input_is_where_the_log_says() {
        let log = "==7== ERROR: libFuzzer: deadly signal\nartifact_prefix='/found/'; Test unit written to /found/crash-1\n\
                   Base64: AQ==\n";
        assert_eq!(input(log), Some("/found/crash-1".into()));
        assert_eq!(input("Done 900 runs in 3 second(s)\n"), None);
    }
}
