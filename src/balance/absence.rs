//! How long a server is out, and how it comes back.

use std::time::Duration;

use crate::clock::Mono;

/// The first ejection; the nth in a row lasts n times as long.
const EJECTED: Duration = Duration::from_secs(10);
const EJECTED_MAX: Duration = Duration::from_secs(300);
/// Each such time without an ejection, one is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// A server's word on how long it wants to rest is taken within these bounds: a wrong one must not
/// take it away for an hour.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);
/// From a tenth of its share to the whole: caches are cold, and what felled it may still be there.
const RAMP: Duration = Duration::from_secs(10);
const RAMP_FROM: u64 = 10;

/// Why a server is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// It failed too often.
    #[default]
    Failing,
    /// It asked to be left alone.
    Busy,
    /// Its health check fails.
    Unhealthy,
}

impl Why {
    /// The word for status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Busy => "busy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A server's last absence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Absence {
    why: Why,
    began: Option<Mono>,
    /// When it is, or was, back.
    until: Option<Mono>,
    /// Ejections that are not forgotten.
    times: u32,
    ejected_until: Mono,
}

impl Absence {
    /// Out for failing; for how long.
    pub(super) fn eject(&mut self, now: Mono) -> Duration {
        let quiet = now.since(self.ejected_until).as_secs() / FORGIVEN_AFTER.as_secs();
        self.times = self.times.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX)).saturating_add(1);
        let time = EJECTED.saturating_mul(self.times).min(EJECTED_MAX);
        self.ejected_until = now.after(time);
        self.go(Why::Failing, time, now)
    }

    /// Back at once, if it was ejected: that was not its own fault.
    pub(super) fn pardon(&mut self, now: Mono) {
        if self.why == Why::Failing && !self.is_over(now) {
            self.times = self.times.saturating_sub(1);
            self.ejected_until = now;
            self.until = Some(now);
        }
    }

    /// Out because it asked for it; for how long.
    pub(super) fn rest(&mut self, time: Duration, now: Mono) -> Duration {
        self.go(Why::Busy, time.clamp(REST_MIN, REST_MAX), now)
    }

    fn go(&mut self, why: Why, time: Duration, now: Mono) -> Duration {
        self.why = why;
        self.began = Some(now);
        self.until = Some(now.after(time));
        time
    }

    /// Back at this moment, slowly.
    pub(super) fn end(&mut self, now: Mono) {
        self.until = Some(now);
    }

    pub(super) fn is_over(&self, now: Mono) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    pub(super) fn left(&self, now: Mono) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.since(now))
    }

    pub(super) fn began(&self) -> Option<Mono> {
        self.began
    }

    pub(super) fn why(&self) -> Why {
        self.why
    }

    /// Of its share, in percent.
    pub(super) fn percent(&self, now: Mono) -> u8 {
        let Some(until) = self.until else { return 100 };
        let back = now.since(until).min(RAMP).as_millis() as u64;
        let percent = RAMP_FROM + (100 - RAMP_FROM) * back / (RAMP.as_millis() as u64);
        u8::try_from(percent).unwrap_or(100)
    }
}
