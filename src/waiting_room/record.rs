//! What of a room survives a crash: a header, and a record for each slot in use.

/// All that was found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub header: Header,
    /// In ascending order of slots; those never used are left out.
    pub slots: Vec<SlotRecord>,
}

/// The queue's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Drawn when the room's state was made: tickets of another life are not good in this one.
    pub seed: u64,
    /// The last number whose turn has come.
    pub frontier: u64,
    /// The next number, as of this writing.
    pub next: u64,
    /// Numbers below this one may have been issued since.
    pub high: u64,
    /// The last generation of a session.
    pub generation: u32,
    /// Written last by a process that ended in order: nothing was issued since.
    pub clean: bool,
}

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRecord {
    pub slot: u32,
    pub kind: SlotKind,
    pub generation: u32,
    /// 0: of one who never had a ticket.
    pub ticket: u64,
    /// Seconds since 1970 UTC; 0 unless active.
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
    /// Whether the header differs from the last one that was written.
    pub header_changed: bool,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        !self.header_changed && self.slots.is_empty()
    }
}
