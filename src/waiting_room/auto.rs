//! `admit = "auto"`: as many new visitors as the origin carries, by the ladder's pressure.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain, 1989), slowly: a visitor who comes in
//! now loads the origin for minutes. The rate rises only while it is what keeps visitors out.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Limit;
use crate::policy::Quota;

/// Below this pressure there is room for more: where `elevated` begins by default.
const CALM: f64 = 0.7;
/// From this one on there are too many: where `degraded` begins by default.
const STRAINED: f64 = 1.0;
/// What is left of the rate after a decrease.
const DECREASE: f64 = 0.7;
/// How long a change is given to show, before the next decrease or increase.
const SETTLE_MS: u64 = 10_000;
/// The rate is looked at so often.
const EVERY_MS: u64 = 1000;
/// Visitors a second at least: six a minute.
const RATE_MIN: f64 = 0.1;
/// The whole capacity within so many seconds is the most.
const FILL_MIN_S: f64 = 10.0;
/// From the first rate to twice of it in so many seconds.
const DOUBLE_S: f64 = 60.0;

#[derive(Clone, Copy, Debug)]
pub struct Auto {
    /// Visitors a second.
    rate: f64,
    /// The first one: what fills the capacity in one idle time.
    first: f64,
    max: f64,
    /// The worst pressure since the last look.
    worst: f64,
    looked_ms: u64,
    settled_ms: u64,
}

impl Auto {
    pub fn new(capacity: NonZeroU32, idle: Duration, at_ms: u64) -> Self {
        let capacity = f64::from(capacity.get());
        let max = (capacity / FILL_MIN_S).max(RATE_MIN);
        let first = (capacity / idle.as_secs_f64().max(1.0)).clamp(RATE_MIN, max);
        Self { rate: first, first, max, worst: 0.0, looked_ms: at_ms, settled_ms: at_ms }
    }

    /// The origin's pressure, 1 where it is strained.
    pub const fn observe(&mut self, pressure: f64) {
        self.worst = self.worst.max(pressure);
    }

    /// Looks, once a second; whether the rate is another one now.
    pub fn look(&mut self, limit: Limit, at_ms: u64) -> bool {
        if at_ms < self.looked_ms.saturating_add(EVERY_MS) {
            return false;
        }
        self.looked_ms = at_ms;
        let pressure = std::mem::take(&mut self.worst);
        if at_ms < self.settled_ms {
            return false;
        }
        let before = self.rate;
        if pressure >= STRAINED {
            self.rate = (self.rate * DECREASE).max(RATE_MIN);
            self.settled_ms = at_ms.saturating_add(SETTLE_MS);
        } else if pressure < CALM && limit == Limit::Rate {
            self.rate = (self.rate + self.first / DOUBLE_S).min(self.max);
        }
        self.rate.total_cmp(&before).is_ne()
    }

    /// The rate as a quota, to a hundredth of a visitor a minute.
    pub fn quota(&self) -> Quota {
        // RATE_MIN and the capacity bound it, so it is a small positive number.
        let count = NonZeroU32::new((self.rate * 6000.0) as u32).unwrap_or(NonZeroU32::MIN);
        Quota { count, period: Duration::from_secs(6000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    /// An origin that is strained from `carries` visitors inside on; each stays ten minutes.
    fn inside_after_an_hour(carries: f64) -> Vec<f64> {
        let mut auto = Auto::new(capacity(100_000), Duration::from_secs(600), 0);
        let (mut inside, mut seen) = (0.0, Vec::new());
        for second in 1..=7200u64 {
            inside += auto.rate - inside / 600.0;
            auto.observe(inside / carries);
            auto.look(Limit::Rate, second * 1000);
            seen.push(inside / carries);
        }
        seen.split_off(3600)
    }

    #[test]
    fn the_rate_finds_what_the_origin_carries_and_stays_near() {
        for carries in [500.0, 5000.0, 50_000.0] {
            let seen = inside_after_an_hour(carries);
            let mean = seen.iter().sum::<f64>() / seen.len() as f64;
            let worst = seen.iter().fold(0.0f64, |a, b| a.max(*b));
            assert!(mean > 0.6 && worst < 1.4, "{carries}: mean {mean}, worst {worst}");
        }
    }

    #[test]
    fn nothing_rises_while_something_else_keeps_visitors_out() {
        let mut auto = Auto::new(capacity(1000), Duration::from_secs(600), 0);
        let before = auto.quota();
        (1..1000).for_each(|s| _ = auto.look(Limit::Capacity, s * 1000));
        assert_eq!(auto.quota(), before);
    }

    #[test]
    fn the_rate_never_leaves_its_bounds() {
        let mut auto = Auto::new(capacity(1000), Duration::from_secs(600), 0);
        for s in 1..10_000 {
            auto.observe(5.0);
            auto.look(Limit::Rate, s * 1000);
        }
        assert!((auto.rate - RATE_MIN).abs() < 1e-9);
        (10_000..200_000).for_each(|s| _ = auto.look(Limit::Rate, s * 1000));
        assert!((auto.rate - 100.0).abs() < 1e-9);
    }
}
