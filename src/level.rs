//! The ladder: at which level an origin is served.
//!
//! The automatic level follows `pressure` up and down the `steps`, and is `static` while the
//! origin is out of `reach`; after that its traffic is let back bit by bit. The `schedule` and
//! people add floors (never better than this); people may also pin it (exactly this). The level is
//! the worst of the automatic one and the floors; a pin alone can hold it better. What people set
//! expires, and outlives a restart as [`Override`]s.
//!
//! What is observed only changes facts; the level moves in [`Ladder::tick`] and by a person's word,
//! and each move is a [`Change`] that says why.

use std::time::Duration;

mod change;
mod pressure;
mod reach;
mod schedule;
mod steps;

pub use change::{Cause, Change, Override};
pub use pressure::{PRESSURE_MAX, Pressure, Signal, Signals};
pub use reach::{Contact, Probe};

use crate::clock::{Mono, Now};
use crate::policy::{Level, LevelPolicy, Window};
use reach::Reach;
use schedule::Schedule;
use steps::Steps;

/// How often an origin that is out of reach is asked.
const PROBE_FAILING: Duration = Duration::from_millis(500);
/// How often while it answers again: soon enough to say, too seldom to be a load.
const PROBE_RUN: Duration = Duration::from_millis(100);
/// The share of its traffic that an origin gets at first when it is back, and at `static`.
const ALLOWANCE_MIN: f64 = 0.1;
/// While its traffic is let back, an origin that gives nothing but failures for so long is gone.
const RELAPSE_AFTER: Duration = Duration::from_secs(1);
/// And so is one that fails more than this share.
const RELAPSE_ERRORS: f64 = 0.5;

/// One origin's level.
#[derive(Debug)]
pub struct Ladder {
    policy: LevelPolicy,
    schedule: Schedule,
    reach: Reach,
    pressure: Pressure,
    error_rate: f64,
    steps: Steps,
    /// Set while an origin that was out of reach gets its traffic back.
    ramp: Option<Ramp>,
    pin: Option<Override>,
    floor: Option<Override>,
    /// The schedule's floor as it was told last.
    scheduled: Level,
    /// The level as the last [`Change`] left it.
    told: Level,
}

/// From when, and over how long.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    since: Mono,
    lasting: Duration,
}

impl Ladder {
    /// At `normal`, for the origin of this name. `checked`: it has a health check.
    pub fn new(policy: &LevelPolicy, origin: &str, checked: bool) -> Self {
        Self {
            policy: policy.clone(),
            schedule: Schedule::new(&policy.schedule, origin),
            reach: Reach::new(checked),
            pressure: Pressure::default(),
            error_rate: 0.0,
            steps: Steps::default(),
            ramp: None,
            pin: None,
            floor: None,
            scheduled: Level::Normal,
            told: Level::Normal,
        }
    }

    /// Takes over a reloaded policy; state and overrides stay.
    pub fn configure(&mut self, policy: &LevelPolicy, origin: &str, checked: bool) {
        self.policy = policy.clone();
        self.schedule = Schedule::new(&policy.schedule, origin);
        self.reach.configure(checked);
    }

    /// Learns what a request found out.
    pub fn observe(&mut self, contact: Contact, now: Mono) {
        self.reach.observe(contact, now);
    }

    /// Learns what a probe found out.
    pub fn probe(&mut self, probe: Probe, now: Mono) {
        self.reach.probe(probe, now);
    }

    /// Learns what was measured; to be called every 100 ms or so, before [`Self::tick`].
    pub fn learn(&mut self, signals: &Signals, now: Mono) {
        self.pressure.learn(signals, now);
        self.error_rate = signals.error_rate;
    }

    /// Whether the shell should probe: always with a health check; else while the origin is failing,
    /// at static and on the way back, and no longer.
    pub fn wants_probe(&self) -> bool {
        self.reach.checked || self.is_doubtful()
    }

    /// How often the shell should probe. `every` is the health check's own interval.
    pub fn probe_interval(&self, every: Duration) -> Duration {
        if self.automatic() == Level::Static && self.reach.good_run() > 0 {
            PROBE_RUN
        } else if self.is_doubtful() {
            every.min(PROBE_FAILING)
        } else {
            every
        }
    }

    /// The health check has been answered but never with success: worth a warning, as it is more
    /// likely wrong than the origin.
    pub fn check_never_passed(&self) -> bool {
        self.reach.check_never_passed()
    }

    /// The share of its usual traffic that the origin may have, 0.1 to 1.0: little at static, and
    /// more and more on the way back. A pin says that a person knows better, and a dry run changes
    /// nothing.
    pub fn allowance(&self, now: Now) -> f64 {
        if self.policy.dry_run || self.pin.as_ref().is_some_and(|pin| !is_over(pin, now)) {
            return 1.0;
        }
        if self.automatic() == Level::Static {
            return ALLOWANCE_MIN;
        }
        self.ramp.map_or(1.0, |ramp| ramp.allowance(now.mono))
    }

    /// Moves the automatic level, and ends what has expired. To be called every 100 ms or so; of two
    /// moves at once, the one that is told is the sum, with the later cause.
    pub fn tick(&mut self, now: Now) -> Option<Change> {
        let before = self.automatic();
        let moved = self.step(now.mono);
        let scheduled = self.schedule.floor(now);
        let planned = (std::mem::replace(&mut self.scheduled, scheduled) != scheduled).then_some(scheduled);
        let expired = expire(&mut self.pin, now).or_else(|| expire(&mut self.floor, now)).map(Cause::Expired);
        // A second one that expires at the same moment counts too, without a word of its own.
        expire(&mut self.floor, now);
        let given = expired.or(planned.map(Cause::Scheduled));
        if !self.policy.dry_run {
            return self.tell(now, given.or(moved).unwrap_or(Cause::Reloaded));
        }
        let told = self.tell(now, given.unwrap_or(Cause::Reloaded));
        let to = self.automatic();
        told.or_else(|| moved.map(|cause| Change { from: before, to, cause, unix_ms: now.unix_ms, dry_run: true }))
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
        let automatic = if self.policy.dry_run { Level::Normal } else { self.automatic() };
        let floor = self.floor.as_ref().filter(|floor| !is_over(floor, now)).map_or(Level::Normal, |f| f.level);
        automatic.max(floor).max(self.schedule.floor(now))
    }

    /// The level without anyone's word.
    pub fn automatic(&self) -> Level {
        self.steps.at()
    }

    /// The automatic level changes nothing.
    pub fn is_dry_run(&self) -> bool {
        self.policy.dry_run
    }

    /// What the automatic level follows.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// The window of the schedule that opens next.
    pub fn next_window(&self, now: Now) -> Option<&Window> {
        self.schedule.next(now)
    }

    /// Pin and floor in force at this moment: to be shown, and kept over a restart.
    pub fn overrides(&self, now: Now) -> impl Iterator<Item = &Override> {
        self.pin.iter().chain(&self.floor).filter(move |set| !is_over(set, now))
    }

    /// It is not sure that the origin is there.
    fn is_doubtful(&self) -> bool {
        self.reach.is_failing() || self.automatic() == Level::Static || self.ramp.is_some()
    }

    fn step(&mut self, now: Mono) -> Option<Cause> {
        let pressure = self.pressure.value();
        let pressed = self.steps.pressed(pressure, &self.policy, now);
        if self.automatic() == Level::Static {
            return self.recover(now);
        }
        if let Some(cause) = self.lost(now) {
            self.go_static(now);
            return Some(cause);
        }
        if self.ramp.is_some_and(|ramp| ramp.is_over(now)) {
            self.ramp = None;
            // Until now a relapse was to be expected: the quiet time begins here.
            self.steps.mark_left(Level::Static, now);
        }
        if let Some((level, met)) = pressed {
            match level {
                Level::Static => self.go_static(now),
                _ => self.steps.rise(level, now),
            }
            let signal = self.pressure.leading();
            return Some(Cause::Pressed { pressure, signal, enter: met.threshold.pressure, lasted: met.lasted });
        }
        if self.ramp.is_some() {
            return None;
        }
        let met = self.steps.eased(pressure, &self.policy, now)?;
        self.steps.fall(now);
        Some(Cause::Eased { pressure, leave: met.threshold.pressure, lasted: met.lasted })
    }

    /// Whether the origin is gone; while its traffic is let back, that is soon said.
    fn lost(&self, now: Mono) -> Option<Cause> {
        let failing = self.reach.failing(now).unwrap_or_default();
        if let Some(ramp) = self.ramp {
            if failing >= RELAPSE_AFTER.min(self.policy.unreachable) {
                return Some(Cause::Relapsed(failing));
            }
            if self.error_rate > RELAPSE_ERRORS && now.since(ramp.since) >= RELAPSE_AFTER {
                return Some(Cause::FailedAgain { error_rate: self.error_rate });
            }
        }
        (failing >= self.policy.unreachable).then_some(Cause::Unreachable(failing))
    }

    fn go_static(&mut self, now: Mono) {
        self.steps.rise(Level::Static, now);
        self.reach.begin_run();
        self.ramp = None;
    }

    fn recover(&mut self, now: Mono) -> Option<Cause> {
        let probes = self.reach.good_run();
        // What the policy says is pressure enough to go there is enough to stay.
        let pressed = self.policy.static_pressure.is_some_and(|enter| self.pressure.value() >= enter.pressure);
        if probes < self.policy.probes || pressed {
            return None;
        }
        let lasting = self.steps.dwell(Level::Static, self.policy.ramp);
        self.steps.fall(now);
        self.ramp = Some(Ramp { since: now, lasting });
        Some(Cause::Recovered { probes, ramp: lasting })
    }

    fn tell(&mut self, now: Now, cause: Cause) -> Option<Change> {
        let to = self.level(now);
        let from = std::mem::replace(&mut self.told, to);
        (from != to).then_some(Change { from, to, cause, unix_ms: now.unix_ms, dry_run: false })
    }
}

impl Ramp {
    fn allowance(self, now: Mono) -> f64 {
        let gone = now.since(self.since).as_secs_f64() / self.lasting.as_secs_f64().max(f64::EPSILON);
        (ALLOWANCE_MIN + (1.0 - ALLOWANCE_MIN) * gone).min(1.0)
    }

    fn is_over(self, now: Mono) -> bool {
        now.since(self.since) >= self.lasting
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
