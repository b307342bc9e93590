//! A chart on two logarithmic axes, as SVG.
//!
//! Text is left to whoever shows the picture (`sans-serif`), so that no font is needed here and every machine writes the
//! same bytes.

use plotters::prelude::{
    ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, ShapeStyle, TriangleMarker, WHITE,
};
use plotters::prelude::{Circle, Cross, DrawingBackend};

use super::pick::Point;
use crate::Outcome;
use crate::report::tick;

const SIZE: (u32, u32) = (820, 500);

/// Told apart by those who see few colours too (after Okabe and Ito).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

const GRID: RGBColor = RGBColor(225, 225, 225);
const INK: RGBColor = RGBColor(60, 60, 60);

/// Where 0 lies on an axis that has no place for it, as a share of the smallest number that has one.
const ZERO_AT: f64 = 0.1;

/// One picture.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// What stands at 0, where a line has such a point.
    pub(crate) zero: &'static str,
    /// Where the names of the lines go.
    pub(crate) names: Corner,
    pub(crate) lines: Vec<Line>,
}

/// A corner that the lines leave free.
#[derive(Clone, Copy)]
pub(crate) enum Corner {
    UpperLeft,
    UpperRight,
}

/// Points of one kind. Their spread is drawn as an upright.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

impl Chart {
    /// None where there is nothing to draw.
    pub(crate) fn svg(&self) -> Outcome<Option<String>> {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return Ok(None);
        }
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, SIZE))
            .map_err(|error| format!("{}: {error}", self.title))?;
        Ok(Some(svg + "\n"))
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), String> {
        let area = backend.into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let frame = Frame::around(&self.lines);
        let mut chart = ChartBuilder::on(&area);
        chart.caption(&self.title, ("sans-serif", 17)).margin(14).x_label_area_size(44).y_label_area_size(70);
        let x_range = (frame.left..frame.right).log_scale();
        let mut chart =
            chart.build_cartesian_2d(x_range, (frame.bottom..frame.top).log_scale()).map_err(text)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x).y_desc(self.y).axis_style(INK).bold_line_style(GRID);
        mesh.light_line_style(WHITE).label_style(("sans-serif", 13)).x_labels(8).y_labels(8);
        let name_x = |at: &f64| if frame.is_zero(*at) { self.zero.to_owned() } else { tick(*at) };
        mesh.x_label_formatter(&name_x).y_label_formatter(&|at| tick(*at)).draw().map_err(text)?;
        for (number, line) in self.lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty()) {
            let color = COLORS[number % COLORS.len()];
            let spread = line.points.iter().map(|point| {
                let at = frame.place(point.at);
                PathElement::new(vec![(at, point.least), (at, point.most)], color.mix(0.5))
            });
            chart.draw_series(spread).map_err(text)?;
            let joined = line.points.iter().map(|point| (frame.place(point.at), point.median));
            chart.draw_series(LineSeries::new(joined.clone(), color.stroke_width(2))).map_err(text)?;
            let style = ShapeStyle { color: color.to_rgba(), filled: true, stroke_width: 2 };
            let drawn = match number % 3 {
                0 => chart.draw_series(joined.map(|at| Circle::new(at, 4, style))),
                1 => chart.draw_series(joined.map(|at| TriangleMarker::new(at, 5, style))),
                _ => chart.draw_series(joined.map(|at| Cross::new(at, 4, style))),
            };
            let legend = move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2));
            drawn.map_err(text)?.label(&line.name).legend(legend);
        }
        let mut names = chart.configure_series_labels();
        names.position(self.names.position()).background_style(WHITE.mix(0.85)).border_style(GRID);
        names.label_font(("sans-serif", 13)).draw().map_err(text)?;
        present(&area)
    }
}

fn present<B: DrawingBackend, C: plotters::coord::CoordTranslate>(
    area: &DrawingArea<B, C>,
) -> Result<(), String> {
    area.present().map_err(text)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Corner {
    fn position(self) -> SeriesLabelPosition {
        match self {
            Self::UpperLeft => SeriesLabelPosition::UpperLeft,
            Self::UpperRight => SeriesLabelPosition::UpperRight,
        }
    }
}

/// What of the two axes is shown: whole powers of ten around all points.
struct Frame {
    left: f64,
    right: f64,
    bottom: f64,
    top: f64,
    /// Where 0 is drawn.
    zero: Option<f64>,
}

impl Frame {
    fn around(lines: &[Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let least = |of: fn(&Point) -> f64| {
            points().map(of).filter(|figure| *figure > 0.0).fold(f64::INFINITY, f64::min)
        };
        let most = |of: fn(&Point) -> f64| points().map(of).fold(f64::MIN_POSITIVE, f64::max);
        let smallest = Some(least(|point| point.at)).filter(|at| at.is_finite()).unwrap_or(1.0);
        let zero = points().any(|point| point.at == 0.0).then(|| floor(smallest) * ZERO_AT);
        Self {
            left: zero.unwrap_or(smallest) / 1.5,
            right: most(|point| point.at).max(smallest) * 1.5,
            bottom: floor(least(|point| point.least)),
            top: ceiling(most(|point| point.most)),
            zero,
        }
    }

    fn place(&self, at: f64) -> f64 {
        if at == 0.0 { self.zero.unwrap_or(self.left) } else { at }
    }

    fn is_zero(&self, at: f64) -> bool {
        self.zero.is_some_and(|zero| (at / zero - 1.0).abs() < 1e-6)
    }
}

/// The power of ten at or below.
fn floor(figure: f64) -> f64 {
    10f64.powf(figure.log10().floor())
}

/// The power of ten above.
fn ceiling(figure: f64) -> f64 {
    10f64.powf(figure.log10().floor() + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_has_a_place_left_of_all_others() {
        let point = |at| Point { at, median: 2.0, least: 1.5, most: 30.0 };
        let line = Line { name: "a".into(), points: vec![point(0.0), point(1000.0)] };
        let frame = Frame::around(&[line]);
        assert!(
            frame.is_zero(frame.place(0.0)) && frame.place(0.0) < 1000.0 && frame.left < frame.place(0.0)
        );
        assert_eq!((frame.bottom, frame.top), (1.0, 100.0));
    }
}
