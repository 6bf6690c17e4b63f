//! What an origin's admission says of itself: to operators, to the ladder, to who was refused.

use std::time::Duration;

use super::{Admission, standing};
use crate::clock::Mono;
use crate::policy::Class;

/// Nobody is asked to come back sooner: `Retry-After: 0` is an invitation to hammer.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Nobody is asked to stay away longer than this for a full queue.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

impl Admission {
    /// When someone refused now should come back: after the time that the line needs at the recent
    /// throughput, and spread over as long again, so that those refused together don't return
    /// together. Whole seconds, 1 to 120.
    pub fn retry_after(&self, now: Mono) -> Duration {
        let ahead = (self.line.len() + 1) as f64;
        let per_second = self.throughput.per_second(now);
        let patience = self.policy.patience.of(Class::Normal);
        let base = if per_second > 0.0 { ahead / per_second } else { patience.as_secs_f64() };
        let base = base.clamp(RETRY_AFTER_MIN.as_secs_f64(), RETRY_AFTER_MAX.as_secs_f64() / 2.0);
        let seconds = base * (1.0 + golden_fraction(self.refusals));
        Duration::from_secs(seconds.ceil() as u64).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }

    /// Requests at the origin: those with a place, those granted one that have not noticed yet, and
    /// those whose place is lent to others.
    pub fn in_flight(&self) -> usize {
        self.in_flight + self.lent
    }

    /// The most that ever were in flight.
    pub fn in_flight_peak(&self) -> usize {
        self.in_flight_peak
    }

    /// Requests waiting in line.
    pub fn queued(&self) -> usize {
        self.line.len()
    }

    /// Upgrades and event streams.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Requests that may be in flight.
    pub fn limit(&self) -> usize {
        let limit = self.limiter.limit();
        if self.allowance >= 1.0 { limit } else { ((limit as f64 * self.allowance) as usize).max(1) }
    }

    /// How long the line stood of late, at least.
    pub fn queue_delay(&self) -> Duration {
        self.standing.delay()
    }

    /// How long the line may stand before it is overload.
    pub fn queue_target(&self) -> Duration {
        standing::target(self.policy.patience.normal)
    }

    /// The 95th percentile of admitted requests' latency over the best that there was.
    pub fn latency_ratio(&self, now: Mono) -> f64 {
        self.pulse.latency_ratio(now)
    }

    /// The share of admitted requests that the origin could not answer.
    pub fn error_rate(&self, now: Mono) -> f64 {
        self.pulse.error_rate(now)
    }
}

/// The `n`-th of a sequence that fills `[0, 1)` evenly from any point on: multiples of the golden
/// ratio. Spreads better than chance, and needs none.
fn golden_fraction(n: u64) -> f64 {
    const GOLDEN_RATIO_64: u64 = 0x9E37_79B9_7F4A_7C15;
    (n.wrapping_mul(GOLDEN_RATIO_64) >> 11) as f64 / (1_u64 << 53) as f64
}
