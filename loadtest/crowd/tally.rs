//! What happened, counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::plan::{Group, Plan};
use crate::visitor::{Ask, Why};

/// The series end after two hours.
const SECONDS_MAX: usize = 7_200;
/// Examples of what must not happen, at most.
const EXAMPLES: usize = 5;

#[derive(Debug)]
pub(crate) struct Tally {
    idle_seconds: f64,
    counts: Counts,
    /// How visits ended.
    left: BTreeMap<Why, u64>,
    /// By status.
    refused: BTreeMap<u16, u64>,
    unclear: BTreeMap<u16, u64>,
    /// By what went wrong.
    failed: BTreeMap<&'static str, u64>,
    /// Positions that rose: from, to.
    rises: Vec<(u32, u32)>,
    /// In line, and no no-shows.
    pub(crate) willing: u32,
    /// When each was inside, as far as can be proven.
    pub(crate) stays: Vec<(Moment, Moment)>,
    /// From coming, or from the opening, to being let in; by line; ms.
    waits: BTreeMap<String, Histogram<u64>>,
    /// By group.
    lines: Vec<String>,
    /// Of the estimate said half the way: how wrong, in hundredths of a percent of what it was.
    estimates: Histogram<u64>,
    /// µs.
    answers: [Histogram<u64>; 2],
    late: Histogram<u64>,
    /// By second.
    polls: Vec<u64>,
    failures: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    polls: u64,
    came: u64,
    came_in: u64,
    walked_in: u64,
    sent_back: u64,
    full: u64,
    rises: u64,
    foreign: u64,
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> anyhow::Result<Self> {
        let line = |group: &Group| if group.lane.is_empty() { "everyone".to_owned() } else { group.lane.clone() };
        let lines: Vec<_> = plan.groups.iter().map(line).collect();
        let waits = lines.iter().map(|line| Ok((line.clone(), histogram(24 * 3_600_000)?)));
        Ok(Self {
            idle_seconds: plan.idle_seconds,
            counts: Counts::default(),
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            unclear: BTreeMap::new(),
            failed: BTreeMap::new(),
            rises: Vec::new(),
            willing: 0,
            stays: Vec::new(),
            waits: waits.collect::<anyhow::Result<_>>()?,
            lines,
            estimates: histogram(10_000_000)?,
            answers: [histogram(60_000_000)?, histogram(60_000_000)?],
            late: histogram(60_000_000)?,
            polls: Vec::new(),
            failures: Vec::new(),
        })
    }

    pub(crate) fn came(&mut self) {
        self.counts.came += 1;
    }

    pub(crate) fn asked(&mut self, ask: Ask, due: Moment, sent: Moment) {
        self.counts.requests += 1;
        self.late.saturating_record(micros(sent.since(due)));
        if ask == Ask::Place {
            self.counts.polls += 1;
            count(&mut self.polls, sent);
        }
    }

    pub(crate) fn answered(&mut self, ask: Ask, seconds: f64) {
        let [places, pages] = &mut self.answers;
        let of = if ask == Ask::Place { places } else { pages };
        of.saturating_record(micros(seconds));
    }

    pub(crate) fn failed(&mut self, what: &'static str, at: Moment) {
        *self.failed.entry(what).or_default() += 1;
        count(&mut self.failures, at);
    }

    /// Something came that is no cookie of this room's, or too long to be kept.
    pub(crate) fn foreign(&mut self) {
        self.counts.foreign += 1;
    }

    pub(crate) fn refused(&mut self, status: u16) {
        *self.refused.entry(status).or_default() += 1;
    }

    pub(crate) fn unclear(&mut self, status: u16) {
        *self.unclear.entry(status).or_default() += 1;
    }

    pub(crate) fn full(&mut self) {
        self.counts.full += 1;
    }

    pub(crate) fn came_in(&mut self, group: u8, waited: f64, queued: bool) {
        self.counts.came_in += 1;
        self.counts.walked_in += u64::from(!queued);
        if let Some(waits) = self.lines.get(usize::from(group)).and_then(|line| self.waits.get_mut(line)) {
            waits.saturating_record((waited * 1e3) as u64);
        }
    }

    pub(crate) fn estimated(&mut self, said: f64, was: f64) {
        self.estimates.saturating_record(((said - was).abs() / was.max(1e-3) * 1e4) as u64);
    }

    pub(crate) fn rose(&mut self, from: u32, to: u32) {
        self.counts.rises += 1;
        if self.rises.len() < EXAMPLES {
            self.rises.push((from, to));
        }
    }

    pub(crate) fn sent_back(&mut self, from: Moment, until: Moment) {
        self.counts.sent_back += 1;
        self.was_inside(from, until, false);
    }

    /// Was inside between these moments at least; `idle`: and then until time ended it.
    pub(crate) fn was_inside(&mut self, from: Moment, until: Moment, idle: bool) {
        // The room counts whole milliseconds.
        let until = if idle { until.after((self.idle_seconds - 0.002).max(0.0)) } else { until };
        if from < until {
            self.stays.push((from, until));
        }
    }

    pub(crate) fn left(&mut self, why: Why) {
        *self.left.entry(why).or_default() += 1;
    }

    pub(crate) fn gone(&self) -> u64 {
        self.left.values().sum()
    }

    pub(crate) fn progress(&self) -> Value {
        let c = &self.counts;
        json!({ "came": c.came, "came_in": c.came_in, "gone": self.gone(), "requests": c.requests,
                "polls": c.polls, "failed": self.failed.values().sum::<u64>() })
    }

    pub(crate) fn figures(&self) -> Value {
        let c = &self.counts;
        let left = |why| self.left.get(&why).copied().unwrap_or_default();
        let waits: BTreeMap<_, _> = self.waits.iter().map(|(line, waits)| (line, quantiles(waits, 1e-3))).collect();
        let [places, pages] = &self.answers;
        // The first second and the last are no whole ones.
        let whole = self.polls.get(1..self.polls.len().saturating_sub(1)).unwrap_or_default();
        json!({
            "came": c.came, "came_in": c.came_in, "walked_in": c.walked_in,
            "through": left(Why::Through), "no_shows": left(Why::NoShow), "impatient": left(Why::Impatient),
            "turned_away": left(Why::Over), "still_there": c.came - self.gone(),
            "requests": c.requests, "polls": c.polls,
            "polls_per_second_max": whole.iter().max(),
            "refused": by_name(&self.refused), "full": c.full, "unclear": by_name(&self.unclear),
            "failed": self.failed, "foreign_cookies": c.foreign, "failures_by_second": self.failures,
            "sent_back": c.sent_back, "rises": c.rises, "rises_examples": self.rises,
            "wait_seconds": waits,
            "estimate_error_percent": quantiles(&self.estimates, 1e-2),
            "place_ms": quantiles(places, 1e-3), "page_ms": quantiles(pages, 1e-3),
            "late_ms": quantiles(&self.late, 1e-3),
        })
    }
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

fn by_name(counts: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(status, n)| (status.to_string(), *n)).collect()
}

fn count(series: &mut Vec<u64>, at: Moment) {
    let second = (at.seconds() as usize).min(SECONDS_MAX);
    if series.len() <= second {
        series.resize(second + 1, 0);
    }
    if let Some(counted) = series.get_mut(second) {
        *counted += 1;
    }
}

fn histogram(most: u64) -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, most, 3)?)
}

/// In units of so much; null when there was nothing.
fn quantiles(histogram: &Histogram<u64>, unit: f64) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile| (histogram.value_at_quantile(quantile) as f64 * unit * 1e3).round() / 1e3;
    json!({ "count": histogram.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) })
}
