//! What changed between two records: each row's medians, whether their rounds still overlap, and goals newly met or missed.
//!
//! A change "beyond the spread" is one after which every round lies on one side of every round before. It is a hint, not a
//! proof: five rounds are few, and on another machine nothing is comparable but the ratios.

use std::fmt::Write as _;

use comfy_table::{Table, TableComponent, presets};

use super::record::{Record, Run};
use super::row::Row;
use super::text::{median_and_spread, short};

/// What became of one row.
struct Change<'r> {
    before: &'r Row,
    after: &'r Row,
}

/// The whole comparison, as text.
pub(crate) fn compare(before: &Record, after: &Record) -> String {
    let (old, new): (Vec<&Row>, Vec<&Row>) = (before.rows().collect(), after.rows().collect());
    let changes: Vec<Change<'_>> =
        old.iter().filter_map(|row| Some(Change { before: row, after: same(row, &new)? })).collect();
    let mut text = origins(before, after);
    let _ = writeln!(text, "{}\n", table(&changes));
    let better = changes.iter().filter(|change| change.is_better() == Some(true)).count();
    let worse = changes.iter().filter(|change| change.is_better() == Some(false)).count();
    let beyond = changes.iter().filter(|change| change.is_beyond_spread()).count();
    let _ = writeln!(
        text,
        "{} rows in both; {beyond} changed beyond the spread of their rounds: {better} for the better, {worse} for the \
         worse, {} without a goal that would tell.",
        changes.len(),
        beyond - better - worse
    );
    let met = changes.iter().filter(|change| change.goal() == Some("newly met"));
    list(&mut text, "Goals newly met", met.map(|change| change.after));
    let missed = changes.iter().filter(|change| change.goal() == Some("newly missed"));
    list(&mut text, "Goals newly missed", missed.map(|change| change.after));
    list(&mut text, "Only in A", old.iter().copied().filter(|row| same(row, &new).is_none()));
    list(&mut text, "Only in B", new.iter().copied().filter(|row| same(row, &old).is_none()));
    failures(&mut text, before, after);
    text
}

/// The same figure beside the same peer, or else beside another one or none.
fn same<'r>(row: &Row, among: &[&'r Row]) -> Option<&'r Row> {
    let exact = among.iter().find(|other| other.is_same(row));
    exact.or_else(|| among.iter().find(|other| other.is_same_case(row))).copied()
}

fn origins(before: &Record, after: &Record) -> String {
    let mut text = String::new();
    for (name, record) in [("A", before), ("B", after)] {
        for run in &record.runs {
            let _ = writeln!(text, "{name}: {}", run.origin());
        }
    }
    let differing = |of: fn(&Run) -> String| {
        let all: Vec<String> = before.runs.iter().chain(&after.runs).map(of).collect();
        all.windows(2).any(|pair| pair[0] != pair[1])
    };
    if differing(|run| run.machine.text()) {
        text += "THE MACHINES DIFFER: of these figures only the ratios to a peer can be compared.\n";
    }
    if differing(|run| run.scale.clone()) {
        text += "THE SIZES DIFFER: a quick run's figures say nothing about a full one's.\n";
    }
    text
}

fn table(changes: &[Change<'_>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table.set_header(["#", "case", "unit", "A", "B", "change", "beyond spread", "ratio A → B", "goal"]);
    for change in changes {
        let (before, after) = (change.before, change.after);
        let ratio = |row: &Row| row.ratio().map_or("–".into(), |ratio| format!("{ratio:.2}"));
        table.add_row([
            before.workload.clone(),
            before.case.clone(),
            before.unit.clone(),
            median_and_spread(&before.ours),
            median_and_spread(&after.ours),
            change.text(),
            change.verdict().to_owned(),
            format!("{} → {}", ratio(before), ratio(after)),
            change.goal().unwrap_or_default().to_owned(),
        ]);
    }
    table
}

impl Change<'_> {
    /// How far the median moved, by its own size; none from or to what is no number, and from zero. An exponent is a
    /// size by itself, and may be about zero.
    fn moved(&self) -> Option<f64> {
        let (before, after) = (self.before.ours.median(), self.after.ours.median());
        let moved = if self.is_exponent() { after - before } else { after / before - 1.0 };
        moved.is_finite().then_some(moved)
    }

    fn is_exponent(&self) -> bool {
        self.before.unit == "exponent"
    }

    fn text(&self) -> String {
        self.moved().map_or("–".into(), |moved| {
            if self.is_exponent() { format!("{moved:+.2}") } else { format!("{:+.1} %", 100.0 * moved) }
        })
    }

    /// What was measured once has no spread: there a move of a hundredth counts.
    fn is_beyond_spread(&self) -> bool {
        let (before, after) = (&self.before.ours, &self.after.ours);
        let is_apart = before.most() < after.least() || after.most() < before.least();
        is_apart && self.moved().is_none_or(|moved| moved.abs() >= 0.01)
    }

    /// None where it is within the spread, or nobody has said what would be better.
    fn is_better(&self) -> Option<bool> {
        let less = self.after.less_is_better().filter(|_| self.is_beyond_spread())?;
        Some(less == (self.after.ours.median() < self.before.ours.median()))
    }

    fn verdict(&self) -> &'static str {
        match (self.is_beyond_spread(), self.is_better()) {
            (false, _) => "",
            (true, Some(true)) => "yes, better",
            (true, Some(false)) => "yes, worse",
            (true, None) => "yes",
        }
    }

    fn goal(&self) -> Option<&'static str> {
        match (self.before.is_met(), self.after.is_met()) {
            (Some(true), Some(true)) => Some("met"),
            (Some(false), Some(false)) => Some("missed"),
            (_, Some(true)) => Some("newly met"),
            (_, Some(false)) => Some("newly missed"),
            (_, None) => None,
        }
    }
}

fn list<'r>(text: &mut String, heading: &str, rows: impl Iterator<Item = &'r Row>) {
    let rows: Vec<&Row> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "{heading}:");
    for row in rows {
        let (figure, goal) = (short(row.ours.median()), row.goal_text());
        let goal = if goal.is_empty() { goal } else { format!(", goal {goal}") };
        let _ = writeln!(text, "  {} {}: {figure} {}{goal}", row.workload, row.case, row.unit);
    }
}

fn failures(text: &mut String, before: &Record, after: &Record) {
    for (name, record) in [("A", before), ("B", after)] {
        for (_, workload) in record.newest() {
            if let Some(what) = &workload.failed {
                let _ = writeln!(text, "No result in {name}: {} ({what})", workload.name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
