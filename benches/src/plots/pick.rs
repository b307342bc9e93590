//! Rows that differ in one number only, and that number.

use crate::report::{Record, Row};
use crate::rounds::Series;

/// A point with the least and the most of its rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: f64,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// The rows of one workload whose case is this one, with `#` for the number that varies, in this unit.
pub(crate) struct Pick<'r> {
    pub(crate) record: &'r Record,
    pub(crate) workload: &'static str,
    pub(crate) case: &'static str,
    pub(crate) unit: &'static str,
}

impl Pick<'_> {
    /// Ours; a figure is told in the picture's unit by `scaled`, from the number and the row's figure.
    pub(crate) fn ours(&self, scaled: impl Fn(f64, f64) -> f64) -> Vec<Point> {
        self.points(|row| Some(row.ours.clone()), scaled)
    }

    /// The same of the peer of this name.
    pub(crate) fn peer(&self, name: &str, scaled: impl Fn(f64, f64) -> f64) -> Vec<Point> {
        let rounds = |row: &Row| Some(row.peer.as_ref().filter(|peer| peer.name == name)?.rounds.clone());
        self.points(rounds, scaled)
    }

    fn points(
        &self,
        rounds: impl Fn(&Row) -> Option<Series>,
        scaled: impl Fn(f64, f64) -> f64,
    ) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for row in self.record.rows().filter(|row| row.workload == self.workload && row.unit == self.unit) {
            let Some((at, rounds)) = number_in(self.case, &row.case).zip(rounds(row)) else { continue };
            let rounds: Series = rounds.0.iter().map(|figure| scaled(at, *figure)).collect();
            let (median, least, most) = (rounds.median(), rounds.least(), rounds.most());
            if median > 0.0 && !points.iter().any(|point| point.at == at) {
                points.push(Point { at, median, least, most });
            }
        }
        points.sort_by(|one, other| one.at.total_cmp(&other.at));
        points
    }
}

/// The number that stands where the pattern has `#`, if everything else is the same.
fn number_in(pattern: &str, case: &str) -> Option<f64> {
    let (before, after) = pattern.split_once('#')?;
    let digits = case.strip_prefix(before)?.strip_suffix(after)?;
    digits.chars().all(|c| c.is_ascii_digit()).then_some(digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_where_all_else_is_the_same() {
        assert_eq!(number_in("put, # tasks", "put, 128 tasks"), Some(128.0));
        assert_eq!(number_in("put, # tasks", "put, 128 blocking"), None);
        assert_eq!(number_in("put, # tasks", "put, some tasks"), None);
        assert_eq!(number_in("# idle", "1000 idle"), Some(1000.0));
    }
}
