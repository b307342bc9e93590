//! Front pages: every module opens with one, and a crate's says in its first lines what the crate is for.

use super::Finding;
use super::tree::Tree;

/// How much of a front page is looked at, in lines, and how much it has to say there, in characters.
const OPENING_LINES: usize = 3;
const OPENING_CHARS_MIN: usize = 60;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.ending(".rs")
        .filter(|(path, _)| is_module(path))
        .filter_map(|(path, text)| judge(path, text))
        .collect()
}

fn is_module(path: &str) -> bool {
    path.contains("/src/") || path.contains("/examples/")
}

fn judge(path: &str, text: &str) -> Option<Finding> {
    if !text.starts_with("//!") {
        return Some(Finding::new(path, 1, "no front page", "begin with `//!` and what the module is for"));
    }
    if path.ends_with("/src/lib.rs") && opening(text).chars().count() < OPENING_CHARS_MIN {
        return Some(Finding::new(
            path,
            1,
            "the crate does not say what it is for",
            "say it in the first three lines",
        ));
    }
    None
}

/// The prose of a front page's first lines.
fn opening(text: &str) -> String {
    let lines = text.lines().take(OPENING_LINES).filter_map(|line| line.strip_prefix("//!"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy;

    const PAGE: &str =
        "//! The words every layer speaks, and their bytes: a revision\n//! orders every change.\n";

    #[test]
    fn a_module_without_a_front_page_is_found() {
        let files = [("crates/a/src/b.rs", "use std::fmt;\n"), ("crates/a/tests/it/main.rs", "mod b;\n")];
        tidy::check(check, &files, &["crates/a/src/b.rs:1: no front page"]);
    }

    #[test]
    fn a_crate_has_to_say_what_it_is_for() {
        tidy::check(check, &[("crates/a/src/lib.rs", PAGE)], &[]);
        let files = [("crates/a/src/lib.rs", "//! (front page)\n"), ("crates/a/src/b.rs", "//! B.\n")];
        tidy::check(check, &files, &["crates/a/src/lib.rs:1: the crate does not say what it is for"]);
    }
}
