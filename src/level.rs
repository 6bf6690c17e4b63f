//! The ladder: at which level an origin is served.
//!
//! In its first form one step is automatic: `static` when the origin can't be reached, and back
//! when probes have been good for long enough. People add a floor (never better than this) or an
//! exact pin. The level is the worst of the automatic one and the floor; a pin alone can hold it
//! better. Both expire, and both outlive a restart as [`Override`]s.
//!
//! What is observed only changes facts; the level moves in [`Ladder::tick`] and by a person's word,
//! and each move is a [`Change`] that says why.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Now};
use crate::policy::{Level, LevelPolicy};

/// What a request found out about its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answered, whatever the status.
    Reached,
    /// No connection, or it broke or timed out before an answer.
    Unreachable,
}

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The health check answered with success; without a check, the origin answered at all.
    Passed,
    /// The origin answered, but the health check not with success. Bad, unless the check has never
    /// passed: then the check is what is wrong.
    Failed,
    /// No answer.
    Unreachable,
}

/// A person's word on the level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub level: Level,
    /// A pin: exactly this level. Else a floor: this one or worse.
    pub exact: bool,
    /// Milliseconds since 1970 UTC; none: until released.
    pub until_unix_ms: Option<u64>,
    pub who: String,
    pub why: String,
}

/// A move of the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: Level,
    pub to: Level,
    pub cause: Cause,
    /// Milliseconds since 1970 UTC.
    pub unix_ms: u64,
}

/// Why the level moved, with its numbers; displays as half a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Not reached for so long.
    Unreachable(Duration),
    /// So many good probes in a row, and good for so long since.
    Recovered { probes: u32, steady: Duration },
    /// A person set a pin or a floor.
    Set(Override),
    /// A person took back what was set.
    Released { who: String, why: String },
    /// What a person had set came to its end.
    Expired(Override),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |exact| if exact { "pinned" } else { "floor set" };
        match self {
            Self::Unreachable(time) => write!(f, "the origin was not reached for {:.1} s", time.as_secs_f64()),
            Self::Recovered { probes, steady } => {
                write!(f, "{probes} good probes in a row, then steady for {:.1} s", steady.as_secs_f64())
            }
            Self::Set(set) => write!(f, "{} by {}: {}", kind(set.exact), set.who, set.why),
            Self::Released { who, why } => write!(f, "released by {who}: {why}"),
            Self::Expired(set) => write!(f, "what {} {} has expired", set.who, kind(set.exact)),
        }
    }
}

/// One origin's level.
#[derive(Debug)]
pub struct Ladder {
    policy: LevelPolicy,
    checked: bool,
    /// Set by the first failed contact since the last success.
    failing_since: Option<Mono>,
    /// Set while the automatic level is `static`.
    recovery: Option<Recovery>,
    check: CheckHistory,
    pin: Option<Override>,
    floor: Option<Override>,
    /// The level as the last [`Change`] left it.
    told: Level,
}

/// The way back from `static`.
#[derive(Clone, Copy, Debug, Default)]
struct Recovery {
    good_run: u32,
    /// When the run was long enough.
    enough_at: Option<Mono>,
    good_last: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckHistory {
    Untried,
    NeverPassed,
    HasPassed,
}

impl Ladder {
    /// At `normal`. `checked`: the origin has a health check.
    pub fn new(policy: &LevelPolicy, checked: bool) -> Self {
        Self {
            policy: policy.clone(),
            checked,
            failing_since: None,
            recovery: None,
            check: CheckHistory::Untried,
            pin: None,
            floor: None,
            told: Level::Normal,
        }
    }

    /// Takes over a reloaded policy; state and overrides stay.
    pub fn configure(&mut self, policy: &LevelPolicy, checked: bool) {
        self.policy = policy.clone();
        if checked != self.checked {
            self.check = CheckHistory::Untried;
        }
        self.checked = checked;
    }

    /// Learns what a request found out.
    pub fn observe(&mut self, contact: Contact, now: Mono) {
        match contact {
            // At static the way back is by probes alone: one lucky request is no recovery.
            Contact::Reached => self.failing_since = None,
            Contact::Unreachable => self.failed(now),
        }
    }

    /// Learns what a probe found out.
    pub fn probe(&mut self, probe: Probe, now: Mono) {
        self.check = match (probe, self.check) {
            (Probe::Passed, _) | (_, CheckHistory::HasPassed) => CheckHistory::HasPassed,
            (Probe::Failed, _) => CheckHistory::NeverPassed,
            (Probe::Unreachable, history) => history,
        };
        match probe {
            Probe::Passed => self.succeeded(now),
            Probe::Failed if self.check == CheckHistory::NeverPassed => self.succeeded(now),
            Probe::Failed | Probe::Unreachable => self.failed(now),
        }
    }

    /// Whether the shell should probe: always with a health check; else while the origin is
    /// failing, at static, and no longer. The shell sees to the interval.
    pub fn wants_probe(&self) -> bool {
        self.checked || self.failing_since.is_some() || self.recovery.is_some()
    }

    /// The health check has been answered but never with success: worth a warning, as it is more
    /// likely wrong than the origin.
    pub fn check_never_passed(&self) -> bool {
        self.checked && self.check == CheckHistory::NeverPassed
    }

    /// Moves the automatic level and ends what has expired. To be called every 100 ms or so; of two
    /// moves at once, the one that is told is the sum, with the later cause.
    pub fn tick(&mut self, now: Now) -> Option<Change> {
        let automatic = self.step(now.mono);
        let expired = expire(&mut self.pin, now).or_else(|| expire(&mut self.floor, now)).map(Cause::Expired);
        // A second one that expires at the same moment counts too, without a word of its own.
        expire(&mut self.floor, now);
        let cause = expired.or(automatic)?;
        self.tell(now, cause)
    }

    /// Holds exactly this level, better or worse than the automatic one, in place of any pin.
    /// `until` in milliseconds since 1970 UTC. None if the level stays.
    pub fn pin(&mut self, level: Level, until: Option<u64>, who: &str, why: &str, now: Now) -> Option<Change> {
        self.set(Override { level, exact: true, until_unix_ms: until, who: who.into(), why: why.into() }, now)
    }

    /// Holds this level or a worse one, in place of any floor. `until` as for a pin. None if the
    /// level stays.
    pub fn floor(&mut self, level: Level, until: Option<u64>, who: &str, why: &str, now: Now) -> Option<Change> {
        self.set(Override { level, exact: false, until_unix_ms: until, who: who.into(), why: why.into() }, now)
    }

    /// Sets a pin or a floor: also what was kept over a restart. One that has expired meanwhile is
    /// dropped at the next tick and never counts.
    pub fn set(&mut self, set: Override, now: Now) -> Option<Change> {
        let cause = Cause::Set(set.clone());
        let place = if set.exact { &mut self.pin } else { &mut self.floor };
        *place = Some(set);
        self.tell(now, cause)
    }

    /// Takes back pin and floor. None if the level stays.
    pub fn release(&mut self, who: &str, why: &str, now: Now) -> Option<Change> {
        self.pin = None;
        self.floor = None;
        self.tell(now, Cause::Released { who: who.into(), why: why.into() })
    }

    /// The level at this moment: expired overrides don't count, even before the next tick.
    pub fn level(&self, now: Now) -> Level {
        if let Some(pin) = self.pin.as_ref().filter(|pin| !is_over(pin, now)) {
            return pin.level;
        }
        let floor = self.floor.as_ref().filter(|floor| !is_over(floor, now));
        floor.map_or(self.automatic(), |floor| self.automatic().max(floor.level))
    }

    /// The level without anyone's word.
    pub fn automatic(&self) -> Level {
        if self.recovery.is_some() { Level::Static } else { Level::Normal }
    }

    /// Pin and floor in force at this moment: to be shown, and kept over a restart.
    pub fn overrides(&self, now: Now) -> impl Iterator<Item = &Override> {
        self.pin.iter().chain(&self.floor).filter(move |set| !is_over(set, now))
    }

    fn failed(&mut self, now: Mono) {
        self.failing_since.get_or_insert(now);
        if let Some(recovery) = &mut self.recovery {
            *recovery = Recovery::default();
        }
    }

    fn succeeded(&mut self, now: Mono) {
        self.failing_since = None;
        if let Some(recovery) = &mut self.recovery {
            recovery.good_run = recovery.good_run.saturating_add(1);
            recovery.good_last = now;
            if recovery.good_run >= self.policy.probes {
                recovery.enough_at.get_or_insert(now);
            }
        }
    }

    fn step(&mut self, now: Mono) -> Option<Cause> {
        if let Some(recovery) = self.recovery {
            // A probe must have been good at the end too: silence is no proof.
            let steady = recovery.good_last.since(recovery.enough_at?);
            if steady < self.policy.probes_for {
                return None;
            }
            self.recovery = None;
            return Some(Cause::Recovered { probes: recovery.good_run, steady });
        }
        let failing = now.since(self.failing_since?);
        if failing < self.policy.unreachable {
            return None;
        }
        self.recovery = Some(Recovery::default());
        Some(Cause::Unreachable(failing))
    }

    fn tell(&mut self, now: Now, cause: Cause) -> Option<Change> {
        let to = self.level(now);
        let from = std::mem::replace(&mut self.told, to);
        (from != to).then_some(Change { from, to, cause, unix_ms: now.unix_ms })
    }
}

fn is_over(set: &Override, now: Now) -> bool {
    set.until_unix_ms.is_some_and(|until| now.unix_ms >= until)
}

fn expire(place: &mut Option<Override>, now: Now) -> Option<Override> {
    place.take_if(|set| is_over(set, now))
}

#[cfg(test)]
mod tests;
