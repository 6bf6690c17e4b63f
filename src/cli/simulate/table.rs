//! A day as a table, and as JSON.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::Args;
use crate::simulation::day::Plan;
use crate::simulation::figures::{Report, Span, Waits};
use crate::simulation::verdict::{self, count, duration};

/// Rows at most.
const ROWS: usize = 24;

/// What is let happen.
pub(super) fn opening(args: &Args, plan: &Plan) -> String {
    let origin = &plan.origin;
    let shape = plan.arrivals.to_possible_value();
    let visitors = plan.waves.iter().map(|wave| u64::from(wave.visitors)).sum();
    format!(
        "{}: {} visitors over {} ({}), each {}.\n{}\
         The origin: {} workers of {}, {:.0} requests/s at best; collapse {}, sigma {}. Seed {}.",
        args.policy.display(),
        count(visitors),
        duration(args.over),
        shape.as_ref().map_or("", |s| s.get_name()),
        plan.journey,
        openings(plan),
        origin.workers,
        duration(origin.service),
        origin.capacity(Duration::ZERO),
        origin.collapse,
        origin.sigma,
        plan.seed,
    )
}

/// When the day begins, and who gathers for which opening; nothing where nothing opens.
fn openings(plan: &Plan) -> String {
    let clock = |since: Duration| {
        let at = UNIX_EPOCH + Duration::from_millis(plan.begins_unix_ms) + since;
        humantime::format_rfc3339_seconds(at).to_string()
    };
    let mut says = String::new();
    for wave in plan.waves.iter().filter(|wave| !wave.opens.is_zero()) {
        let who = wave.lane.as_deref().map_or(String::new(), |lane| format!(" of lane {lane}"));
        let when = if wave.begins < wave.opens { "gather before it" } else { "come then" };
        let (visitors, opens) = (count(u64::from(wave.visitors)), clock(wave.opens));
        let _ = writeln!(says, "The opening{who}: {opens}; {visitors} {when}.");
    }
    if !says.is_empty() {
        let _ = writeln!(says, "The day begins at {}.", clock(Duration::ZERO));
    }
    says
}

/// A line a while.
pub(super) fn table(report: &Report) -> String {
    let (each, rows) = report.in_at_most(ROWS);
    let mut table = String::from(
        "      from    arrived    waiting     inside  to origin     served       hits    refused      left  level       p50      p99\n",
    );
    for (index, row) in rows.iter().enumerate() {
        let at = |share| row.latencies.quantile(share).map_or("-".to_owned(), duration);
        let _ = writeln!(
            table,
            "{:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}  {:<8} {:>6} {:>8}",
            clock(each * u32::try_from(index).unwrap_or(u32::MAX)),
            count(row.arrived),
            count(row.waiting),
            count(row.inside),
            count(row.to_origin),
            count(row.served()),
            count(row.hits()),
            count(row.refused()),
            count(row.left_queue + row.left_refused + row.left_shut),
            row.level.name(),
            at(0.5),
            at(0.99),
        );
    }
    table
}

/// Hours, minutes and seconds since the day began.
pub(super) fn clock(at: Duration) -> String {
    let s = at.as_secs();
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// The same for programs; spans as they are.
pub(super) fn json(report: &Report) -> Value {
    let mut total = figures(&report.total());
    if let Some(total) = total.as_object_mut() {
        // Of a whole day there is no end at which someone waits.
        for gauge in ["waiting", "inside", "limit"] {
            total.remove(gauge);
        }
        total.insert("still_there".to_owned(), report.still_there.into());
    }
    json!({
        "spans": report.spans.iter().map(figures).collect::<Vec<_>>(),
        "total": total,
        "waits": report.waits.iter().map(waits).collect::<serde_json::Map<_, _>>(),
        "verdicts": verdict::verdicts(report),
    })
}

/// Of one line, by its name.
fn waits(waits: &Waits) -> (String, Value) {
    let seconds = |share| waits.quantile(share).map(|d| d.as_secs_f64());
    let figures = json!({
        "came_in": waits.count(), "p50_seconds": seconds(0.5), "p90_seconds": seconds(0.9),
        "p99_seconds": seconds(0.99), "most_seconds": seconds(1.0),
    });
    (waits.line.clone(), figures)
}

fn figures(span: &Span) -> Value {
    let seconds = |share| span.latencies.quantile(share).map(|d| d.as_secs_f64());
    let refused: serde_json::Map<_, _> =
        span.refusals().map(|(reason, n)| (reason.label().to_owned(), n.into())).collect();
    json!({
        "seconds": span.lasts.as_secs_f64(), "arrived": span.arrived, "through": span.through, "left_queue": span.left_queue,
        "left_refused": span.left_refused, "left_shut": span.left_shut, "served": span.served(), "hits": span.hits(), "refused": refused,
        "to_origin": span.to_origin, "answered": span.answered, "capacity": span.capacity,
        "waiting": span.waiting, "inside": span.inside, "waited_seconds": span.waited.map(|d| d.as_secs_f64()),
        "in_flight": span.in_flight, "queued": span.queued, "limit": span.limit, "level": span.level.name(),
        "p50_seconds": seconds(0.5), "p99_seconds": seconds(0.99),
        "greedy": span.greedy, "greedy_served": span.greedy_served,
    })
}
