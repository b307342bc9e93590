//! docs/GUARANTEES.md: every promise is there, and the checkers and tests it cites exist.
//!
//! A promise begins with its number, as a heading (`## 3. Reliable`) or as a row (`| 3 | …`), and goes on until the
//! next one. It cites, in backticks, a path of the repository (`crates/watchful-sync/tests/it/main.rs`) or an item
//! of one of its crates (`watchful_testkit::check_ordered`, `watchful_sync::it::catch_up::the_hand_over_has_no_gap`).
//! Whatever stands between crate and item has to be the name of the file, of a folder above it, or of something in it.

use std::collections::BTreeMap;

use toml::Table;

use super::arrows::package_name;
use super::tree::Tree;
use super::{Finding, markdown};

const PAGE: &str = "docs/GUARANTEES.md";
const PROMISES: u32 = 20;

/// What may come before an item's name where it is defined.
const KEYWORDS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "mod", "static"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else {
        return vec![Finding::new(
            PAGE,
            1,
            "the promises are missing",
            "write them: each names its checker and tests",
        )];
    };
    let promises = promises(page);
    let mut findings: Vec<Finding> =
        (1..=PROMISES).filter_map(|number| judge(number, promises.get(&number))).collect();
    for (line, prose) in markdown::prose(page) {
        let missing = markdown::code_spans(prose)
            .filter(|span| is_citation(tree, span))
            .filter(|span| !exists(tree, span));
        let finding = |span| {
            Finding::new(PAGE, line, format!("{span} does not exist"), "cite what is there, or write it")
        };
        findings.extend(missing.map(finding));
    }
    findings
}

fn judge(number: u32, promise: Option<&Promise>) -> Option<Finding> {
    match promise {
        None => {
            Some(Finding::new(PAGE, 1, format!("promise {number} is missing"), "write it, with its checker"))
        }
        Some(promise) if !promise.cites => {
            let what = format!("promise {number} cites nothing");
            Some(Finding::new(PAGE, promise.line, what, "name its checker and its tests in backticks"))
        }
        Some(_) => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Promise {
    /// Where it begins first.
    line: usize,
    cites: bool,
}

/// The promises by number. One that is there twice, say in a table and under a heading, is one promise.
fn promises(page: &str) -> BTreeMap<u32, Promise> {
    let mut promises = BTreeMap::new();
    let mut current = None;
    for (line, prose) in markdown::prose(page) {
        current = number_of(prose).or(current);
        let Some(number) = current else { continue };
        let promise = promises.entry(number).or_insert(Promise { line, cites: false });
        promise.cites |= markdown::code_spans(prose).any(|span| looks_like_path(span) || span.contains("::"));
    }
    promises
}

/// The number a heading or a row begins with.
fn number_of(line: &str) -> Option<u32> {
    let rest = line.trim_start_matches('#').trim_start_matches('|');
    if rest.len() == line.len() {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '*']);
    let (digits, after) = rest.split_at(rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len()));
    after.starts_with(['.', ' ', '|', ':', '*']).then(|| digits.parse().ok()).flatten()
}

fn looks_like_path(span: &str) -> bool {
    ["crates/", "benches/", "xtask/", "fuzz/"].iter().any(|folder| span.starts_with(folder))
}

fn is_citation(tree: &Tree, span: &str) -> bool {
    looks_like_path(span)
        || (span.contains("::") && is_item(span) && folder_of(tree, first_segment(span)).is_some())
}

fn is_item(span: &str) -> bool {
    span.chars().all(|one| one.is_alphanumeric() || matches!(one, '_' | '-' | ':'))
}

fn first_segment(span: &str) -> &str {
    span.split("::").next().unwrap_or(span)
}

/// The folder of the crate that is called `name` in Rust or in a manifest.
fn folder_of<'a>(tree: &'a Tree, name: &str) -> Option<&'a str> {
    let package = name.replace('_', "-");
    let is_it = |text: &str| {
        text.parse::<Table>().is_ok_and(|manifest| package_name(&manifest) == Some(package.as_str()))
    };
    let (path, _) = tree.manifests().find(|(_, text)| is_it(text))?;
    path.strip_suffix("/Cargo.toml")
}

fn exists(tree: &Tree, span: &str) -> bool {
    if looks_like_path(span) {
        return tree.has(span);
    }
    let mut segments: Vec<&str> = span.split("::").collect();
    let (name, krate) = (segments.pop().unwrap_or_default(), segments.remove(0));
    let Some(folder) = folder_of(tree, krate).map(|folder| format!("{folder}/")) else { return false };
    let sources = tree.ending(".rs").filter(|(path, _)| path.starts_with(&folder));
    sources
        .into_iter()
        .any(|(path, text)| defines(text, name) && segments.iter().all(|part| lies_in(path, text, part)))
}

fn defines(text: &str, name: &str) -> bool {
    KEYWORDS.iter().any(|keyword| {
        let definition = format!("{keyword} {name}");
        text.match_indices(&definition).any(|(at, _)| {
            let after = text[at + definition.len()..].chars().next();
            !after.is_some_and(|one| one.is_alphanumeric() || one == '_')
        })
    })
}

fn lies_in(path: &str, text: &str, segment: &str) -> bool {
    let mut parts = path.trim_end_matches(".rs").split('/');
    parts.any(|part| part == segment) || defines(text, segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &[(&str, &str)] = &[
        ("crates/watchful-testkit/Cargo.toml", "[package]\nname = \"watchful-testkit\"\n"),
        ("crates/watchful-testkit/src/lib.rs", "mod checks;\n"),
        (
            "crates/watchful-testkit/src/checks.rs",
            "pub fn check_ordered(x: u8) {}\nmod tests {\n fn a_test() {}\n}\n",
        ),
        ("crates/watchful-testkit/tests/it/model.rs", "struct Model;\n#[test]\nfn runs() {}\n"),
    ];

    /// Twenty promises that pass, but for the text given for the third.
    fn check(third: &str, expected: &[&str]) {
        let row = |number| format!("| {number} | `watchful_testkit::check_ordered` |\n");
        let rows: String = (1..=PROMISES).filter(|number| *number != 3).map(row).collect();
        let page = format!("{third}\n{rows}");
        let files: Vec<_> = SOURCES.iter().copied().chain([(PAGE, page.as_str())]).collect();
        crate::tidy::check(super::check, &files, expected);
    }

    #[test]
    fn what_exists_may_be_cited() {
        check("## 3. Reliable\n\nby `watchful_testkit::checks::check_ordered`.", &[]);
        check(
            "| **3** | `watchful_testkit::checks::tests::a_test`, `watchful-testkit::it::model::runs` |",
            &[],
        );
        check(
            "### 3: `crates/watchful-testkit/tests/it/model.rs` and `std::fmt::Debug` of `Store::put`",
            &[],
        );
    }

    #[test]
    fn what_does_not_exist_is_found() {
        let check_cite = |cite: &str| {
            check(&format!("| 3 | `{cite}` |"), &[&format!("docs/GUARANTEES.md:1: {cite} does not exist")]);
        };
        check_cite("watchful_testkit::check_order");
        check_cite("watchful_testkit::model::check_ordered");
        check_cite("watchful_testkit::it::model::run");
        check_cite("crates/watchful-testkit/src/check.rs");
    }

    #[test]
    fn a_promise_without_a_citation_and_a_missing_one_are_found() {
        check("## 3. Reliable\n\nsurely, `always`", &["docs/GUARANTEES.md:1: promise 3 cites nothing"]);
        check("3. is no heading", &["docs/GUARANTEES.md:1: promise 3 is missing"]);
    }

    #[test]
    fn numbers_are_read_from_headings_and_rows() {
        for (line, number) in
            [("## 12. Kept", Some(12)), ("| 7 | x |", Some(7)), ("# 3rd", None), ("8. x", None)]
        {
            assert_eq!(number_of(line), number, "{line}");
        }
    }
}
