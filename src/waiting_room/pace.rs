//! How fast visitors come in: the quota that spaces them, and the speed that the estimate uses.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Mono;
use crate::policy::Quota;

/// Time over which the measured speed forgets, seconds.
const MEMORY_S: f64 = 30.0;
const SECOND_NS: u128 = 1_000_000_000;

/// GCRA over the monotonic clock: at most `burst` at once, evenly spaced after that.
///
/// Times are kept as nanoseconds × `count`, so that no quota is rounded.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    quota: Quota,
    /// When the bucket is full again, nanoseconds × `count`.
    full_at: u128,
}

impl Pace {
    /// A pace that begins with nothing saved: what was let in before a restart is not known.
    pub fn new(quota: Quota, now: Mono) -> Self {
        let mut pace = Self { quota, full_at: 0 };
        pace.full_at = pace.scaled(now) + pace.burst() * pace.period();
        pace
    }

    /// Takes over a new quota, and begins anew with it.
    pub fn requota(&mut self, quota: Quota, now: Mono) {
        if quota != self.quota {
            *self = Self::new(quota, now);
        }
    }

    /// How many may come in now.
    pub fn available(&self, now: Mono) -> u64 {
        let now = self.scaled(now);
        let room = (now + self.burst() * self.period()).saturating_sub(self.full_at.max(now));
        u64::try_from(room / self.period()).unwrap_or(u64::MAX)
    }

    /// Takes `n` of what is available.
    pub fn take(&mut self, n: u64, now: Mono) {
        self.full_at = self.full_at.max(self.scaled(now)) + u128::from(n) * self.period();
    }

    /// Visitors per second in the long run.
    pub fn per_second(&self) -> f64 {
        f64::from(self.quota.count.get()) / self.quota.period.as_secs_f64().max(1e-9)
    }

    /// One second's worth, or one: what may come in at once.
    pub fn burst(&self) -> u128 {
        (u128::from(self.quota.count.get()) * SECOND_NS / self.period()).max(1)
    }

    fn period(&self) -> u128 {
        self.quota.period.as_nanos().max(1)
    }

    fn scaled(&self, now: Mono) -> u128 {
        u128::from(now.as_nanos()) * u128::from(NonZeroU32::get(self.quota.count))
    }
}

/// Admissions per second, as measured while someone waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    per_second: f64,
    /// Seconds measured, up to [`MEMORY_S`]: the first ones weigh as much as they can bear.
    measured_s: f64,
}

impl Speed {
    /// `admitted` came in during `over`.
    pub fn observe(&mut self, admitted: u64, over: Duration) {
        let over = over.as_secs_f64();
        if over <= 0.0 {
            return;
        }
        self.measured_s = (self.measured_s + over).min(MEMORY_S);
        let weight = 1.0 - (-over / self.measured_s).exp();
        self.per_second += (admitted as f64 / over - self.per_second) * weight;
    }

    /// Admissions per second; none before a few seconds were seen, or if nobody came in.
    pub fn per_second(&self) -> Option<f64> {
        (self.measured_s >= 3.0 && self.per_second > 1e-4).then_some(self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(count: u32, period: Duration) -> Quota {
        Quota { count: NonZeroU32::new(count).unwrap(), period }
    }

    #[test]
    fn a_window_never_sees_more_than_quota_and_burst() {
        let mut pace = Pace::new(quota(120, Duration::from_secs(60)), Mono::ZERO);
        let mut taken = 0;
        for ms in 0..60_000u64 {
            let now = Mono::from_nanos(ms * 1_000_000);
            let n = pace.available(now);
            pace.take(n, now);
            taken += n;
        }
        assert_eq!(taken, 119);
    }

    #[test]
    fn what_is_not_used_is_saved_up_to_one_second() {
        let pace = Pace::new(quota(50, Duration::from_secs(1)), Mono::ZERO);
        assert_eq!(pace.available(Mono::ZERO), 0);
        assert_eq!(pace.available(Mono::from_nanos(3_600 * 1_000_000_000)), 50);
        let slow = Pace::new(quota(1, Duration::from_secs(3600)), Mono::ZERO);
        assert_eq!(slow.available(Mono::from_nanos(3_600 * 1_000_000_000)), 1);
    }

    #[test]
    fn the_speed_follows_what_comes_in() {
        let mut speed = Speed::default();
        assert_eq!(speed.per_second(), None);
        for _ in 0..40 {
            speed.observe(5, Duration::from_millis(250));
        }
        assert!((speed.per_second().unwrap() - 20.0).abs() < 0.5);
    }
}
