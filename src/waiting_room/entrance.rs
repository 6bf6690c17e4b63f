//! The door: what one who asks gets.

use std::time::Duration;

use super::line::{EVERYONE, Phase, RETURNERS};
use super::place::{POLL_MAX, POLL_STUB};
use super::queue::{CHUNK, Standing};
use super::sessions::Recognised;
use super::{Full, Presented, Room, SPAN_PER_QUEUE, Session, Stub, Ticket, Visit, Waits, millis};
use crate::clock::Now;
use crate::policy::{OnStoreFailure, Order, Outside};

/// Requests of one visitor that may be under way at once.
const IN_FLIGHT_MAX: u32 = 100;
/// Invitations whose uses are counted at most; more are taken for used up.
const INVITATIONS_MAX: usize = 1_000_000;

impl Room {
    /// A request that goes on to the origin if its visitor is inside, and then counts as in flight
    /// until [`Room::leave`].
    pub fn visit(&mut self, presented: Presented, now: Now) -> Visit {
        let visit = self.answer(presented, now);
        if let Visit::Inside { session, .. } = visit {
            if self.sessions.in_flight(session.slot) >= IN_FLIGHT_MAX {
                return Visit::Crowded;
            }
            self.sessions.enter(session.slot);
        }
        visit
    }

    /// A request that only asks for its visitor's place; an admitted one is let in by it.
    pub fn poll(&mut self, presented: Presented, now: Now) -> Visit {
        self.answer(presented, now)
    }

    /// A visit or a poll while the level holds everyone: a place, no admission, no session ended.
    pub fn hold_place(&mut self, presented: Presented, now: Now) -> Visit {
        if self.is_off(now) {
            return Visit::Pass;
        }
        let (at_ms, terms) = (self.session_ms(now), self.terms());
        if let Some(session) = presented.session
            && let Recognised::Inside { .. } = self.sessions.recognise(session, at_ms, terms)
        {
            return Visit::Held;
        }
        let visit = match presented.ticket {
            None => self.enqueue(presented, now),
            Some(ticket) if self.sessions.has_ticket(ticket.key()) => {
                self.sessions.prolong(ticket.key(), at_ms.saturating_add(millis(self.policy.claim)));
                self.signs().next(ticket, now)
            }
            Some(ticket) => self.stand(ticket, presented, now),
        };
        held(visit)
    }

    fn answer(&mut self, presented: Presented, now: Now) -> Visit {
        if self.is_off(now) {
            return Visit::Pass;
        }
        let (at_ms, terms) = (self.session_ms(now), self.terms());
        if let Some(session) = presented.session {
            match self.sessions.recognise(session, at_ms, terms) {
                Recognised::Inside { turn, fresh } => {
                    return Visit::Inside { session: Session { turn, ..session }, fresh };
                }
                Recognised::Copy => self.figures.copies_total += 1,
                Recognised::No => {
                    if let Some(visit) = self.step_back_in(session, presented, now) {
                        return visit;
                    }
                }
            }
        }
        match presented.ticket {
            // Whoever is invited stands in the lane from now on.
            Some(ticket) if presented.invited.is_none() || self.lane_of(&presented) == ticket.lane => {
                self.turn_of(ticket, presented, now)
            }
            _ => self.walk_in(presented, now).unwrap_or_else(|| self.enqueue(presented, now)),
        }
    }

    /// In, if it is this ticket's turn; else its place.
    fn turn_of(&mut self, ticket: Ticket, presented: Presented, now: Now) -> Visit {
        let (at_ms, terms) = (self.session_ms(now), self.terms());
        // Asked again with the same ticket, a claimed slot answers with the same session: the first
        // answer may have been lost, and a browser asks for several things at once.
        if let Some((slot, generation, first)) = self.sessions.claim(ticket.key(), at_ms, terms) {
            if first {
                self.figures.claimed(ticket, now);
            }
            return self.inside(slot, generation, now);
        }
        if self.sessions.awaits_disk(ticket.key()) {
            return self.signs().next(ticket, now);
        }
        self.stand(ticket, presented, now)
    }

    /// The place of a ticket that has no slot; a spent or forgotten one joins the tail.
    fn stand(&mut self, ticket: Ticket, presented: Presented, now: Now) -> Visit {
        if let Some(visit) = self.face.poll(ticket, presented.client, now) {
            return visit;
        }
        let Some(board) = self.lines.get(usize::from(ticket.lane)).map(|line| line.queue.board().clone()) else {
            return self.enqueue(presented, now);
        };
        let place = board.place_of(ticket.number);
        match board.see(place).standing {
            // Not there when their turn came: now before all who wait.
            Standing::Returning if self.is_called(ticket, now) => self.signs().next(ticket, now),
            Standing::Waiting | Standing::Returning => self.signs().told(ticket, place, now),
            Standing::Done | Standing::Unknown if ticket.lane == EVERYONE => self.draw_number(EVERYONE, presented, now),
            // A place in a lane was given once; another is for another invitation.
            Standing::Done | Standing::Unknown => self.enqueue(presented, now),
        }
    }

    /// One whose session ended for idleness a short while ago: a place before all others.
    fn step_back_in(&mut self, session: Session, presented: Presented, now: Now) -> Option<Visit> {
        let presented = Presented { session: None, ..presented };
        match self.sessions.comes_back(session.generation, self.session_ms(now))? {
            Some(number) => {
                let issued_unix_s = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
                Some(self.turn_of(Ticket::new(RETURNERS, number, issued_unix_s), presented, now))
            }
            None => {
                let visit = self.draw_number(RETURNERS, presented, now);
                if let Visit::Queued { ticket, .. } = visit {
                    self.sessions.came_back(session.generation, ticket.number);
                }
                Some(visit)
            }
        }
    }

    /// Whether a ticket's turn had come a short while ago: then it is before all others now.
    fn is_called(&mut self, ticket: Ticket, now: Now) -> bool {
        let key = ticket.key();
        match self.called.find(key, self.session_ms(now)) {
            Some(None) => {
                self.called.give(key, key);
                self.back.push_back(key);
                true
            }
            found => found.is_some(),
        }
    }

    fn inside(&self, slot: u32, generation: u32, now: Now) -> Visit {
        let started_unix_s = self.unix_s(self.sessions.started_ms(slot), now);
        let turn = self.sessions.turn(slot);
        Visit::Inside { session: Session { slot, generation, started_unix_s, turn }, fresh: true }
    }

    fn walk_in(&mut self, presented: Presented, now: Now) -> Option<Visit> {
        let everyone = self.lines.first()?;
        let open = everyone.phase(now.unix_ms) == Phase::Open;
        if !open || self.paused || self.closed || self.stock == Some(0) {
            return None;
        }
        if self.lines.iter().any(|line| line.barrier.is_some() || line.waiting() > 0) {
            return None;
        }
        let provisional = presented.stub.is_none().then_some(presented.client.hash);
        let (slot, generation) =
            self.sessions.take_lease(self.session_ms(now), provisional, self.policy.capacity.get())?;
        self.figures.admitted_total += 1;
        Some(self.inside(slot, generation, now))
    }

    /// A number for one who shows a stub, a stub for one who does not.
    fn enqueue(&mut self, presented: Presented, now: Now) -> Visit {
        let lane = self.lane_of(&presented);
        let waits = self.signs().waits(lane, now);
        let before = self.lines.get(usize::from(lane)).map(|line| line.phase(now.unix_ms)) == Some(Phase::Before);
        if before || matches!(waits, Waits::SoldOut | Waits::Closed) {
            let retry_after = match waits {
                Waits::Before { opens_in } => (opens_in / 4).clamp(POLL_MAX, Duration::from_secs(300)),
                _ => 3 * POLL_MAX,
            };
            return Visit::Shut { waits, retry_after };
        }
        let invited = presented.invited.filter(|_| lane != EVERYONE);
        match presented.stub.filter(|stub| stub.lane == lane) {
            Some(_) => self.draw_number(lane, presented, now),
            None => {
                let issued_unix_s = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
                let invitation = invited.map_or(0, |invited| invited.id);
                let stub = Stub { lane, invitation, issued_unix_s };
                Visit::Stub { stub, waits, poll_after: POLL_STUB }
            }
        }
    }

    /// The lane that one is invited to, or that the stub was made for; everyone's otherwise.
    fn lane_of(&self, presented: &Presented) -> u8 {
        let lane = |tag| self.lines.iter().position(|line| line.tag == tag).and_then(|at| u8::try_from(at).ok());
        let invited = presented.invited.filter(|invited| self.may_use(lane(invited.lane), invited.id));
        if let Some(lane) = invited.and_then(|invited| lane(invited.lane)) {
            return lane;
        }
        let stub = presented.stub.filter(|stub| usize::from(stub.lane) < self.lines.len() && stub.lane != RETURNERS);
        stub.filter(|stub| self.may_use(Some(stub.lane), stub.invitation)).map_or(EVERYONE, |stub| stub.lane)
    }

    /// Whether an invitation still opens its lane.
    fn may_use(&self, lane: Option<u8>, invitation: u64) -> bool {
        let Some(uses) = lane.and_then(|lane| self.uses(lane)) else { return true };
        self.used.get(&invitation).map_or(self.used.len() < INVITATIONS_MAX, |used| *used < uses)
    }

    /// How many places one invitation of this lane gives.
    fn uses(&self, lane: u8) -> Option<u32> {
        let tag = self.lines.get(usize::from(lane))?.tag;
        let lanes = &self.policy.lanes;
        let lane = lanes.iter().find(|l| super::invitation::LaneTag::of(&self.policy.name, &l.name) == tag)?;
        lane.uses.map(std::num::NonZeroU32::get)
    }

    pub(super) fn count_use(&mut self, invitation: u64) {
        if self.used.len() < INVITATIONS_MAX || self.used.contains_key(&invitation) {
            *self.used.entry(invitation).or_default() += 1;
        }
    }

    fn draw_number(&mut self, lane: u8, presented: Presented, now: Now) -> Visit {
        if let Some(full) = self.full(lane, presented) {
            self.figures.full_total += 1;
            let seconds = match full {
                Full::Moment => 1,
                // Spread over half a minute, so that those turned away do not return as one.
                Full::Queue | Full::Client => 30 + self.figures.full_total % 30,
            };
            return Visit::Full { retry_after: Duration::from_secs(seconds), why: full };
        }
        let Some(line) = self.lines.get_mut(usize::from(lane)) else {
            return Visit::Full { retry_after: POLL_MAX, why: Full::Moment };
        };
        let number = line.queue.issue();
        let board = line.queue.board().clone();
        self.face.census.add(presented.client.hash);
        self.figures.issued_total += 1;
        if self.uses(lane).is_some()
            && let Some(id) = presented.invited.map(|i| i.id).or(presented.stub.map(|stub| stub.invitation))
        {
            self.count_use(id);
            self.newly_used.push(id);
        }
        let issued_unix_s = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
        let ticket = Ticket::new(lane, number, issued_unix_s);
        self.signs().told(ticket, board.place_of(number), now)
    }

    fn full(&self, lane: u8, presented: Presented) -> Option<Full> {
        let max = self.policy.max_queue.get();
        let line = self.lines.get(usize::from(lane))?;
        let board = line.queue.board();
        let span = board.next().saturating_sub(board.frontier());
        let waiting: u64 = self.lines.iter().map(super::line::Line::waiting).sum();
        if waiting >= max || span > max.saturating_mul(SPAN_PER_QUEUE).max(4 * CHUNK) {
            return Some(Full::Queue);
        }
        let places = &self.policy.places_per_client;
        let quota = if presented.client.v6 { places.ipv6_64 } else { places.ipv4 };
        if lane != RETURNERS && self.face.census.count(presented.client.hash) >= quota.get() {
            return Some(Full::Client);
        }
        // More came since the last tick than was foreseen: the next block is a tick away.
        (board.next() >= line.saved.high).then_some(Full::Moment)
    }

    /// Whether requests pass as if there were no room.
    fn is_off(&self, now: Now) -> bool {
        if self.store_fails && self.policy.on_store_failure == OnStoreFailure::Open {
            return true;
        }
        self.policy.outside == Outside::Pass
            && self.lines.first().is_some_and(|line| matches!(line.phase(now.unix_ms), Phase::Before | Phase::After))
    }

    /// Whether lots decide the order of those who come after the opening.
    pub(super) fn is_lottery(&self) -> bool {
        self.policy.order == Order::Lottery
    }
}

/// In the words of one whom the level holds.
fn held(visit: Visit) -> Visit {
    match visit {
        Visit::Queued { ticket, mut place, waits: Waits::InLine } => {
            place.wait = None;
            place.poll_after = place.poll_after.max(POLL_MAX / 2);
            Visit::Queued { ticket, place, waits: Waits::Paused }
        }
        Visit::Stub { stub, waits: Waits::InLine, poll_after } => {
            Visit::Stub { stub, waits: Waits::Paused, poll_after }
        }
        other => other,
    }
}
