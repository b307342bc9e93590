//! As much of Markdown as the rules need: prose without its code, code spans, table rows, headings.

/// The numbered lines outside fenced code.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((at + 1, line))
    })
}

/// What stands between backticks in a line.
pub(crate) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A line without what stands between backticks.
pub(crate) fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The cells of a table's row, or nothing where the line is no row.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').map(str::trim).collect())
}

/// The anchors of a text's headings, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let anchor = anchor(line.trim_start_matches('#'));
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|one| !anchors.contains(one));
        anchors.extend(free);
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
    kept.map(|one| if one == ' ' { '-' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_code_is_no_prose() {
        let lines: Vec<_> = prose("a\n```text\nb\n```\nc").collect();
        assert_eq!(lines, [(1, "a"), (5, "c")]);
    }

    #[test]
    fn code_spans_are_told_from_the_rest() {
        assert_eq!(code_spans("use `a` or `b::c`.").collect::<Vec<_>>(), ["a", "b::c"]);
        assert_eq!(without_code("use `a` or `b::c`."), "use  or .");
    }

    #[test]
    fn a_row_has_cells() {
        assert_eq!(cells("| a | `b` |"), Some(vec!["a", "`b`"]));
        assert_eq!(cells("no row"), None);
    }

    #[test]
    fn headings_have_anchors() {
        let text = "# Why `LMDB`?\n## 1. On disk: one log\n## Again\n## Again\n";
        assert_eq!(anchors(text), ["why-lmdb", "1-on-disk-one-log", "again", "again-1"]);
    }
}
