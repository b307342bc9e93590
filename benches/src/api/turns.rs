//! Rounds of both servers in turn, and the rows they make.

use super::server::Side;
use crate::Outcome;
use crate::gear::Gear;
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

/// One figure of one round.
#[derive(Clone)]
pub(crate) struct Figure {
    case: String,
    unit: &'static str,
    value: f64,
    goals: Vec<Goal>,
    more: Vec<(&'static str, f64)>,
}

impl Figure {
    pub(crate) fn new(case: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { case: case.into(), unit, value, goals: Vec::new(), more: Vec::new() }
    }

    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub(crate) fn with(mut self, name: &'static str, figure: f64) -> Self {
        self.more.push((name, figure));
        self
    }
}

/// One side's rounds: what makes the figures of round number so and so.
pub(crate) type Rounds<'g> = Box<dyn FnMut(usize) -> Outcome<Vec<Figure>> + 'g>;

/// Takes the rounds: ours, etcd's where it takes part, ours, … In a quick run there is one.
pub(crate) fn in_turn<'g>(
    gear: &'g Gear,
    workload: &'static str,
    of: impl Fn(Side) -> Outcome<Rounds<'g>>,
) -> Outcome<Vec<Row>> {
    let mut ours = of(Side::Watchful)?;
    let mut peer = if gear.beside_etcd { Some(of(Side::Etcd)?) } else { None };
    let (mut our_figures, mut peer_figures) = (Vec::new(), Vec::new());
    for round in 0..gear.scale.pick(ROUNDS, 1) {
        our_figures.extend(taken(Side::Watchful, round, &mut ours)?);
        if let Some(peer) = &mut peer {
            peer_figures.extend(taken(Side::Etcd, round, peer)?);
        }
    }
    Ok(rows(workload, our_figures, &peer_figures))
}

fn taken(side: Side, round: usize, rounds: &mut Rounds<'_>) -> Outcome<Vec<Figure>> {
    eprintln!("  round {} of {}", round + 1, side.name());
    rounds(round).map_err(|error| format!("{} in round {}: {error}", side.name(), round + 1).into())
}

/// A row for each figure, in the order of the first round.
fn rows(workload: &'static str, ours: Vec<Figure>, peer: &[Figure]) -> Vec<Row> {
    let mut kinds: Vec<Vec<Figure>> = Vec::new();
    for figure in ours {
        match kinds.iter_mut().find(|kind| is_same(&kind[0], &figure)) {
            Some(kind) => kind.push(figure),
            None => kinds.push(vec![figure]),
        }
    }
    kinds.iter().map(|kind| row(workload, kind, peer)).collect()
}

fn row(workload: &'static str, ours: &[Figure], peer: &[Figure]) -> Row {
    let first = &ours[0];
    let peer: Vec<&Figure> = peer.iter().filter(|figure| is_same(first, figure)).collect();
    let mut row =
        Row::new(workload, &first.case, first.unit, ours.iter().map(|figure| figure.value).collect());
    if !peer.is_empty() {
        row = row.with_peer("etcd", peer.iter().map(|figure| figure.value).collect());
    }
    row = first.goals.iter().fold(row, |row, goal| row.with_goal(*goal));
    for (name, _) in &first.more {
        row = row.with(*name, median(ours.iter(), name));
        if !peer.is_empty() {
            row = row.with(format!("{name} of etcd"), median(peer.iter().copied(), name));
        }
    }
    row
}

fn is_same(one: &Figure, other: &Figure) -> bool {
    one.case == other.case && one.unit == other.unit
}

fn median<'f>(figures: impl Iterator<Item = &'f Figure>, name: &str) -> f64 {
    let named = figures.flat_map(|figure| figure.more.iter().filter(|(other, _)| *other == name));
    named.map(|(_, figure)| *figure).collect::<Series>().median()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_one_kind_make_one_row_beside_those_of_the_peer() {
        let figure = |case: &str, value| Figure::new(case, "s", value).with("p50", value * 10.0);
        let ours =
            vec![figure("a", 1.0), figure("b", 5.0), figure("a", 3.0), figure("b", 6.0), figure("a", 2.0)];
        let rows = rows("A0", ours, &[figure("a", 4.0)]);
        let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["ours_median"], 2.0);
        assert_eq!(rows[0]["ratio"], 0.5, "a peer that was measured once is beside every round");
        assert_eq!((&rows[0]["more"]["p50"], &rows[0]["more"]["p50 of etcd"]), (&20.0.into(), &40.0.into()));
        assert!(rows[1]["peer"].is_null());
    }
}
