//! One slot.

use std::time::Duration;

use super::turn::Turn;

/// How long a session lasts whose visitor has not shown its cookie yet: time to read a first page all of
/// whose parts come from elsewhere.
const PROVISIONAL: Duration = Duration::from_secs(60);

/// What a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Free,
    /// Set aside for one who comes while nobody waits: on disk before it is given.
    Leased,
    /// For one ticket, until `deadline_ms`.
    Reserved {
        deadline_ms: u64,
    },
    Active,
}

/// One slot, with all that is known of its visitor.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub slot: Slot,
    pub generation: u32,
    /// Requests in flight.
    pub busy: u32,
    /// Whose it is or was, as [`super::super::Ticket::key`] says it; 0: one who never had a ticket.
    pub ticket: u64,
    pub started_ms: u64,
    pub seen_ms: u64,
    /// When it ends in any case: it was said so.
    pub ends_ms: u64,
    /// Given to one who came without a cookie, by the hash of its client, until the cookie comes back.
    pub provisional: Option<u64>,
    pub turn: Turn,
    /// Not yet on disk: not to be given to anyone.
    pub pending: bool,
    /// Changed since it was last handed out to be written.
    pub dirty: bool,
    /// Its record was unreadable: the next good cookie for this slot is taken to be its visitor's.
    pub orphan: bool,
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub idle: Duration,
    pub max: Duration,
    /// How long after it ended for idleness one may come back without queueing.
    pub back: Duration,
}

impl Entry {
    pub fn free() -> Self {
        Self {
            slot: Slot::Free,
            generation: 0,
            busy: 0,
            ticket: 0,
            started_ms: 0,
            seen_ms: 0,
            ends_ms: u64::MAX,
            provisional: None,
            turn: Turn::default(),
            pending: false,
            dirty: false,
            orphan: false,
        }
    }

    /// Not seen for too long.
    pub fn idle(&self, at_ms: u64, terms: Terms) -> bool {
        let idle = if self.provisional.is_some() { terms.idle.min(PROVISIONAL) } else { terms.idle };
        u128::from(at_ms.saturating_sub(self.seen_ms)) >= idle.as_millis()
    }

    /// Inside for too long, or sent out.
    pub fn over(&self, at_ms: u64, terms: Terms) -> bool {
        let outstayed = u128::from(at_ms.saturating_sub(self.started_ms)) >= terms.max.as_millis();
        self.slot == Slot::Active && (outstayed || at_ms >= self.ends_ms)
    }
}
