//! Netflix's `Gradient2Limit`: this latency against the long average.
//!
//! <https://github.com/Netflix/concurrency-limits>: while a latency is at most half as long again as
//! the average of the last 600, the limit grows by a queue of 4, a fifth at a time; beyond that it
//! shrinks in proportion, at most to a half. Failures are no signal of their own.

use super::{INITIAL, MAX, MIN, whole};
use crate::clock::Mono;
use crate::concurrency::{Limiter, Outcome, Sample};

/// How many times the average a latency may be before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// Requests that the limit allows to queue.
const QUEUE: f64 = 4.0;
/// How much of each new limit is taken over.
const SMOOTHING: f64 = 0.2;
/// Samples in the long average, and in its plain mean at first.
const LONG: f64 = 600.0;
const WARMUP: f64 = 10.0;

#[derive(Debug)]
pub struct Gradient2 {
    limit: f64,
    /// Seconds.
    average: f64,
    samples: f64,
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self { limit: INITIAL, average: 0.0, samples: 0.0 }
    }
}

impl Limiter for Gradient2 {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn observe(&mut self, sample: &Sample, _: Mono) {
        if sample.outcome == Outcome::Ignored {
            return;
        }
        let latency = sample.latency.as_secs_f64().max(1e-6);
        self.samples += 1.0;
        let share = if self.samples <= WARMUP { 1.0 / self.samples } else { 2.0 / (LONG + 1.0) };
        self.average += share * (latency - self.average);
        // After a long overload the average comes down faster.
        if self.average / latency > 2.0 {
            self.average *= 0.95;
        }
        if (sample.in_flight as f64) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.average / latency).clamp(0.5, 1.0);
        let limit = self.limit * gradient + QUEUE;
        self.limit = (self.limit * (1.0 - SMOOTHING) + limit * SMOOTHING).clamp(MIN, MAX);
    }
}
