//! Small habits of text: no promise left open, no test switched off, no file too long, no stray blanks.

use super::tree::Tree;
use super::{Finding, markdown};

const PRODUCTION_LINES_MAX: usize = 600;

/// A line of prose longer than this is hard to read side by side; tables and links cannot be broken.
const PROSE_CHARS_MAX: usize = 140;

/// Production files that may be longer, each with the reason. None so far.
const LONG_FILES: &[(&str, &str)] = &[];

/// Words that mark unfinished work. They are put together here so that this file does not hold them.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!")];

/// How a test is switched off.
const SWITCHED_OFF: &str = concat!("#[", "ignore");

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let lines = tree.texts().flat_map(|(path, text)| check_lines(path, text));
    let prose = tree.ending(".md").flat_map(|(path, text)| check_prose(path, text));
    let length = tree.ending(".rs").filter_map(|(path, text)| check_length(path, text, LONG_FILES));
    lines.chain(prose).chain(length).collect()
}

fn check_lines(path: &str, text: &str) -> Vec<Finding> {
    let numbered = text.lines().enumerate();
    numbered
        .flat_map(|(at, line)| {
            faults(path, line).map(move |(what, do_it)| Finding::new(path, at + 1, what, do_it))
        })
        .collect()
}

fn faults(path: &str, line: &str) -> impl Iterator<Item = (String, &'static str)> {
    let mark = MARKS.iter().find(|mark| has_word(line, mark));
    let mark = mark.map(|mark| (format!("{mark} left in"), "do it, or leave it out"));
    let test_off = path.ends_with(".rs") && line.trim_start().starts_with(SWITCHED_OFF);
    let test_off = test_off.then(|| ("a test is switched off".to_owned(), "mend the test, or delete it"));
    let trailing =
        line.ends_with([' ', '\t']).then(|| ("blanks at the end of the line".to_owned(), "delete them"));
    let tab = line.trim_end().contains('\t').then(|| ("a tab".to_owned(), "write spaces"));
    mark.into_iter().chain(test_off).chain(trailing).chain(tab)
}

/// Whether `word` is in the line and not a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let goes_on = |side: Option<char>| side.is_some_and(|side| side.is_alphanumeric() || side == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        // After a macro's `!` nothing can go on.
        !goes_on(line[..at].chars().next_back()) && (word.ends_with('!') || !goes_on(after.chars().next()))
    })
}

fn check_prose(path: &str, text: &str) -> Vec<Finding> {
    let is_long = |line: &str| line.chars().count() > PROSE_CHARS_MAX;
    let unbreakable =
        |line: &str| line.trim_start().starts_with('|') || line.contains("](") || line.contains("://");
    let long = markdown::prose(text).filter(|(_, line)| is_long(line) && !unbreakable(line));
    let what = format!("more than {PROSE_CHARS_MAX} characters");
    long.map(|(line, _)| Finding::new(path, line, what.as_str(), "break the line")).collect()
}

fn check_length(path: &str, text: &str, allowed: &[(&str, &str)]) -> Option<Finding> {
    let lines = production_lines(text);
    let is_allowed = allowed.iter().any(|(long, _)| *long == path);
    match lines > PRODUCTION_LINES_MAX {
        true if is_production(path) && !is_allowed => {
            let what = format!("{lines} lines of production code");
            Some(Finding::new(
                path,
                1,
                what,
                format!("split it by subject; {PRODUCTION_LINES_MAX} is the most"),
            ))
        }
        false if is_allowed => Some(Finding::new(
            path,
            1,
            "no longer a long file",
            "drop it from LONG_FILES in xtask/src/tidy/text.rs",
        )),
        _ => None,
    }
}

fn is_production(path: &str) -> bool {
    path.contains("/src/") && !path.ends_with("/tests.rs")
}

/// The lines above a module's own tests.
fn production_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy;

    #[test]
    fn unfinished_work_is_found_as_a_word() {
        let text = format!("// {}: later\n{}();\nlet todos = 1;\nMASTODON\n", MARKS[0], MARKS[2]);
        let expected = [format!("a.rs:1: {} left in", MARKS[0]), format!("a.rs:2: {} left in", MARKS[2])];
        tidy::check(check, &[("a.rs", &text)], &expected.each_ref().map(String::as_str));
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        let text = format!("    {SWITCHED_OFF}]\n    {SWITCHED_OFF} = \"slow\"]\n");
        tidy::check(
            check,
            &[("a.rs", &text)],
            &["a.rs:1: a test is switched off", "a.rs:2: a test is switched off"],
        );
    }

    #[test]
    fn stray_blanks_are_found() {
        let expected = ["a.toml:1: blanks at the end of the line", "a.toml:2: a tab"];
        tidy::check(check, &[("a.toml", "a = 1 \n\tb = 2\nc = 3\n")], &expected);
    }

    #[test]
    fn a_long_line_of_prose_is_found_and_a_long_row_is_not() {
        let long = "word ".repeat(30) + "end";
        let page = format!("{long}\n| {long} |\n```\n{long}\n```\nsee [a](b) {long}\n");
        tidy::check(check, &[("A.md", &page)], &["A.md:1: more than 140 characters"]);
    }

    #[test]
    fn a_long_production_file_is_found_and_its_tests_do_not_count() {
        let code = "//! a\n".repeat(PRODUCTION_LINES_MAX);
        let with_tests = format!("{code}#[cfg(test)]\n{code}");
        let longer = format!("{code}//! b\n");
        let files = [
            ("a/src/x.rs", with_tests.as_str()),
            ("a/src/y.rs", longer.as_str()),
            ("a/tests/z.rs", longer.as_str()),
            ("a/src/x/tests.rs", longer.as_str()),
        ];
        tidy::check(check, &files, &["a/src/y.rs:1: 601 lines of production code"]);
    }

    #[test]
    fn a_long_file_may_be_allowed_while_it_is_long() {
        let longer = "//! a\n".repeat(PRODUCTION_LINES_MAX + 1);
        let allowed = [("a/src/x.rs", "one thing")];
        assert_eq!(check_length("a/src/x.rs", &longer, &allowed), None);
        assert!(check_length("a/src/x.rs", "//! a\n", &allowed).is_some());
    }
}
