//! Requests in flight, in the order in which they began.
//!
//! The oldest matters: one that many others have overtaken is not waiting for the origin but for
//! something behind it, such as a payment provider that is slow today. Its place is lent to others,
//! or one slow dependency would take every place and starve all routes (the bulkhead's problem,
//! solved without a number to tune: what counts is the others' progress). Where such requests have
//! all the places nobody is left to overtake them: then one is lent whenever nothing has ended for
//! many times as long as usual.

use std::time::Duration;

use super::slab::Slab;
use crate::clock::Mono;
use crate::policy::Class;

/// A place at the origin. Never used twice within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightId(u64);

/// What is known of a request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) class: Class,
    pub(super) kind: usize,
    pub(super) started: Mono,
    /// Places taken when it began, its own included.
    pub(super) in_flight: usize,
    /// Every place was taken when it began.
    pub(super) full: bool,
    /// Until the answer's head, once it has come.
    pub(super) headed: Option<Mono>,
    pub(super) overloaded: bool,
    /// Its place has been given to another.
    pub(super) lent: bool,
    /// Requests that had ended when it began.
    ended_before: u64,
    older: Option<u64>,
    newer: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    all: Slab<Flight>,
    oldest: Option<u64>,
    newest: Option<u64>,
    ended: u64,
    /// When one last ended, or was lent because none did.
    moved: Mono,
}

impl Flight {
    pub(super) fn new(class: Class, kind: usize, started: Mono, in_flight: usize, full: bool) -> Self {
        let (headed, overloaded, lent) = (None, false, false);
        Self {
            class,
            kind,
            started,
            in_flight,
            full,
            headed,
            overloaded,
            lent,
            ended_before: 0,
            older: None,
            newer: None,
        }
    }
}

impl Flights {
    pub(super) fn begin(&mut self, mut flight: Flight) -> FlightId {
        flight.ended_before = self.ended;
        flight.older = self.newest;
        let id = self.all.insert(flight);
        if let Some(before) = self.newest.and_then(|n| self.all.get_mut(n)) {
            before.newer = Some(id);
        }
        self.newest = Some(id);
        self.oldest.get_or_insert(id);
        FlightId(id)
    }

    pub(super) fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.all.get_mut(id.0)
    }

    pub(super) fn end(&mut self, id: FlightId, now: Mono) -> Option<Flight> {
        let flight = self.all.get(id.0).copied()?;
        if !flight.lent {
            self.unlink(id.0, &flight);
            self.ended += 1;
            self.moved = now;
        }
        self.all.remove(id.0)
    }

    /// Lends the place of the oldest, if more than so many that began later have ended.
    pub(super) fn overtaken(&mut self, by: u64) -> Option<Flight> {
        let id = self.oldest?;
        let flight = self.all.get(id).copied()?;
        if self.ended - flight.ended_before <= by {
            return None;
        }
        self.lend(id, flight)
    }

    /// Lends the place of the oldest, if it began so long ago and nothing has ended for as long.
    pub(super) fn stuck(&mut self, after: Duration, now: Mono) -> Option<Flight> {
        let id = self.oldest?;
        let flight = self.all.get(id).copied()?;
        if now.since(self.moved.max(flight.started)) < after {
            return None;
        }
        self.moved = now;
        self.lend(id, flight)
    }

    fn lend(&mut self, id: u64, flight: Flight) -> Option<Flight> {
        self.unlink(id, &flight);
        self.all.get_mut(id)?.lent = true;
        Some(flight)
    }

    fn unlink(&mut self, id: u64, flight: &Flight) {
        if let Some(older) = flight.older.and_then(|o| self.all.get_mut(o)) {
            older.newer = flight.newer;
        }
        if let Some(newer) = flight.newer.and_then(|n| self.all.get_mut(n)) {
            newer.older = flight.older;
        }
        if self.oldest == Some(id) {
            self.oldest = flight.newer;
        }
        if self.newest == Some(id) {
            self.newest = flight.older;
        }
    }
}
