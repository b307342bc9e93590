//! The table of watchers.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::BinaryBytes;
use watchful_wire::watchers::Watcher;

use super::{Seen, standing_name};
use crate::range::range_shown;
use crate::text::shown;

/// The longest key that is shown whole: a row is a line.
const KEY_CHARS_MAX: usize = 48;

/// The size of a terminal, in characters.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

/// Lines that the table has beside its rows: the counts, the heads, and the line that says what was left out.
const LINES_BESIDE: usize = 4;

/// The table; cut to a terminal's size where there is one.
pub(super) fn table(seen: &Seen, size: Option<Size>) -> String {
    let rows_max = size.map_or(usize::MAX, |size| usize::from(size.rows).saturating_sub(LINES_BESIDE));
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["PEER", "STREAM", "ID", "STANDING", "NEXT", "LAG", "QUEUED", "WATCHES"]);
    for column in [1, 2, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let shown = seen.most_behind.iter().take(rows_max);
    table.add_rows(shown.clone().map(row));
    let mut text = format!("revision {}, watchers {}\n", seen.listed.revision, seen.standings);
    if shown.len() > 0 {
        text.push_str(&table.trim_fmt());
        text.push('\n');
    }
    let left_out = seen.standings.total().saturating_sub(shown.len() as u64);
    if left_out > 0 {
        text.push_str(&format!("and {left_out} more, who are less behind\n"));
    }
    match size {
        Some(size) => text.lines().map(|line| cut(line, usize::from(size.columns)) + "\n").collect(),
        None => text,
    }
}

fn row(watcher: &Watcher) -> [String; 8] {
    [
        if watcher.peer.is_empty() { "the server".to_owned() } else { watcher.peer.clone() },
        watcher.stream.to_string(),
        watcher.watch_id.to_string(),
        standing_name(watcher).to_owned(),
        watcher.next_revision.to_string(),
        watcher.lag_revisions.to_string(),
        BinaryBytes(watcher.queued_bytes).to_string(),
        what(&watcher.key, &watcher.range_end),
    ]
}

/// The keys that are watched, as people say them.
fn what(key: &[u8], range_end: &[u8]) -> String {
    range_shown(key, range_end, |bytes| cut(&shown(bytes), KEY_CHARS_MAX))
}

/// At most so many characters; what is cut says so.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use watchful_wire::watchers::watcher::Standing;

    use super::super::tests::watcher;
    use super::super::{Listed, Standings};
    use super::*;

    #[test]
    fn what_is_watched() {
        let check = |key: &[u8], range_end: &[u8], expected: &str| assert_eq!(what(key, range_end), expected);
        check(b"a", b"", "a");
        check(b"/app/", b"/app0", "/app/*");
        check(b"a", b"c", "a up to c");
        check(b"a", b"\0", "a and all behind");
        check(b"\0", b"\0", "everything");
        check(b"a\n", b"", "\"a\\n\"");
        check(&[b'x'; 50], b"", &format!("{}…", "x".repeat(47)));
    }

    fn seen(count: u64) -> Seen {
        let most_behind: Vec<_> =
            (0..count).map(|stream| watcher(stream, "a", 2, Standing::Unsynced)).collect();
        let mut standings = Standings::default();
        most_behind.iter().for_each(|watcher| standings.count(watcher));
        Seen { listed: Listed { revision: 9, compact_revision: 0 }, standings, most_behind }
    }

    #[test]
    fn the_table() {
        let expected = "\
revision 9, watchers 1: 0 synced, 1 unsynced, 0 blocked, 0 future
 PEER            STREAM  ID  STANDING  NEXT  LAG  QUEUED  WATCHES
 127.0.0.1:4711       0   0  unsynced     8    2     0 B  a
";
        assert_eq!(table(&seen(1), None), expected);
        assert_eq!(
            table(&seen(0), None),
            "revision 9, watchers 0: 0 synced, 0 unsynced, 0 blocked, 0 future\n"
        );
    }

    #[test]
    fn a_terminal_is_never_overrun() {
        for (rows, columns) in [(24, 80), (10, 40), (5, 20), (1, 1)] {
            let text = table(&seen(100), Some(Size { rows, columns }));
            assert!(text.lines().count() < usize::from(rows).max(LINES_BESIDE), "{rows}: {text}");
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(columns)), "{text}");
        }
        assert!(table(&seen(100), Some(Size { rows: 24, columns: 80 })).contains("and 80 more"));
    }
}
