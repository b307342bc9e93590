//! Rounds: ours and the peer's in turn, so that a slow minute of the machine falls on both.

use serde::{Deserialize, Deserializer, Serialize};

use crate::Outcome;
use crate::scale::ROUNDS;

/// One figure a round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl<'de> Deserialize<'de> for Series {
    /// JSON has no word for what is no number, and writes null.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rounds = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(rounds.into_iter().map(|figure| figure.unwrap_or(f64::NAN)).collect())
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(rounds: T) -> Self {
        Self(rounds.into_iter().collect())
    }
}

impl Series {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The rounds of one side alone.
pub(crate) fn alone(mut ours: impl FnMut() -> Outcome<f64>) -> Outcome<Series> {
    Ok(Series((0..ROUNDS).map(|_| ours()).collect::<Outcome<_>>()?))
}

/// The rounds of both sides, in turn.
pub(crate) fn in_turn(
    mut ours: impl FnMut() -> Outcome<f64>,
    mut peer: impl FnMut() -> Outcome<f64>,
) -> Outcome<(Series, Series)> {
    let mut both = (Series::default(), Series::default());
    for _ in 0..ROUNDS {
        both.0.0.push(ours()?);
        both.1.0.push(peer()?);
    }
    Ok(both)
}

/// One side's round.
pub(crate) type Round<'a> = Box<dyn FnMut() -> Outcome<f64> + 'a>;

/// The rounds of so many sides, in turn: a series each, in the order of the sides.
pub(crate) fn all_in_turn(mut sides: Vec<Round<'_>>) -> Outcome<Vec<Series>> {
    let mut all = vec![Series::default(); sides.len()];
    for _ in 0..ROUNDS {
        for (side, series) in sides.iter_mut().zip(&mut all) {
            series.0.push(side()?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_and_each_gets_its_own_figures() {
        let turns = std::cell::RefCell::new(Vec::new());
        let side = |number: f64| -> Round<'_> {
            let turns = &turns;
            Box::new(move || {
                turns.borrow_mut().push(number);
                Ok(number)
            })
        };
        let all = all_in_turn(vec![side(1.0), side(2.0), side(3.0)]).unwrap();
        assert_eq!(*turns.borrow(), [1.0, 2.0, 3.0].repeat(ROUNDS));
        assert_eq!(all.iter().map(Series::median).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        assert!(all.iter().all(|series| series.0.len() == ROUNDS));
    }

    #[test]
    fn a_side_that_fails_ends_the_rounds() {
        assert!(all_in_turn(vec![Box::new(|| Err("no".into()))]).is_err());
    }
}
