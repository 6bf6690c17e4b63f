//! The tick: time passes, slots come free, the next in line are let in, and what must be on disk
//! before anyone sees it is handed out.

use std::time::Duration;

use super::line::RETURNERS;
use super::place::POLL_LATEST;
use super::queue::Standing;
use super::record::{Changes, Header, Record};
use super::sessions::{Freed, Restored, Slot};
use super::{LIVENESS_WINDOW, Limit, Room, Ticket, millis};
use crate::clock::Now;
use crate::policy::OnStoreFailure;

/// Numbers kept ready on disk at least.
const NUMBERS_MIN: u64 = 4096;
/// Numbers kept ready, in multiples of what one tick's visitors drew.
const NUMBERS_PER_TICK: u64 = 16;
/// Slots leased to visitors who come while nobody waits, at most.
const LEASES_MAX: u32 = 256;
/// How old a prefix count may be.
const RECOUNT: Duration = Duration::from_secs(1);
/// Tickets whose turn goes by in one tick, since they were to be heard of and were not.
const PASSED_MAX: u32 = 8192;
/// One slot, in the unit of a line's return share.
const WHOLE: u64 = 5;
/// What one admission of a line of weight 1 moves its pass.
const STRIDE: u64 = 1 << 20;
/// Visitors let in by one tick at most: the next tick goes on.
const SERVED_MAX: u64 = 4096;

impl Room {
    /// Lets time pass and the next ones in. The changes must be written and then committed or
    /// abandoned; until then further ticks let nobody in.
    pub fn tick(&mut self, now: Now) -> Changes {
        if self.outstanding {
            return Changes { header: self.saved.clone(), ..Changes::default() };
        }
        let at_ms = self.ms(now);
        let passed = now.mono.since(self.ticked);
        if self.paused {
            self.stood_still_ms = self.stood_still_ms.saturating_add(millis(passed));
        }
        (self.ticked, self.ticked_unix_ms) = (now.mono, now.unix_ms);
        self.expire(at_ms, self.session_ms(now));
        self.turn_windows(at_ms);
        self.turn_hours(at_ms, now);
        self.follow_pressure(at_ms, now);
        if self.sessions.has_pending() {
            // The disk did not take the last ones; nobody follows them before it does.
            self.sessions.renew_pending(self.session_ms(now).saturating_add(millis(self.policy.claim)));
            self.limit = Limit::Store;
        } else {
            self.admit(passed, now);
        }
        self.publish(now);
        self.outstanding = true;
        self.changes(now, false)
    }

    /// The changes are on disk: what they gave is there to be taken.
    pub fn commit(&mut self, changes: &Changes) {
        (self.outstanding, self.store_fails) = (false, false);
        self.take_saved(&changes.header);
        self.sessions.publish();
    }

    /// The changes could not be written: nothing that they gave is seen, and the next tick hands
    /// them out again. Where the policy would rather go on from memory, it is given nevertheless.
    pub fn abandon(&mut self, changes: &Changes) {
        (self.outstanding, self.store_fails) = (false, true);
        self.sessions.put_back(&changes.slots);
        self.newly_used.extend(&changes.invitations);
        if self.policy.on_store_failure != OnStoreFailure::Hold {
            for (line, header) in self.lines.iter_mut().zip(&changes.header.lines) {
                line.saved.high = header.high;
            }
            self.sessions.publish();
        }
    }

    /// The last changes of a process that ends in order: after them, no visit.
    pub fn close(&mut self, now: Now) -> Changes {
        self.outstanding = true;
        // Nobody has one, so nobody has to prove it after the restart.
        self.sessions.drop_leases(0);
        self.changes(now, true)
    }

    /// Goes on after [`Room::close`], though another process may have written to disk since: with the
    /// next changes all of it is written anew.
    pub fn take_back(&mut self) {
        self.outstanding = false;
        self.sessions.touch_all();
        // No header that was ever written equals this one.
        self.saved.clean = true;
    }

    pub(super) fn restore_slots(&mut self, record: &Record, now: Now) {
        let idle_ms = millis(self.policy.session_idle);
        let lease_ms = millis(LIVENESS_WINDOW).min(idle_ms);
        let at_ms = self.session_ms(now);
        let unix_s = (now.unix_ms / 1000).saturating_sub(self.stood_still_s());
        for slot in &record.slots {
            let age_ms = unix_s.saturating_sub(u64::from(slot.started_unix_s)).saturating_mul(1000);
            let times = Restored {
                seen_ms: at_ms,
                started_ms: at_ms.saturating_sub(age_ms),
                lease_seen_ms: (at_ms + lease_ms).saturating_sub(idle_ms),
                deadline_ms: at_ms.saturating_add(millis(self.policy.claim)),
            };
            self.sessions.restore(slot, times);
            let (lane, number) = Ticket::of_key(slot.ticket);
            if let Some(line) = self.lines.get_mut(usize::from(lane)) {
                let place = line.queue.board().place_of(number);
                line.queue.finish(place);
            }
        }
        self.lines.iter_mut().for_each(|line| line.queue.recount());
    }

    fn expire(&mut self, at_ms: u64, session_ms: u64) {
        let terms = self.terms();
        let (lines, figures, called) = (&mut self.lines, &mut self.figures, &mut self.called);
        let called_until_ms = session_ms.saturating_add(millis(self.policy.claim));
        called.expire(session_ms);
        self.sessions.sweep(session_ms, terms, |freed| match freed {
            Freed::Lapsed(ticket) => {
                let (lane, number) = Ticket::of_key(ticket);
                if let Some(line) = lines.get_mut(usize::from(lane)).filter(|line| number > line.void) {
                    let place = line.queue.board().place_of(number);
                    line.queue.reopen(place);
                    called.remember(ticket, called_until_ms);
                }
                figures.no_shows_total += 1;
            }
            Freed::Left(Some(stayed_ms)) => figures.stayed(stayed_ms),
            Freed::Left(None) => figures.provisional_lapsed_total += 1,
        });
        for line in &mut self.lines {
            line.barrier = line.barrier.filter(|b| at_ms < b.until_ms);
        }
    }

    fn turn_windows(&mut self, at_ms: u64) {
        let window_ms = millis(LIVENESS_WINDOW);
        // A tick of its own: each of the two takes most of what a tick may.
        if std::mem::take(&mut self.census_turns) {
            self.face.census.rotate();
        }
        if at_ms >= self.rotated_ms.saturating_add(window_ms) {
            let over = Duration::from_millis(at_ms - self.rotated_ms);
            (self.rotated_ms, self.recounted_ms) = (at_ms, at_ms);
            self.census_turns = true;
            let hold_ms = millis(self.policy.place_hold);
            for line in &mut self.lines {
                // Who never asked again after the number was drawn tells nothing of those who did.
                let settled = std::mem::replace(&mut line.settled.0, line.settled.1);
                line.settled.1 = line.queue.board().next();
                let before = line.queue.board().waiting_before(settled);
                self.figures.abandoned_total += line.queue.rotate();
                let left = line.queue.board().waiting_before(settled);
                self.speed.observe_giving_up(before.saturating_sub(left), before, over);
                line.queue.forget(at_ms, hold_ms);
            }
        } else if at_ms >= self.recounted_ms.saturating_add(millis(RECOUNT)) {
            self.recounted_ms = at_ms;
            self.lines.iter_mut().for_each(|line| line.queue.recount());
        }
    }

    fn admit(&mut self, passed: Duration, now: Now) {
        self.limit = Limit::None;
        let due = |room: &Self| (0..room.lines.len()).any(|lane| room.waits_in(lane, now) > 0);
        let stops = if self.paused {
            Some(Limit::Pause)
        } else if self.closed {
            Some(Limit::Hours)
        } else if self.stock == Some(0) {
            Some(Limit::Stock)
        } else {
            None
        };
        if let Some(stops) = stops {
            if self.lines.iter().any(|line| line.waiting() > 0) {
                self.limit = stops;
            }
            return;
        }
        let free = u64::from(self.policy.capacity.get().saturating_sub(self.sessions.occupied()));
        let quota = self.pace.map_or(u64::MAX, |p| p.available(now.mono));
        if !due(self) {
            if self.lines.iter().any(|line| line.waiting() > 0) {
                self.limit = Limit::Hours;
            } else if self.is_open(0, now) && self.lines.iter().all(|line| line.barrier.is_none()) {
                self.lease(free.min(quota), now);
            }
            return;
        }
        let credit = free.min(quota).min(SERVED_MAX);
        let served = self.serve(credit, now);
        self.speed.observe(served, passed);
        if due(self) {
            let recovering = self.lines.iter().any(|line| {
                line.barrier.is_some_and(|barrier| line.queue.first_waiting().is_some_and(|n| n >= barrier.from))
            });
            self.limit = match self.auto {
                _ if recovering => Limit::Recovery,
                // Those who are left were to be heard of, and were not.
                _ if served < credit => Limit::None,
                _ if free <= quota => Limit::Capacity,
                Some(_) => Limit::Pressure,
                None => Limit::Rate,
            };
        }
    }

    /// How many wait in a line that is open.
    fn waits_in(&self, lane: usize, now: Now) -> u64 {
        if !self.is_open(lane, now) { 0 } else { self.lines.get(lane).map_or(0, super::line::Line::waiting) }
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
            let Some((ticket, came_back)) = self.next_in_line(now) else { break };
            // One who came back late polls seldom, as a tab in the background does.
            let kept = if came_back { self.policy.claim } else { self.kept_for(ticket, now).min(self.policy.claim) };
            let deadline_ms = self.session_ms(now).saturating_add(millis(kept));
            if !self.sessions.reassign_lease(ticket, deadline_ms) {
                self.sessions.occupy(Slot::Reserved { deadline_ms }, ticket);
                spent += 1;
            }
            served += 1;
        }
        if let Some(pace) = &mut self.pace {
            pace.take(spent, now.mono);
        }
        served
    }

    /// How long a slot is kept for a ticket: until its next poll is overdue. After that it goes on, and
    /// whoever comes within `claim` is let in before all others.
    fn kept_for(&self, ticket: u64, now: Now) -> Duration {
        let (lane, number) = Ticket::of_key(ticket);
        let due = self.lines.get(usize::from(lane)).and_then(|line| {
            let board = line.queue.board();
            board.due(board.place_of(number))
        });
        due.map_or(POLL_LATEST, |due| due.left(now.mono))
    }

    /// The ticket whose turn it is, and whether it was called before: first those who come back, then of
    /// the other lines the one that has had least for its weight.
    fn next_in_line(&mut self, now: Now) -> Option<(u64, bool)> {
        while let Some(key) = self.back.pop_front() {
            let (lane, number) = Ticket::of_key(key);
            let Some(line) = self.lines.get_mut(usize::from(lane)) else { continue };
            let place = line.queue.board().place_of(number);
            if line.queue.board().standing(place) == Standing::Returning {
                line.queue.finish(place);
                self.figures.returns_total += 1;
                return Some((key, true));
            }
        }
        let (mut tried, mut passed) = (0u32, 0);
        loop {
            let waits = |lane: &usize| tried & (1 << lane) == 0 && self.waits_in(*lane, now) > 0;
            let lanes = (0..self.lines.len()).filter(waits);
            let key = |lane: &usize| (*lane != usize::from(RETURNERS), self.lines.get(*lane).map_or(0, |l| l.pass));
            let lane = lanes.min_by_key(key)?;
            if let Some(found) = self.next_of(lane, &mut passed, now) {
                return Some((found, false));
            }
            tried |= 1 << lane;
        }
    }

    /// The next of one line. One slot in five is for those who were away when their turn came, all of
    /// them if nobody else waits.
    fn next_of(&mut self, lane: usize, passed: &mut u32, now: Now) -> Option<u64> {
        let lottery = self.is_lottery() && lane != usize::from(RETURNERS);
        let called_until_ms = self.session_ms(now).saturating_add(millis(self.policy.claim));
        let line = self.lines.get_mut(lane)?;
        let limit = line.limit(lottery);
        while let Some(place) = line.queue.first_waiting().filter(|place| *place <= limit && *passed < PASSED_MAX) {
            let board = line.queue.board();
            if board.due(place).is_none_or(|due| !due.is_over(now.mono)) {
                break;
            }
            let ticket = Ticket::new(u8::try_from(lane).ok()?, board.number_at(place), 0);
            line.queue.pass_over(place);
            self.called.remember(ticket.key(), called_until_ms);
            self.figures.no_shows_total += 1;
            *passed += 1;
        }
        let returns = line.return_share >= WHOLE || line.queue.first_waiting().is_none_or(|place| place > limit);
        let place = match returns.then(|| line.queue.serve_returning(now.mono)).flatten() {
            Some(place) => {
                line.return_share = line.return_share.saturating_sub(WHOLE);
                self.figures.returns_total += 1;
                place
            }
            None => {
                let place = line.queue.serve_next(limit)?;
                line.return_share = (line.return_share + 1).min(WHOLE);
                place
            }
        };
        // Who was idle does not save up: a line goes on where the others are.
        self.pass_at = line.pass.max(self.pass_at);
        line.pass = self.pass_at.saturating_add(STRIDE / u64::from(line.weight.max(1)));
        let number = line.queue.board().number_at(place);
        let lane = u8::try_from(lane).ok()?;
        Some(Ticket::new(lane, number, 0).key())
    }

    fn changes(&mut self, now: Now, clean: bool) -> Changes {
        let mut lines = Vec::with_capacity(self.lines.len());
        for line in &mut self.lines {
            let next = line.queue.board().next();
            let drawn = next.saturating_sub(std::mem::replace(&mut line.next_at_tick, next));
            let ready = NUMBERS_MIN.max(drawn.saturating_mul(NUMBERS_PER_TICK));
            let enough = line.saved.high.saturating_sub(next) >= ready / 2;
            let high = if enough { line.saved.high } else { next.saturating_add(ready) };
            lines.push(line.header(if clean { next } else { high }));
        }
        let draws = self.lines.iter().zip(0u8..).flat_map(|(line, lane)| line.draw_records(lane)).collect();
        let header = Header {
            seed: self.saved.seed,
            generation: self.sessions.generation(),
            stood_still_s: self.stood_still_s(),
            clean,
            lines,
            draws,
        };
        let slots = self.take_dirty(now);
        let invitations = std::mem::take(&mut self.newly_used);
        Changes { header_changed: header != self.saved, header, slots, invitations }
    }

    fn take_dirty(&mut self, now: Now) -> Vec<super::record::SlotRecord> {
        let (now_ms, now_s) = (self.session_ms(now), self.unix_s(self.session_ms(now), now));
        self.sessions.take_dirty(|started_ms| {
            let age_s = now_ms.saturating_sub(started_ms) / 1000;
            now_s.saturating_sub(u32::try_from(age_s).unwrap_or(u32::MAX))
        })
    }

    fn take_saved(&mut self, header: &Header) {
        self.saved.clone_from(header);
        for (line, saved) in self.lines.iter_mut().zip(&header.lines) {
            line.saved = *saved;
        }
    }
}
