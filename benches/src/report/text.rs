//! How figures are written.

use crate::rounds::Series;

/// Three digits are more than the machine is steady to.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        _ if figure.is_nan() => "–".into(),
        size if size >= 1e6 => format!("{:.2} M", figure / 1e6),
        size if size >= 1e4 => format!("{:.1} k", figure / 1e3),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// A round figure: 1, 10, 1 k, 20 k, 1 M.
pub(crate) fn tick(at: f64) -> String {
    match at {
        _ if at >= 1e6 => format!("{} M", trimmed(at / 1e6)),
        _ if at >= 1e3 => format!("{} k", trimmed(at / 1e3)),
        _ => trimmed(at),
    }
}

fn trimmed(figure: f64) -> String {
    let text = short(figure);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The median, and the least and the most of the rounds.
pub(crate) fn median_and_spread(series: &Series) -> String {
    format!("{} ({})", short(series.median()), spread(series))
}

/// The least and the most of the rounds, or that there was only one.
pub(crate) fn spread(series: &Series) -> String {
    if series.0.len() == 1 {
        return "once".into();
    }
    format!("{}–{}", short(series.least()), short(series.most()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_figures_are_short() {
        let ticks = [0.01, 1.0, 64.0, 1000.0, 20_000.0, 1e6].map(tick);
        assert_eq!(ticks, ["0.01", "1", "64", "1 k", "20 k", "1 M"]);
    }

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.1234, 7.4567, 123.4, 12_345.0, 1_234_567.0, f64::NAN].map(short);
        assert_eq!(figures, ["0.123", "7.46", "123", "12.3 k", "1.23 M", "–"]);
    }
}
