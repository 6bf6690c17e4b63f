//! What a room shows to those who only ask: polls are answered from here, without a lock.
//!
//! The owner publishes [`Signs`] at each tick; the lines' boards are shared. A poll marks its bit,
//! counts who is ahead, and needs the room itself only when its turn has come or gone by.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::census::Census;
use super::line::{Phase, RETURNERS};
use super::place::{self, POLL_MAX, Place};
use super::queue::{Board, Standing};
use super::speed::Speed;
use super::{Client, Limit, Ticket, Visit, Waits};
use crate::clock::Now;

/// One line, as it was at the last tick.
#[derive(Clone, Debug)]
pub struct LineSign {
    pub board: Arc<Board>,
    pub weight: u32,
    pub phase: Phase,
    pub opens_unix_ms: Option<u64>,
    /// Numbers from here on are still to be drawn.
    pub undrawn: u64,
}

/// The room, as it was at the last tick.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    pub lines: Vec<LineSign>,
    pub paused: bool,
    /// The origin, or someone, said that nobody new comes in.
    pub closed: bool,
    /// How many there are still to be had.
    pub stock: Option<u64>,
    /// Outside of its hours everyone is let through.
    pub passes_outside: bool,
    /// New visitors a second at most.
    pub quota: Option<f64>,
    pub speed: Speed,
    pub limit: Limit,
}

/// What polls share.
#[derive(Debug)]
pub struct Face {
    pub(super) signs: ArcSwap<Signs>,
    pub(super) census: Census,
}

impl Face {
    pub(super) fn new(queue_max: u64) -> Self {
        Self { signs: ArcSwap::default(), census: Census::new(queue_max) }
    }

    /// The answer to a poll of one who waits, which marks its ticket as seen; none where the room has
    /// to be asked: it may be its turn.
    pub fn poll(&self, ticket: Ticket, client: Client, now: Now) -> Option<Visit> {
        let signs = self.signs.load();
        let line = signs.lines.get(usize::from(ticket.lane))?;
        if signs.passes_outside && matches!(line.phase, Phase::Before | Phase::After) {
            return None;
        }
        let place = line.board.place_of(ticket.number);
        let seen = line.board.see(place);
        if seen.first_in_window && seen.standing == Standing::Waiting {
            self.census.add(client.hash);
        }
        (seen.standing == Standing::Waiting).then(|| signs.told(ticket, place, now))
    }

    /// As it was at the last tick.
    pub fn signs(&self) -> Arc<Signs> {
        self.signs.load_full()
    }
}

impl Signs {
    /// What one who has a place in a line is told, who is to be heard of again as told.
    pub fn told(&self, ticket: Ticket, place: u64, now: Now) -> Visit {
        let visit = self.queued(ticket, place, now);
        if let (Visit::Queued { place: told, .. }, Some(line)) = (visit, self.lines.get(usize::from(ticket.lane))) {
            line.board.set_due(place, now.mono.after(place::latest(told.poll_after)));
        }
        visit
    }

    /// What one who has a place in a line would be told.
    pub fn queued(&self, ticket: Ticket, place: u64, now: Now) -> Visit {
        let waits = self.waits(ticket.lane, now);
        let Some(line) = self.lines.get(usize::from(ticket.lane)) else {
            return Visit::Shut { waits, retry_after: POLL_MAX };
        };
        let drawn = ticket.number < line.undrawn && line.phase == Phase::Open;
        let position = drawn.then(|| self.position(ticket.lane, line, place));
        self.at(ticket, position, waits, now)
    }

    /// What one is told whose slot is on its way.
    pub fn next(&self, ticket: Ticket, now: Now) -> Visit {
        self.at(ticket, Some(1), self.waits(ticket.lane, now), now)
    }

    /// Why one waits, in this line.
    pub fn waits(&self, lane: u8, now: Now) -> Waits {
        let line = self.lines.get(usize::from(lane));
        let opens_in = |line: &LineSign| {
            Duration::from_millis(line.opens_unix_ms.map_or(0, |opens| opens.saturating_sub(now.unix_ms)))
        };
        match line.map_or(Phase::Open, |line| line.phase) {
            Phase::After => Waits::Closed,
            _ if self.closed => Waits::Closed,
            _ if self.stock == Some(0) => Waits::SoldOut,
            Phase::Before | Phase::Gathering | Phase::Drawing => {
                Waits::Before { opens_in: line.map_or(Duration::ZERO, opens_in) }
            }
            Phase::Open if self.paused => Waits::Paused,
            Phase::Open => Waits::InLine,
        }
    }

    /// How many wait, in all lines.
    pub fn waiting(&self) -> u64 {
        self.lines.iter().map(|line| line.board.waiting() + line.board.returning()).sum()
    }

    fn at(&self, ticket: Ticket, position: Option<u64>, waits: Waits, now: Now) -> Visit {
        let shown =
            position.map(|position| u32::try_from(position).unwrap_or(u32::MAX).min(ticket.best_position).max(1));
        let in_line = matches!(waits, Waits::InLine);
        let expected = shown.filter(|_| in_line).and_then(|p| self.speed.wait(f64::from(p), self.quota));
        let wait = expected.map(place::range);
        let poll_after = match (waits, shown) {
            (Waits::InLine, Some(position)) => place::poll_after(u64::from(position), wait),
            (Waits::InLine, None) => POLL_MAX / 4,
            (Waits::Before { opens_in }, _) => place::poll_before(opens_in),
            (Waits::Paused, _) => POLL_MAX / 2,
            (Waits::SoldOut | Waits::Closed, _) => POLL_MAX,
        };
        let mut ticket = ticket;
        ticket.best_position = shown.unwrap_or(ticket.best_position);
        if ticket.expected_unix_s == 0
            && let Some(expected) = expected
        {
            let at = (now.unix_ms / 1000).saturating_add(expected.as_secs());
            ticket.expected_unix_s = u32::try_from(at).unwrap_or(u32::MAX);
        }
        let position = shown.map(u64::from).filter(|_| !matches!(waits, Waits::SoldOut | Waits::Closed));
        Visit::Queued { ticket, place: Place { position, wait, poll_after }, waits }
    }

    /// From 1: those ahead in the same line, and those of the other lines who are let in meanwhile.
    fn position(&self, lane: u8, line: &LineSign, place: u64) -> u64 {
        let own = line.board.ahead_of(place) + 1;
        if lane == RETURNERS {
            return own;
        }
        let mut position = own;
        for (id, other) in self.lines.iter().enumerate() {
            if id == usize::from(lane) || other.phase != Phase::Open {
                continue;
            }
            let waiting = other.board.waiting() + other.board.returning();
            position += if id == usize::from(RETURNERS) {
                waiting
            } else {
                waiting.min(own.saturating_mul(u64::from(other.weight)) / u64::from(line.weight.max(1)))
            };
        }
        position
    }
}
