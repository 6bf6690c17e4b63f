//! Those who are inside, or on their way: one slot each, never more than the room has.
//!
//! A slot is freed when its visitor was idle for too long, stayed for too long, or never came. One
//! with requests in flight is never freed, whatever the time: at the origin that visitor is still
//! there. Each use of a slot has a new generation, so an old cookie never opens it again.

use std::collections::HashMap;

mod disk;
mod entry;
mod turn;

use entry::Entry;
pub use entry::{Slot, Terms};
use turn::{Checked, Turn};

use super::Session;
use super::remembered::Remembered;

/// Provisional sessions of one client at most: more walk in by their second touch.
const PROVISIONAL_PER_CLIENT: u16 = 8;
/// Slots looked at for expiry in one tick: 65,536 take about 0.1 ms.
const SWEEP_MAX: usize = 65_536;

/// The times of a slot found on disk, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Restored {
    pub seen_ms: u64,
    pub started_ms: u64,
    /// As if a lease had last been seen then: it has a short time left to prove itself.
    pub lease_seen_ms: u64,
    /// When a reservation lapses.
    pub deadline_ms: u64,
}

/// A slot that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// Unclaimed: by its ticket.
    Lapsed(u64),
    /// By a visitor who stayed for so long, milliseconds; none: one who never came back with the
    /// cookie.
    Left(Option<u64>),
}

/// What a session's cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Inside, by this turn; whether it is a new one, to be told to the browser.
    Inside { turn: u32, fresh: bool },
    /// A copy of a cookie that another browser went on with.
    Copy,
    /// Not inside any more.
    No,
}

/// One slot, as support sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub slot: u32,
    pub state: Slot,
    pub started_ms: u64,
    pub seen_ms: u64,
    pub in_flight: u32,
}

/// All slots.
#[derive(Debug, Default)]
pub struct Sessions {
    entries: Vec<Entry>,
    free: Vec<u32>,
    leased: Vec<u32>,
    dirty: Vec<u32>,
    pending: Vec<u32>,
    /// Reserved and active slots, by the ticket that they were made for.
    by_ticket: HashMap<u64, u32>,
    /// Provisional sessions by client, and all of them.
    provisional: HashMap<u64, u16>,
    provisional_all: u32,
    stepped_out: Remembered,
    occupied: u32,
    reserved: u32,
    /// The last generation given.
    generation: u32,
    sweep_at: usize,
}

impl Sessions {
    /// No one inside; generations go on after `generation`.
    pub fn new(generation: u32) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Active, reserved and leased slots.
    pub const fn occupied(&self) -> u32 {
        self.occupied
    }

    /// Slots waiting for the visitor they were given to.
    pub const fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Slots set aside, on disk or about to be.
    pub fn leased(&self) -> u32 {
        let pending = self.pending.iter().filter(|s| self.entry(**s).is_some_and(|e| e.slot == Slot::Leased)).count();
        u32::try_from(self.leased.len() + pending).unwrap_or(u32::MAX)
    }

    /// Slots with a visitor.
    pub fn active(&self) -> u32 {
        self.occupied.saturating_sub(self.reserved).saturating_sub(self.leased())
    }

    /// The last generation given.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether slots given in an earlier tick are still not on disk.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes a slot for a ticket, or as a lease; not given to anyone before [`Self::publish`].
    pub fn occupy(&mut self, slot: Slot, ticket: u64) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::free());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        self.generation = self.generation.wrapping_add(1);
        let entry = Entry { slot, generation: self.generation, ticket, pending: true, ..Entry::free() };
        if let Some(to) = self.entries.get_mut(index as usize) {
            *to = entry;
        }
        self.occupied += 1;
        if ticket != 0 {
            self.by_ticket.insert(ticket, index);
        }
        if matches!(slot, Slot::Reserved { .. }) {
            self.reserved += 1;
        }
        self.pending.push(index);
        self.touch_disk(index);
        index
    }

    /// Turns a lease into a reservation: it is on disk as occupied already, so only the new owner is.
    pub fn reassign_lease(&mut self, ticket: u64, deadline_ms: u64) -> bool {
        let Some(index) = self.leased.pop() else { return false };
        if let Some(entry) = self.entries.get_mut(index as usize) {
            (entry.slot, entry.ticket, entry.pending) = (Slot::Reserved { deadline_ms }, ticket, true);
        }
        self.by_ticket.insert(ticket, index);
        self.reserved += 1;
        self.pending.push(index);
        self.touch_disk(index);
        true
    }

    /// Gives a lease to one who has just come; provisionally if without a cookie, and then to so
    /// many of one client only, and of all to a tenth of the capacity and half of what is free: who keeps no
    /// cookies must not fill the room.
    pub fn take_lease(&mut self, at_ms: u64, provisional: Option<u64>, capacity: u32) -> Option<(u32, u32)> {
        let most = (capacity / 10 + capacity.saturating_sub(self.active()) / 2).max(1);
        let has =
            |client: &u64| *client != 0 && self.provisional.get(client).is_some_and(|n| *n >= PROVISIONAL_PER_CLIENT);
        if provisional.as_ref().is_some_and(|client| self.provisional_all >= most || has(client)) {
            return None;
        }
        let index = self.leased.pop()?;
        if let Some(client) = provisional {
            *self.provisional.entry(client).or_default() += 1;
            self.provisional_all += 1;
            if let Some(entry) = self.entries.get_mut(index as usize) {
                entry.provisional = Some(client);
            }
        }
        self.activate(index, at_ms)
    }

    /// Whether there is a lease to give.
    pub fn has_lease(&self) -> bool {
        !self.leased.is_empty()
    }

    /// Gives back leases while more than `capacity` slots are taken.
    pub fn drop_leases(&mut self, capacity: u32) {
        while self.occupied > capacity {
            let Some(index) = self.leased.pop() else { return };
            self.free_slot(index);
        }
    }

    /// The slot that this ticket was given, if it is on disk: claimed now if it was not before.
    pub fn claim(&mut self, ticket: u64, at_ms: u64, terms: Terms) -> Option<(u32, u32, bool)> {
        let index = *self.by_ticket.get(&ticket)?;
        let entry = *self.entry(index)?;
        match entry.slot {
            Slot::Reserved { .. } if !entry.pending => {
                self.reserved -= 1;
                self.activate(index, at_ms).map(|(slot, generation)| (slot, generation, true))
            }
            Slot::Active if !entry.over(at_ms, terms) => Some((index, entry.generation, false)),
            _ => None,
        }
    }

    /// Whether this ticket has a slot, given or about to be.
    pub fn has_ticket(&self, ticket: u64) -> bool {
        self.by_ticket.contains_key(&ticket)
    }

    /// Whether this ticket's slot is still on its way to disk.
    pub fn awaits_disk(&self, ticket: u64) -> bool {
        self.by_ticket.get(&ticket).and_then(|index| self.entry(*index)).is_some_and(|e| e.pending)
    }

    /// Gives a reservation more time: while everyone is held, nobody can claim.
    pub fn prolong(&mut self, ticket: u64, until_ms: u64) {
        let Some(index) = self.by_ticket.get(&ticket) else { return };
        if let Some(Entry { slot: Slot::Reserved { deadline_ms }, .. }) = self.entries.get_mut(*index as usize) {
            *deadline_ms = until_ms.max(*deadline_ms);
        }
    }

    /// Whether this cookie is that of the visitor in the slot, who is then seen.
    pub fn recognise(&mut self, session: Session, at_ms: u64, terms: Terms) -> Recognised {
        let Session { slot: index, generation, turn, .. } = session;
        let Some(entry) = self.entries.get_mut(index as usize) else { return Recognised::No };
        if std::mem::take(&mut entry.orphan) {
            entry.generation = generation;
        }
        if entry.generation != generation || entry.pending || entry.over(at_ms, terms) {
            return Recognised::No;
        }
        match entry.slot {
            // Claimed just before a crash, which the disk had not heard of.
            Slot::Reserved { .. } => {
                self.reserved -= 1;
                if self.activate(index, at_ms).is_none() {
                    return Recognised::No;
                }
            }
            Slot::Active => {}
            Slot::Free | Slot::Leased => return Recognised::No,
        }
        let Some(entry) = self.entries.get_mut(index as usize) else { return Recognised::No };
        let Checked::Good { offer } = entry.turn.check(turn, at_ms) else { return Recognised::Copy };
        entry.seen_ms = at_ms;
        if let Some(client) = entry.provisional.take() {
            self.forget_provisional(client);
        }
        Recognised::Inside { turn: offer.unwrap_or(turn), fresh: offer.is_some() }
    }

    /// Whether [`Self::recognise`] would know this cookie.
    pub fn knows(&self, session: Session, at_ms: u64, terms: Terms) -> bool {
        self.entry(session.slot).is_some_and(|entry| {
            (entry.orphan || entry.generation == session.generation)
                && !(entry.pending || entry.over(at_ms, terms))
                && matches!(entry.slot, Slot::Reserved { .. } | Slot::Active)
                && entry.turn.knows(session.turn, at_ms)
        })
    }

    /// Whether this session's time was cut short or is over, whatever its visitor does.
    pub fn is_over(&self, index: u32, generation: u32, at_ms: u64, terms: Terms) -> bool {
        self.entry(index).is_none_or(|e| e.generation != generation || e.slot == Slot::Free || e.over(at_ms, terms))
    }

    /// Whether one whose session is gone may come back without queueing, and the number that it was
    /// given when it did.
    pub fn comes_back(&self, generation: u32, at_ms: u64) -> Option<Option<u64>> {
        self.stepped_out.find(u64::from(generation), at_ms)
    }

    /// One who came back was given this number.
    pub fn came_back(&mut self, generation: u32, number: u64) {
        self.stepped_out.give(u64::from(generation), number);
    }

    /// This session ends then, or when its last request does.
    pub fn end(&mut self, index: u32, generation: u32, ends_ms: u64) {
        if let Some(entry) = self.entries.get_mut(index as usize).filter(|e| e.generation == generation) {
            entry.ends_ms = entry.ends_ms.min(ends_ms);
        }
    }

    /// All who are inside are sent out; says how many.
    pub fn end_all(&mut self, at_ms: u64) -> u32 {
        let mut ended = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.slot == Slot::Active) {
            (entry.ends_ms, ended) = (at_ms, ended + 1);
        }
        ended
    }

    /// The slot of a ticket.
    pub fn seat(&self, ticket: u64) -> Option<Seat> {
        let slot = *self.by_ticket.get(&ticket)?;
        let entry = self.entry(slot)?;
        let Entry { slot: state, started_ms, seen_ms, busy: in_flight, .. } = *entry;
        Some(Seat { slot, state, started_ms, seen_ms, in_flight })
    }

    /// Takes the slot of a ticket away: at once, or when its visitor's last request ends.
    pub fn evict(&mut self, ticket: u64, at_ms: u64) -> bool {
        let Some(index) = self.by_ticket.get(&ticket).copied() else { return false };
        match self.entries.get_mut(index as usize) {
            Some(entry) if entry.slot == Slot::Active => entry.ends_ms = at_ms,
            Some(Entry { slot: Slot::Reserved { deadline_ms }, .. }) => *deadline_ms = at_ms,
            _ => return false,
        }
        true
    }

    /// The turn that a slot's cookie bears.
    pub fn turn(&self, index: u32) -> u32 {
        self.entry(index).map_or(0, |e| e.turn.current())
    }

    /// Requests in flight of one visitor.
    pub fn in_flight(&self, index: u32) -> u32 {
        self.entry(index).map_or(0, |e| e.busy)
    }

    /// A request of this visitor goes to the origin.
    pub fn enter(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.busy = entry.busy.saturating_add(1);
        }
    }

    /// A request of this visitor ended.
    pub fn leave(&mut self, index: u32, generation: u32, at_ms: u64) {
        if let Some(entry) = self.entries.get_mut(index as usize).filter(|e| e.generation == generation) {
            entry.busy = entry.busy.saturating_sub(1);
            entry.seen_ms = at_ms;
        }
    }

    /// When this visitor came in, milliseconds.
    pub fn started_ms(&self, index: u32) -> u64 {
        self.entry(index).map_or(0, |e| e.started_ms)
    }

    /// Frees what has expired, a bounded number of slots a tick, and says what.
    pub fn sweep(&mut self, at_ms: u64, terms: Terms, mut freed: impl FnMut(Freed)) {
        self.stepped_out.expire(at_ms);
        let len = self.entries.len();
        for _ in 0..len.min(SWEEP_MAX) {
            self.sweep_at = if self.sweep_at + 1 < len { self.sweep_at + 1 } else { 0 };
            let Some(entry) = self.entries.get(self.sweep_at).copied() else { return };
            let index = u32::try_from(self.sweep_at).unwrap_or(u32::MAX);
            match entry.slot {
                Slot::Reserved { deadline_ms } if !entry.pending && at_ms >= deadline_ms => {
                    self.reserved -= 1;
                    self.free_slot(index);
                    freed(Freed::Lapsed(entry.ticket));
                }
                Slot::Active if entry.busy == 0 && (entry.idle(at_ms, terms) || entry.over(at_ms, terms)) => {
                    // Whose cookie comes only now was a visitor after all, and is let in before all others.
                    let back = if entry.provisional.is_some() { terms.back.max(terms.idle) } else { terms.back };
                    if !entry.over(at_ms, terms) && !back.is_zero() {
                        let until = at_ms.saturating_add(u64::try_from(back.as_millis()).unwrap_or(u64::MAX));
                        self.stepped_out.remember(u64::from(entry.generation), until);
                    }
                    self.free_slot(index);
                    let stayed_ms = at_ms.saturating_sub(entry.started_ms);
                    freed(Freed::Left(entry.provisional.is_none().then_some(stayed_ms)));
                }
                _ => {}
            }
        }
    }

    fn push_free(&mut self) {
        self.free.push(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(Entry::free());
    }

    fn activate(&mut self, index: u32, at_ms: u64) -> Option<(u32, u32)> {
        let entry = self.entries.get_mut(index as usize)?;
        (entry.slot, entry.started_ms, entry.seen_ms) = (Slot::Active, at_ms, at_ms);
        entry.turn = Turn::new(at_ms);
        let generation = entry.generation;
        self.touch_disk(index);
        Some((index, generation))
    }

    fn free_slot(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index as usize) else { return };
        if self.by_ticket.get(&entry.ticket) == Some(&index) {
            self.by_ticket.remove(&entry.ticket);
        }
        (entry.slot, entry.ticket, entry.orphan, entry.ends_ms) = (Slot::Free, 0, false, u64::MAX);
        let provisional = entry.provisional.take();
        self.occupied -= 1;
        self.free.push(index);
        self.touch_disk(index);
        if let Some(client) = provisional {
            self.forget_provisional(client);
        }
    }

    fn forget_provisional(&mut self, client: u64) {
        self.provisional_all = self.provisional_all.saturating_sub(1);
        if let Some(count) = self.provisional.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.provisional.remove(&client);
            }
        }
    }

    fn touch_disk(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index as usize).filter(|e| !e.dirty) {
            entry.dirty = true;
            self.dirty.push(index);
        }
    }

    fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)
    }
}
