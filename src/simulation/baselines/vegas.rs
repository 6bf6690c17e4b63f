//! Netflix's `VegasLimit`: the queue at the origin, estimated from the latency.
//!
//! <https://github.com/Netflix/concurrency-limits>, after TCP Vegas (Brakmo and Peterson, 1995): as
//! many requests queue at the origin as `limit × (1 − best latency / latency)` says. Few, and the
//! limit grows; many, and it shrinks, by steps of its logarithm. Every so many requests the best
//! latency is learned anew from whichever comes next, loaded or not.

use std::time::Duration;

use super::{INITIAL, MAX, MIN, whole};
use crate::clock::Mono;
use crate::concurrency::{Limiter, Outcome, Sample};
use crate::simulation::random::Random;

/// The best latency is learned anew after about this many times the limit.
const PROBE_MULTIPLIER: f64 = 30.0;

#[derive(Debug)]
pub struct Vegas {
    limit: f64,
    best: Option<Duration>,
    since_probe: f64,
    /// From a half to one: spreads the probes.
    jitter: f64,
    random: Random,
}

impl Vegas {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self { limit: INITIAL, best: None, since_probe: 0.0, jitter: 0.5 + random.unit() / 2.0, random }
    }

    fn step(&self) -> f64 {
        self.limit.log10().floor().max(1.0)
    }
}

impl Limiter for Vegas {
    fn limit(&self) -> usize {
        whole(self.limit)
    }

    fn observe(&mut self, sample: &Sample, _: Mono) {
        if sample.outcome == Outcome::Ignored {
            return;
        }
        self.since_probe += 1.0;
        if self.jitter * PROBE_MULTIPLIER * self.limit <= self.since_probe {
            self.jitter = 0.5 + self.random.unit() / 2.0;
            self.since_probe = 0.0;
            self.best = Some(sample.latency);
            return;
        }
        let Some(best) = self.best.filter(|best| *best <= sample.latency) else {
            self.best = Some(sample.latency);
            return;
        };
        let step = self.step();
        let limit = if sample.outcome == Outcome::Overloaded {
            self.limit - step
        } else if sample.in_flight as f64 * 2.0 < self.limit {
            return;
        } else {
            let queued = (self.limit * (1.0 - best.div_duration_f64(sample.latency))).ceil();
            match queued {
                _ if queued <= step => self.limit + 6.0 * step,
                _ if queued < 3.0 * step => self.limit + step,
                _ if queued > 6.0 * step => self.limit - step,
                _ => return,
            }
        };
        self.limit = limit.clamp(MIN, MAX);
    }
}
