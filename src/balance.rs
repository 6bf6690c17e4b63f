//! Balancing: which of an origin's servers a request goes to, and which are left alone for a while.
//!
//! Of two servers drawn by lot, the one with fewer requests in flight (Mitzenmacher, "The power of
//! two choices", 2001). A server is *out* while it is ejected for failing, while it has asked for
//! rest by 503 and Retry-After, or while its health check fails; it comes back slowly. At most half
//! of the servers are ever out, so a single one never is: with fewer left, the rest would fall too.
//! Where all that are left fail as well it is not the servers, and those ejected are let back.
//! A request that failed may be tried once more elsewhere, within a budget that all requests to the
//! origin share. Pure: `now` is an argument, and so are the lots.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::policy::Server;

mod absence;
mod budget;
mod check;
mod record;

use absence::Absence;
pub use absence::Why;
use budget::Budget;
use check::{Check, Verdict};
use record::{Record, Tally};

/// One server of one origin. Never used twice, so what is heard late of a server that a reload took
/// away can't hit another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerId(u64);

/// A server that was picked: to be told by [`Servers::learn`] what became of it, and given back by
/// [`Servers::leave`].
#[derive(Clone, Debug)]
pub struct Picked {
    pub id: ServerId,
    pub server: Arc<Server>,
    at: Mono,
}

/// What an attempt tells about its server. An attempt that tells nothing (the client left, a kept
/// connection had been closed) is not told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// No connection, one that broke before the answer, no answer in time; 502, 503, 504.
    Failed,
    /// 503 with Retry-After: it asks to be left alone for so long.
    Busy(Duration),
}

/// How an attempt failed that might be made once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no way to the server, or nobody listens.
    Refused,
    /// It did not accept a connection in time.
    Unconnected,
    /// The connection broke before an answer.
    Broken,
    /// It answered 502, 503 or 504.
    Declined,
}

/// A server went out, or passes its health check again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Out {
        server: Arc<Server>,
        why: Why,
        /// None: until its health check passes.
        time: Option<Duration>,
    },
    Healthy {
        server: Arc<Server>,
    },
}

/// How a server stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    In,
    /// On its way back, with so many percent of its share.
    Returning(u8),
    /// Out; for how long still, where that is known.
    Out(Why, Option<Duration>),
}

/// A server's figures, for status and metrics.
#[derive(Clone, Debug)]
pub struct Status {
    pub server: Arc<Server>,
    pub in_flight: usize,
    pub standing: Standing,
}

/// An origin's servers.
#[derive(Debug)]
pub struct Servers {
    slots: Vec<Slot>,
    next_id: u64,
    budget: Budget,
    retries: u64,
    denied: u64,
}

#[derive(Debug)]
struct Slot {
    id: ServerId,
    server: Arc<Server>,
    in_flight: usize,
    record: Record,
    absence: Absence,
    check: Check,
}

impl Standing {
    /// The word for status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Returning(_) => "returning",
            Self::Out(why, _) => why.name(),
        }
    }

    /// Of its share, in percent.
    pub const fn percent(self) -> u8 {
        match self {
            Self::In => 100,
            Self::Returning(percent) => percent,
            Self::Out(..) => 0,
        }
    }

    /// How long it is still out, where that is known.
    pub const fn left(self) -> Option<Duration> {
        match self {
            Self::Out(_, left) => left,
            Self::In | Self::Returning(_) => None,
        }
    }
}

impl Servers {
    /// All of them in, with nothing in flight.
    pub fn new(servers: &[Server]) -> Self {
        let mut new = Self { slots: Vec::new(), next_id: 0, budget: Budget::default(), retries: 0, denied: 0 };
        new.configure(servers, true, Mono::ZERO);
        new
    }

    /// Takes over a reloaded policy: servers that stay keep their state. `checked`: they have a
    /// health check.
    pub fn configure(&mut self, servers: &[Server], checked: bool, now: Mono) {
        let mut before = std::mem::take(&mut self.slots);
        for server in servers {
            let held = before.iter().position(|slot| *slot.server == *server);
            let slot = match held {
                Some(at) => before.swap_remove(at),
                None => {
                    self.next_id += 1;
                    Slot::new(ServerId(self.next_id), server)
                }
            };
            self.slots.push(slot);
        }
        if !checked {
            self.slots.iter_mut().for_each(Slot::forget_check);
        }
        // With fewer servers, fewer may be out: who would be back first is back now.
        while self.out(now) > self.slots.len() / 2 {
            let out = self.slots.iter_mut().filter(|slot| !slot.is_in(now));
            let Some(first) = out.min_by_key(|slot| (slot.check.is_bad(), slot.absence.left(now))) else { break };
            first.forget_check();
            first.absence.end(now);
        }
    }

    /// Counts a request, not its retries, for the budget.
    pub fn request(&mut self, now: Mono) {
        self.budget.request(now);
    }

    /// The server for an attempt; `after`: the one that has just failed, which is taken only where
    /// there is no other. None if there are no servers at all.
    pub fn pick(&mut self, after: Option<ServerId>, lots: [u64; 2], now: Mono) -> Option<Picked> {
        let is_in = |slot: &Slot| slot.is_in(now);
        let at = self
            .draw(lots, now, |slot| is_in(slot) && Some(slot.id) != after)
            .or_else(|| self.draw(lots, now, is_in))
            .or_else(|| self.draw(lots, now, |_| true))?;
        let slot = self.slots.get_mut(at)?;
        slot.in_flight += 1;
        Some(Picked { id: slot.id, server: slot.server.clone(), at: now })
    }

    /// An attempt is over: its server has one less in flight.
    pub fn leave(&mut self, id: ServerId) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) {
            slot.in_flight = slot.in_flight.saturating_sub(1);
        }
    }

    /// Learns what became of an attempt. A server may go out by it.
    pub fn learn(&mut self, picked: &Picked, outcome: Outcome, now: Mono) -> Option<Change> {
        let others = match outcome {
            Outcome::Failed => self.others(picked.id, now),
            Outcome::Answered | Outcome::Busy(_) => Tally::default(),
        };
        let may_leave = self.may_leave(now);
        let works = |slot: &Slot| slot.id != picked.id && slot.is_in(now) && !slot.record.is_failing();
        let is_last = !self.slots.iter().any(works);
        let slot = self.slots.iter_mut().find(|slot| slot.id == picked.id)?;
        // What began before it went out says nothing of it since.
        if !slot.is_in(now) || slot.absence.began().is_some_and(|out| picked.at <= out) {
            return None;
        }
        let (why, time) = match outcome {
            Outcome::Answered => {
                slot.record.answered(now);
                return None;
            }
            Outcome::Failed if !slot.record.failed(others, now) => return None,
            Outcome::Failed if is_last => {
                self.slots.iter_mut().for_each(|slot| slot.absence.pardon(now));
                return None;
            }
            Outcome::Failed if may_leave => {
                slot.record.on_probation();
                (Why::Failing, slot.absence.eject(now))
            }
            Outcome::Busy(rest) if may_leave => (Why::Busy, slot.absence.rest(rest, now)),
            Outcome::Failed | Outcome::Busy(_) => return None,
        };
        Some(Change::Out { server: slot.server.clone(), why, time: Some(time) })
    }

    /// Learns what a health check found of a server.
    pub fn checked(&mut self, server: &Server, passed: bool, now: Mono) -> Option<Change> {
        let may_leave = self.may_leave(now);
        let slot = self.slots.iter_mut().find(|slot| *slot.server == *server)?;
        let was_in = slot.is_in(now);
        match slot.check.learn(passed, may_leave || !was_in) {
            Verdict::Same => None,
            Verdict::Bad => Some(Change::Out { server: slot.server.clone(), why: Why::Unhealthy, time: None }),
            Verdict::Good => {
                slot.absence.end(now.max(now.after(slot.absence.left(now))));
                Some(Change::Healthy { server: slot.server.clone() })
            }
        }
    }

    /// Whether a request that failed at a server may be tried once more. Takes from the budget,
    /// unless the attempt cost the server nothing.
    pub fn retry(&mut self, failed: ServerId, failure: Failure, now: Mono) -> bool {
        // A connection breaks where a process ends, and another takes over. Who can't be reached, or
        // declines, will hardly do otherwise a moment later.
        let elsewhere = failure != Failure::Broken;
        if elsewhere && !self.slots.iter().any(|slot| slot.id != failed && slot.is_in(now)) {
            return false;
        }
        let granted = failure == Failure::Refused || self.budget.retry(now);
        *(if granted { &mut self.retries } else { &mut self.denied }) += 1;
        granted
    }

    /// Each server as it stands, in the policy's order.
    pub fn status(&self, now: Mono) -> impl Iterator<Item = Status> {
        self.slots.iter().map(move |slot| Status {
            server: slot.server.clone(),
            in_flight: slot.in_flight,
            standing: slot.standing(now),
        })
    }

    /// Retries made so far, and those that the budget did not allow.
    pub fn retries(&self) -> (u64, u64) {
        (self.retries, self.denied)
    }

    fn draw(&self, lots: [u64; 2], now: Mono, fits: impl Fn(&Slot) -> bool) -> Option<usize> {
        let fitting = || self.slots.iter().enumerate().filter(|(_, slot)| fits(slot));
        let count = fitting().count();
        let [one, two] = lots;
        let first = at_random(one, count)?;
        let (a, slot_a) = fitting().nth(first)?;
        let Some(step) = at_random(two, count - 1) else { return Some(a) };
        let (b, slot_b) = fitting().nth((first + 1 + step) % count)?;
        let second_wins = match (slot_a.takes_part(one, now), slot_b.takes_part(two, now)) {
            (true, false) => false,
            (false, true) => true,
            _ => slot_b.in_flight < slot_a.in_flight,
        };
        Some(if second_wins { b } else { a })
    }

    fn out(&self, now: Mono) -> usize {
        self.slots.iter().filter(|slot| !slot.is_in(now)).count()
    }

    /// Whether one more may go out.
    fn may_leave(&self, now: Mono) -> bool {
        self.out(now) < self.slots.len() / 2
    }

    /// Attempts and failures of the other servers, lately.
    fn others(&mut self, than: ServerId, now: Mono) -> Tally {
        let others = self.slots.iter_mut().filter(|slot| slot.id != than);
        others.map(|slot| slot.record.lately(now)).sum()
    }
}

impl Slot {
    fn new(id: ServerId, server: &Server) -> Self {
        Self {
            id,
            server: Arc::new(server.clone()),
            in_flight: 0,
            record: Record::default(),
            absence: Absence::default(),
            check: Check::default(),
        }
    }

    fn forget_check(&mut self) {
        self.check = Check::default();
    }

    fn is_in(&self, now: Mono) -> bool {
        !self.check.is_bad() && self.absence.is_over(now)
    }

    /// Whether it takes part in a draw: always, or on its way back as often as its share says.
    fn takes_part(&self, lot: u64, now: Mono) -> bool {
        // The lot's low half drew the server.
        (lot >> 32) % 100 < u64::from(self.absence.percent(now))
    }

    fn standing(&self, now: Mono) -> Standing {
        if self.check.is_bad() {
            return Standing::Out(Why::Unhealthy, None);
        }
        if !self.absence.is_over(now) {
            return Standing::Out(self.absence.why(), Some(self.absence.left(now)));
        }
        match self.absence.percent(now) {
            100.. => Standing::In,
            percent => Standing::Returning(percent),
        }
    }
}

/// Two lots from one number, evenly spread however alike the numbers are (splitmix64).
pub fn lots(seed: u64) -> [u64; 2] {
    [1, 2].map(|step: u64| {
        let mut lot = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        lot ^ (lot >> 31)
    })
}

/// One of `count`, by the lot's low half.
fn at_random(lot: u64, count: usize) -> Option<usize> {
    usize::try_from(lot & 0xffff_ffff).ok()?.checked_rem(count)
}

#[cfg(test)]
mod tests;
