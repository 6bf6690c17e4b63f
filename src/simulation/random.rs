//! Chance from a seed.

use std::f64::consts::TAU;
use std::time::Duration;

/// splitmix64: the same seed gives the same crowd.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not including, `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits().checked_rem(end).unwrap_or(0)
    }

    /// From 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits: what a double holds exactly.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something that happens with this probability has happened.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Evenly from `low` up to, but not including, `high`.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
        low + Duration::from_micros(self.below(span))
    }

    /// The time until the next of events that come at random, so many a second on average.
    pub fn gap(&mut self, per_second: f64) -> Duration {
        seconds(-(1.0 - self.unit()).ln() / per_second)
    }

    /// A factor whose logarithm is normal with this deviation, and whose mean is 1.
    pub fn lognormal(&mut self, sigma: f64) -> f64 {
        // Box and Muller, 1958.
        let normal = (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (TAU * self.unit()).cos();
        (sigma * normal - sigma * sigma / 2.0).exp()
    }
}

/// So many seconds as a duration: none below zero, a century for what is more or is no number.
pub(super) fn seconds(seconds: f64) -> Duration {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(CENTURY).min(CENTURY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_crowd() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            std::iter::repeat_with(move || random.bits()).take(8).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn what_is_drawn_lies_between_its_bounds() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let thought = random.between(Duration::from_millis(200), Duration::from_secs(1));
            assert!((Duration::from_millis(200)..Duration::from_secs(1)).contains(&thought));
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert_eq!(random.below(0), 0);
        assert!(random.gap(0.0) > Duration::from_secs(1_000_000), "never");
    }

    #[test]
    fn means_are_kept() {
        let mut random = Random::new(2);
        let mean = |draw: &mut dyn FnMut() -> f64| (0..100_000).map(|_| draw()).sum::<f64>() / 100_000.0;
        let factor = mean(&mut || random.lognormal(0.5));
        assert!((0.99..1.01).contains(&factor), "{factor}");
        let gap = mean(&mut || random.gap(50.0).as_secs_f64());
        assert!((0.0196..0.0204).contains(&gap), "{gap}");
    }
}
