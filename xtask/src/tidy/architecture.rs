//! docs/ARCHITECTURE.md: it names every crate and no other, its arrow table is the one in the code, and the paths it
//! points to are there.
//!
//! The arrow table is the one whose first two columns are headed `Crate` and `May use`. `cargo xtask tidy --arrows`
//! prints it. More columns are allowed.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use super::arrows::{ARROWS, Allowed, Arrow, package_name};
use super::tree::Tree;
use super::{Finding, markdown};

const PAGE: &str = "docs/ARCHITECTURE.md";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else {
        return vec![Finding::new(PAGE, 1, "the map is missing", "write it: every crate, and the arrows")];
    };
    let mut findings = check_names(page, &crate_names(tree));
    findings.extend(check_arrows(page));
    findings.extend(missing_paths(tree, PAGE, page));
    findings
}

/// The table as the page has to show it.
pub(crate) fn arrow_table() -> String {
    let rows = ARROWS.iter().map(|arrow| format!("\n| `{}` | {} |", arrow.name, may_use(arrow)));
    rows.fold("| Crate | May use |\n|---|---|".to_owned(), |table, row| table + &row)
}

fn may_use(arrow: &Arrow) -> String {
    match arrow.may_use {
        Allowed::Anything => "anything".to_owned(),
        Allowed::Only([]) => "nothing of ours".to_owned(),
        Allowed::Only(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn crate_names(tree: &Tree) -> BTreeSet<String> {
    let name = |text: &str| package_name(&text.parse::<Table>().ok()?).map(str::to_owned);
    tree.manifests().filter_map(|(_, text)| name(text)).collect()
}

fn check_names(page: &str, crates: &BTreeSet<String>) -> Vec<Finding> {
    let named = named_crates(page);
    let missing = crates.iter().filter(|name| !named.contains_key(name.as_str()));
    let missing = missing
        .map(|name| Finding::new(PAGE, 1, format!("{name} is not named"), "give it its place on the map"));
    let extra = named.iter().filter(|(name, _)| name.starts_with("watchful-") && !crates.contains(**name));
    let extra = extra.map(|(name, line)| {
        Finding::new(PAGE, *line, format!("there is no crate {name}"), "drop it from the map")
    });
    missing.chain(extra).collect()
}

/// Each word of the page that could be a crate's name, with the line it is first on.
fn named_crates(page: &str) -> BTreeMap<&str, usize> {
    let mut named = BTreeMap::new();
    for (at, line) in page.lines().enumerate() {
        let words = line.split(|one: char| !(one.is_ascii_alphanumeric() || matches!(one, '-' | '_')));
        for word in words {
            named.entry(word.trim_matches('-')).or_insert(at + 1);
        }
    }
    named
}

fn check_arrows(page: &str) -> Vec<Finding> {
    let Some(shown) = shown_arrows(page) else {
        let remedy = "add what `cargo xtask tidy --arrows` prints";
        return vec![Finding::new(PAGE, 1, "no table `| Crate | May use |`", remedy)];
    };
    let expected: BTreeMap<String, String> =
        ARROWS.iter().map(|arrow| (format!("`{}`", arrow.name), may_use(arrow))).collect();
    let differing =
        expected.iter().filter(|(name, may)| shown.get(name.as_str()).is_none_or(|(_, cell)| cell != may));
    let differing = differing.map(|(name, may)| {
        let line = shown.get(name.as_str()).map_or(1, |(line, _)| *line);
        Finding::new(
            PAGE,
            line,
            format!("the row of {name} differs from the code"),
            format!("write `| {name} | {may} |`"),
        )
    });
    let extra = shown.iter().filter(|(name, _)| !expected.contains_key(**name));
    let extra = extra.map(|(name, (line, _))| {
        Finding::new(
            PAGE,
            *line,
            format!("{name} has no row in the code"),
            "drop the row, or add one to the arrows",
        )
    });
    differing.chain(extra).collect()
}

/// The page's arrow table: crate to line and second cell.
fn shown_arrows(page: &str) -> Option<BTreeMap<&str, (usize, &str)>> {
    let mut rows = markdown::prose(page).map(|(line, text)| (line, markdown::cells(text)));
    rows.find(|(_, cells)| matches!(cells.as_deref(), Some(["Crate", "May use", ..])))?;
    // The line under the heading is the rule between the two.
    let rows = rows.skip(1).map_while(|(line, cells)| Some((line, cells?)));
    Some(rows.filter_map(|(line, cells)| Some((*cells.first()?, (line, *cells.get(1)?)))).collect())
}

/// The paths that a page names in backticks and that are not there.
fn missing_paths(tree: &Tree, page: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, prose) in markdown::prose(text) {
        let missing = markdown::code_spans(prose).filter(|span| is_path(span)).filter(|span| !tree.has(span));
        let finding =
            |path| Finding::new(page, line, format!("{path} does not exist"), "name the file as it is now");
        findings.extend(missing.map(finding));
    }
    findings
}

fn is_path(span: &str) -> bool {
    span.starts_with("crates/") && !span.contains(['*', '{', '<', '…', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_arrows(page: &str, expected: &[&str]) {
        let findings = super::check_arrows(page);
        let found: Vec<String> = findings.iter().map(|it| format!("{}: {}", it.line, it.what)).collect();
        assert_eq!(found, expected);
    }

    fn page(table: &str) -> String {
        format!("# Map\n\n{table}\n\nThe end.\n")
    }

    #[test]
    fn the_printed_table_passes() {
        check_arrows(&page(&arrow_table()), &[]);
    }

    #[test]
    fn a_missing_table_is_found() {
        check_arrows("| Crate | Purpose |\n|---|---|\n", &["1: no table `| Crate | May use |`"]);
        let findings = check(&Tree::of(&[]));
        assert_eq!(findings.first().map(|it| it.what.as_str()), Some("the map is missing"));
    }

    #[test]
    fn a_row_that_differs_is_found() {
        let table = arrow_table()
            .replace("| `watchful-testkit` | `watchful-revision` |", "| `watchful-testkit` | `watchful` |");
        check_arrows(&page(&table), &["14: the row of `watchful-testkit` differs from the code"]);
        let table = arrow_table().replace("\n| `xtask` | nothing of ours |", "\n| `new` | anything |");
        let line_of_new = ARROWS.len() + 4;
        let expected = [
            "1: the row of `xtask` differs from the code",
            &format!("{line_of_new}: `new` has no row in the code"),
        ];
        check_arrows(&page(&table), &expected);
    }

    #[test]
    fn a_crate_too_few_and_one_too_many_are_found() {
        let crates = BTreeSet::from(["watchful".to_owned(), "watchful-sync".to_owned()]);
        let what =
            |page| check_names(page, &crates).into_iter().map(|it| (it.line, it.what)).collect::<Vec<_>>();
        assert_eq!(what("watchful -> `watchful-sync`"), []);
        assert_eq!(
            what("\nwatchful-syn"),
            [
                (1, "watchful is not named".to_owned()),
                (1, "watchful-sync is not named".to_owned()),
                (2, "there is no crate watchful-syn".to_owned()),
            ]
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let page = "`crates/watchful-sync/src/lib.rs`, `crates/*/src`\n`crates/watchful-sync/src/engine.rs`";
        let tree = Tree::of(&[("crates/watchful-sync/src/lib.rs", "")]);
        let expected = [Finding::new(
            PAGE,
            2,
            "crates/watchful-sync/src/engine.rs does not exist",
            "name the file as it is now",
        )];
        assert_eq!(missing_paths(&tree, PAGE, page), expected);
    }
}
