//! The generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling), for requests that
//! cost any number of tokens.
//!
//! All that is remembered of a key is its theoretical arrival time: the moment at which its bucket
//! is full again. A token moves it one interval on, and it may lie at most a burst's worth of
//! intervals ahead. What lies in the past says nothing and may be forgotten.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::policy::Quota;

/// A burst is cut so that it refills within a century, so that no sum of times overflows.
const REFILL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A quota with its burst. Times are nanoseconds on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// In which one token comes back.
    interval: u64,
    burst: u32,
}

impl Gcra {
    pub fn new(quota: Quota, burst: NonZeroU32) -> Self {
        let interval = (quota.period / quota.count.get()).clamp(Duration::from_nanos(1), REFILL_MAX);
        let burst_max = u32::try_from(REFILL_MAX.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX), burst: burst.get().min(burst_max) }
    }

    /// Tokens that may be spent at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// In how long an empty bucket is full again.
    pub fn refill(&self) -> Duration {
        Duration::from_nanos(self.worth(self.burst))
    }

    /// Whether a request for `cost` tokens conforms: the next theoretical arrival time, or how long
    /// to wait. More than the burst can never be had at once, and counts as the burst.
    pub fn test(&self, arrival: u64, cost: u32, now: u64) -> Result<u64, Duration> {
        let next = arrival.max(now).saturating_add(self.worth(cost.min(self.burst)));
        match next.saturating_sub(now).checked_sub(self.worth(self.burst)) {
            None | Some(0) => Ok(next),
            Some(over) => Err(Duration::from_nanos(over)),
        }
    }

    /// Tokens that are left at `now`.
    pub fn left(&self, arrival: u64, now: u64) -> u32 {
        let spare = self.worth(self.burst).saturating_sub(arrival.saturating_sub(now));
        u32::try_from(spare.checked_div(self.interval).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    fn worth(&self, tokens: u32) -> u64 {
        self.interval.saturating_mul(u64::from(tokens))
    }
}
