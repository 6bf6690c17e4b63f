//! How many requests an origin may have, and how many may wait.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::Class;

/// `[origin.NAME.concurrency]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrency {
    pub limit: Limit,
    pub queue: Queue,
    pub patience: Patience,
    /// Upgrades and event streams, which hold no place.
    pub max_streams: usize,
}

/// How many requests may be in flight at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Fixed(NonZeroUsize),
    /// As many as it turns out to carry: from `initial`, never under `min` nor over `max`.
    Adaptive { initial: NonZeroUsize, min: NonZeroUsize, max: NonZeroUsize },
}

impl Limit {
    pub const fn is_adaptive(&self) -> bool {
        matches!(self, Self::Adaptive { .. })
    }

    /// Requests that may ever be in flight.
    pub const fn most(&self) -> usize {
        match self {
            Self::Fixed(limit) => limit.get(),
            Self::Adaptive { max, .. } => max.get(),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(limit) => write!(f, "{limit} in flight"),
            Self::Adaptive { min, max, .. } => write!(f, "in flight as many as it carries ({min} to {max})"),
        }
    }
}

/// How many requests may wait for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Left out: three times the limit, and at least [`Queue::LEAST`], since an origin of few places
    /// sees bursts too.
    Auto,
    /// Times the limit.
    Times(usize),
    Places(usize),
}

impl Queue {
    /// Of a queue that is left out.
    pub const LEAST: usize = 64;

    /// No line is longer, whatever the limit becomes: who would be served from there has given up.
    pub const MOST: usize = 1_000_000;

    /// Places in line at this limit.
    pub fn places(self, limit: usize) -> usize {
        let places = match self {
            Self::Auto => limit.saturating_mul(3).max(Self::LEAST),
            Self::Times(n) => limit.saturating_mul(n),
            Self::Places(n) => n,
        };
        places.min(Self::MOST)
    }
}

/// How long a request waits for a place; zero: it gets a free one or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub critical: Duration,
    pub normal: Duration,
    pub bulk: Duration,
}

impl Patience {
    /// Of requests of this class.
    pub const fn of(&self, class: Class) -> Duration {
        match class {
            Class::Critical => self.critical,
            Class::Normal => self.normal,
            Class::Bulk => self.bulk,
        }
    }
}
