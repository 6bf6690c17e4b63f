//! Admission: who may go to an origin now, who waits in line, who is told to come back.
//!
//! A pure state machine, one for each origin, asked only by a request that will really go there.
//! How many may be in flight is the [`Limiter`]'s to say: the policy's number, or one that is
//! found ([`crate::concurrency`]). Who goes next is the [`line`]'s. A place that comes free belongs
//! to the next at once: whoever was granted a place, or lost the place in line to one who matters
//! more, is in [`Admission::take_woken`], and the shell wakes that request. Nobody who arrives
//! meanwhile can overtake.
//!
//! A woken request may have left before it notices. Until it says [`Admission::claim`], its place
//! is found again by [`Admission::leave`], so no place is lost between two tasks.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Mono;
use crate::concurrency::{self, Limiter, Outcome, Sample};
use crate::pipeline::reason::Reason;
use crate::policy::{Class, Concurrency};

mod asked;
mod flights;
mod heavy;
mod kept;
mod kinds;
mod line;
mod pulse;
mod readings;
mod slab;
mod standing;
mod throughput;

pub use asked::{Admit, Ask, Claim, WaiterId, Woken};
pub use flights::FlightId;
pub use kinds::Percent;
pub use standing::COHORTS;

use flights::{Flight, Flights};
use heavy::Heavy;
use kept::Kept;
use kinds::Kinds;
use line::{Gate, Line, Waiter};
use pulse::Pulse;
use standing::Standing;
use throughput::Throughput;

/// While the line stands, the line of a class is kept to what is served in this time.
const STANDING_MAX: Duration = Duration::from_millis(40);
/// And never shorter than this: a line that runs dry wastes places.
const STANDING_LEAST: usize = 8;
/// Requests that one client may have in line as any other may.
const CLIENT_LEAST: usize = 2;
/// A request that so many rounds of others have overtaken lends its place.
const OVERTAKEN_ROUNDS: u64 = 3;
/// Or one that is held so many times as long as usual, and so long at least, while nothing ends.
const STUCK_TIMES: u32 = 10;
const STUCK_LEAST: Duration = Duration::from_millis(200);

/// The places at one origin and the line for them.
#[derive(Debug)]
pub struct Admission {
    policy: Concurrency,
    limiter: Box<dyn Limiter>,
    /// The share of the limit that may be used: less than 1 on the way back from an outage.
    allowance: f64,
    /// Places taken.
    in_flight: usize,
    in_flight_peak: usize,
    /// In flight without a place: theirs is lent to others.
    lent: usize,
    streams: usize,
    flights: Flights,
    line: Line,
    kinds: Kinds,
    heavy: Heavy,
    /// Granted or refused, but not known to have noticed: no more than were in line.
    settled: HashMap<WaiterId, Claim>,
    woken: Woken,
    standing: Standing,
    pulse: Pulse,
    throughput: Throughput,
    refusals: u64,
    kept: Kept,
}

impl Admission {
    /// An idle origin with the policy's limits. `shares`: of the limit that each route may have at
    /// most, by its number.
    pub fn new(policy: &Concurrency, shares: &[Percent]) -> Self {
        let mut kinds = Kinds::default();
        kinds.configure(shares);
        Self {
            policy: policy.clone(),
            limiter: concurrency::limiter(&policy.limit),
            allowance: 1.0,
            in_flight: 0,
            in_flight_peak: 0,
            lent: 0,
            streams: 0,
            flights: Flights::default(),
            line: Line::default(),
            kinds,
            heavy: Heavy::default(),
            settled: HashMap::new(),
            woken: Woken::new(),
            standing: Standing::default(),
            pulse: Pulse::default(),
            throughput: Throughput::default(),
            refusals: 0,
            kept: Kept::default(),
        }
    }

    /// An idle origin whose limit another algorithm finds: for simulations.
    pub fn with_limiter(policy: &Concurrency, shares: &[Percent], limiter: Box<dyn Limiter>) -> Self {
        Self { limiter, ..Self::new(policy, shares) }
    }

    /// Takes over a reloaded policy. A higher limit grants at once; a lower one drains: nobody in
    /// flight or in line is sent away, and deadlines stay as they were given.
    pub fn configure(&mut self, policy: &Concurrency, shares: &[Percent], now: Mono) {
        if self.policy.limit != policy.limit {
            self.limiter = concurrency::limiter(&policy.limit);
        }
        self.policy = policy.clone();
        self.kinds.configure(shares);
        self.grant(now);
    }

    /// Sets the share of the limit that may be used, on the way back from an outage.
    pub fn set_allowance(&mut self, allowance: f64, now: Mono) {
        self.allowance = allowance.clamp(0.0, 1.0);
        self.grant(now);
    }

    /// Asks for a place.
    pub fn admit(&mut self, ask: Ask, now: Mono) -> Admit {
        let limit = self.limit();
        let shut = self.kinds.is_shut(ask.kind, limit, self.bulkhead(), now);
        self.kept.came(ask.class, now);
        // Free places go to the line first: one that is free is one that nobody in line may have.
        if self.in_flight < self.open_to(ask.class, now) && !shut {
            self.standing.came(ask.class);
            let flight = self.occupy(ask.class, ask.kind, ask.client, now);
            self.see(now);
            return Admit::Granted(flight);
        }
        match self.queue(ask, limit, now) {
            Ok((id, deadline)) => {
                self.lend(now);
                self.grant(now);
                Admit::Queued(id, deadline)
            }
            Err(reason) => {
                self.see(now);
                self.refusals = self.refusals.wrapping_add(1);
                Admit::Refused(reason)
            }
        }
    }

    fn queue(&mut self, ask: Ask, limit: usize, now: Mono) -> Result<(WaiterId, Mono), Reason> {
        let overloaded = self.standing.overloaded();
        let patience = self.policy.patience.of(ask.class);
        let heavy = self.heavy.is(ask.client);
        let waiter = Waiter { class: ask.class, kind: ask.kind, client: ask.client, heavy };
        if !ask.waits || patience.is_zero() {
            return Err(Reason::Shed);
        }
        // Who waits behind others of their own is the line's to hold back: they are no reason to shed
        // other people's visits.
        if self.line.of_client(&waiter) < CLIENT_LEAST {
            self.standing.came(ask.class);
            if overloaded && !self.standing.lets_in(ask.class, ask.cohort) {
                return Err(Reason::Shed);
            }
        }
        let (kinds, bulkhead) = (&self.kinds, self.bulkhead());
        let held_to = |kind: usize| kinds.held_to(kind, limit, bulkhead, now);
        let share = held_to(ask.kind);
        // Who waits for their own route's share stands in nobody else's way, and nobody else in theirs.
        let beside = |kind: usize| if share.is_some() { kind == ask.kind } else { held_to(kind).is_none() };
        let waiting = self.line.waiting(beside);
        let in_vain = |per_second: f64| Line::ahead(waiting, ask.class) / per_second > patience.as_secs_f64();
        if !overloaded && self.throughput.known(now).is_some_and(in_vain) {
            return Err(Reason::QueueFull);
        }
        let standing = (self.throughput.per_second(now) * STANDING_MAX.as_secs_f64()) as usize;
        let of_class = waiting.get(ask.class as usize).copied().unwrap_or_default();
        let class_full = overloaded && of_class >= standing.max(STANDING_LEAST).max(limit);
        let places = self.policy.queue.places(share.unwrap_or(limit));
        if class_full || waiting.iter().sum::<usize>() >= places {
            let victim = self.line.victim(&waiter, class_full, overloaded, beside).ok_or(Reason::QueueFull)?;
            self.push_out(victim);
        }
        Ok((self.line.join(waiter), now.after(patience)))
    }

    /// Whether one who was refused speaks for others of their class: it is the places that are wanting, and not
    /// this one's route, or client, or patience.
    pub fn refuses_all(&self, ask: &Ask, now: Mono) -> bool {
        let is_held = self.kinds.held_to(ask.kind, self.limit(), self.bulkhead(), now).is_some();
        ask.waits && !is_held && !self.heavy.is(ask.client) && self.in_flight >= self.open_to(Class::Normal, now)
    }

    fn push_out(&mut self, id: WaiterId) {
        if self.line.remove(id).is_some() {
            self.refusals = self.refusals.wrapping_add(1);
            self.settled.insert(id, Claim::Refused(Reason::QueueFull));
            self.woken.push(id);
        }
    }

    /// What has become of one who waits. An answer other than `Waiting` is given once: from there
    /// a granted one gives its place back by [`Self::release`].
    pub fn claim(&mut self, id: WaiterId) -> Claim {
        match self.settled.remove(&id) {
            Some(claim) => claim,
            None if self.line.contains(id) => Claim::Waiting,
            None => Claim::Refused(Reason::QueueTimeout),
        }
    }

    /// Those to wake since the last call: each should ask [`Self::claim`].
    pub fn take_woken(&mut self) -> Woken {
        std::mem::take(&mut self.woken)
    }

    /// The head of the origin's answer has come, or word that it could not give one: of several
    /// attempts the last counts.
    pub fn headed(&mut self, id: FlightId, overloaded: bool, now: Mono) {
        if let Some(flight) = self.flights.get_mut(id) {
            flight.headed = Some(now);
            flight.overloaded = overloaded;
        }
    }

    /// Gives a place back after the origin's last byte.
    pub fn release(&mut self, id: FlightId, now: Mono) {
        let Some(flight) = self.flights.end(id, now) else { return };
        let outcome = match flight.headed {
            Some(_) if flight.overloaded => Outcome::Overloaded,
            Some(_) if !flight.lent => Outcome::Answered,
            _ => Outcome::Ignored,
        };
        let latency = flight.headed.unwrap_or(now).since(flight.started);
        match outcome {
            Outcome::Answered => {
                self.throughput.record(now);
                self.pulse.answered(flight.kind, latency, now);
            }
            Outcome::Overloaded => self.pulse.ended(true, now),
            Outcome::Ignored => {}
        }
        let full = flight.full && !self.line.is_empty();
        let Flight { started, in_flight, kind, .. } = flight;
        let kept = self.open_to(Class::Normal, now) < self.limit();
        let sample = Sample { latency, started, in_flight, full, kept, kind, outcome };
        self.limiter.observe(&sample, now);
        self.vacate(&flight);
        self.lend(now);
        self.grant(now);
    }

    /// A waiting request goes: its client left, or its deadline has passed. A place that it had been
    /// granted without noticing goes on. Harmless when repeated.
    pub fn leave(&mut self, id: WaiterId, now: Mono) {
        if self.line.remove(id).is_some() {
            self.see(now);
        } else if let Some(Claim::Granted(flight)) = self.settled.remove(&id)
            && let Some(flight) = self.flights.end(flight, now)
        {
            // It did no work at the origin: it counts for no throughput.
            self.vacate(&flight);
            self.grant(now);
        }
    }

    /// The request has become a stream (101, `text/event-stream`): it gives its place back and
    /// counts as a stream until [`Self::release_stream`].
    ///
    /// # Errors
    /// [`Reason::StreamsFull`] at `max_streams`; the request still holds its place.
    pub fn to_stream(&mut self, id: FlightId, now: Mono) -> Result<(), Reason> {
        if self.streams >= self.policy.max_streams {
            return Err(Reason::StreamsFull);
        }
        self.streams += 1;
        if let Some(flight) = self.flights.end(id, now) {
            self.throughput.record(now);
            self.vacate(&flight);
            self.grant(now);
        }
        Ok(())
    }

    /// A stream has ended.
    pub fn release_stream(&mut self) {
        debug_assert!(self.streams > 0, "a stream ended that never began");
        self.streams = self.streams.saturating_sub(1);
    }

    /// With a limit that is found, routes are kept from taking all of it; a fixed one is the
    /// policy's word, and `max_in_flight` its means.
    fn bulkhead(&self) -> bool {
        self.policy.limit.is_adaptive()
    }

    /// How many places requests of this class find; with a limit that is found, one may be kept from
    /// all but the critical.
    fn open_to(&self, class: Class, now: Mono) -> usize {
        let limit = self.limit();
        let keeps = class != Class::Critical && self.bulkhead();
        if keeps { limit.saturating_sub(self.kept.places(limit, now)) } else { limit }
    }

    fn see(&mut self, now: Mono) {
        let full = self.in_flight >= self.open_to(Class::Normal, now);
        self.throughput.see(full || !self.line.is_empty(), now);
        let throughput = &self.throughput;
        let (kinds, limit, bulkhead) = (&self.kinds, self.limit(), self.bulkhead());
        // Who waits for their own route's share does so for no want of places. And a line in which only those
        // stand who have had most is no reason to turn others away.
        let waiting =
            if full { self.line.light(|kind| kinds.held_to(kind, limit, bulkhead, now).is_none()) } else { 0 };
        self.standing.see(waiting, || throughput.per_second(now), self.queue_target(), now);
    }

    fn occupy(&mut self, class: Class, kind: usize, client: u64, now: Mono) -> FlightId {
        self.kept.begin(class);
        self.in_flight += 1;
        self.in_flight_peak = self.in_flight_peak.max(self.in_flight + self.lent);
        self.kinds.begin(kind);
        self.standing.served(class);
        self.heavy.served(client, now);
        // On the way back from an outage it is the allowance that holds others back, not the limit.
        let full = self.allowance >= 1.0 && self.in_flight >= self.open_to(Class::Normal, now);
        self.flights.begin(Flight::new(class, kind, now, self.in_flight, full))
    }

    fn vacate(&mut self, flight: &Flight) {
        if flight.lent {
            self.lent = self.lent.saturating_sub(1);
        } else {
            debug_assert!(self.in_flight > 0, "a place was given back twice");
            self.in_flight = self.in_flight.saturating_sub(1);
            self.kept.end(flight.class);
        }
        self.kinds.end(flight.kind, flight.lent);
    }

    /// Lends the place of one that many others have overtaken: it waits for something else.
    fn lend(&mut self, now: Mono) {
        if !self.bulkhead() || self.line.is_empty() || self.in_flight + self.lent >= self.policy.limit.most() {
            return;
        }
        let (limit, per_second) = (self.limit(), self.throughput.per_second(now));
        let rounds = (limit as u64).saturating_mul(OVERTAKEN_ROUNDS);
        let flight = self.flights.overtaken(rounds).or_else(|| {
            // By Little's law so long is a place usually held.
            let held = Duration::try_from_secs_f64(limit as f64 / per_second).ok()?;
            self.flights.stuck(held.saturating_mul(STUCK_TIMES).max(STUCK_LEAST), now)
        });
        if let Some(flight) = flight {
            self.lent += 1;
            self.in_flight = self.in_flight.saturating_sub(1);
            self.kinds.lend(flight.kind, now);
            self.kept.end(flight.class);
        }
    }

    fn grant(&mut self, now: Mono) {
        let (limit, bulkhead) = (self.limit(), self.bulkhead());
        while self.in_flight < limit {
            let kinds = &self.kinds;
            let critical_only = self.in_flight >= self.open_to(Class::Normal, now);
            let gate = |class, kind| {
                let kept = critical_only && class != Class::Critical as usize;
                if kept { Gate::Shut } else { kinds.gate(kind, limit, bulkhead, now) }
            };
            let Some((id, waiter)) = self.line.next(self.standing.overloaded(), gate) else { break };
            let flight = self.occupy(waiter.class, waiter.kind, waiter.client, now);
            self.settled.insert(id, Claim::Granted(flight));
            self.woken.push(id);
        }
        self.see(now);
    }
}

#[cfg(test)]
mod tests;
