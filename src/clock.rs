//! Time, as the core sees it: an argument. This is the only file that reads a clock.
//!
//! The core never asks what time it is; the shell reads [`Clock::now`] once a request and hands
//! the [`Now`] down. Tests make their own, so that an hour of crowd runs in milliseconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point on the monotonic clock, in nanoseconds since the clock was made.
///
/// Never compared across processes; what must survive a restart is written as [`Now::unix_ms`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The clock's beginning.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the clock's beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `by` after this one; saturates at the far future.
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// One moment, read once and handed to every decision made at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines.
    pub mono: Mono,
    /// Milliseconds since 1970 UTC: for what is shown, signed or kept over a restart.
    pub unix_ms: u64,
}

impl Now {
    /// This moment moved `by` into the future: for tests and simulations.
    pub fn after(self, by: Duration) -> Self {
        Self {
            mono: self.mono.after(by),
            unix_ms: self.unix_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The process's clock; in a simulation, a clock that is told the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Running(&'static Running),
    Told(Hand),
}

/// A clock that runs. It lives as long as the process, and is copied everywhere.
#[derive(Debug)]
struct Running {
    began: Instant,
    /// Milliseconds since 1970 at its beginning, by the last look at the wall; and when that was, in nanoseconds.
    began_unix_ms: AtomicU64,
    looked: AtomicU64,
}

/// How often a running clock looks at the wall: whoever sets that clock is believed so much later.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Running {
    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall's time at a moment, mostly without a look: one reading of a clock is as good as two.
    #[expect(clippy::disallowed_methods, reason = "the one place where clocks are read")]
    fn unix_ms(&self, mono: Mono) -> u64 {
        let since_began = mono.0 / 1_000_000;
        let looked = self.looked.load(Ordering::Relaxed);
        if looked == 0 || mono.since(Mono(looked)) >= LOOK_EVERY {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
            self.began_unix_ms.store(unix_ms.saturating_sub(since_began), Ordering::Relaxed);
            self.looked.store(mono.0.max(1), Ordering::Relaxed);
        }
        self.began_unix_ms.load(Ordering::Relaxed).saturating_add(since_began)
    }
}

/// Sets a clock that is told the time.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    /// Lives as long as the process: a simulation is the process's only work, and a clock is copied
    /// everywhere.
    nanos: &'static AtomicU64,
    began_unix_ms: u64,
}

impl Hand {
    /// From now on it is this time.
    pub fn set(&self, to: Mono) {
        self.nanos.store(to.0, Ordering::Relaxed);
    }
}

impl Clock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "the one place where clocks are read")]
    pub fn start() -> Self {
        let running = Running { began: Instant::now(), began_unix_ms: AtomicU64::new(0), looked: AtomicU64::new(0) };
        Self { source: Source::Running(Box::leak(Box::new(running))) }
    }

    /// A clock that stands at its beginning until it is told otherwise.
    pub fn told(began_unix_ms: u64) -> (Self, Hand) {
        let hand = Hand { nanos: Box::leak(Box::default()), began_unix_ms };
        (Self { source: Source::Told(hand) }, hand)
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        let unix_ms = match self.source {
            Source::Running(running) => running.unix_ms(mono),
            Source::Told(hand) => hand.began_unix_ms + mono.0 / 1_000_000,
        };
        Now { mono, unix_ms }
    }

    /// This moment on the monotonic clock alone.
    pub fn mono(&self) -> Mono {
        match self.source {
            Source::Running(running) => running.mono(),
            Source::Told(hand) => Mono(hand.nanos.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compared with the wall")]
    fn a_running_clock_says_what_the_wall_says() {
        let clock = Clock::start();
        for _ in 0..30 {
            let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
            let now = clock.now();
            let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
            assert!(now.unix_ms + 1 >= before && now.unix_ms <= after + 1, "{before} {} {after}", now.unix_ms);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_clock_that_is_told_the_time_stands_still_until_then() {
        let (clock, hand) = Clock::told(1_000);
        assert_eq!(clock.now(), Now { mono: Mono::ZERO, unix_ms: 1_000 });
        hand.set(Mono::from_nanos(5_000_000));
        assert_eq!(clock.now(), Now { mono: Mono::from_nanos(5_000_000), unix_ms: 1_005 });
    }
}
