//! The waiting room: who may come in, who waits, and where in the line.
//!
//! Pure: no I/O and no clock. A visitor's request asks [`Room::visit`]; a request that only wants
//! to know asks [`Room::poll`]; while the level holds everyone, both ask [`Room::hold_place`].
//! Every 100 ms to 1 s the shell calls [`Room::tick`], writes the [`Changes`] to disk and calls
//! [`Room::commit`]. Nobody is let in, and no number is given, that is not on disk: a slot is
//! reserved for a ticket, or leased for whoever comes while nobody waits, one tick before it is
//! used. So a crash at any moment finds everyone who may be inside on disk.
//!
//! What holds at every instant: active + reserved + leased ≤ `capacity` (after a reload to a lower
//! capacity those inside stay, and nobody new comes in until they are fewer), and over any span at
//! most `admit` × span + one burst slots are given; a visitor may use a slot up to `claim` later.

use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::policy;

mod admission;
mod pace;
pub mod page;
mod place;
mod queue;
pub mod record;
mod sessions;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic)]
mod simulation;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic)]
mod tests;
pub mod ticket;

use pace::{Pace, Speed};
use place::poll_after;
pub use place::{POLL_MAX, POLL_MIN, Place};
use queue::{CHUNK, Queue, Standing};
pub use record::{Changes, Record};
use sessions::{Sessions, Terms};
pub use ticket::{RoomId, Session, Ticket};

/// Who is silent for one of these, and for the next, is absent. At least twice [`POLL_MAX`], so
/// that one lost poll costs nothing.
pub const LIVENESS_WINDOW: Duration = Duration::from_secs(60);
/// Numbers that may be issued and absent between frontier and tail, in multiples of `max_queue`.
const SPAN_PER_QUEUE: u64 = 4;
/// Room-time at which a room begins, milliseconds: 34 years, so that what began before is a time.
const BEGINNING_MS: u64 = 1 << 40;

/// What a visitor brought, checked by [`Ticket::parse`] and [`Session::parse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    pub session: Option<Session>,
    pub ticket: Option<Ticket>,
}

/// What a visitor gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Come in. After [`Room::visit`], the request counts until [`Room::leave`].
    Inside {
        session: Session,
        /// The session's cookie is to be set, and the ticket's to be cleared.
        fresh: bool,
    },
    /// Wait. The ticket's cookie is to be set: it carries the best position shown.
    Queued { ticket: Ticket, place: Place },
    /// Everyone is held, and this visitor was inside: the session goes on, no place is needed.
    Held,
    /// The queue takes no more.
    Full { retry_after: Duration },
}

/// What keeps the next one in line from coming in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Nobody waits.
    #[default]
    None,
    /// `admit`.
    Rate,
    /// `capacity`.
    Capacity,
    /// Someone paused it.
    Pause,
    /// After a crash: tickets of the last moment have a few seconds to show up.
    Recovery,
    /// The disk does not take what must be on it.
    Store,
}

/// The room in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub waiting: u64,
    /// Were away when their turn came, and are back.
    pub returning: u64,
    pub inside: u32,
    pub reserved: u32,
    pub leased: u32,
    pub capacity: u32,
    /// Came in.
    pub admitted_total: u64,
    /// Were given a slot and did not come for it.
    pub no_shows_total: u64,
    /// Came in after their turn had gone by.
    pub returns_total: u64,
    /// Were told that the queue is full.
    pub full_total: u64,
    /// How long the last one to come in from the queue had waited.
    pub last_wait: Duration,
    pub limit: Limit,
}

/// One waiting room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    policy: policy::WaitingRoom,
    /// Room-time [`BEGINNING_MS`].
    began: Mono,
    queue: Queue,
    sessions: Sessions,
    pace: Option<Pace>,
    speed: Speed,
    /// The header on disk.
    saved: record::Header,
    /// Whether a tick's changes are on their way to disk.
    outstanding: bool,
    barrier: Option<Barrier>,
    /// Until then an unseen ticket may be that of someone who was polling before a restart.
    presumed_until_ms: u64,
    rotated_ms: u64,
    recounted_ms: u64,
    ticked: Mono,
    /// [`Queue::next`] at the last tick.
    next_at_tick: u64,
    /// What those who return may take, in fifths of a slot.
    return_share: u64,
    paused: bool,
    counters: Counters,
}

/// Numbers that may or may not have been issued just before a crash: nobody from here on is served
/// before those who hold one had the time to poll.
#[derive(Clone, Copy, Debug)]
struct Barrier {
    from: u64,
    until_ms: u64,
}

impl Room {
    /// A room without a past. `seed` is random; tick and commit once before the first visit.
    pub fn new(policy: policy::WaitingRoom, seed: u64, now: Now) -> Self {
        let header = record::Header { seed, next: 1, high: 1, clean: true, ..record::Header::default() };
        Self::restore(policy, &Record { header, slots: Vec::new() }, now)
    }

    /// The room as the disk remembers it; tick and commit once before the first visit.
    ///
    /// Every occupied slot counts as just seen, every ticket issued as live for one window.
    pub fn restore(policy: policy::WaitingRoom, record: &Record, now: Now) -> Self {
        let header = record.header;
        let next = if header.clean { header.next } else { header.high.max(header.next) };
        let mut queue = Queue::new(header.frontier, next);
        queue.presume(header.next);
        let mut room = Self {
            id: RoomId::new(&policy.name, header.seed),
            pace: policy.admit.map(|quota| Pace::new(quota, now.mono)),
            policy,
            began: now.mono,
            queue,
            sessions: Sessions::new(header.generation),
            speed: Speed::default(),
            // What was clean is so no longer, and numbers are issued only below a new `high`.
            saved: record::Header { high: next, ..header },
            outstanding: false,
            barrier: None,
            presumed_until_ms: BEGINNING_MS + millis(LIVENESS_WINDOW),
            rotated_ms: BEGINNING_MS,
            recounted_ms: BEGINNING_MS,
            ticked: now.mono,
            next_at_tick: next,
            return_share: 5,
            paused: false,
            counters: Counters::default(),
        };
        if next > header.next {
            let ahead = header.next.saturating_sub(header.frontier);
            let grace = 2 * poll_after(ahead, None) + Duration::from_secs(5);
            room.barrier = Some(Barrier { from: header.next, until_ms: BEGINNING_MS + millis(grace) });
        }
        room.restore_slots(record, now);
        room
    }

    /// The room's identity in cookies.
    pub const fn id(&self) -> RoomId {
        self.id
    }

    /// The policy's name for it.
    pub fn name(&self) -> &str {
        &self.policy.name
    }

    /// Takes over a reloaded policy: queue and sessions stay as they are.
    pub fn configure(&mut self, policy: &policy::WaitingRoom, now: Now) {
        self.pace = match (self.pace, policy.admit) {
            (Some(mut pace), Some(quota)) => {
                pace.requota(quota, now.mono);
                Some(pace)
            }
            (None, Some(quota)) => Some(Pace::new(quota, now.mono)),
            (_, None) => None,
        };
        self.policy.clone_from(policy);
        self.sessions.drop_leases(policy.capacity.get());
    }

    /// Stops and resumes admissions; those inside stay inside, those in line keep their places.
    pub const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// A request that goes on to the origin if its visitor is inside, and then counts as in flight
    /// until [`Room::leave`].
    pub fn visit(&mut self, presented: Presented, now: Now) -> Visit {
        let visit = self.answer(presented, now);
        if let Visit::Inside { session, .. } = visit {
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
        let at_ms = self.ms(now);
        if let Some(session) = presented.session
            && self.sessions.recognise(session.slot, session.generation, at_ms, self.terms())
        {
            return Visit::Held;
        }
        let Some(ticket) = presented.ticket else { return self.join(now) };
        if self.sessions.has_ticket(ticket.number) {
            self.sessions.prolong(ticket.number, at_ms.saturating_add(millis(self.policy.claim)));
            return self.queued(ticket, 1, true);
        }
        self.place(ticket, now, true)
    }

    /// Whether a session is good; to ask changes nothing.
    pub fn knows(&self, session: Session, now: Now) -> bool {
        self.sessions.knows(session.slot, session.generation, self.ms(now), self.terms())
    }

    /// A request let in by [`Room::visit`] has ended.
    pub fn leave(&mut self, slot: u32, generation: u32, now: Now) {
        let at_ms = self.ms(now);
        self.sessions.leave(slot, generation, at_ms);
    }

    /// The room in numbers, as of now.
    pub fn counters(&self) -> Counters {
        Counters {
            waiting: self.queue.waiting(),
            returning: self.queue.returning(),
            inside: self.sessions.active(),
            reserved: self.sessions.reserved(),
            leased: self.sessions.leased(),
            capacity: self.policy.capacity.get(),
            ..self.counters
        }
    }

    fn answer(&mut self, presented: Presented, now: Now) -> Visit {
        let (at_ms, terms) = (self.ms(now), self.terms());
        if let Some(session) = presented.session
            && self.sessions.recognise(session.slot, session.generation, at_ms, terms)
        {
            return Visit::Inside { session, fresh: false };
        }
        let Some(ticket) = presented.ticket else {
            return match self.walk_in(now) {
                Some(visit) => visit,
                None => self.join(now),
            };
        };
        // Asked again with the same ticket, a claimed slot answers with the same session: the first
        // answer may have been lost, and a browser asks for several things at once.
        if let Some((slot, generation, first)) = self.sessions.claim(ticket.number, at_ms, terms) {
            if first {
                self.counters.admitted_total += 1;
                let waited_s = (now.unix_ms / 1000).saturating_sub(u64::from(ticket.issued_unix_s));
                self.counters.last_wait = Duration::from_secs(waited_s);
            }
            return self.inside(slot, generation, now);
        }
        if self.sessions.awaits_disk(ticket.number) {
            return self.queued(ticket, 1, self.paused);
        }
        self.place(ticket, now, self.paused)
    }

    fn inside(&self, slot: u32, generation: u32, now: Now) -> Visit {
        let started_unix_s = self.unix_s(self.sessions.started_ms(slot), now);
        Visit::Inside { session: Session { slot, generation, started_unix_s }, fresh: true }
    }

    fn walk_in(&mut self, now: Now) -> Option<Visit> {
        if self.paused || self.barrier.is_some() || self.queue.waiting() + self.queue.returning() > 0 {
            return None;
        }
        let (slot, generation) = self.sessions.take_lease(self.ms(now))?;
        self.counters.admitted_total += 1;
        Some(self.inside(slot, generation, now))
    }

    /// The place of a ticket that has no slot; a spent or forgotten one joins the tail.
    fn place(&mut self, ticket: Ticket, now: Now, held: bool) -> Visit {
        match self.queue.see(ticket.number) {
            Standing::Waiting | Standing::Returning => {
                let position = self.queue.ahead_of(ticket.number) + 1;
                self.queued(ticket, position, held)
            }
            Standing::Done | Standing::Unknown => self.join(now),
        }
    }

    fn join(&mut self, now: Now) -> Visit {
        let max = self.policy.max_queue.get();
        let span = self.queue.next() - self.queue.frontier();
        let waiting = self.queue.waiting() + self.queue.returning();
        if waiting >= max || span > max.saturating_mul(SPAN_PER_QUEUE).max(4 * CHUNK) {
            self.counters.full_total += 1;
            // Spread over half a minute, so that those turned away do not return as one.
            return Visit::Full { retry_after: Duration::from_secs(30 + self.counters.full_total % 30) };
        }
        if self.queue.next() >= self.saved.high {
            // More came since the last tick than was foreseen: the next block is a tick away.
            self.counters.full_total += 1;
            return Visit::Full { retry_after: Duration::from_secs(1) };
        }
        let number = self.queue.issue();
        let issued_unix_s = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
        let ticket = Ticket { number, issued_unix_s, best_position: u32::MAX };
        let position = self.queue.ahead_of(number) + 1;
        self.queued(ticket, position, self.paused)
    }

    fn queued(&self, ticket: Ticket, position: u64, held: bool) -> Visit {
        let best_position = u32::try_from(position).unwrap_or(u32::MAX).min(ticket.best_position).max(1);
        let position = position.min(u64::from(best_position));
        let wait = if held { None } else { self.estimate(position) };
        let poll_after = if held { poll_after(position, None).max(POLL_MAX / 2) } else { poll_after(position, wait) };
        Visit::Queued { ticket: Ticket { best_position, ..ticket }, place: Place { position, wait, poll_after } }
    }

    /// How long it takes to serve so many, from what was measured and what `admit` allows.
    fn estimate(&self, position: u64) -> Option<(Duration, Duration)> {
        let quota = self.pace.map(|p| p.per_second());
        let speed = match (self.speed.per_second(), quota) {
            (Some(measured), Some(quota)) => measured.min(quota),
            (Some(measured), None) => measured,
            (None, Some(quota)) if self.counters.limit != Limit::Capacity => quota,
            (None, _) => return None,
        };
        Some(place::wait(position, speed))
    }

    const fn terms(&self) -> Terms {
        Terms { idle: self.policy.session_idle, max: self.policy.session_max }
    }

    fn ms(&self, now: Now) -> u64 {
        BEGINNING_MS.saturating_add(millis(now.mono.since(self.began)))
    }

    /// The wall clock's seconds at a room-time.
    fn unix_s(&self, ms: u64, now: Now) -> u32 {
        let ago_ms = self.ms(now).saturating_sub(ms);
        u32::try_from(now.unix_ms.saturating_sub(ago_ms) / 1000).unwrap_or(u32::MAX)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
