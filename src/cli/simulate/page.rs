//! A day as one HTML page: plots as inline SVG, no script, nothing from a network.

use std::fmt::Write as _;
use std::time::Duration;

use super::table::clock;
use crate::policy::Level;
use crate::simulation::figures::{Report, Span};
use crate::simulation::verdict;

/// Points of a line at most.
const POINTS: usize = 360;
/// The plot's area within its SVG, in its units.
const LEFT: f64 = 70.0;
const TOP: f64 = 16.0;
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 180.0;

/// A line in a plot: its name, its colour's class, and what it shows of a span; none: a gap.
type Line = (&'static str, &'static str, fn(&Span) -> Option<f64>);

struct Plot {
    title: &'static str,
    unit: &'static str,
    lines: &'static [Line],
}

fn per_second(n: f64, span: &Span) -> Option<f64> {
    let seconds = span.lasts.as_secs_f64();
    (seconds > 0.0).then(|| n / seconds)
}

fn took(span: &Span, share: f64) -> Option<f64> {
    span.latencies.quantile(share).map(|d| d.as_secs_f64() * 1000.0)
}

const PLOTS: [Plot; 5] = [
    Plot {
        title: "Visitors coming, and getting what they came for",
        unit: "per second",
        lines: &[
            ("arrived", "a", |s| per_second(s.arrived as f64, s)),
            ("through", "b", |s| per_second(s.through as f64, s)),
            ("left", "c", |s| per_second((s.left_queue + s.left_refused + s.left_shut) as f64, s)),
        ],
    },
    Plot {
        title: "Visitors in waiting rooms, and inside",
        unit: "visitors",
        lines: &[("waiting", "a", |s| Some(s.waiting as f64)), ("inside", "b", |s| Some(s.inside as f64))],
    },
    Plot {
        title: "How long those had waited who came in",
        unit: "minutes",
        lines: &[("longest wait", "a", |s| s.waited.map(|d| d.as_secs_f64() / 60.0))],
    },
    Plot {
        title: "Requests",
        unit: "per second",
        lines: &[
            ("served", "b", |s| per_second(s.served() as f64, s)),
            ("from the origin", "a", |s| per_second(s.answered as f64, s)),
            ("what the origin can", "d", |s| per_second(s.capacity, s)),
            ("refused", "c", |s| per_second(s.refused() as f64, s)),
        ],
    },
    Plot {
        title: "How long the origin's answers took, from the visitor's asking",
        unit: "milliseconds",
        lines: &[("median", "b", |s| took(s, 0.5)), ("99 of 100", "a", |s| took(s, 0.99))],
    },
];

/// The whole page.
pub(super) fn page(opening: &str, report: &Report) -> String {
    let (each, spans) = report.in_at_most(POINTS);
    let mut page = String::from(include_str!("page.html"));
    let mut body = String::new();
    for line in opening.lines() {
        let _ = writeln!(body, "<p>{}</p>", escaped(line));
    }
    body.push_str("<ul>\n");
    for says in verdict::verdicts(report) {
        let _ = writeln!(body, "<li>{}</li>", escaped(&says));
    }
    body.push_str("</ul>\n");
    for plot in &PLOTS {
        draw(plot, &spans, each, &mut body);
    }
    if let Some(at) = page.find("<!--body-->") {
        page.replace_range(at..at + "<!--body-->".len(), &body);
    }
    page
}

fn draw(plot: &Plot, spans: &[Span], each: Duration, out: &mut String) {
    let lines: Vec<_> = plot.lines.iter().map(|line| (line, spans.iter().map(line.2).collect::<Vec<_>>())).collect();
    let most = lines.iter().flat_map(|(_, values)| values.iter().flatten().copied()).fold(0.0, f64::max);
    let step = nice(most / 4.0);
    let top = (most / step).ceil().max(1.0) * step;
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / top);
    let x = |index: f64| LEFT + WIDTH * index / spans.len().max(2).saturating_sub(1) as f64;
    let _ = write!(out, "<h2>{} <small>{}</small></h2>\n<p class=\"legend\">", plot.title, plot.unit);
    for ((name, class, _), _) in &lines {
        let _ = write!(out, "<span class=\"{class}\">{name}</span> ");
    }
    let (full, high) = (LEFT + WIDTH + 30.0, TOP + HEIGHT + 30.0);
    let _ = writeln!(out, "</p>\n<svg viewBox=\"0 0 {full:.0} {high:.0}\" role=\"img\" aria-label=\"{}\">", plot.title);
    levels(spans, out);
    let mut mark = 0.0;
    while mark <= top * 1.001 {
        let at = y(mark);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}h{WIDTH}\"/>");
        let _ = writeln!(out, "<text class=\"y\" x=\"{:.0}\" y=\"{:.1}\">{}</text>", LEFT - 6.0, at + 4.0, short(mark));
        mark += step;
    }
    for tick in 0..=8_u32 {
        let index = f64::from(tick) / 8.0 * spans.len().saturating_sub(1) as f64;
        let (at, when) = (x(index), each.mul_f64(index));
        let _ =
            writeln!(out, "<text class=\"x\" x=\"{at:.1}\" y=\"{:.0}\">{}</text>", TOP + HEIGHT + 18.0, clock(when));
    }
    for ((_, class, _), values) in &lines {
        let numbered: Vec<_> = values.iter().enumerate().collect();
        for run in numbered.split(|(_, value)| value.is_none()).filter(|run| !run.is_empty()) {
            let points = run
                .iter()
                .filter_map(|(i, value)| Some(format!("{:.1},{:.1}", x(*i as f64), y(value.as_ref().copied()?))));
            let points = points.collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{points}\"/>");
        }
    }
    out.push_str("</svg>\n");
}

/// A ground that shows where the level was not normal.
fn levels(spans: &[Span], out: &mut String) {
    let wide = WIDTH / spans.len().max(1) as f64;
    for (index, span) in spans.iter().enumerate().filter(|(_, span)| span.level != Level::Normal) {
        let (at, level) = (LEFT + wide * index as f64, span.level.name());
        let _ = writeln!(
            out,
            "<rect class=\"{level}\" x=\"{at:.1}\" y=\"{TOP}\" width=\"{wide:.2}\" height=\"{HEIGHT}\"/>"
        );
    }
}

/// The next of 1, 2, 5 × 10ⁿ.
fn nice(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|n| n * power >= step).unwrap_or(10.0);
    times * power
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e4 => format!("{} k", v / 1e3),
        v => format!("{}", (v * 1000.0).round() / 1000.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_by_itself_and_shows_every_plot() {
        let lasts = Duration::from_secs(1);
        let mut span = Span { lasts, arrived: 5, waiting: 100, level: Level::Static, ..Span::default() };
        span.latencies.record(Duration::from_millis(20));
        let report = Report { span: Duration::from_secs(1), spans: vec![span; 500], waits: Vec::new(), still_there: 0 };
        let page = page("a <policy>", &report);
        assert!(page.contains("a &lt;policy&gt;") && !page.contains("<!--body-->"));
        assert_eq!(page.matches("<svg").count(), PLOTS.len());
        assert!(!page.contains("<script") && !page.contains("http"), "nothing from a network");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        assert!(page.contains("class=\"static\""));
    }

    #[test]
    fn steps_are_those_that_people_count_in() {
        assert_eq!([0.3, 7.0, 110.0, 0.0].map(nice), [0.5, 10.0, 200.0, 1.0]);
    }
}
