//! Rows, as a table for people and as JSON for machines.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;
use crate::disk::file_system_of;
use crate::rounds::Series;
use crate::scale::Scale;

/// One line of the result.
pub(crate) struct Row {
    workload: &'static str,
    case: String,
    unit: &'static str,
    ours: Series,
    peer: Option<(&'static str, Series)>,
    goals: Vec<Goal>,
    /// Figures beside the measured one, by name.
    more: Vec<(String, f64)>,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Ours is at most this many times the peer's.
    TimesPeer(f64),
    /// Ours is at least this many times the peer's.
    TimesPeerAtLeast(f64),
}

impl Row {
    pub(crate) fn new(
        workload: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        ours: Series,
    ) -> Self {
        Self { workload, case: case.into(), unit, ours, peer: None, goals: Vec::new(), more: Vec::new() }
    }

    pub(crate) fn with_peer(mut self, name: &'static str, series: Series) -> Self {
        self.peer = Some((name, series));
        self
    }

    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub(crate) fn with(mut self, name: impl Into<String>, figure: f64) -> Self {
        self.more.push((name.into(), figure));
        self
    }

    /// Ours by the peer's: the median of the rounds' ratios, as neighbouring rounds saw the same machine. Where the peer
    /// was measured less often, by the medians.
    fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer.as_ref()?;
        if peer.0.len() != self.ours.0.len() {
            return Some(self.ours.median() / peer.median());
        }
        Some(Series(self.ours.0.iter().zip(&peer.0).map(|(ours, peer)| ours / peer).collect()).median())
    }

    /// None without a goal, and where a goal asks for a peer that did not take part.
    fn is_met(&self) -> Option<bool> {
        let met = |goal: &Goal| match goal {
            Goal::AtMost(bound) => Some(self.ours.median() <= *bound),
            Goal::AtLeast(bound) => Some(self.ours.median() >= *bound),
            Goal::TimesPeer(bound) => Some(self.ratio()? <= *bound),
            Goal::TimesPeerAtLeast(bound) => Some(self.ratio()? >= *bound),
        };
        let each: Vec<bool> = self.goals.iter().map(met).collect::<Option<_>>()?;
        (!each.is_empty()).then(|| each.into_iter().all(|met| met))
    }

    pub(crate) fn to_json(&self) -> Value {
        let goals: Vec<String> = self.goals.iter().map(Goal::text).collect();
        json!({
            "workload": self.workload,
            "case": self.case,
            "unit": self.unit,
            "ours": self.ours.0,
            "ours_median": self.ours.median(),
            "peer": self.peer.as_ref().map(|(name, _)| *name),
            "peer_rounds": self.peer.as_ref().map(|(_, series)| &series.0),
            "peer_median": self.peer.as_ref().map(|(_, series)| series.median()),
            "ratio": self.ratio(),
            "goal": goals.join(" and "),
            "met": self.is_met(),
            "more": self.more.iter().map(|(name, figure)| (name.clone(), json!(figure)))
                .collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Goal {
    fn text(&self) -> String {
        match self {
            Self::AtMost(bound) => format!("≤ {}", short(*bound)),
            Self::AtLeast(bound) => format!("≥ {}", short(*bound)),
            Self::TimesPeer(bound) => format!("≤ {bound} × peer"),
            Self::TimesPeerAtLeast(bound) => format!("≥ {bound} × peer"),
        }
    }
}

/// The row of a workload that came to no end.
pub(crate) fn failure(workload: &str, what: &str) -> Value {
    json!({ "workload": workload.to_uppercase(), "failed": what })
}

/// The row's line in a Markdown table.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    if row["failed"].is_string() {
        return format!("| {} | {} | | | | | | **no result** | |", text("workload"), text("failed"));
    }
    let peer = row["peer_median"].as_f64().map_or("–".into(), |median| {
        format!("{} ({}; {})", short(median), spread(&row["peer_rounds"]), text("peer"))
    });
    let ratio = row["ratio"].as_f64().map_or("–".into(), |ratio| format!("{ratio:.2}"));
    let met = row["met"].as_bool().map_or("–", |met| if met { "met" } else { "missed" });
    let more: Vec<String> = row["more"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, figure)| format!("{name} {}", short(figure.as_f64().unwrap_or(f64::NAN))))
        .collect();
    let ours =
        format!("{} ({})", short(row["ours_median"].as_f64().unwrap_or(f64::NAN)), spread(&row["ours"]));
    format!(
        "| {} | {} | {} | {ours} | {peer} | {ratio} | {} | {met} | {} |",
        text("workload"),
        text("case"),
        text("unit"),
        text("goal"),
        more.join(", "),
    )
}

/// The least and the most of the rounds, or that there was only one.
fn spread(rounds: &Value) -> String {
    let rounds: Vec<f64> = rounds.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    if rounds.len() == 1 {
        return "once".into();
    }
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}–{}", short(least), short(most))
}

/// Three digits are more than the machine is steady to.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 1e6 => format!("{:.2} M", figure / 1e6),
        size if size >= 1e4 => format!("{:.1} k", figure / 1e3),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// One row as it comes, on the error stream, so that the table alone is on the other.
pub(crate) fn print_row(row: &Value) {
    eprintln!("  {}", line(row));
}

/// Whether every workload came to its end.
pub(crate) fn is_whole(rows: &[Value]) -> bool {
    rows.iter().all(|row| row["failed"].is_null())
}

pub(crate) fn print(scale: Scale, rows: &[Value]) {
    println!(
        "Scale: {}. Medians of {} rounds (least–most), or of one, where it says once.\n",
        scale.name(),
        crate::scale::ROUNDS
    );
    println!("| # | case | unit | ours | peer | ratio | goal | | more |");
    println!("|---|---|---|---|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{}", line(row)));
}

/// Writes every round, with what the machine is.
pub(crate) fn record(file: &Path, scale: Scale, rows: &[Value]) -> Outcome {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpu =
        read("/proc/cpuinfo").lines().find_map(|line| Some(line.strip_prefix("model name")?.to_owned()));
    let cores = std::thread::available_parallelism()?.get();
    let file_system = std::env::current_exe()?.parent().and_then(file_system_of);
    let machine = json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cpu": cpu.unwrap_or_default().trim_start_matches(['\t', ' ', ':']),
        "cores": cores,
        "file_system": file_system,
    });
    let all = json!({ "scale": scale.name(), "machine": machine, "rows": rows });
    Ok(fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?)
}
