//! How many requests a second an origin finishes while it is busy.
//!
//! Only the time counts in which every place is taken or somebody waits: an origin that nobody asks
//! finishes little, and carries as much as ever.

use std::time::Duration;

use crate::clock::Mono;

/// How far back it remembers, of busy time: what is older counts for less than 37 %.
const MEMORY: Duration = Duration::from_secs(5);

/// Busy time below which a rate is too low rather than right: the first to finish are few.
const RIPE: Duration = Duration::from_millis(100);

/// An exponentially weighted rate over events, exact at any spacing: every event adds `1 / MEMORY`,
/// and all that was added fades by `e^(-t / MEMORY)`.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    faded: f64,
    /// In busy time, as the next.
    began: Option<Mono>,
    at: Mono,
    /// The busy time until `seen`.
    spent: Duration,
    busy: bool,
    seen: Mono,
}

impl Throughput {
    /// Whether the origin is busy from now on. To be told at each event.
    pub(super) fn see(&mut self, busy: bool, now: Mono) {
        self.spent = self.busy_time(now).since(Mono::ZERO);
        self.seen = self.seen.max(now);
        self.busy = busy;
    }

    /// A request was finished.
    pub(super) fn record(&mut self, now: Mono) {
        if !self.busy {
            return;
        }
        let now = self.busy_time(now);
        self.began.get_or_insert(now);
        self.faded = self.fade(now) + 1.0 / MEMORY.as_secs_f64();
        self.at = self.at.max(now);
    }

    /// Events a second of busy time; 0 when there was none, or none in living memory.
    pub(super) fn per_second(&self, now: Mono) -> f64 {
        let Some(began) = self.began else { return 0.0 };
        let now = self.busy_time(now);
        // In its first seconds the sum is not full yet: scaled to the part of the memory that is.
        let filled = |time: Duration| 1.0 - (-(time.as_secs_f64() / MEMORY.as_secs_f64())).exp();
        self.fade(now) / filled(now.since(began).max(RIPE))
    }

    /// The same, once enough was seen to promise anybody a time by it.
    pub(super) fn known(&self, now: Mono) -> Option<f64> {
        let ripe = self.began.is_some_and(|began| self.busy_time(now).since(began) >= RIPE);
        Some(self.per_second(now)).filter(|rate| ripe && *rate > 0.0)
    }

    /// A clock that stands still while the origin is not busy.
    fn busy_time(&self, now: Mono) -> Mono {
        let more = if self.busy { now.since(self.seen) } else { Duration::ZERO };
        Mono::ZERO.after(self.spent + more)
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
        throughput.see(true, ms(0));
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
        throughput.see(true, ms(0));
        for i in 0..1000 {
            throughput.record(ms(i * 10));
        }
        assert!(throughput.per_second(ms(40_000)) < 1.0);
    }

    #[test]
    fn what_it_carries_is_not_forgotten_while_nobody_asks() {
        let mut throughput = Throughput::default();
        for i in 0..1000 {
            let t = i * 1000;
            throughput.see(true, ms(t));
            throughput.record(ms(t + 10));
            throughput.see(false, ms(t + 10));
        }
        let seen = throughput.per_second(ms(2_000_000));
        assert!((95.0..106.0).contains(&seen), "{seen}");
    }
}
