//! What the visitors of one stream got, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The series' step.
const STEP: Duration = Duration::from_millis(100);
/// The series ends after an hour.
const STEPS_MAX: usize = 36_000;

/// How a visit ended, over all its attempts.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// 200 in time.
    Good(Duration),
    /// 200, but later.
    Slow(Duration),
    /// 429 or 503.
    Refused(u16),
    /// Anything else, by its name.
    Failed(String),
    /// The generator had no connection left.
    Unsent,
}

pub(crate) struct Tally {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    visitors: u64,
    attempts: u64,
    good: u64,
    slow: u64,
    unsent: u64,
    refused: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    /// Of pages, good or slow, µs.
    page: Option<Histogram<u64>>,
    /// How late the generator itself was, µs.
    late: Option<Histogram<u64>>,
    series: Series,
}

/// Visitors that came, by the moment they came; outcomes, by the moment of the outcome.
#[derive(Default)]
struct Series {
    came: Vec<u64>,
    good: Vec<u64>,
    slow: Vec<u64>,
    refused: Vec<u64>,
    failed: Vec<u64>,
}

impl Tally {
    pub(crate) fn new(began: Instant) -> Self {
        let inner = Inner { page: histogram(), late: histogram(), ..Inner::default() };
        Self { began, inner: Mutex::new(inner) }
    }

    pub(crate) fn came(&self, due: Instant) {
        let inner = &mut *self.inner.lock();
        inner.visitors += 1;
        count(&mut inner.series.came, due.saturating_duration_since(self.began));
        record(&mut inner.late, due.elapsed());
    }

    pub(crate) fn asked(&self) {
        self.inner.lock().attempts += 1;
    }

    pub(crate) fn left(&self, outcome: Outcome) {
        let at = self.began.elapsed();
        let inner = &mut *self.inner.lock();
        match outcome {
            Outcome::Good(took) => {
                inner.good += 1;
                record(&mut inner.page, took);
                count(&mut inner.series.good, at);
            }
            Outcome::Slow(took) => {
                inner.slow += 1;
                record(&mut inner.page, took);
                count(&mut inner.series.slow, at);
            }
            Outcome::Refused(status) => {
                *inner.refused.entry(status.to_string()).or_default() += 1;
                count(&mut inner.series.refused, at);
            }
            Outcome::Failed(why) => {
                *inner.failed.entry(why).or_default() += 1;
                count(&mut inner.series.failed, at);
            }
            Outcome::Unsent => inner.unsent += 1,
        }
    }

    pub(crate) fn figures(&self) -> anyhow::Result<Value> {
        let inner = self.inner.lock();
        let series = &inner.series;
        Ok(json!({
            "visitors": inner.visitors,
            "attempts": inner.attempts,
            "good": inner.good,
            "slow": inner.slow,
            "refused": inner.refused.values().sum::<u64>(),
            "refused_by": inner.refused,
            "failed": inner.failed.values().sum::<u64>(),
            "failed_by": inner.failed,
            "unsent": inner.unsent,
            "page_ms": quantiles(inner.page.as_ref()),
            "late_ms": quantiles(inner.late.as_ref()),
            "step_ms": STEP.as_millis() as u64,
            "series": { "came": series.came, "good": series.good, "slow": series.slow,
                        "refused": series.refused, "failed": series.failed },
        }))
    }
}

fn count(series: &mut Vec<u64>, at: Duration) {
    let step = usize::try_from(at.as_nanos() / STEP.as_nanos()).unwrap_or(STEPS_MAX);
    if step < STEPS_MAX {
        if series.len() <= step {
            series.resize(step + 1, 0);
        }
        if let Some(counted) = series.get_mut(step) {
            *counted += 1;
        }
    }
}

/// Microseconds up to a minute, to three digits: bounds that can't be wrong.
fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 3).ok()
}

fn record(histogram: &mut Option<Histogram<u64>>, took: Duration) {
    if let Some(histogram) = histogram {
        histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Milliseconds; null when there was nothing.
fn quantiles(histogram: Option<&Histogram<u64>>) -> Value {
    let Some(histogram) = histogram.filter(|histogram| !histogram.is_empty()) else { return Value::Null };
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
}
