//! How many requests an origin carries at once.
//!
//! One trait, as quinn has one for congestion controllers: [`Limiter`] is told what became of each
//! request and says how many may be in flight. [`Fixed`] knows it from the policy. Pure: `now` is an
//! argument, and nothing here is random.

use std::fmt;
use std::time::Duration;

use crate::clock::Mono;
use crate::policy;

mod adaptive;
mod round;
mod start;
mod turns;

pub use adaptive::Adaptive;

/// What became of one request at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered: its latency says how the origin does.
    Answered,
    /// The origin could not: no connection, no answer in time, 502, 503, 504.
    Overloaded,
    /// It says nothing: the client left, it became a stream, it waited for something that is not
    /// the origin's.
    Ignored,
}

/// One request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From the moment it was let go to the head of the origin's answer.
    pub latency: Duration,
    /// When it was let go.
    pub started: Mono,
    /// Places taken when it was let go, its own included.
    pub in_flight: usize,
    /// Whether the limit held others back: every place was taken when it began, and somebody waited
    /// when it ended. Only then does its latency say what this limit does.
    pub full: bool,
    /// Whether a place is kept for those who matter most: who stands in line inside the origin, they wait for.
    pub kept: bool,
    /// Which kind of work it was: latencies compare within one kind alone.
    pub kind: usize,
    pub outcome: Outcome,
}

/// Finds how many requests may be in flight at an origin.
pub trait Limiter: fmt::Debug + Send {
    /// Requests that may be in flight now; at least 1.
    fn limit(&self) -> usize;

    /// Learns from a request that has ended.
    fn observe(&mut self, sample: &Sample, now: Mono);
}

/// What finds the limit that a policy asks for.
pub fn limiter(policy: &policy::Limit) -> Box<dyn Limiter> {
    match *policy {
        policy::Limit::Fixed(limit) => Box::new(Fixed(limit.get())),
        policy::Limit::Adaptive { initial, min, max } => Box::new(Adaptive::new(initial.get(), min.get(), max.get())),
    }
}

/// The limit that the policy gives.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub usize);

impl Limiter for Fixed {
    fn limit(&self) -> usize {
        self.0
    }

    fn observe(&mut self, _: &Sample, _: Mono) {}
}
