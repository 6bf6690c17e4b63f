//! A move of the level, and why: what the log says of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pressure::Signal;
use crate::policy::Level;

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
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub from: Level,
    pub to: Level,
    pub cause: Cause,
    /// Milliseconds since 1970 UTC.
    pub unix_ms: u64,
    /// With `level.dry_run`: the automatic level moved, and what is served stays as it is.
    pub dry_run: bool,
}

/// Why the level moved, with its numbers; displays as half a sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// At or above a level's pressure for so long, led by this signal.
    Pressed { pressure: f64, signal: Signal, enter: f64, lasted: Duration },
    /// Below what leaving the level asks for, for so long.
    Eased { pressure: f64, leave: f64, lasted: Duration },
    /// Not reached for so long.
    Unreachable(Duration),
    /// Not reached again for so long while its traffic was let back.
    Relapsed(Duration),
    /// Failed this share of its requests while its traffic was let back.
    FailedAgain { error_rate: f64 },
    /// So many good probes in a row; its traffic is let back over so long.
    Recovered { probes: u32, ramp: Duration },
    /// The schedule's floor is this one now; `normal`: none any more.
    Scheduled(Level),
    /// The policy in force is another.
    Reloaded,
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
        let seconds = |time: &Duration| time.as_secs_f64();
        match self {
            Self::Pressed { pressure, signal, enter, lasted } => {
                write!(f, "pressure {signal} {pressure:.2}, at {enter} or above for {:.1} s", seconds(lasted))
            }
            Self::Eased { pressure, leave, lasted } => {
                write!(f, "pressure {pressure:.2}, below {leave} for {:.1} s", seconds(lasted))
            }
            Self::Unreachable(time) => write!(f, "the origin was not reached for {:.1} s", seconds(time)),
            Self::Relapsed(time) => {
                write!(f, "the origin was not reached for {:.1} s while its traffic was let back", seconds(time))
            }
            Self::FailedAgain { error_rate } => {
                write!(f, "the origin failed {:.0} % while its traffic was let back", error_rate * 100.0)
            }
            Self::Recovered { probes, ramp } => {
                write!(f, "{probes} good probes in a row; its traffic is let back over {:.1} s", seconds(ramp))
            }
            Self::Scheduled(Level::Normal) => f.write_str("the schedule's floor has ended"),
            Self::Scheduled(level) => write!(f, "the schedule's floor is {}", level.name()),
            Self::Reloaded => f.write_str("the policy was reloaded"),
            Self::Set(set) => write!(f, "{} by {}: {}", kind(set.exact), set.who, set.why),
            Self::Released { who, why } => write!(f, "released by {who}: {why}"),
            Self::Expired(set) => write!(f, "what {} {} has expired", set.who, kind(set.exact)),
        }
    }
}
