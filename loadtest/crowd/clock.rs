//! Moments of a run, small enough to be kept by the hundred thousand.

use std::time::Duration;

use tokio::time::Instant;

/// Hundredths of a millisecond in a second.
const PER_SECOND: f64 = 100_000.0;
const NANOS: u128 = 10_000;

/// Hundredths of a millisecond since the run began: nearly twelve hours fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u32);

impl Moment {
    /// Later than all others.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    pub(crate) fn of_seconds(seconds: f64) -> Self {
        Self((seconds * PER_SECOND) as u32)
    }

    pub(crate) fn seconds(self) -> f64 {
        f64::from(self.0) / PER_SECOND
    }

    pub(crate) fn after(self, seconds: f64) -> Self {
        Self(self.0.saturating_add(Self::of_seconds(seconds).0))
    }

    /// Seconds from `earlier` to here; 0 if that is later.
    pub(crate) fn since(self, earlier: Self) -> f64 {
        Self(self.0.saturating_sub(earlier.0)).seconds()
    }
}

/// The run's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// No later than now: for what has not happened yet.
    pub(crate) fn before(&self) -> Moment {
        Moment(u32::try_from(self.began.elapsed().as_nanos() / NANOS).unwrap_or(u32::MAX))
    }

    /// No earlier than now: for what has happened.
    pub(crate) fn after(&self) -> Moment {
        Moment(self.before().0.saturating_add(1))
    }

    pub(crate) fn passed(&self) -> Duration {
        self.began.elapsed()
    }
}
