//! S1 to S11: how each cost grows. Each law is measured at three sizes and told as an exponent, beside the one it should have.
//!
//! **What it is for:** `docs/SCALE.md` works out from these what a hundred million keys, ten million watchers or 32 cores would
//! cost; a law that does not hold at three sizes here is worth nothing there.
//!
//! **What it is not for:** goals of a cost by itself; those are the P and W workloads'.
//!
//! The exponent is the slope of the cost against the size, both as logarithms: 0 for what does not grow, 1 for what grows
//! with the size, and a little above 0 for a look-up that misses the processor's caches more often. Rounds go over all sizes
//! in turn, and each round has an exponent of its own.

mod keys;

mod watchers;

mod history;

mod values;

mod cores;

mod outlook;

use crate::Outcome;
use crate::report::{Goal, Row};
use crate::rounds::Series;
use crate::scale::ROUNDS;

pub(crate) use cores::run as cores;
pub(crate) use history::{catch_up, compaction, file};
pub(crate) use keys::{access, memory, open};
pub(crate) use outlook::outlook;
pub(crate) use values::run as values;
pub(crate) use watchers::{fan_out, stab, weight};

/// How a cost is to grow with a size.
struct Law {
    workload: &'static str,
    /// What costs, with `#` for the size.
    case: &'static str,
    unit: &'static str,
    /// 0 for what is to stay the same, 1 for what is to grow with the size.
    expected: f64,
    /// How much more is let pass.
    tolerance: f64,
}

impl Law {
    /// Measures so many rounds of all sizes in turn. Each size has a state of its own.
    fn measure<S>(
        &self,
        sizes: &mut [(u64, S)],
        rounds: usize,
        mut round: impl FnMut(u64, &mut S) -> Outcome<f64>,
    ) -> Outcome<Vec<Row>> {
        let mut costs: Vec<(u64, Series)> =
            sizes.iter().map(|(size, _)| (*size, Series::default())).collect();
        for _ in 0..rounds {
            for ((size, state), (_, series)) in sizes.iter_mut().zip(&mut costs) {
                series.0.push(round(*size, state)?);
            }
        }
        Ok(self.rows(&costs))
    }

    /// A row for each size, and one for the exponent of each round.
    fn rows(&self, costs: &[(u64, Series)]) -> Vec<Row> {
        let rounds = costs.iter().map(|(_, series)| series.0.len()).min().unwrap_or_default();
        let exponents = (0..rounds).map(|round| {
            let points: Vec<_> = costs.iter().map(|(size, series)| (*size, series.0[round])).collect();
            exponent(&points)
        });
        let sizes = costs.iter().map(|(size, series)| {
            Row::new(self.workload, self.case.replace('#', &size.to_string()), self.unit, series.clone())
        });
        let growth = Row::new(self.workload, self.case.replace('#', "n"), "exponent", exponents.collect())
            .with_goal(Goal::AtMost(self.expected + self.tolerance))
            .with("expected", self.expected);
        sizes.chain([growth]).collect()
    }
}

/// The slope of the straight line through the logarithms: least squares.
fn exponent(points: &[(u64, f64)]) -> f64 {
    let logs =
        || points.iter().map(|(size, cost)| (crate::workloads::support::figure(*size).ln(), cost.ln()));
    let count = crate::workloads::support::figure(points.len() as u64);
    let (x_mean, y_mean) =
        (logs().map(|(x, _)| x).sum::<f64>() / count, logs().map(|(_, y)| y).sum::<f64>() / count);
    let (over, under) = logs().fold((0.0, 0.0), |(over, under), (x, y)| {
        (over + (x - x_mean) * (y - y_mean), under + (x - x_mean) * (x - x_mean))
    });
    over / under
}

/// Sizes that have nothing to remember between rounds.
fn without_state(sizes: &[u64]) -> Vec<(u64, ())> {
    sizes.iter().map(|size| (*size, ())).collect()
}

/// Where what is measured does not vary.
const ONCE: usize = 1;

const SOME: usize = ROUNDS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_the_slope_of_the_logarithms() {
        let of = |cost: fn(f64) -> f64| {
            exponent(&[10, 100, 1000].map(|size: u32| (u64::from(size), cost(f64::from(size)))))
        };
        for (found, expected) in
            [(of(|n| 3.0 * n), 1.0), (of(|_| 7.0), 0.0), (of(|n| 0.5 * n * n), 2.0), (of(|n| n.sqrt()), 0.5)]
        {
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
    }

    #[test]
    fn a_law_has_a_row_for_each_size_and_one_that_judges_the_growth() {
        let law = Law { workload: "S0", case: "of # things", unit: "µs", expected: 0.0, tolerance: 0.2 };
        let rows = law.measure(&mut without_state(&[10, 100, 1000]), 2, |size, ()| {
            Ok(if size == 1000 { 4.0 } else { 1.0 })
        });
        let rows = rows.unwrap();
        let cases: Vec<_> = rows.iter().map(|row| row.case.as_str()).collect();
        assert_eq!(cases, ["of 10 things", "of 100 things", "of 1000 things", "of n things"]);
        assert_eq!(rows[2].ours.0, [4.0, 4.0]);
        assert_eq!(rows[3].is_met(), Some(false), "it grows, and was not to");
        let flat = law.measure(&mut without_state(&[10, 100, 1000]), 2, |_, ()| Ok(1.0)).unwrap();
        assert_eq!(flat[3].is_met(), Some(true));
    }
}
