//! The steps between levels: up when pressure has lasted, down one at a time after a dwell, and
//! slower each time that a level comes back.

use std::time::Duration;

use crate::clock::Mono;
use crate::policy::{Level, LevelPolicy, Threshold};

/// A level that is entered again within this time after it was left had been left too soon: its
/// dwell doubles. After as long a quiet time it is the policy's again.
const RELAPSE_WITHIN: Duration = Duration::from_secs(300);
/// A doubled dwell is never longer than this, unless the policy's own is.
const DWELL_MAX: Duration = Duration::from_secs(300);
/// Beyond this a dwell is at its longest in any case.
const DOUBLINGS_MAX: u32 = 16;

/// Where the automatic level stands, and since when it could move.
#[derive(Debug, Default)]
pub(super) struct Steps {
    at: Level,
    /// Since when the pressure has been enough for each level, by `level as usize`.
    above_since: [Option<Mono>; 4],
    /// Since when it has been low enough to leave this one.
    below_since: Option<Mono>,
    past: [Past; 4],
}

/// What a level's history says about leaving it.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    left: Option<Mono>,
    doublings: u32,
}

/// A threshold that was met, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Met {
    pub(super) threshold: Threshold,
    pub(super) lasted: Duration,
}

impl Steps {
    pub(super) fn at(&self) -> Level {
        self.at
    }

    /// Learns the pressure; the worst level that it has asked for long enough, if that is worse than
    /// this one.
    pub(super) fn pressed(&mut self, pressure: f64, policy: &LevelPolicy, now: Mono) -> Option<(Level, Met)> {
        let mut worst = None;
        for level in Level::ALL {
            let Some(enter) = enter(policy, level) else { continue };
            let Some(since) = self.above_since.get_mut(level as usize) else { continue };
            if pressure < enter.pressure {
                *since = None;
                continue;
            }
            let lasted = now.since(*since.get_or_insert(now));
            if level > self.at && lasted >= enter.lasting {
                worst = Some((level, Met { threshold: enter, lasted }));
            }
        }
        worst
    }

    /// Learns the pressure; whether it has been low enough for long enough to go one step down.
    pub(super) fn eased(&mut self, pressure: f64, policy: &LevelPolicy, now: Mono) -> Option<Met> {
        let leave = leave(policy, self.at)?;
        if pressure >= leave.pressure {
            self.below_since = None;
            return None;
        }
        let lasted = now.since(*self.below_since.get_or_insert(now));
        (lasted >= self.dwell(self.at, leave.lasting)).then_some(Met { threshold: leave, lasted })
    }

    /// Goes up. Every level passed on the way counts as entered.
    pub(super) fn rise(&mut self, to: Level, now: Mono) {
        for level in Level::ALL.into_iter().filter(|level| *level > self.at && *level <= to) {
            if let Some(past) = self.past.get_mut(level as usize) {
                let relapsed = past.left.is_some_and(|left| now.since(left) < RELAPSE_WITHIN);
                past.doublings = if relapsed { (past.doublings + 1).min(DOUBLINGS_MAX) } else { 0 };
            }
        }
        self.at = self.at.max(to);
        self.below_since = None;
    }

    /// Goes one step down.
    pub(super) fn fall(&mut self, now: Mono) {
        self.mark_left(self.at, now);
        self.at = self.at.below();
        self.below_since = None;
    }

    /// Notes that a level was left just now, for what its return would mean.
    pub(super) fn mark_left(&mut self, level: Level, now: Mono) {
        if let Some(past) = self.past.get_mut(level as usize) {
            past.left = Some(now);
        }
    }

    /// `base`, doubled for each time that this level came back soon after it was left.
    pub(super) fn dwell(&self, level: Level, base: Duration) -> Duration {
        let doublings = self.past.get(level as usize).map_or(0, |past| past.doublings);
        base.saturating_mul(1 << doublings).min(DWELL_MAX).max(base)
    }
}

fn enter(policy: &LevelPolicy, level: Level) -> Option<Threshold> {
    match level {
        Level::Normal => None,
        Level::Elevated => Some(policy.elevated.enter),
        Level::Degraded => Some(policy.degraded.enter),
        Level::Static => policy.static_pressure,
    }
}

/// `static` is left by probes alone.
fn leave(policy: &LevelPolicy, level: Level) -> Option<Threshold> {
    match level {
        Level::Normal | Level::Static => None,
        Level::Elevated => Some(policy.elevated.leave),
        Level::Degraded => Some(policy.degraded.leave),
    }
}
