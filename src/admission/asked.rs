//! What is asked of an origin's places, and what is answered.

use smallvec::SmallVec;

use super::FlightId;
use crate::clock::Mono;
use crate::pipeline::reason::Reason;
use crate::policy::Class;

/// One who waits. Never used twice within a process, so a late message about someone who has left
/// can't hit another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub(super) u64);

/// Those who were granted a place, or lost theirs in line.
pub type Woken = SmallVec<[WaiterId; 8]>;

/// A request that asks for a place.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub class: Class,
    /// The route, by its number at this origin.
    pub kind: usize,
    /// Who asks, hashed: those of one client wait behind each other.
    pub client: u64,
    /// From 0 to [`super::COHORTS`] − 1: those of one session share theirs.
    pub cohort: u8,
    /// Whether it may wait; else it gets a free place or none.
    pub waits: bool,
}

/// What a request hears when it asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Go: it holds a place, to be given back by [`super::Admission::release`] or [`super::Admission::to_stream`].
    Granted(FlightId),
    /// Wait to be woken, until the deadline; then call [`super::Admission::leave`].
    Queued(WaiterId, Mono),
    /// No place, and no use in waiting for one.
    Refused(Reason),
}

/// What one who waits hears when it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not yet.
    Waiting,
    /// Go, as with [`Admit::Granted`].
    Granted(FlightId),
    /// Its place in line went to one who matters more, or it was never in line.
    Refused(Reason),
}
