//! Pairs of records made by hand.

use std::collections::BTreeMap;

use super::*;
use crate::machine::Machine;
use crate::report::{Goal, Measured};
use crate::rounds::Series;

fn record(cpu: &str, rows: Vec<Row>) -> Record {
    let machine = Machine {
        cpu: cpu.into(),
        cores: 2,
        memory_mib: 4096,
        kernel: "6.1".into(),
        file_system: "ext4".into(),
    };
    let run = Run {
        date: "2026-01-01".into(),
        commit: "c0ffee".into(),
        command: "cargo xtask bench p1".into(),
        scale: "full".into(),
        machine,
        versions: BTreeMap::new(),
        workloads: vec![Measured { name: "p1".into(), seconds: 1.0, rows, failed: None }],
    };
    Record { runs: vec![run] }
}

fn row(case: &str, rounds: &[f64]) -> Row {
    Row::new("P1", case, "µs a put", Series(rounds.into()))
}

fn line_of<'t>(text: &'t str, case: &str) -> &'t str {
    text.lines().find(|line| line.contains(case)).unwrap_or_default()
}

#[test]
fn a_change_counts_as_one_beyond_the_spread_of_the_rounds() {
    let at_most = Goal::AtMost(5.0);
    let before = record(
        "x",
        vec![row("faster", &[8.0, 9.0, 10.0]).with_goal(at_most), row("noisy", &[1.0, 2.0, 3.0])],
    );
    let after =
        record("x", vec![row("faster", &[3.0, 4.0, 4.5]).with_goal(at_most), row("noisy", &[2.5, 2.6, 2.7])]);
    let text = compare(&before, &after);
    let faster = line_of(&text, "faster");
    for expected in ["-55.6 %", "yes, better", "newly met", "9.00 (8.00–10.00)", "4.00 (3.00–4.50)"] {
        assert!(faster.contains(expected), "{expected} is not in {faster}");
    }
    let noisy = line_of(&text, "noisy");
    assert!(noisy.contains("+30.0 %") && !noisy.contains("yes"), "{noisy}");
    assert!(text.contains(
        "2 rows in both; 1 changed beyond the spread of their rounds: 1 for the better, 0 for the worse"
    ));
    assert!(text.contains("Goals newly met:\n  P1 faster: 4.00 µs a put, goal ≤ 5.00"), "{text}");
    assert!(!text.contains("MACHINES DIFFER"));
}

#[test]
fn rows_and_goals_are_told_that_only_one_side_has() {
    let before = record("x", vec![row("both", &[1.0]), row("old", &[2.0])]);
    let after = record("y", vec![row("both", &[3.0]).with_goal(Goal::AtMost(2.0)), row("new", &[4.0])]);
    let text = compare(&before, &after);
    assert!(text.contains("Only in A:\n  P1 old: 2.00 µs a put\n"), "{text}");
    assert!(text.contains("Only in B:\n  P1 new: 4.00 µs a put\n"), "{text}");
    assert!(text.contains("Goals newly missed:\n  P1 both"), "{text}");
    assert!(text.contains("THE MACHINES DIFFER"), "{text}");
}

#[test]
fn a_row_beside_another_peer_is_still_the_same_figure() {
    let beside = |peer: &str| row("put", &[2.0]).with_peer(peer, Series(vec![1.0]));
    let text =
        compare(&record("x", vec![row("put", &[2.0])]), &record("x", vec![beside("redb"), beside("LMDB")]));
    assert!(line_of(&text, "put").contains("– → 2.00"), "{text}");
    let text = compare(
        &record("x", vec![beside("LMDB"), beside("redb")]),
        &record("x", vec![beside("redb"), beside("LMDB")]),
    );
    assert!(text.contains("2 rows in both") && !text.contains("Only in"), "{text}");
}

#[test]
fn more_is_better_where_the_goal_says_at_least() {
    let rate = |rounds: &[f64]| row("rate", rounds).with_goal(Goal::AtLeast(1.0));
    let text = compare(&record("x", vec![rate(&[5.0, 6.0])]), &record("x", vec![rate(&[2.0, 3.0])]));
    assert!(line_of(&text, "rate").contains("yes, worse"), "{text}");
}

#[test]
fn what_was_measured_once_changed_where_it_moved_by_a_hundredth() {
    let both = |before: &[f64], after: &[f64]| {
        compare(&record("x", vec![row("weight", before)]), &record("x", vec![row("weight", after)]))
    };
    assert!(
        line_of(&both(&[200.0], &[200.2]), "weight").contains("+0.1 %")
            && !both(&[200.0], &[200.2]).contains("yes")
    );
    assert!(line_of(&both(&[200.0], &[210.0]), "weight").contains("yes"));
}

#[test]
fn an_exponent_about_nought_moves_by_what_it_differs() {
    let growth = |exponent| Row::new("S3", "put among n keys", "exponent", Series(vec![exponent]));
    let text = compare(&record("x", vec![growth(0.001)]), &record("x", vec![growth(0.25)]));
    assert!(line_of(&text, "put among").contains("+0.25 "), "{text}");
}
