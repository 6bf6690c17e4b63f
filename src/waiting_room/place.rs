//! A visitor's place, and how often to ask for it.

use std::time::Duration;

/// The shortest time between polls: near the front.
pub const POLL_MIN: Duration = Duration::from_secs(2);
/// The longest: far from it.
pub const POLL_MAX: Duration = Duration::from_secs(20);
/// Positions within which one polls at [`POLL_MIN`].
const NEAR: u64 = 20;
/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1; never more than what this visitor was shown before.
    pub position: u64,
    /// At least and at most, as it looks now; none while that is not known.
    pub wait: Option<(Duration, Duration)>,
    /// When to ask again.
    pub poll_after: Duration,
}

/// How long it takes to serve so many at so many a second: at least, at most.
pub fn wait(position: u64, per_second: f64) -> (Duration, Duration) {
    let seconds = position as f64 / per_second;
    let span = |factor: f64| Duration::try_from_secs_f64(seconds * factor).unwrap_or(Duration::MAX);
    (span(0.8), span(1.25).saturating_add(Duration::from_secs(1)))
}

/// When to ask again: often near the front, rarely far from it.
pub fn poll_after(position: u64, wait: Option<(Duration, Duration)>) -> Duration {
    if position <= NEAR {
        return POLL_MIN;
    }
    let after = match wait {
        Some((low, _)) => low / 10,
        None => POLL_MIN + Duration::from_millis((position - NEAR).min(1_000_000) * 20),
    };
    after.clamp(POLL_MIN, POLL_MAX)
}
