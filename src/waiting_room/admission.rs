//! The tick: time passes, slots come free, the next in line are let in, and what must be on disk
//! before anyone sees it is handed out.

use std::time::Duration;

use super::record::{Changes, Header, Record};
use super::sessions::{Restored, Slot};
use super::{BEGINNING_MS, LIVENESS_WINDOW, Limit, Room, millis};
use crate::clock::Now;

/// Numbers kept ready on disk at least.
const NUMBERS_MIN: u64 = 4096;
/// Numbers kept ready, in multiples of what one tick's visitors drew.
const NUMBERS_PER_TICK: u64 = 16;
/// Slots leased to visitors who come while nobody waits, at most.
const LEASES_MAX: u32 = 256;
/// How old a prefix count may be.
const RECOUNT: Duration = Duration::from_secs(1);
/// One slot, in the unit of [`Room::return_share`].
const WHOLE: u64 = 5;

impl Room {
    /// Lets time pass and the next ones in. The changes must be written and then committed or
    /// abandoned; until then further ticks let nobody in.
    pub fn tick(&mut self, now: Now) -> Changes {
        if self.outstanding {
            return Changes { header: self.saved, ..Changes::default() };
        }
        let at_ms = self.ms(now);
        self.expire(at_ms);
        self.turn_windows(at_ms);
        let passed = now.mono.since(self.ticked);
        self.ticked = now.mono;
        if self.sessions.has_pending() {
            // The disk did not take the last ones; nobody follows them before it does.
            self.sessions.renew_pending(at_ms.saturating_add(millis(self.policy.claim)));
            self.counters.limit = Limit::Store;
        } else {
            self.admit(passed, now);
        }
        self.outstanding = true;
        self.changes(now, false)
    }

    /// The changes are on disk: what they gave is there to be taken.
    pub fn commit(&mut self, changes: &Changes) {
        self.outstanding = false;
        self.saved = changes.header;
        self.sessions.publish();
    }

    /// The changes could not be written: nothing that they gave is seen, and the next tick hands
    /// them out again.
    pub fn abandon(&mut self, changes: &Changes) {
        self.outstanding = false;
        self.sessions.put_back(&changes.slots);
    }

    /// The last changes of a process that ends in order: after them, no visit.
    pub fn close(&mut self, now: Now) -> Changes {
        self.outstanding = true;
        self.changes(now, true)
    }

    pub(super) fn restore_slots(&mut self, record: &Record, now: Now) {
        let idle_ms = millis(self.policy.session_idle);
        let lease_ms = millis(LIVENESS_WINDOW).min(idle_ms);
        for slot in &record.slots {
            let age_ms = now.unix_ms.saturating_sub(u64::from(slot.started_unix_s) * 1000);
            let times = Restored {
                seen_ms: BEGINNING_MS,
                started_ms: BEGINNING_MS.saturating_sub(age_ms),
                lease_seen_ms: (BEGINNING_MS + lease_ms).saturating_sub(idle_ms),
                deadline_ms: BEGINNING_MS.saturating_add(millis(self.policy.claim)),
            };
            self.sessions.restore(slot, times);
            self.queue.finish(slot.ticket);
        }
        self.queue.recount();
    }

    fn expire(&mut self, at_ms: u64) {
        let terms = self.terms();
        let (queue, counters) = (&mut self.queue, &mut self.counters);
        self.sessions.sweep(at_ms, terms, |lapsed| {
            queue.reopen(lapsed.0);
            counters.no_shows_total += 1;
        });
        self.barrier = self.barrier.filter(|b| at_ms < b.until_ms);
    }

    fn turn_windows(&mut self, at_ms: u64) {
        if at_ms >= self.rotated_ms.saturating_add(millis(LIVENESS_WINDOW)) {
            (self.rotated_ms, self.recounted_ms) = (at_ms, at_ms);
            self.queue.rotate();
            self.queue.forget(at_ms, millis(self.policy.place_hold));
        } else if at_ms >= self.recounted_ms.saturating_add(millis(RECOUNT)) {
            self.recounted_ms = at_ms;
            self.queue.recount();
        }
    }

    fn admit(&mut self, passed: Duration, now: Now) {
        let someone_waits = self.queue.waiting() + self.queue.returning() > 0;
        self.counters.limit = Limit::None;
        if self.paused {
            if someone_waits {
                self.counters.limit = Limit::Pause;
            }
            return;
        }
        let free = u64::from(self.policy.capacity.get().saturating_sub(self.sessions.occupied()));
        let quota = self.pace.map_or(u64::MAX, |p| p.available(now.mono));
        if !someone_waits {
            if self.barrier.is_none() {
                self.lease(free.min(quota), now);
            }
            return;
        }
        let served = self.serve(free.min(quota), now);
        self.speed.observe(served, passed);
        if self.queue.waiting() + self.queue.returning() > 0 {
            self.counters.limit = match self.barrier {
                Some(barrier) if self.queue.frontier() + 1 >= barrier.from => Limit::Recovery,
                _ if free <= quota => Limit::Capacity,
                _ => Limit::Rate,
            };
        }
    }

    /// Sets slots aside for those who come while nobody waits: they then pass without waiting for
    /// the disk.
    fn lease(&mut self, credit: u64, now: Now) {
        let bound = match self.pace {
            // A lease is a visitor of the quota; more than a burst of them would be a second one.
            Some(pace) => u32::try_from(pace.burst()).unwrap_or(u32::MAX),
            None => self.policy.capacity.get() / 4,
        };
        let wanted = bound.clamp(1, LEASES_MAX).saturating_sub(self.sessions.leased());
        let made = u64::from(wanted).min(credit);
        for _ in 0..made {
            self.sessions.occupy(Slot::Leased, 0);
        }
        if let Some(pace) = &mut self.pace {
            pace.take(made, now.mono);
        }
    }

    /// Gives leases, and up to `credit` free slots, to those who wait. Says to how many.
    fn serve(&mut self, credit: u64, now: Now) -> u64 {
        let (mut spent, mut served) = (0, 0);
        while self.sessions.has_lease() || spent < credit {
            let Some((number, seen)) = self.next_in_line() else { break };
            let claim = if !seen && self.ms(now) < self.presumed_until_ms {
                // Perhaps nobody: it was live before a restart, and has not been heard of since.
                self.policy.claim.min(LIVENESS_WINDOW)
            } else {
                self.policy.claim
            };
            let deadline_ms = self.ms(now).saturating_add(millis(claim));
            if !self.sessions.reassign_lease(number, deadline_ms) {
                self.sessions.occupy(Slot::Reserved { deadline_ms }, number);
                spent += 1;
            }
            served += 1;
        }
        if let Some(pace) = &mut self.pace {
            pace.take(spent, now.mono);
        }
        served
    }

    /// The ticket whose turn it is, and whether its visitor was seen in this window. One slot in
    /// five is for those who were away when their turn came, all of them if nobody else waits.
    fn next_in_line(&mut self) -> Option<(u64, bool)> {
        let limit = self.barrier.map_or(u64::MAX, |b| b.from - 1);
        if self.return_share >= WHOLE
            && let Some(number) = self.queue.serve_returning()
        {
            self.return_share -= WHOLE;
            self.counters.returns_total += 1;
            return Some((number, true));
        }
        let first = self.queue.first_waiting().filter(|n| *n <= limit);
        if let Some(number) = first {
            let seen = self.queue.seen_now(number);
            self.return_share = (self.return_share + 1).min(WHOLE);
            return self.queue.serve_next(limit).map(|number| (number, seen));
        }
        let number = self.queue.serve_returning()?;
        self.counters.returns_total += 1;
        Some((number, true))
    }

    fn changes(&mut self, now: Now, clean: bool) -> Changes {
        let next = self.queue.next();
        let drawn = next - self.next_at_tick;
        self.next_at_tick = next;
        let ready = NUMBERS_MIN.max(drawn.saturating_mul(NUMBERS_PER_TICK));
        let enough = self.saved.high.saturating_sub(next) >= ready / 2;
        let high = if enough { self.saved.high } else { next.saturating_add(ready) };
        let header = Header {
            seed: self.saved.seed,
            frontier: self.queue.frontier(),
            next,
            high: if clean { next } else { high },
            generation: self.sessions.generation(),
            clean,
        };
        let (at_ms, unix_ms) = (self.ms(now), now.unix_ms);
        let unix_s =
            |ms: u64| u32::try_from(unix_ms.saturating_sub(at_ms.saturating_sub(ms)) / 1000).unwrap_or(u32::MAX);
        let slots = self.sessions.take_dirty(unix_s);
        Changes { header_changed: header != self.saved, header, slots }
    }
}
