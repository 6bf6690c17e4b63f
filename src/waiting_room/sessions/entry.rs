//! One slot.

use std::time::Duration;

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
    /// Whose it is or was; 0: one who never had a ticket.
    pub ticket: u64,
    pub started_ms: u64,
    pub seen_ms: u64,
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
}

impl Entry {
    pub const FREE: Self = Self {
        slot: Slot::Free,
        generation: 0,
        busy: 0,
        ticket: 0,
        started_ms: 0,
        seen_ms: 0,
        pending: false,
        dirty: false,
        orphan: false,
    };

    /// Not seen for too long.
    pub fn idle(&self, at_ms: u64, terms: Terms) -> bool {
        u128::from(at_ms.saturating_sub(self.seen_ms)) >= terms.idle.as_millis()
    }

    /// Inside for too long.
    pub fn outstayed(&self, at_ms: u64, terms: Terms) -> bool {
        self.slot == Slot::Active && u128::from(at_ms.saturating_sub(self.started_ms)) >= terms.max.as_millis()
    }
}
