//! A day as a table, and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::Args;
use crate::simulation::day::Plan;
use crate::simulation::figures::{Report, Span};
use crate::simulation::verdict::{self, count, duration};

/// Rows at most.
const ROWS: usize = 24;

/// What is let happen.
pub(super) fn opening(args: &Args, plan: &Plan) -> String {
    let origin = &plan.origin;
    let shape = plan.arrivals.to_possible_value();
    format!(
        "{}: {} visitors over {} ({}), each {}.\n\
         The origin: {} workers of {}, {:.0} requests/s at best; collapse {}, sigma {}. Seed {}.",
        args.policy.display(),
        count(u64::from(plan.visitors)),
        duration(plan.over),
        shape.as_ref().map_or("", |s| s.get_name()),
        plan.journey,
        origin.workers,
        duration(origin.service),
        origin.capacity(Duration::ZERO),
        origin.collapse,
        origin.sigma,
        plan.seed,
    )
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
            count(row.left_queue + row.left_refused),
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
        "verdicts": verdict::verdicts(report),
    })
}

fn figures(span: &Span) -> Value {
    let seconds = |share| span.latencies.quantile(share).map(|d| d.as_secs_f64());
    let refused: serde_json::Map<_, _> =
        span.refusals().map(|(reason, n)| (reason.label().to_owned(), n.into())).collect();
    json!({
        "seconds": span.lasts.as_secs_f64(), "arrived": span.arrived, "through": span.through, "left_queue": span.left_queue,
        "left_refused": span.left_refused, "served": span.served(), "hits": span.hits(), "refused": refused,
        "to_origin": span.to_origin, "answered": span.answered, "capacity": span.capacity,
        "waiting": span.waiting, "inside": span.inside, "waited_seconds": span.waited.map(|d| d.as_secs_f64()),
        "in_flight": span.in_flight, "queued": span.queued, "limit": span.limit, "level": span.level.name(),
        "p50_seconds": seconds(0.5), "p99_seconds": seconds(0.99),
        "greedy": span.greedy, "greedy_served": span.greedy_served,
    })
}
