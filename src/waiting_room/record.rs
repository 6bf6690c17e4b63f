//! What of a room must survive a crash.
//!
//! Written in full order before it is seen: see [`super::Room::tick`]. A header each second at most
//! and a record for each slot in use.

use super::invitation::LaneTag;

/// All that was found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub header: Header,
    /// In ascending order of slots; those never used are left out.
    pub slots: Vec<SlotRecord>,
    /// Invitations with a number of uses, once for each place that was drawn by them.
    pub invitations: Vec<u64>,
}

/// The room's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Drawn when the room's state was made: tickets of another life are not good in this one, and
    /// every lot is drawn by what it seeds.
    pub seed: [u8; 32],
    /// The last generation of a session.
    pub generation: u32,
    /// For how long the clocks of sessions have stood still so far, seconds.
    pub stood_still_s: u64,
    /// Written last by a process that ended in order: nothing was issued since.
    pub clean: bool,
    /// By the lane's id in tickets; the first is everyone's.
    pub lines: Vec<LineHeader>,
    /// Oldest first.
    pub draws: Vec<DrawRecord>,
}

/// One line's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineHeader {
    pub tag: LaneTag,
    /// The last place whose turn has come.
    pub frontier: u64,
    /// The next number, as of this writing.
    pub next: u64,
    /// Numbers below this one may have been issued since.
    pub high: u64,
    /// Numbers up to this one were turned out.
    pub void: u64,
    /// The opening that has been held, milliseconds since 1970 UTC; 0: none.
    pub opened_for: u64,
    /// Numbers below this one have their place; those from here on are still to be drawn.
    pub undrawn: u64,
    /// Draws so far.
    pub drawn: u32,
}

impl LineHeader {
    /// Of a line that begins.
    pub const fn new(tag: LaneTag) -> Self {
        Self { tag, frontier: 0, next: 1, high: 1, void: 0, opened_for: 0, undrawn: 1, drawn: 0 }
    }
}

/// One draw: its seed is the room's and its count's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawRecord {
    pub lane: u8,
    /// How many this lane had drawn before.
    pub nth: u32,
    pub first: u64,
    pub count: u64,
}

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRecord {
    pub slot: u32,
    pub kind: SlotKind,
    pub generation: u32,
    /// As [`super::Ticket::key`] says it; 0: of one who never had a ticket.
    pub ticket: u64,
    /// Seconds since 1970 UTC, less what the clocks of sessions had stood still by then; 0 unless
    /// active.
    pub started_unix_s: u32,
}

/// What a slot was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    Free,
    Leased,
    Reserved,
    Active,
    /// The record was unreadable: someone may be inside.
    Damaged,
}

/// What a tick has to have on disk before anybody sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "write it, then hand it to Room::commit, or to Room::abandon if that failed"]
pub struct Changes {
    pub header: Header,
    /// Slots that changed; each slot at most once.
    pub slots: Vec<SlotRecord>,
    /// Invitations that were used since the last one.
    pub invitations: Vec<u64>,
    /// Whether the header differs from the last one that was written.
    pub header_changed: bool,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        !self.header_changed && self.slots.is_empty() && self.invitations.is_empty()
    }
}
