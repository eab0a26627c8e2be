//! Charts as self-contained SVG: points and lines on linear or logarithmic axes, labels that keep clear of each other.
//!
//! It knows numbers and words, not what they measure. Colours follow the reader's preference for light or dark, text
//! stays text, and the same figures give the same bytes.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 58.0;
const FONT: f64 = 13.0;
const RADIUS: f64 = 4.5;
/// A generous width of a character of sans-serif text, of its size: what is reserved is never too narrow.
const ADVANCE: f64 = 0.58;

const STYLE: &str = "\
    text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f; }
    .title { font-size: 16px; font-weight: 600; }
    .axis, .limit-label { fill: #57606a; }
    .paper { fill: #ffffff; }
    .grid { stroke: #d8dee4; }
    .frame { stroke: #8c959f; fill: none; }
    .limit { stroke: #cf222e; stroke-dasharray: 6 4; }
    .leader { stroke: #8c959f; }
    .a { fill: #0969da; } .b { fill: #bc4c00; } .c { fill: #6e7781; }
    path.a, path.b, path.c { fill: none; stroke-width: 2; }
    path.a { stroke: #0969da; } path.b { stroke: #bc4c00; } path.c { stroke: #6e7781; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .axis, .limit-label { fill: #9da7b3; }
      .paper { fill: #0d1117; }
      .grid { stroke: #262c36; }
      .frame, .leader { stroke: #6e7681; }
      .limit { stroke: #ff7b72; }
      .a { fill: #58a6ff; } .b { fill: #f0883e; } .c { fill: #9da7b3; }
      path.a { stroke: #58a6ff; } path.b { stroke: #f0883e; } path.c { stroke: #9da7b3; }
    }
";

/// How an axis divides its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From nought.
    Linear,
    /// Equal lengths for equal ratios; every figure is above nought.
    Log,
}

/// One of three colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    A,
    B,
    C,
}

impl Colour {
    fn class(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }
}

pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

/// A point and the words beside it, which may be none.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) label: String,
}

pub(crate) struct Series {
    pub(crate) points: Vec<Point>,
    pub(crate) colour: Colour,
    /// Whether a line goes through the points.
    pub(crate) is_line: bool,
}

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// A line across at this height, and its name.
    pub(crate) limit: Option<(f64, String)>,
}

impl Chart {
    /// The file's text; nothing when there is no point to draw.
    pub(crate) fn svg(&self) -> Option<String> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let limit = self.limit.iter().map(|&(at, _)| at);
        let x = Span::of(self.x.scale, points().map(|point| point.x), LEFT, WIDTH - RIGHT)?;
        let y = Span::of(self.y.scale, points().map(|point| point.y).chain(limit), HEIGHT - BOTTOM, TOP)?;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}\">\n  <style>\n{STYLE}  </style>\n",
            escape(&self.title)
        );
        let _ = writeln!(svg, "  <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>");
        text(&mut svg, "title", LEFT, 28.0, "start", &self.title);
        self.axes(&mut svg, &x, &y);
        let mut labels = Labels::new(points().map(|point| (x.place(point.x), y.place(point.y))).collect());
        if let Some((at, name)) = &self.limit {
            let height = y.place(*at);
            line(&mut svg, "limit", [LEFT, height, WIDTH - RIGHT, height]);
            text(&mut svg, "limit-label", WIDTH - RIGHT - 6.0, height - 6.0, "end", name);
            labels.keep_clear(Rect::of_text(WIDTH - RIGHT - 6.0 - width(name), height - 6.0, name));
        }
        for series in &self.series {
            let class = series.colour.class();
            let places: Vec<(f64, f64)> =
                series.points.iter().map(|point| (x.place(point.x), y.place(point.y))).collect();
            if series.is_line {
                let steps: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
                let _ = writeln!(svg, "  <path class=\"{class}\" d=\"M{}\"/>", steps.join(" L"));
                labels.keep_clear_of_line(&places);
            }
            for (x, y) in &places {
                let _ =
                    writeln!(svg, "  <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"/>");
            }
        }
        for point in points().filter(|point| !point.label.is_empty()) {
            labels.write(&mut svg, (x.place(point.x), y.place(point.y)), &point.label);
        }
        svg.push_str("</svg>\n");
        Some(svg)
    }

    fn axes(&self, svg: &mut String, x: &Span, y: &Span) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in x.ticks() {
            let at = x.place(tick);
            line(svg, "grid", [at, TOP, at, bottom]);
            text(svg, "axis", at, bottom + 19.0, "middle", &number(tick));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            line(svg, "grid", [LEFT, at, right, at]);
            text(svg, "axis", LEFT - 8.0, at + 4.5, "end", &number(tick));
        }
        let _ = writeln!(
            svg,
            "  <rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>",
            right - LEFT,
            bottom - TOP
        );
        text(svg, "axis", f64::midpoint(LEFT, right), HEIGHT - 14.0, "middle", &self.x.label);
        let middle = f64::midpoint(TOP, bottom);
        let _ = writeln!(
            svg,
            "  <text class=\"axis\" text-anchor=\"middle\" transform=\"translate(20 {middle:.1}) rotate(-90)\">\
             {}</text>",
            escape(&self.y.label)
        );
    }
}

/// What of an axis is shown, and where on the paper.
struct Span {
    scale: Scale,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Span {
    fn of(scale: Scale, figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for figure in figures {
            (least, most) = (least.min(figure), most.max(figure));
        }
        if !least.is_finite() || !most.is_finite() || (scale == Scale::Log && least <= 0.0) {
            return None;
        }
        let (least, most) = match scale {
            Scale::Linear => (0.0, if most > 0.0 { most * 1.15 } else { 1.0 }),
            Scale::Log => (least / 1.6, most * 1.6),
        };
        Some(Self { scale, least, most, from, to })
    }

    fn place(&self, figure: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (figure - self.least) / (self.most - self.least),
            Scale::Log => (figure / self.least).ln() / (self.most / self.least).ln(),
        };
        self.from + part * (self.to - self.from)
    }

    /// Round figures within the span: 1, 2 and 5 times powers of ten.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log => {
                let decades = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
                let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|part| part * 10_f64.powi(decade)));
                all.filter(|tick| (self.least..=self.most).contains(tick)).collect()
            }
            Scale::Linear => {
                let rough = (self.most - self.least) / 6.0;
                let decade = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0].map(|part| part * decade).into_iter().find(|&step| step >= rough);
                let step = step.unwrap_or(10.0 * decade);
                let count = ((self.most - self.least) / step).floor() as usize;
                (0..=count).map(|index| self.least + index as f64 * step).collect()
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Rect {
    /// What a text takes whose baseline begins at `x`, `y`.
    fn of_text(x: f64, y: f64, text: &str) -> Self {
        Self { left: x, top: y - FONT, right: x + width(text), bottom: y + 4.0 }
    }

    fn around(x: f64, y: f64, reach: f64) -> Self {
        Self { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_on_paper(&self) -> bool {
        self.left > LEFT + 2.0
            && self.right < WIDTH - RIGHT - 2.0
            && self.top > TOP + 1.0
            && self.bottom < HEIGHT - BOTTOM - 1.0
    }
}

/// Puts labels where nothing else is.
struct Labels {
    taken: Vec<Rect>,
}

impl Labels {
    fn new(points: Vec<(f64, f64)>) -> Self {
        Self { taken: points.into_iter().map(|(x, y)| Rect::around(x, y, RADIUS + 1.0)).collect() }
    }

    fn keep_clear(&mut self, rect: Rect) {
        self.taken.push(rect);
    }

    fn keep_clear_of_line(&mut self, places: &[(f64, f64)]) {
        const STEPS: u32 = 48;
        for pair in places.windows(2) {
            let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
            for step in 0..=STEPS {
                let part = f64::from(step) / f64::from(STEPS);
                self.taken.push(Rect::around(x + (to_x - x) * part, y + (to_y - y) * part, 2.0));
            }
        }
    }

    fn write(&mut self, svg: &mut String, point: (f64, f64), label: &str) {
        let (rect, distance) = self.find(point, label);
        if distance > 0 {
            let near_x = point.0.clamp(rect.left, rect.right);
            let near_y = point.1.clamp(rect.top, rect.bottom);
            line(svg, "leader", [point.0, point.1, near_x, near_y]);
        }
        text(svg, "label", rect.left, rect.top + FONT, "start", label);
        self.taken.push(rect);
    }

    /// The first free place, nearest first; the nearest on the paper if there is none.
    fn find(&self, (x, y): (f64, f64), label: &str) -> (Rect, u32) {
        let wide = width(label);
        let mut fallback = None;
        for distance in 0..6 {
            let off = RADIUS + 5.0 + 16.0 * f64::from(distance);
            let beside = 4.5;
            let places = [
                (x + off, y + beside),
                (x - off - wide, y + beside),
                (x - wide / 2.0, y - off),
                (x - wide / 2.0, y + off + FONT - 3.0),
                (x + off * 0.7, y - off * 0.7),
                (x + off * 0.7, y + off * 0.7 + FONT - 3.0),
                (x - off * 0.7 - wide, y - off * 0.7),
                (x - off * 0.7 - wide, y + off * 0.7 + FONT - 3.0),
            ];
            for (left, baseline) in places {
                let rect = Rect::of_text(left, baseline, label);
                if !rect.is_on_paper() {
                    continue;
                }
                fallback = fallback.or(Some(rect));
                if !self.taken.iter().any(|other| other.meets(&rect)) {
                    return (rect, distance);
                }
            }
        }
        (fallback.unwrap_or_else(|| Rect::of_text(x + RADIUS + 5.0, y + 4.5, label)), 0)
    }
}

fn width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT * ADVANCE
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        svg,
        "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

fn line(svg: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(
        svg,
        "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A tick's figure without digits that say nothing.
fn number(figure: f64) -> String {
    let written = format!("{figure:.3}");
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64, &str)], scale: Scale) -> Chart {
        let points = points.iter().map(|&(x, y, label)| Point { x, y, label: label.to_owned() }).collect();
        Chart {
            title: "A & B".to_owned(),
            x: Axis { label: "seconds".to_owned(), scale },
            y: Axis { label: "bytes < all".to_owned(), scale },
            series: vec![Series { points, colour: Colour::A, is_line: false }],
            limit: None,
        }
    }

    fn span(scale: Scale, least: f64, most: f64) -> Span {
        Span::of(scale, [least, most].into_iter(), 0.0, 100.0).unwrap()
    }

    #[test]
    fn logarithmic_places_keep_ratios() {
        let span = span(Scale::Log, 1.0, 100.0);
        let (one, ten, hundred) = (span.place(1.0), span.place(10.0), span.place(100.0));
        assert!((hundred - ten - (ten - one)).abs() < 1e-9 && one > 0.0 && hundred < 100.0);
        assert_eq!(span.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn linear_axes_begin_at_nought_with_round_ticks() {
        let span = span(Scale::Linear, 90.0, 260.0);
        assert_eq!(span.place(0.0), 0.0);
        assert_eq!(span.ticks(), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
        assert_eq!([0.5, 20.0, 1.0].map(number), ["0.5", "20", "1"]);
    }

    #[test]
    fn labels_of_crowded_points_do_not_meet() {
        let names = ["one tool", "another tool", "a third", "the fourth of them", "five", "six and more"];
        let mut labels = Labels::new((0..6).map(|i| (300.0 + 9.0 * f64::from(i), 200.0)).collect());
        let before = labels.taken.len();
        let mut svg = String::new();
        for (i, name) in (0..).zip(names) {
            labels.write(&mut svg, (300.0 + 9.0 * f64::from(i), 200.0), name);
        }
        let placed = &labels.taken[before..];
        assert_eq!(placed.len(), names.len());
        for (i, one) in placed.iter().enumerate() {
            assert!(one.is_on_paper());
            for (j, other) in labels.taken.iter().enumerate() {
                assert!(j == before + i || !one.meets(other), "{i} meets {j}");
            }
        }
    }

    #[test]
    fn words_are_escaped_and_stay_text() {
        let svg = chart(&[(1.0, 10.0, "tar | zstd > all")], Scale::Log).svg().unwrap();
        for expected in [">A &amp; B</text>", ">bytes &lt; all</text>", ">tar | zstd &gt; all</text>"] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert!(svg.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn the_same_figures_give_the_same_bytes() {
        let points = [(1.0, 10.0, "a"), (2.0, 20.0, "b")];
        assert_eq!(chart(&points, Scale::Linear).svg(), chart(&points, Scale::Linear).svg());
    }

    #[test]
    fn nothing_to_draw_is_no_chart() {
        assert_eq!(chart(&[], Scale::Linear).svg(), None);
        assert_eq!(chart(&[(0.0, 1.0, "")], Scale::Log).svg(), None, "no logarithm of nought");
        assert!(chart(&[(0.0, 1.0, "")], Scale::Linear).svg().is_some());
    }
}
