//! Rows for the terminal and as Markdown, and how many goals are met.

use comfy_table::{Table, TableComponent, presets};

use super::record::{Measured, Run};
use super::row::{Peer, Row};
use super::text::{median_and_spread, short};
use crate::scale::ROUNDS;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Terminal,
    Markdown,
}

/// How the goals came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    met: usize,
    missed: usize,
    without_goal: usize,
    no_result: usize,
}

impl Counts {
    pub(crate) fn of<'m>(workloads: impl IntoIterator<Item = &'m Measured>) -> Self {
        let mut counts = Self::default();
        for workload in workloads {
            counts.no_result += usize::from(workload.failed.is_some());
            for row in &workload.rows {
                match row.is_met() {
                    Some(true) => counts.met += 1,
                    Some(false) => counts.missed += 1,
                    None => counts.without_goal += 1,
                }
            }
        }
        counts
    }

    pub(crate) fn text(self) -> String {
        let Self { met, missed, without_goal, no_result } = self;
        format!("met {met}, missed {missed}, without goal {without_goal}, no result {no_result}")
    }
}

/// Prints the workloads of one run, or the newest of several, with where and how they were measured, and the count.
pub(crate) fn print(form: Form, workloads: &[(&Run, &Measured)]) {
    println!("{}", origin(workloads));
    println!("{}", table(form, workloads.iter().map(|(_, workload)| *workload)));
    println!("{}", Counts::of(workloads.iter().map(|(_, workload)| *workload)).text());
}

/// One line for each run that a table draws on.
fn origin(workloads: &[(&Run, &Measured)]) -> String {
    let mut runs: Vec<&Run> = Vec::new();
    for (run, _) in workloads {
        if !runs.iter().any(|known| std::ptr::eq(*known, *run)) {
            runs.push(run);
        }
    }
    let mut text: String = runs.iter().map(|run| run.origin() + "\n").collect();
    text += &format!("Medians of {ROUNDS} rounds (least–most), or of one, where it says once.\n");
    text
}

/// The table alone.
pub(crate) fn table<'m>(form: Form, workloads: impl IntoIterator<Item = &'m Measured>) -> String {
    match form {
        Form::Terminal => terminal(workloads),
        Form::Markdown => markdown(workloads),
    }
}

fn terminal<'m>(workloads: impl IntoIterator<Item = &'m Measured>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table.set_header(["#", "case", "unit", "ours", "peer", "ratio", "goal", ""]);
    for workload in workloads {
        for row in &workload.rows {
            let cells = cells(row);
            table.add_row(cells.iter().take(8));
        }
        if let Some(what) = &workload.failed {
            table.add_row([&workload.name.to_uppercase(), what, "", "", "", "", "", NO_RESULT]);
        }
    }
    table.to_string()
}

fn markdown<'m>(workloads: impl IntoIterator<Item = &'m Measured>) -> String {
    let mut text = "| # | case | unit | ours | peer | ratio | goal | | more |\n".to_owned();
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for workload in workloads {
        for row in &workload.rows {
            text += &format!("| {} |\n", cells(row).join(" | "));
        }
        if let Some(what) = &workload.failed {
            let what = what.replace('|', "/");
            text += &format!("| {} | {what} | | | | | | **{NO_RESULT}** | |\n", workload.name.to_uppercase());
        }
    }
    text
}

const NO_RESULT: &str = "no result";

/// One row as it comes, on one line.
pub(crate) fn line(row: &Row) -> String {
    let [workload, case, unit, ours, peer, ratio, goal, met, _] = cells(row);
    let mut line = format!("{workload} {case}: {ours} {unit}");
    if row.peer.is_some() {
        line += &format!(", beside {peer}, ratio {ratio}");
    }
    if row.goals.is_empty() { line } else { line + &format!("; goal {goal}: {met}") }
}

fn cells(row: &Row) -> [String; 9] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let met = row.is_met().map_or("–", |met| if met { "met" } else { "missed" });
    let more = row.more.iter().map(|(name, figure)| format!("{name} {}", short(figure.unwrap_or(f64::NAN))));
    [
        row.workload.clone(),
        row.case.clone(),
        row.unit.clone(),
        median_and_spread(&row.ours),
        or_dash(row.peer.as_ref().map(peer)),
        or_dash(row.ratio().map(|ratio| format!("{ratio:.2}"))),
        row.goal_text(),
        met.to_owned(),
        more.collect::<Vec<_>>().join(", "),
    ]
}

fn peer(peer: &Peer) -> String {
    let recorded = peer.recorded.as_ref().map_or(String::new(), |date| format!("; recorded {date}"));
    let median = median_and_spread(&peer.rounds);
    format!("{}; {}{recorded})", median.trim_end_matches(')'), peer.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Goal;
    use crate::rounds::Series;

    fn sample() -> [Measured; 2] {
        let rounds = |each: [f64; 3]| Series(each.into());
        let mut recorded = Row::new("A7", "1000 watchers", "events/s", rounds([9.0, 8.0, 10.0]))
            .with_peer("etcd", Series(vec![4.0]))
            .with_goal(Goal::TimesPeerAtLeast(5.0));
        recorded.peer.as_mut().unwrap().recorded = Some("2026-11-20".into());
        let met = Row::new("A7", "1 watcher", "events/s", rounds([3.0, 1.0, 2.0]))
            .with_goal(Goal::AtLeast(2.0))
            .with("seconds", 12_345.0);
        let bare = Row::new("A7", "1 watcher", "server µs each", rounds([0.5, 0.25, 1.0]));
        let rows = vec![met, bare, recorded];
        [
            Measured { name: "a7".into(), seconds: 1.0, rows, failed: None },
            Measured {
                name: "p1".into(),
                seconds: 2.0,
                rows: vec![],
                failed: Some("ended after 60s".into()),
            },
        ]
    }

    #[test]
    fn the_markdown_table_has_a_line_for_each_row_and_each_failure() {
        let expected = "\
| # | case | unit | ours | peer | ratio | goal | | more |
|---|---|---|---|---|---|---|---|---|
| A7 | 1 watcher | events/s | 2.00 (1.00–3.00) | – | – | ≥ 2.00 | met | seconds 12.3 k |
| A7 | 1 watcher | server µs each | 0.500 (0.250–1.00) | – | – |  | – |  |
| A7 | 1000 watchers | events/s | 9.00 (8.00–10.00) | 4.00 (once; etcd; recorded 2026-11-20) | 2.25 | ≥ 5 × peer | missed |  |
| P1 | ended after 60s | | | | | | **no result** | |
";
        assert_eq!(table(Form::Markdown, &sample()), expected);
    }

    #[test]
    fn the_terminal_table_says_the_same_without_the_rest() {
        let text = table(Form::Terminal, &sample());
        let line = |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned();
        assert!(line("1000 watchers").contains("recorded 2026-11-20"), "{text}");
        assert!(line("1000 watchers").contains("missed"), "{text}");
        assert!(line("P1").contains("no result"), "{text}");
        assert!(!text.contains("12.3 k"), "{text}");
    }

    #[test]
    fn every_row_and_every_failure_is_counted_once() {
        let counts = Counts::of(&sample());
        assert_eq!(counts, Counts { met: 1, missed: 1, without_goal: 1, no_result: 1 });
        assert_eq!(counts.text(), "met 1, missed 1, without goal 1, no result 1");
    }
}
