//! What of the slots goes to disk, and how they come back from it.

use super::entry::Entry;
use super::turn::Turn;
use super::{Restored, Sessions, Slot};
use crate::waiting_room::record::{SlotKind, SlotRecord};

impl Sessions {
    /// What has changed since the last call, to be written.
    pub fn take_dirty(&mut self, unix_s: impl Fn(u64) -> u32) -> Vec<SlotRecord> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut records = Vec::with_capacity(dirty.len());
        for index in dirty {
            let Some(entry) = self.entries.get_mut(index as usize) else { continue };
            entry.dirty = false;
            let kind = match entry.slot {
                Slot::Free => SlotKind::Free,
                Slot::Leased => SlotKind::Leased,
                Slot::Reserved { .. } => SlotKind::Reserved,
                Slot::Active => SlotKind::Active,
            };
            records.push(SlotRecord {
                slot: index,
                kind,
                generation: entry.generation,
                ticket: entry.ticket,
                started_unix_s: if kind == SlotKind::Active { unix_s(entry.started_ms) } else { 0 },
            });
        }
        records
    }

    /// What could not be written is to be written again.
    pub fn put_back(&mut self, records: &[SlotRecord]) {
        for record in records {
            self.touch_disk(record.slot);
        }
    }

    /// All slots are to be written with the next changes.
    pub fn touch_all(&mut self) {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).for_each(|index| self.touch_disk(index));
    }

    /// Gives a slot that waits for the disk more time.
    pub fn renew_pending(&mut self, until_ms: u64) {
        for index in &self.pending {
            if let Some(Entry { slot: Slot::Reserved { deadline_ms }, .. }) = self.entries.get_mut(*index as usize) {
                *deadline_ms = until_ms.max(*deadline_ms);
            }
        }
    }

    /// What was pending is on disk: it may be given to its visitors.
    pub fn publish(&mut self) {
        for index in std::mem::take(&mut self.pending) {
            let Some(entry) = self.entries.get_mut(index as usize) else { continue };
            entry.pending = false;
            if entry.slot == Slot::Leased {
                self.leased.push(index);
            }
        }
    }

    /// A slot as it was found on disk; in ascending order.
    pub fn restore(&mut self, record: &SlotRecord, at: Restored) {
        // In ascending order, so a slot that is there already was on disk twice: the first counts.
        while self.entries.len() < record.slot as usize {
            self.push_free();
        }
        if self.entries.len() > record.slot as usize {
            return;
        }
        self.generation = self.generation.max(record.generation);
        let mut entry = Entry { generation: record.generation, ticket: record.ticket, ..Entry::free() };
        (entry.seen_ms, entry.started_ms, entry.turn) = (at.seen_ms, at.started_ms, Turn::unknown(at.seen_ms));
        match record.kind {
            SlotKind::Free => return self.push_free(),
            SlotKind::Active => entry.slot = Slot::Active,
            // Given to someone in the last moment, or to nobody: a short time to tell.
            SlotKind::Leased => {
                (entry.slot, entry.seen_ms, entry.started_ms) = (Slot::Active, at.lease_seen_ms, at.seen_ms);
            }
            SlotKind::Reserved => {
                entry.slot = Slot::Reserved { deadline_ms: at.deadline_ms };
                self.reserved += 1;
            }
            SlotKind::Damaged => {
                (entry.slot, entry.orphan, entry.ticket, entry.started_ms) = (Slot::Active, true, 0, at.seen_ms);
            }
        }
        if entry.ticket != 0 {
            self.by_ticket.insert(entry.ticket, record.slot);
        }
        self.occupied += 1;
        self.entries.push(entry);
    }
}
