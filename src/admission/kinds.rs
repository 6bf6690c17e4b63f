//! How many places each route has, and may have.

use super::line::Gate;
use crate::clock::Mono;

/// A share of the limit, in percent: `max_in_flight = "20%"`.
pub type Percent = u8;

/// A route that had to lend its places is held short for so long.
const SLOW_FOR: std::time::Duration = std::time::Duration::from_secs(5);

/// A route of which so many ended between two that had to lend their places is not slow itself.
const QUICK: u32 = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    in_flight: usize,
    /// At the origin too, but their places are lent.
    lent: usize,
    /// Of it ended with their place since one was lent.
    ended: u32,
    /// Requests of it have been overtaken by many others, until so long after the last.
    slow_until: Mono,
    max: Percent,
}

impl Kind {
    /// Places of so many: the policy's share, and what of that is had now.
    fn may_have(&self, limit: usize, bulkhead: bool, now: Mono) -> (usize, usize) {
        let share = (limit * usize::from(self.max) / 100).max(1);
        let quarter = (limit / 4).max(1);
        (share, if bulkhead && self.slow_until > now { share.min(quarter) } else { share })
    }
}

/// What is known of each route, by its number.
#[derive(Debug, Default)]
pub(super) struct Kinds(Vec<Kind>);

impl Kinds {
    pub(super) fn configure(&mut self, shares: &[Percent]) {
        self.0.resize(shares.len().max(self.0.len()), Kind { max: 100, ..Kind::default() });
        for (kind, share) in self.0.iter_mut().zip(shares) {
            kind.max = *share;
        }
    }

    pub(super) fn begin(&mut self, kind: usize) {
        if let Some(kind) = self.0.get_mut(kind) {
            kind.in_flight += 1;
        }
    }

    pub(super) fn end(&mut self, kind: usize, lent: bool) {
        if let Some(kind) = self.0.get_mut(kind) {
            let held = if lent { &mut kind.lent } else { &mut kind.in_flight };
            *held = held.saturating_sub(1);
            kind.ended = kind.ended.saturating_add(u32::from(!lent));
        }
    }

    /// One of its places is lent: its requests wait for something that is not the origin's places.
    pub(super) fn lend(&mut self, kind: usize, now: Mono) {
        if let Some(kind) = self.0.get_mut(kind) {
            kind.in_flight = kind.in_flight.saturating_sub(1);
            kind.lent += 1;
            // Where its own overtook it too, it is the request that is slow and not the route.
            if std::mem::take(&mut kind.ended) < QUICK {
                kind.slow_until = now.after(SLOW_FOR);
            }
        }
    }

    /// Whether a route may have one place more of so many. One that is slow gets a quarter; any
    /// other leaves the last quarter to those of other routes who wait.
    pub(super) fn gate(&self, kind: usize, limit: usize, bulkhead: bool, now: Mono) -> Gate {
        let Some(kind) = self.0.get(kind) else { return Gate::Open };
        let quarter = (limit / 4).max(1);
        let (share, most) = kind.may_have(limit, bulkhead, now);
        // A share that the policy gives is of all that are at the origin, whoever has their places.
        let over = kind.max < 100 && kind.in_flight + kind.lent >= share;
        if over || kind.in_flight >= most {
            Gate::Shut
        } else if bulkhead && limit > 1 && kind.in_flight >= limit - quarter {
            Gate::Last
        } else {
            Gate::Open
        }
    }

    /// The places it may have, where these are fewer than all and it has them: what it waits for is its own share.
    pub(super) fn held_to(&self, kind: usize, limit: usize, bulkhead: bool, now: Mono) -> Option<usize> {
        let (_, most) = self.0.get(kind)?.may_have(limit, bulkhead, now);
        (most < limit && self.is_shut(kind, limit, bulkhead, now)).then_some(most)
    }

    /// Whether it has all the places that it may have.
    pub(super) fn is_shut(&self, kind: usize, limit: usize, bulkhead: bool, now: Mono) -> bool {
        self.gate(kind, limit, bulkhead, now) == Gate::Shut
    }
}
