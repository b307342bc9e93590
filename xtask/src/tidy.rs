//! `cargo xtask tidy`: what the compiler cannot check.
//!
//! Each rule is a module with a function from the [`Tree`] of files to [`Finding`]s, so that its tests need no files
//! but small strings. A finding says where it is, what it is and what to do, and any finding fails the command.

mod tree;

mod arrows;

mod bans;

mod front_pages;

mod architecture;

mod guarantees;

mod text;

mod links;

mod markdown;

use std::fmt;
use std::path::Path;

use crate::Outcome;
use tree::Tree;

#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Print the arrow table as docs/ARCHITECTURE.md has to show it, and check nothing
    #[arg(long)]
    arrows: bool,
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    arrows::check,
    bans::check,
    front_pages::check,
    architecture::check,
    guarantees::check,
    text::check,
    links::check,
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Outcome {
    if arguments.arrows {
        println!("{}", architecture::arrow_table());
        return Ok(());
    }
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    findings.iter().for_each(|finding| println!("{finding}"));
    match findings.len() {
        0 => Ok(()),
        1 => Err("tidy has one finding".into()),
        many => Err(format!("tidy has {many} findings").into()),
    }
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    remedy: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, remedy } = self;
        write!(f, "{path}:{line}: {what} — {remedy}")
    }
}

/// Runs `rule` on `files` and compares each finding's `path:line: what`.
#[cfg(test)]
#[track_caller]
fn check(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
    let findings = rule(&Tree::of(files));
    let found: Vec<String> =
        findings.iter().map(|it| format!("{}:{}: {}", it.path, it.line, it.what)).collect();
    assert_eq!(found, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::new("docs/X.md", 3, "a tab", "write spaces");
        assert_eq!(finding.to_string(), "docs/X.md:3: a tab — write spaces");
    }
}
