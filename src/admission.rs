//! Admission: who may go to an origin now, who waits in line, who is told to come back.
//!
//! A pure state machine, one for each origin, asked only by a request that will really go there.
//! At most `limit` requests are in flight; at most `queue` more wait, first in, first out, each for
//! as long as its patience. A place that comes free belongs to the next in line at once: the call
//! that frees it returns the [`WaiterId`] that has it now, and the shell wakes that request. Nobody
//! who arrives meanwhile can overtake.
//!
//! A woken request may have left before it notices. Until it says [`Admission::claim`], its place
//! is found again by [`Admission::leave`], so no place is lost between two tasks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Mono;
use crate::pipeline::reason::Reason;
use crate::policy::Concurrency;

mod throughput;

use throughput::Throughput;

/// Nobody is asked to come back sooner: `Retry-After: 0` is an invitation to hammer.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Nobody is asked to stay away longer than this for a full queue.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// One who waits. Never used twice within a process, so a late message about someone who has left
/// can't hit another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(u64);

/// Those who were granted a place, or ran out of patience, in one step; in the order of the line.
pub type Waiters = SmallVec<[WaiterId; 8]>;

/// What a request hears when it asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Go: it holds a place, to be given back by [`Admission::release`] or [`Admission::to_stream`].
    Granted,
    /// Wait to be woken, until the deadline; then call [`Admission::leave`].
    Queued(WaiterId, Mono),
    /// No place, and no room to wait for one.
    Refused(Reason),
}

/// The places at one origin and the line for them.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    queue_max: usize,
    patience: Duration,
    streams_max: usize,
    in_flight: usize,
    in_flight_peak: usize,
    streams: usize,
    /// The line, in order of arrival, each with its deadline.
    line: BTreeMap<WaiterId, Mono>,
    /// The same by deadline. Not the order of the line once a reload has changed the patience.
    deadlines: BTreeSet<(Mono, WaiterId)>,
    /// Granted, but not known to have noticed. Counted in `in_flight`, so never more than that.
    unclaimed: HashSet<WaiterId>,
    next_id: u64,
    throughput: Throughput,
    refusals: u64,
}

impl Admission {
    /// An idle origin with the policy's limits.
    pub fn new(policy: &Concurrency) -> Self {
        Self {
            limit: policy.limit.get(),
            queue_max: policy.queue,
            patience: policy.patience,
            streams_max: policy.max_streams,
            in_flight: 0,
            in_flight_peak: 0,
            streams: 0,
            line: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            unclaimed: HashSet::new(),
            next_id: 0,
            throughput: Throughput::default(),
            refusals: 0,
        }
    }

    /// Takes over a reloaded policy. A higher limit grants at once to those returned; a lower one
    /// drains: nobody in flight or in line is sent away, and deadlines stay as they were given.
    #[must_use = "those granted must be woken"]
    pub fn configure(&mut self, policy: &Concurrency) -> Waiters {
        self.limit = policy.limit.get();
        self.queue_max = policy.queue;
        self.patience = policy.patience;
        self.streams_max = policy.max_streams;
        std::iter::from_fn(|| self.grant_next()).collect()
    }

    /// Asks for a place.
    pub fn admit(&mut self, now: Mono) -> Admit {
        // Free places go to the line first, so one being free means that the line is empty.
        if self.in_flight < self.limit {
            self.occupy();
            return Admit::Granted;
        }
        if self.line.len() >= self.queue_max {
            self.refusals = self.refusals.wrapping_add(1);
            return Admit::Refused(Reason::QueueFull);
        }
        let id = WaiterId(self.next_id);
        self.next_id += 1;
        let deadline = now.after(self.patience);
        self.line.insert(id, deadline);
        self.deadlines.insert((deadline, id));
        Admit::Queued(id, deadline)
    }

    /// The woken request has noticed: from here it gives its place back by [`Self::release`].
    /// False if it holds none (it was never granted one, or has left): then it must not go on.
    #[must_use]
    pub fn claim(&mut self, id: WaiterId) -> bool {
        self.unclaimed.remove(&id)
    }

    /// Gives a place back after the origin's last byte; returns who has it now.
    #[must_use = "the next in line must be woken"]
    pub fn release(&mut self, now: Mono) -> Option<WaiterId> {
        self.throughput.record(now);
        self.vacate()
    }

    /// A waiting request goes: its client left, or its deadline has passed. If it had been granted
    /// a place without noticing, returns who has that place now. Harmless when repeated.
    #[must_use = "the next in line must be woken"]
    pub fn leave(&mut self, id: WaiterId) -> Option<WaiterId> {
        if let Some(deadline) = self.line.remove(&id) {
            self.deadlines.remove(&(deadline, id));
            return None;
        }
        // It did no work at the origin: its place moves on, but counts for no throughput.
        if self.unclaimed.remove(&id) { self.vacate() } else { None }
    }

    /// Takes those out of the line whose deadline has come, in order of deadline.
    #[must_use = "those returned must be told"]
    pub fn tick(&mut self, now: Mono) -> Waiters {
        let mut expired = Waiters::new();
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            self.line.remove(&id);
            expired.push(id);
        }
        expired
    }

    /// The request has become a stream (101, `text/event-stream`): it gives its place back and
    /// counts as a stream until [`Self::release_stream`]. Returns who has the place now.
    ///
    /// # Errors
    /// [`Reason::StreamsFull`] at `max_streams`; the request still holds its place.
    pub fn to_stream(&mut self, now: Mono) -> Result<Option<WaiterId>, Reason> {
        if self.streams >= self.streams_max {
            return Err(Reason::StreamsFull);
        }
        self.streams += 1;
        Ok(self.release(now))
    }

    /// A stream has ended.
    pub fn release_stream(&mut self) {
        debug_assert!(self.streams > 0, "a stream ended that never began");
        self.streams = self.streams.saturating_sub(1);
    }

    /// When someone refused now should come back: after the time that the line needs at the recent
    /// throughput, and spread over as long again, so that those refused together don't return
    /// together. Whole seconds, 1 to 120.
    pub fn retry_after(&self, now: Mono) -> Duration {
        let ahead = (self.line.len() + 1) as f64;
        let per_second = self.throughput.per_second(now);
        let base = if per_second > 0.0 { ahead / per_second } else { self.patience.as_secs_f64() };
        let base = base.clamp(RETRY_AFTER_MIN.as_secs_f64(), RETRY_AFTER_MAX.as_secs_f64() / 2.0);
        let seconds = base * (1.0 + golden_fraction(self.refusals));
        Duration::from_secs(seconds.ceil() as u64).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }

    /// Requests at the origin, with those granted a place that have not noticed yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most that ever were in flight.
    pub fn in_flight_peak(&self) -> usize {
        self.in_flight_peak
    }

    /// Requests waiting in line.
    pub fn queued(&self) -> usize {
        self.line.len()
    }

    /// Upgrades and event streams.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Requests that may be in flight.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The earliest deadline in line: when [`Self::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn occupy(&mut self) {
        self.in_flight += 1;
        self.in_flight_peak = self.in_flight_peak.max(self.in_flight);
    }

    fn vacate(&mut self) -> Option<WaiterId> {
        debug_assert!(self.in_flight > 0, "a place was given back twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.grant_next()
    }

    fn grant_next(&mut self) -> Option<WaiterId> {
        if self.in_flight >= self.limit {
            return None;
        }
        let (id, deadline) = self.line.pop_first()?;
        self.deadlines.remove(&(deadline, id));
        self.unclaimed.insert(id);
        self.occupy();
        Some(id)
    }
}

/// The `n`-th of a sequence that fills `[0, 1)` evenly from any point on: multiples of the golden
/// ratio. Spreads better than chance, and needs none.
fn golden_fraction(n: u64) -> f64 {
    const GOLDEN_RATIO_64: u64 = 0x9E37_79B9_7F4A_7C15;
    (n.wrapping_mul(GOLDEN_RATIO_64) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
