//! How many requests a second an origin has finished of late.

use std::time::Duration;

use crate::clock::Mono;

/// How far back it remembers: what is older counts for less than 37 %.
const MEMORY: Duration = Duration::from_secs(5);

/// An exponentially weighted rate over events, exact at any spacing: every event adds `1 / MEMORY`,
/// and all that was added fades by `e^(-t / MEMORY)`.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    faded: f64,
    began: Option<Mono>,
    at: Mono,
}

impl Throughput {
    pub(super) fn record(&mut self, now: Mono) {
        self.began.get_or_insert(now);
        self.faded = self.fade(now) + 1.0 / MEMORY.as_secs_f64();
        self.at = self.at.max(now);
    }

    /// Events a second; 0 when there was none, or none in living memory.
    pub(super) fn per_second(&self, now: Mono) -> f64 {
        let Some(began) = self.began else { return 0.0 };
        // In its first seconds the sum is not full yet: scaled to the part of the memory that is.
        let full = 1.0 - (-(now.since(began).as_secs_f64() / MEMORY.as_secs_f64())).exp();
        // Below a tenth of a second nothing is known yet.
        self.fade(now) / full.max(0.02)
    }

    fn fade(&self, now: Mono) -> f64 {
        self.faded * (-(now.since(self.at).as_secs_f64() / MEMORY.as_secs_f64())).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_steady_rate_is_known_within_a_second_and_stays_known() {
        let mut throughput = Throughput::default();
        for i in 0..=3000 {
            throughput.record(ms(i * 10));
            if i > 100 {
                let seen = throughput.per_second(ms(i * 10));
                assert!((95.0..106.0).contains(&seen), "{seen} after {i} events of 100 a second");
            }
        }
    }

    #[test]
    fn an_origin_that_stops_is_forgotten() {
        let mut throughput = Throughput::default();
        for i in 0..1000 {
            throughput.record(ms(i * 10));
        }
        assert!(throughput.per_second(ms(40_000)) < 1.0);
    }
}
