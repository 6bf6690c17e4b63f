//! Envoy's adaptive concurrency filter: the median latency against one measured with few in flight.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter>:
//! each 60 s the limit is pinned to 3 until 50 requests have shown the best latency; in between it
//! is multiplied each 100 ms by best ÷ median, between a half and two, with a buffer of a quarter,
//! and gets its square root as headroom. Five times at the least in a row: measured anew. The jitter
//! of the measurements is left out: it only keeps many proxies apart.

use std::time::Duration;

use super::{MAX, whole};
use crate::clock::Mono;
use crate::concurrency::{Limiter, Outcome, Sample};

/// The limit while the best latency is measured, and the least ever.
const MIN: f64 = 3.0;
const REQUESTS: usize = 50;
const MEASURED_EVERY: Duration = Duration::from_secs(60);
const UPDATED_EVERY: Duration = Duration::from_millis(100);
const BUFFER: f64 = 0.25;
const AT_LEAST_IN_A_ROW: u32 = 5;

#[derive(Debug)]
pub struct Envoy {
    limit: f64,
    /// The limit to go on with once the best latency is known; none: it is known.
    measuring: Option<f64>,
    /// Samples begun before this belong to another limit.
    epoch: Mono,
    /// When it was last measured, and updated.
    measured: Mono,
    updated: Mono,
    /// Seconds.
    best: f64,
    /// Seconds, since the last update or measurement.
    samples: Vec<f64>,
    at_least: u32,
}

impl Default for Envoy {
    fn default() -> Self {
        Self {
            limit: MIN,
            measuring: Some(MIN),
            epoch: Mono::ZERO,
            measured: Mono::ZERO,
            updated: Mono::ZERO,
            best: 0.0,
            samples: Vec::new(),
            at_least: 0,
        }
    }
}

impl Envoy {
    fn measure(&mut self, now: Mono) {
        self.measuring = Some(self.limit);
        self.limit = MIN;
        self.epoch = now;
        self.at_least = 0;
        self.samples.clear();
    }

    /// The median, and forgets the samples.
    fn median(&mut self) -> f64 {
        let middle = self.samples.len() / 2;
        let median = match middle < self.samples.len() {
            true => *self.samples.select_nth_unstable_by(middle, f64::total_cmp).1,
            false => 0.0,
        };
        self.samples.clear();
        median
    }

    fn update(&mut self, now: Mono) {
        self.updated = now;
        let gradient = (self.best * (1.0 + BUFFER) / self.median().max(1e-6)).clamp(0.5, 2.0);
        let limit = self.limit * gradient;
        self.limit = (limit + limit.sqrt()).floor().clamp(MIN, MAX);
        self.at_least = if self.limit > MIN { 0 } else { self.at_least + 1 };
        if self.at_least >= AT_LEAST_IN_A_ROW {
            self.measure(now);
        }
    }
}

impl Limiter for Envoy {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn observe(&mut self, sample: &Sample, now: Mono) {
        if sample.outcome == Outcome::Ignored || sample.started < self.epoch {
            return;
        }
        self.samples.push(sample.latency.as_secs_f64());
        if let Some(limit) = self.measuring {
            if self.samples.len() >= REQUESTS {
                self.best = self.median();
                self.limit = limit;
                self.measuring = None;
                (self.measured, self.updated) = (now, now);
            }
        } else if now.since(self.measured) >= MEASURED_EVERY {
            self.measure(now);
        } else if now.since(self.updated) >= UPDATED_EVERY {
            self.update(now);
        }
    }
}
