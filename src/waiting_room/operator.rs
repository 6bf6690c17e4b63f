//! What an operator asks of a room: who is this, what would become of the line, and out with them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::queue::Standing;
use super::reference::Reference;
use super::sessions::Slot;
use super::{Room, Ticket, Visit};
use crate::clock::Now;
use crate::policy::Admit;

/// What is known of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// In line; `here`: heard of within the last minute or two.
    Waiting { position: Option<u64>, wait: Option<(Duration, Duration)>, here: bool },
    /// Was away when its turn came, and has its place still.
    Returning { here: bool },
    /// A slot is kept for it, for so long.
    Reserved { left: Duration },
    /// Inside for so long, last seen so long ago, with so many requests under way.
    Inside { since: Duration, seen_ago: Duration, in_flight: u32 },
    /// It was used, or turned out.
    Done,
    /// Never given, or forgotten.
    Unknown,
}

/// What would become of the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub waiting: u64,
    pub now: Outlook,
    pub then: Outlook,
}

/// How fast the line moves, and how long the last in it waits; none while it can't be told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    pub per_second: Option<f64>,
    pub tail_waits: Option<Duration>,
}

impl Room {
    /// What is known of a ticket; to ask changes nothing.
    pub fn look_up(&self, reference: Reference, now: Now) -> LookUp {
        let ticket = Ticket::new(reference.lane, reference.number, 0);
        let at_ms = self.session_ms(now);
        if let Some(seat) = self.sessions.seat(ticket.key()) {
            let ago = |ms: u64| Duration::from_millis(at_ms.saturating_sub(ms));
            return match seat.state {
                Slot::Reserved { deadline_ms } => {
                    LookUp::Reserved { left: Duration::from_millis(deadline_ms.saturating_sub(at_ms)) }
                }
                _ => LookUp::Inside {
                    since: ago(seat.started_ms),
                    seen_ago: ago(seat.seen_ms),
                    in_flight: seat.in_flight,
                },
            };
        }
        let Some(line) = self.lines.get(usize::from(ticket.lane)) else { return LookUp::Unknown };
        let board = line.queue.board();
        let place = board.place_of(ticket.number);
        let here = board.is_live(place);
        match board.standing(place) {
            Standing::Waiting => match self.signs().queued(ticket, place, now) {
                Visit::Queued { place, .. } => LookUp::Waiting { position: place.position, wait: place.wait, here },
                _ => LookUp::Waiting { position: None, wait: None, here },
            },
            Standing::Returning => LookUp::Returning { here },
            Standing::Done => LookUp::Done,
            Standing::Unknown => LookUp::Unknown,
        }
    }

    /// How long the last in line waits now, and with another rate or capacity.
    pub fn forecast(&self, admit: Option<Admit>, capacity: Option<NonZeroU32>) -> Forecast {
        let waiting = self.lines.iter().map(super::line::Line::waiting).sum();
        let outlook = |admit, capacity| self.outlook(waiting, admit, capacity);
        Forecast {
            waiting,
            now: outlook(self.policy.admit, self.policy.capacity),
            then: outlook(admit.unwrap_or(self.policy.admit), capacity.unwrap_or(self.policy.capacity)),
        }
    }

    /// By Little's law so many come in as sessions end: the capacity over their mean length.
    fn outlook(&self, waiting: u64, admit: Admit, capacity: NonZeroU32) -> Outlook {
        // Before a session has ended, as long as one lasts that is left at once.
        let stay = self.figures.mean_stay().unwrap_or(self.policy.session_idle).as_secs_f64().max(0.001);
        let by_places = Some(f64::from(capacity.get()) / stay);
        let by_rate = match admit {
            Admit::AsPlacesComeFree => None,
            Admit::Quota(quota) => Some(f64::from(quota.count.get()) / quota.period.as_secs_f64().max(1e-9)),
            Admit::Auto => self.quota_per_second(),
        };
        let per_second = match (by_places, by_rate) {
            (Some(places), Some(rate)) => Some(places.min(rate)),
            (one, other) => one.or(other),
        };
        let tail_waits = per_second.and_then(|rate| Duration::try_from_secs_f64(waiting as f64 / rate).ok());
        Outlook { per_second, tail_waits }
    }

    /// Everyone inside is sent out, each when the requests under way have ended; says how many.
    pub fn evict_sessions(&mut self, now: Now) -> u32 {
        let at_ms = self.session_ms(now);
        self.sessions.end_all(at_ms)
    }

    /// Everyone in line loses the place, and may queue anew; says how many were there.
    pub fn evict_queue(&mut self, now: Now) -> u64 {
        let mut evicted = 0;
        for line in &mut self.lines {
            line.drawing = None;
            evicted += line.queue.turn_out();
            line.void = line.queue.board().next() - 1;
            line.undrawn = line.undrawn.max(line.queue.board().next());
        }
        self.publish(now);
        evicted
    }

    /// One ticket loses its place or its slot. Whether there was something to lose.
    pub fn evict(&mut self, reference: Reference, now: Now) -> bool {
        let ticket = Ticket::new(reference.lane, reference.number, 0);
        let at_ms = self.session_ms(now);
        if self.sessions.evict(ticket.key(), at_ms) {
            return true;
        }
        let Some(line) = self.lines.get_mut(usize::from(reference.lane)) else { return false };
        let place = line.queue.board().place_of(reference.number);
        let has_place = matches!(line.queue.board().standing(place), Standing::Waiting | Standing::Returning);
        line.queue.finish(place);
        has_place
    }
}
