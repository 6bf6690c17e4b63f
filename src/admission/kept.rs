//! A place kept for the critical class, so that it need not wait for another request to end first.
//!
//! Telephone networks keep the last circuits of a route for the calls that matter more, and call it
//! trunk reservation; it costs little, since the place is used whenever such a request comes. It is
//! kept only while critical requests come, and only while they have less than half of the places:
//! a class that holds most of them, perhaps because what it waits for is slow, must not keep the rest
//! from the others.

use std::time::Duration;

use crate::clock::Mono;
use crate::policy::Class;

/// The last place is kept so long after a critical request came.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Of fewer places none is kept: it would be too much of what there is.
const PLACES_LEAST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Kept {
    until: Mono,
    /// Places that critical requests have.
    in_flight: usize,
}

impl Kept {
    /// A request of this class asks for a place.
    pub(super) fn came(&mut self, class: Class, now: Mono) {
        if class == Class::Critical {
            self.until = now.after(KEPT_FOR);
        }
    }

    /// A request of this class takes a place.
    pub(super) fn begin(&mut self, class: Class) {
        self.in_flight += usize::from(class == Class::Critical);
    }

    /// A request of this class gives its place back, or lends it.
    pub(super) fn end(&mut self, class: Class) {
        self.in_flight = self.in_flight.saturating_sub(usize::from(class == Class::Critical));
    }

    /// How many of so many places are kept from all other classes: one or none.
    pub(super) fn places(&self, limit: usize, now: Mono) -> usize {
        usize::from(limit >= PLACES_LEAST && self.until > now && self.in_flight < limit / 2)
    }
}
