//! `[level]`: how well an origin is served, and when that changes.

use std::time::Duration;

use super::Class;

/// The four levels of service, from all to the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Normal,
    Elevated,
    Degraded,
    Static,
}

impl Level {
    /// From the best to the worst.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::Degraded, Self::Static];

    /// As the policy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::Degraded => "degraded",
            Self::Static => "static",
        }
    }

    /// Whether requests of this class take only a place that is free, and do not wait for one: bulk ones from `elevated`
    /// on, whether pressure, the schedule or a person brought the level.
    pub fn sheds(self, class: Class) -> bool {
        self >= Self::Elevated && class == Class::Bulk
    }

    /// The next better one.
    pub(crate) const fn below(self) -> Self {
        match self {
            Self::Normal | Self::Elevated => Self::Normal,
            Self::Degraded => Self::Elevated,
            Self::Static => Self::Degraded,
        }
    }
}

/// `[level]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelPolicy {
    /// Field that tells the origin the level with every request.
    pub header: Option<String>,
    pub elevated: Step,
    pub degraded: Step,
    /// `static.enter.unreachable`: the origin not reached for so long.
    pub unreachable: Duration,
    /// `static.enter.pressure`; none: pressure alone never closes the shop.
    pub static_pressure: Option<Threshold>,
    /// `static.leave.probes`: good probes in a row, and then
    pub probes: u32,
    /// `static.leave.for`: so long until the origin gets all of its traffic again.
    pub ramp: Duration,
    /// Floors known in advance.
    pub schedule: Vec<Window>,
    /// The automatic level is computed, logged and shown, and changes nothing.
    pub dry_run: bool,
}

/// When a level is entered and left by pressure. `leave.pressure` is below `enter.pressure`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// At this pressure or above.
    pub enter: Threshold,
    /// Below this pressure.
    pub leave: Threshold,
}

/// A pressure, and how long it must last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub pressure: f64,
    pub lasting: Duration,
}

/// One of `level.schedule`: from one moment to another the level is this one or worse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub at_least: Level,
    /// Milliseconds since 1970 UTC, this one included.
    pub from_unix_ms: u64,
    /// Milliseconds since 1970 UTC, after `from_unix_ms`, not included.
    pub until_unix_ms: u64,
    /// The origin's name; none: every origin.
    pub origin: Option<String>,
}

impl LevelPolicy {
    /// Windows that have ended: nothing asks for them any more.
    pub fn past_windows(&self, unix_ms: u64) -> impl Iterator<Item = &Window> {
        self.schedule.iter().filter(move |window| window.until_unix_ms <= unix_ms)
    }
}

impl Default for LevelPolicy {
    fn default() -> Self {
        let step = |enter, enter_for, leave, leave_for| Step {
            enter: Threshold { pressure: enter, lasting: Duration::from_secs(enter_for) },
            leave: Threshold { pressure: leave, lasting: Duration::from_secs(leave_for) },
        };
        Self {
            header: Some("Seawall-Level".to_owned()),
            elevated: step(0.7, 1, 0.4, 15),
            degraded: step(1.0, 3, 0.6, 30),
            unreachable: Duration::from_secs(5),
            static_pressure: None,
            probes: 20,
            ramp: Duration::from_secs(5),
            schedule: Vec::new(),
            dry_run: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_is_shed_from_elevated_on_and_nothing_else_ever() {
        for level in Level::ALL {
            assert_eq!(level.sheds(Class::Bulk), level != Level::Normal);
            assert!(!level.sheds(Class::Normal) && !level.sheds(Class::Critical));
        }
    }
}
