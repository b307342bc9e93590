//! What the documents show is what their records hold: tables, counts and pictures, each made anew with the command that the
//! document names.

use std::fs;

use super::record::Record;
use super::table::{Counts, Form, table};
use crate::machine::root;
use crate::{laws, plots};

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The records behind this option in the first of the document's commands that names some.
fn records_behind(option: &str, document: &str) -> Record {
    let files = document.split(option).skip(1).find_map(|rest| {
        let words = rest.split('`').next()?.split_whitespace();
        let files: Vec<_> =
            words.take_while(|word| word.ends_with(".json")).map(|file| root().join(file)).collect();
        (!files.is_empty()).then_some(files)
    });
    Record::read_all(&files.unwrap_or_else(|| panic!("no command has {option} and records"))).unwrap()
}

/// The rows of the tables in a chapter.
fn rows_of<'d>(document: &'d str, chapter: &str) -> Vec<&'d str> {
    let lines = document.lines().skip_while(|line| *line != chapter).skip(1);
    rows_in(lines.take_while(|line| !line.starts_with("## ")))
}

fn rows_in<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    lines.filter(|line| line.starts_with("| ") && !line.starts_with("| # ")).collect()
}

/// Line by line, so that a failure shows the one that differs.
fn assert_same(shown: &[&str], made: &[&str]) {
    shown
        .iter()
        .zip(made)
        .for_each(|(shown, made)| assert_eq!(shown, made, "shown, and made of the records"));
    assert_eq!(shown.len(), made.len(), "as many rows");
}

#[test]
fn the_tables_of_results_are_those_of_their_records() {
    let text = document("BENCHMARKS.md");
    let record = records_behind("--table", &text);
    let all = record.newest().into_iter().map(|(_, workload)| workload);
    let (laws, others): (Vec<_>, Vec<_>) = all.partition(|workload| workload.name.starts_with('s'));
    let made = table(Form::Markdown, others.iter().copied());
    assert_same(&rows_of(&text, "## Results"), &rows_in(made.lines()));
    let counts = Counts::of(others.into_iter().chain(laws)).text();
    assert!(text.contains(&counts), "BENCHMARKS does not say: {counts}");
}

#[test]
fn the_laws_of_scale_are_those_of_their_record() {
    let text = document("SCALE.md");
    let made = laws::outlook(&records_behind("--outlook", &text));
    assert_same(&rows_of(&text, "## The laws"), &rows_in(made.lines()));
}

#[test]
fn the_pictures_are_those_of_the_records_of_the_tables() {
    let (drawn, shown) = (tempfile::tempdir().unwrap(), root().join("docs/bench/plots"));
    plots::draw(&records_behind("--table", &document("BENCHMARKS.md")), drawn.path()).unwrap();
    let names = |folder| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(drawn.path()), names(&shown));
    for name in names(drawn.path()) {
        let is_same = fs::read(drawn.path().join(&name)).unwrap() == fs::read(shown.join(&name)).unwrap();
        assert!(is_same, "{} is not what `cargo xtask bench --plot` makes of the records", name.display());
    }
}
