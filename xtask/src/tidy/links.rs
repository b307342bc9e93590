//! Links: what a document points to inside the repository is there, file and heading.

use super::tree::Tree;
use super::{Finding, markdown};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.ending(".md").flat_map(|(path, text)| check_page(tree, path, text)).collect()
}

fn check_page(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, prose) in markdown::prose(text) {
        let prose = markdown::without_code(prose);
        let broken = targets(&prose).filter(|target| !is_elsewhere(target) && !resolves(tree, path, target));
        let finding =
            |target| Finding::new(path, line, format!("{target} leads nowhere"), "mend or drop the link");
        findings.extend(broken.map(finding));
    }
    findings
}

/// Where a line's links lead: `[text](target)`, `[text](target "title")` and `[name]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let defined = line.starts_with('[').then(|| line.split_once("]: ")).flatten().map(|(_, target)| target);
    inline.chain(defined).map(|target| target.split(' ').next().unwrap_or(target))
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

fn resolves(tree: &Tree, page: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(file) = (if file.is_empty() { Some(page.to_owned()) } else { join(page, file) }) else {
        return false;
    };
    let heading_is_there =
        || tree.text(&file).is_some_and(|text| markdown::anchors(text).iter().any(|it| it == anchor));
    // A source file's anchors are line numbers.
    tree.has(&file) && (anchor.is_empty() || !file.ends_with(".md") || heading_is_there())
}

/// The path that `target` means on `page`; nothing where it leaves the repository.
fn join(page: &str, target: &str) -> Option<String> {
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(folders.pop()?),
            "." | "" => {}
            name => folders.push(name),
        }
    }
    Some(folders.join("/"))
}

#[cfg(test)]
mod tests {
    use crate::tidy;

    fn check(page: &str, expected: &[&str]) {
        let files = [
            ("docs/A.md", page),
            ("docs/B.md", "# One heading\n"),
            ("README.md", ""),
            ("crates/a/src/lib.rs", ""),
        ];
        tidy::check(super::check, &files, expected);
    }

    #[test]
    fn links_that_resolve_pass() {
        check(
            "[b](B.md), [up](../README.md \"title\"), [code](../crates/a/src/lib.rs#L3), [folder](../crates/a/)",
            &[],
        );
        check(
            "# Here\n[here](#here) [there](B.md#one-heading) [web](https://example.com/x)\n[b]: ./B.md",
            &[],
        );
        check("`[b](nowhere.md)`\n```\n[b](nowhere.md)\n```", &[]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        check("\n[b](C.md)", &["docs/A.md:2: C.md leads nowhere"]);
        check("[b](B.md#two)", &["docs/A.md:1: B.md#two leads nowhere"]);
        check("[b]: ../../README.md", &["docs/A.md:1: ../../README.md leads nowhere"]);
    }
}
