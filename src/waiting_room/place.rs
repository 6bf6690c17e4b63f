//! A visitor's place, and how often to ask for it.

use std::time::Duration;

/// The shortest time between polls: near the front.
pub const POLL_MIN: Duration = Duration::from_secs(1);
/// The longest: far from it, or where nothing will happen soon.
pub const POLL_MAX: Duration = Duration::from_secs(20);
/// When the latest poll is there: [`POLL_MAX`], with the chance that spreads polls and a little more.
pub const POLL_LATEST: Duration = latest(POLL_MAX);
/// When one who was given a stub asks for the number.
pub const POLL_STUB: Duration = Duration::from_secs(1);
/// Positions within which one polls at [`POLL_MIN`].
const NEAR: u64 = 20;

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1; never more than what this visitor was shown before. None: it is still to be drawn.
    pub position: Option<u64>,
    /// At least and at most, as it looks now; none while that is not known.
    pub wait: Option<(Duration, Duration)>,
    /// When to ask again.
    pub poll_after: Duration,
}

/// A wait that is expected to be so long, as a range: at least, at most.
pub fn range(expected: Duration) -> (Duration, Duration) {
    let low = expected.mul_f64(0.8);
    (low, expected.mul_f64(1.25).saturating_add(Duration::from_secs(1)))
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

/// When a poll is there that was asked for after so long: a sixth later, and a second.
pub const fn latest(poll_after: Duration) -> Duration {
    Duration::from_millis((poll_after.as_millis() as u64) * 7 / 6 + 1000)
}

/// When one asks again who waits for a moment that is known.
pub fn poll_before(opens_in: Duration) -> Duration {
    (opens_in / 4).clamp(POLL_MIN, POLL_MAX)
}
