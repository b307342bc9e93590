//! One figure with its rounds, its peer and its goals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text::short;
use crate::rounds::Series;

/// One line of the result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) case: String,
    pub(crate) unit: String,
    pub(crate) ours: Series,
    pub(crate) peer: Option<Peer>,
    pub(crate) goals: Vec<Goal>,
    /// Figures beside the measured one, by name; none where one is no number.
    pub(crate) more: BTreeMap<String, Option<f64>>,
}

/// What ours is held against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) rounds: Series,
    /// The day of the record that it was taken from, where it was not measured in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<String>,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        workload: impl Into<String>,
        case: impl Into<String>,
        unit: impl Into<String>,
        ours: Series,
    ) -> Self {
        let (workload, case, unit) = (workload.into(), case.into(), unit.into());
        Self { workload, case, unit, ours, peer: None, goals: Vec::new(), more: BTreeMap::new() }
    }

    pub(crate) fn with_peer(mut self, name: impl Into<String>, rounds: Series) -> Self {
        self.peer = Some(Peer { name: name.into(), rounds, recorded: None });
        self
    }

    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub(crate) fn with(mut self, name: impl Into<String>, figure: f64) -> Self {
        self.more.insert(name.into(), figure.is_finite().then_some(figure));
        self
    }

    /// Whether both are the same figure, of whichever run.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.workload, &self.case, &self.unit) == (&other.workload, &other.case, &other.unit)
            && self.peer_name() == other.peer_name()
    }

    /// Whether both are the same figure, beside whichever peer.
    pub(crate) fn is_same_case(&self, other: &Self) -> bool {
        (&self.workload, &self.case, &self.unit) == (&other.workload, &other.case, &other.unit)
    }

    fn peer_name(&self) -> Option<&str> {
        self.peer.as_ref().map(|peer| peer.name.as_str())
    }

    /// Ours by the peer's: the median of the rounds' ratios, as neighbouring rounds saw the same machine. Where the peer
    /// was measured less often, or on another day, by the medians.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let peer = self.peer.as_ref()?;
        if peer.recorded.is_some() || peer.rounds.0.len() != self.ours.0.len() {
            return Some(self.ours.median() / peer.rounds.median());
        }
        let each = self.ours.0.iter().zip(&peer.rounds.0).map(|(ours, peer)| ours / peer);
        Some(each.collect::<Series>().median())
    }

    /// None without a goal, and where a goal asks for a peer that did not take part.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let met = |goal: &Goal| match goal {
            Goal::AtMost(bound) => Some(self.ours.median() <= *bound),
            Goal::AtLeast(bound) => Some(self.ours.median() >= *bound),
            Goal::TimesPeer(bound) => Some(self.ratio()? <= *bound),
            Goal::TimesPeerAtLeast(bound) => Some(self.ratio()? >= *bound),
        };
        let each: Vec<bool> = self.goals.iter().map(met).collect::<Option<_>>()?;
        (!each.is_empty()).then(|| each.into_iter().all(|met| met))
    }

    /// Whether less is better; none without a goal, which alone says so.
    pub(crate) fn less_is_better(&self) -> Option<bool> {
        self.goals.first().map(|goal| matches!(goal, Goal::AtMost(_) | Goal::TimesPeer(_)))
    }

    pub(crate) fn goal_text(&self) -> String {
        self.goals.iter().map(Goal::text).collect::<Vec<_>>().join(" and ")
    }

    /// With what is worked out from it, for those who read the record by other means.
    pub(crate) fn to_json(&self) -> Value {
        let mut row = json!(self);
        row["ours_median"] = json!(self.ours.median());
        row["peer_median"] = json!(self.peer.as_ref().map(|peer| peer.rounds.median()));
        row["ratio"] = json!(self.ratio());
        row["met"] = json!(self.is_met());
        row
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_from_json_as_it_was() {
        let row = Row::new("P0", "a case", "µs", Series(vec![3.0, f64::NAN, 1.0]))
            .with_peer("LMDB", Series(vec![2.0]))
            .with_goal(Goal::TimesPeer(2.0))
            .with("more", 7.0)
            .with("no number", f64::NAN);
        let text = row.to_json().to_string();
        let back: Row = serde_json::from_str(&text).unwrap();
        assert_eq!(back.to_json().to_string(), text);
        assert!(back.ours.0[1].is_nan());
        assert!(back.is_same(&row));
    }

    #[test]
    fn a_goal_that_asks_for_a_peer_is_neither_met_nor_missed_without_it() {
        let alone = Row::new("P0", "a case", "µs", Series(vec![1.0])).with_goal(Goal::TimesPeer(2.0));
        assert_eq!(alone.is_met(), None);
        assert_eq!(alone.clone().with_peer("LMDB", Series(vec![1.0])).is_met(), Some(true));
        assert_eq!(alone.with_peer("LMDB", Series(vec![0.4])).is_met(), Some(false));
    }

    #[test]
    fn neighbouring_rounds_make_the_ratio_unless_the_peer_was_recorded() {
        let mut row = Row::new("P0", "a case", "µs", Series(vec![1.0, 20.0, 3.0]))
            .with_peer("LMDB", Series(vec![1.0, 10.0, 1.0]));
        assert_eq!(row.ratio(), Some(2.0));
        row.peer.as_mut().unwrap().recorded = Some("2026-01-02".into());
        assert_eq!(row.ratio(), Some(3.0), "medians of both, as no round of one was beside one of the other");
    }
}
