//! Opening hours and lots: what time does to the lines.

use std::time::Duration;

use super::invitation::LaneTag;
use super::line::{Hours, LINES_MAX, Line, Phase, RETURNERS};
use super::lottery::{Draw, commitment};
use super::pace::Pace;
use super::place::poll_after;
use super::record::{DrawRecord, Header};
use super::{Auto, BEGINNING_MS, Room, Signs, millis};
use crate::clock::Now;
use crate::policy::{Admit, Outside};

/// Who came in one round is drawn by lot together, where lots decide the order.
const ROUND: Duration = Duration::from_secs(60);

/// One draw, as everyone may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub lane: u8,
    /// How many this lane had drawn before.
    pub nth: u32,
    /// SHA-256 of the seed.
    pub commitment: [u8; 32],
    /// What was drawn; none: it is the next one, and only its commitment is known.
    pub drawn: Option<Draw>,
}

impl Room {
    /// All draws that are remembered, and the commitment to the next of each lane that draws.
    pub fn published(&self) -> Vec<Published> {
        let mut all = Vec::new();
        for (line, lane) in self.lines.iter().zip(0u8..) {
            let draws = line.queue.board().draws();
            for record in line.draw_records(lane) {
                let drawn = draws.iter().find(|draw| draw.first == record.first).copied();
                let commitment = commitment(&self.draw_seed(line.tag, record.nth));
                all.push(Published { lane, nth: record.nth, commitment, drawn });
            }
            let draws_more = self.is_lottery() || (line.hours.opens.is_some_and(|opens| opens != line.opened_for));
            if lane != RETURNERS && draws_more {
                let commitment = commitment(&self.draw_seed(line.tag, line.drawn));
                all.push(Published { lane, nth: line.drawn, commitment, drawn: None });
            }
        }
        all
    }

    /// The lines, hours and rates of a policy.
    pub(super) fn take_policy(&mut self, now: Now) {
        for tag in [LaneTag(0), LaneTag(1)] {
            if self.lines.iter().all(|line| line.tag != tag) {
                self.lines.push(Line::new(tag));
            }
        }
        let room = self.policy.name.clone();
        for lane in &self.policy.lanes {
            let tag = LaneTag::of(&room, &lane.name);
            if self.lines.iter().all(|line| line.tag != tag) && self.lines.len() < LINES_MAX {
                self.lines.push(Line::new(tag));
            }
        }
        for line in &mut self.lines {
            let lane = self.policy.lanes.iter().find(|lane| LaneTag::of(&room, &lane.name) == line.tag);
            line.weight = lane.map_or(1, |lane| lane.weight.get());
            line.hours = Hours::of(&self.policy, lane.and_then(|lane| lane.opens_unix_ms));
        }
        if let Some(returners) = self.lines.get_mut(usize::from(RETURNERS)) {
            returners.hours = Hours::default();
        }
        self.take_rate(now);
    }

    fn take_rate(&mut self, now: Now) {
        let idle = self.policy.session_idle;
        if self.policy.admit != Admit::Auto {
            self.auto = None;
        } else if self.auto.is_none() {
            self.auto = Some(Auto::new(self.policy.capacity, idle, self.ms(now)));
        }
        let quota = match self.policy.admit {
            Admit::AsPlacesComeFree => None,
            Admit::Quota(quota) => Some(quota),
            Admit::Auto => self.auto.map(|auto| auto.quota()),
        };
        self.pace = match (self.pace, quota) {
            (Some(mut pace), Some(quota)) => {
                pace.retune(quota, now.mono);
                Some(pace)
            }
            (None, Some(quota)) => Some(Pace::new(quota, now.mono)),
            (_, None) => None,
        };
    }

    /// Follows the pressure, where the policy says so.
    pub(super) fn follow_pressure(&mut self, at_ms: u64, now: Now) {
        let limit = if self.limit == super::Limit::Pressure { super::Limit::Rate } else { self.limit };
        if let Some(auto) = &mut self.auto
            && auto.look(limit, at_ms)
        {
            let quota = auto.quota();
            if let Some(pace) = &mut self.pace {
                pace.retune(quota, now.mono);
            }
        }
    }

    /// Opens what is due, and draws lots.
    pub(super) fn turn_hours(&mut self, at_ms: u64, now: Now) {
        let (order, idle) = (self.policy.order, !self.is_anyone_due());
        for lane in 0..self.lines.len() {
            let Some(line) = self.lines.get_mut(lane) else { return };
            if line.continue_draw() || line.drawing.is_some() {
                continue;
            }
            let opens = line.phase(now.unix_ms) == Phase::Drawing;
            let is_round = lane != usize::from(RETURNERS)
                && line.phase(now.unix_ms) == Phase::Open
                && line.is_round_due(order, millis(ROUND), at_ms, idle);
            if !opens && !is_round {
                continue;
            }
            if opens {
                line.opened_for = line.hours.opens.unwrap_or(0);
            }
            line.round_ms = at_ms;
            let (tag, nth) = (line.tag, line.drawn);
            let seed = self.draw_seed(tag, nth);
            if let Some(line) = self.lines.get_mut(lane) {
                line.draw(seed);
            }
        }
    }

    /// Whether a draw is under way, which the next tick carries on: it may come at once.
    pub fn is_drawing(&self) -> bool {
        self.lines.iter().any(|line| line.drawing.is_some())
    }

    pub(super) fn restore_draws(&mut self, header: &Header) {
        for DrawRecord { lane, nth, first, count } in header.draws.iter().copied() {
            let Some(tag) = self.lines.get(usize::from(lane)).map(|line| line.tag) else { continue };
            let draw = Draw::new(first, count, self.draw_seed(tag, nth));
            if let Some(line) = self.lines.get_mut(usize::from(lane)) {
                line.queue.restore_draw(draw);
            }
        }
    }

    /// After a crash: who holds a number of the last moment has the time to poll.
    pub(super) fn raise_barriers(&mut self) {
        for line in &mut self.lines {
            let (next, written) = (line.queue.board().next(), line.saved.next);
            if next > written {
                let ahead = written.saturating_sub(line.saved.frontier);
                let grace = 2 * poll_after(ahead, None) + Duration::from_secs(5);
                line.barrier = Some(super::line::Barrier { from: written, until_ms: BEGINNING_MS + millis(grace) });
            }
        }
    }

    /// What polls are told from here on.
    pub(super) fn publish(&self, now: Now) {
        let lottery = self.is_lottery();
        let lines = self.lines.iter().map(|line| super::LineSign {
            board: line.queue.board().clone(),
            weight: line.weight,
            phase: line.phase(now.unix_ms),
            opens_unix_ms: line.hours.opens,
            undrawn: if lottery { line.undrawn } else { u64::MAX },
        });
        let mut lines: Vec<_> = lines.collect();
        if let Some(returners) = lines.get_mut(usize::from(RETURNERS)) {
            returners.undrawn = u64::MAX;
        }
        self.face.signs.store(std::sync::Arc::new(Signs {
            lines,
            paused: self.paused,
            closed: self.closed,
            stock: self.stock,
            passes_outside: self.policy.outside == Outside::Pass,
            quota: self.quota_per_second(),
            speed: self.speed,
            limit: self.limit,
        }));
    }

    pub(super) fn signs(&self) -> std::sync::Arc<Signs> {
        self.face.signs()
    }

    /// Whether someone waits who has a place and may be let in by the hours.
    fn is_anyone_due(&self) -> bool {
        let lottery = self.is_lottery();
        self.lines.iter().zip(0u8..).any(|(line, lane)| {
            let limit = line.limit(lottery && lane != RETURNERS);
            line.queue.board().returning() > 0 || line.queue.first_waiting().is_some_and(|place| place <= limit)
        })
    }

    /// The seed of a lane's draw: it can't be told from chance without the room's own, and is the
    /// same after a restart.
    fn draw_seed(&self, tag: LaneTag, nth: u32) -> [u8; 32] {
        let key = blake3::derive_key("seawall 2026 lottery seed", &self.saved.seed);
        let message = u64::from(tag.0) << 32 | u64::from(nth);
        *blake3::keyed_hash(&key, &message.to_le_bytes()).as_bytes()
    }

    /// Whether a lane has opened.
    pub(super) fn is_open(&self, lane: usize, now: Now) -> bool {
        self.lines.get(lane).is_some_and(|line| line.phase(now.unix_ms) == Phase::Open)
    }
}
