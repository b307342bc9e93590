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
