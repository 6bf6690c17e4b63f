//! How fast visitors may come in: the quota that spaces them.

use std::num::NonZeroU32;

use crate::clock::Mono;
use crate::policy::Quota;

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

    /// Goes on with another quota: who is due at half of an interval is due at half of the new one.
    pub fn retune(&mut self, quota: Quota, now: Mono) {
        let ahead = self.full_at.saturating_sub(self.scaled(now));
        let (period, burst) = (self.period(), self.burst());
        let mut tuned = Self { quota, full_at: 0 };
        // In intervals, as parts of a million; a longer burst is no debt.
        let intervals = ahead.saturating_mul(1_000_000) / period;
        let intervals =
            intervals.saturating_sub(burst * 1_000_000) + (intervals.min(burst * 1_000_000)) * tuned.burst() / burst;
        tuned.full_at = tuned.scaled(now) + intervals * tuned.period() / 1_000_000;
        *self = tuned;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_quota_that_changes_each_second_still_lets_in() {
        let mut pace = Pace::new(quota(6, Duration::from_secs(60)), Mono::ZERO);
        let mut taken = 0;
        for tick in 0..6000u64 {
            let now = Mono::from_nanos(tick * 100_000_000);
            if tick % 10 == 0 {
                pace.retune(quota(if tick % 20 == 0 { 6 } else { 7 }, Duration::from_secs(60)), now);
            }
            let n = pace.available(now);
            pace.take(n, now);
            taken += n;
        }
        assert!((62..=65).contains(&taken), "{taken}");
    }
}
