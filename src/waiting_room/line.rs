//! One line of a room: everyone's, those who come back, or a lane by invitation.

use super::invitation::LaneTag;
use super::lottery::Draw;
use super::place::POLL_LATEST;
use super::queue::{Drawing, Queue};
use super::record::{DrawRecord, LineHeader};
use crate::clock::Mono;
use crate::policy::{self, Order};

/// The id of everyone's line in tickets.
pub const EVERYONE: u8 = 0;
/// The id of the line of those whose session ended for idleness a short while ago.
pub const RETURNERS: u8 = 1;
/// The id of the first lane by invitation.
pub const FIRST_LANE: u8 = 2;
/// Lines of one room at most; lanes that the policy no longer names keep theirs until a restart.
pub const LINES_MAX: usize = 24;
/// Draws remembered at most; a room that makes more draws less often.
pub const DRAWS_MAX: usize = 128;

/// The opening hours of a line, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// From here on places are given.
    pub gathers: Option<u64>,
    pub opens: Option<u64>,
    pub closes: Option<u64>,
}

impl Hours {
    /// Those of a room, for a line that opens then.
    pub fn of(policy: &policy::WaitingRoom, opens: Option<u64>) -> Self {
        let gather_ms = u64::try_from(policy.gather.as_millis()).unwrap_or(u64::MAX);
        Self {
            gathers: policy.opens_unix_ms.map(|opens| opens.saturating_sub(gather_ms)),
            opens: opens.or(policy.opens_unix_ms),
            closes: policy.closes_unix_ms,
        }
    }
}

/// Where in its hours a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No places yet.
    Before,
    /// Places are given, and nobody is let in.
    Gathering,
    /// The lots of those gathered are being drawn.
    Drawing,
    #[default]
    Open,
    After,
}

impl Phase {
    /// As the status names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Gathering => "gathering",
            Self::Drawing => "drawing",
            Self::Open => "open",
            Self::After => "after",
        }
    }
}

/// Numbers that may or may not have been issued just before a crash: nobody from here on is served
/// before those who hold one had the time to poll.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    pub from: u64,
    pub until_ms: u64,
}

#[derive(Debug)]
pub struct Line {
    pub tag: LaneTag,
    pub queue: Queue,
    /// Admissions for each one of a line of weight 1, while both wait.
    pub weight: u32,
    /// Where it stands in the order of lines: the least is next (stride scheduling, Waldspurger 1995).
    pub pass: u64,
    pub hours: Hours,
    /// The opening that has been held; 0: none.
    pub opened_for: u64,
    pub drawing: Option<Drawing>,
    /// Numbers from here on are still to be drawn.
    pub undrawn: u64,
    pub drawn: u32,
    /// When the present round of lots began, milliseconds.
    pub round_ms: u64,
    pub barrier: Option<Barrier>,
    /// Numbers up to here were turned out.
    pub void: u64,
    /// What is on disk.
    pub saved: LineHeader,
    /// The next number at the last tick.
    pub next_at_tick: u64,
    /// The next numbers of two liveness windows ago, and of the last: who came before the first and is
    /// live has been heard of since.
    pub settled: (u64, u64),
    /// What those who return may take, in fifths of a slot.
    pub return_share: u64,
}

impl Line {
    /// A line as the disk remembers it; `clean`: nothing was issued since.
    pub fn restore(saved: LineHeader, clean: bool, now: Mono) -> Self {
        let next = if clean { saved.next } else { saved.high.max(saved.next) };
        let mut queue = Queue::new(saved.frontier, next, saved.void);
        queue.presume(saved.next, now.after(POLL_LATEST));
        Self {
            tag: saved.tag,
            queue,
            weight: 1,
            pass: 0,
            hours: Hours::default(),
            opened_for: saved.opened_for,
            drawing: None,
            undrawn: saved.undrawn,
            drawn: saved.drawn,
            round_ms: 0,
            barrier: None,
            void: saved.void,
            // Numbers are issued only below a `high` that is on disk.
            saved: LineHeader { high: next, ..saved },
            next_at_tick: next,
            settled: (0, 0),
            return_share: 5,
        }
    }

    /// A line without a past.
    pub fn new(tag: LaneTag) -> Self {
        Self::restore(LineHeader::new(tag), true, Mono::ZERO)
    }

    pub fn phase(&self, unix_ms: u64) -> Phase {
        let Hours { gathers, opens, closes } = self.hours;
        if closes.is_some_and(|closes| unix_ms >= closes) {
            return Phase::After;
        }
        let Some(opens) = opens else { return Phase::Open };
        // What was opened stays so, also where the clock is set back.
        if self.opened_for == opens {
            return if self.drawing.is_some() { Phase::Drawing } else { Phase::Open };
        }
        match gathers {
            Some(gathers) if unix_ms < gathers => Phase::Before,
            _ if unix_ms < opens => Phase::Gathering,
            _ => Phase::Drawing,
        }
    }

    /// Live tickets, on either side of the frontier.
    pub fn waiting(&self) -> u64 {
        self.queue.board().waiting() + self.queue.board().returning()
    }

    /// The last place that may be served now.
    pub fn limit(&self, lottery: bool) -> u64 {
        let mut limit = self.barrier.map_or(u64::MAX, |barrier| barrier.from - 1);
        if let Some(drawing) = &self.drawing {
            limit = limit.min(drawing.first().saturating_sub(1));
        }
        if lottery {
            limit = limit.min(self.undrawn.saturating_sub(1));
        }
        limit
    }

    /// Begins to draw lots among all who have no place yet.
    pub fn draw(&mut self, seed: [u8; 32]) {
        let board = self.queue.board();
        let first = self.undrawn.max(board.frontier() + 1);
        let end = board.next();
        self.undrawn = end;
        if end > first {
            self.drawn = self.drawn.wrapping_add(1);
            self.drawing = Some(self.queue.begin_draw(Draw::new(first, end - first, seed)));
        }
    }

    /// Carries a draw on; whether it has ended by it.
    pub fn continue_draw(&mut self) -> bool {
        let Some(drawing) = &mut self.drawing else { return false };
        let ended = self.queue.continue_draw(drawing);
        if ended {
            self.drawing = None;
        }
        ended
    }

    /// Whether the lots of those who came since the last draw are due: after a minute, or at once
    /// where nobody else is left to be let in.
    pub fn is_round_due(&self, order: Order, every_ms: u64, at_ms: u64, idle: bool) -> bool {
        let board = self.queue.board();
        order == Order::Lottery
            && self.drawing.is_none()
            && self.barrier.is_none()
            && board.next() > self.undrawn
            && board.draws().len() < DRAWS_MAX
            && (at_ms >= self.round_ms.saturating_add(every_ms) || (idle && board.waiting() > 0))
    }

    pub fn header(&self, high: u64) -> LineHeader {
        LineHeader {
            tag: self.tag,
            frontier: self.queue.board().frontier(),
            next: self.queue.board().next(),
            high,
            void: self.void,
            opened_for: self.opened_for,
            undrawn: self.undrawn,
            drawn: self.drawn,
        }
    }

    /// This line's draws, for the disk: the last of them was the last that was made.
    pub fn draw_records(&self, lane: u8) -> impl Iterator<Item = DrawRecord> {
        let draws = self.queue.board().draws();
        let made = self.drawn;
        let kept = u32::try_from(draws.len()).unwrap_or(u32::MAX);
        (0..draws.len()).filter_map(move |at| {
            let draw = draws.get(at)?;
            let nth = made.wrapping_sub(kept).wrapping_add(u32::try_from(at).ok()?);
            Some(DrawRecord { lane, nth, first: draw.first, count: draw.count })
        })
    }
}
