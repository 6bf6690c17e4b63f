//! Turns: a session's cookie is changed again and again, so that of two who share it only one stays.
//!
//! While the present turn is used, a new one is offered now and then. The first offer that comes
//! back becomes the present turn; the one before stays good for [`GRACE_MS`], for what was on its
//! way; whoever comes later with it holds a copy. An offer that is never used (the answer was lost)
//! changes nothing.

/// How often a new turn is offered, milliseconds.
const EVERY_MS: u64 = 60_000;
/// How long the turn before stays good, and the least time between two offers.
const GRACE_MS: u64 = 10_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    current: u32,
    offered: u32,
    /// The least turn that is good until `grace_ends_ms`.
    floor: u32,
    grace_ends_ms: u64,
    changed_ms: u64,
    offered_ms: u64,
    /// Whether the present turn is not known: after a restart, the first to come has it.
    unknown: bool,
}

/// What a turn is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Good; the cookie may be changed to this turn.
    Good { offer: Option<u32> },
    /// It was given up long ago: a copy.
    Copy,
}

impl Turn {
    /// Of a session that begins now.
    pub fn new(at_ms: u64) -> Self {
        Self { changed_ms: at_ms, offered_ms: at_ms, ..Self::default() }
    }

    /// Of a session that a restart forgot.
    pub fn unknown(at_ms: u64) -> Self {
        Self { unknown: true, ..Self::new(at_ms) }
    }

    pub const fn current(&self) -> u32 {
        self.current
    }

    /// Whether [`Self::check`] would find this turn good.
    pub const fn knows(&self, turn: u32, at_ms: u64) -> bool {
        self.unknown
            || (turn >= self.current && turn <= self.offered)
            || (turn >= self.floor && turn < self.current && at_ms < self.grace_ends_ms)
    }

    pub fn check(&mut self, turn: u32, at_ms: u64) -> Checked {
        if self.unknown {
            *self = Self { current: turn, offered: turn, ..Self::new(at_ms) };
            self.grace_ends_ms = at_ms.saturating_add(GRACE_MS);
        }
        if !self.knows(turn, at_ms) {
            return Checked::Copy;
        }
        if turn > self.current {
            if at_ms >= self.grace_ends_ms {
                self.floor = self.current;
            }
            (self.current, self.changed_ms) = (turn, at_ms);
            self.grace_ends_ms = at_ms.saturating_add(GRACE_MS);
        }
        let due = at_ms >= self.changed_ms.saturating_add(EVERY_MS)
            && at_ms >= self.offered_ms.saturating_add(GRACE_MS)
            && turn == self.current;
        if !due {
            return Checked::Good { offer: None };
        }
        (self.offered, self.offered_ms) = (self.offered.wrapping_add(1), at_ms);
        Checked::Good { offer: Some(self.offered) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Checked = Checked::Good { offer: None };

    fn offer(turn: &mut Turn, shown: u32, at_ms: u64) -> u32 {
        match turn.check(shown, at_ms) {
            Checked::Good { offer: Some(offer) } => offer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_two_who_share_a_cookie_one_stays() {
        let mut turn = Turn::new(0);
        assert_eq!(turn.check(0, 1000), GOOD);
        let first = offer(&mut turn, 0, EVERY_MS);
        // The other one is offered another turn, and uses it later.
        let second = offer(&mut turn, 0, EVERY_MS + GRACE_MS);
        assert_eq!(turn.check(first, EVERY_MS + GRACE_MS + 1), GOOD);
        assert_eq!(turn.check(0, EVERY_MS + GRACE_MS + 2), GOOD, "what was on its way");
        assert_eq!(turn.check(second, EVERY_MS + GRACE_MS + 3), GOOD);
        assert_eq!(turn.check(first, EVERY_MS + 3 * GRACE_MS), Checked::Copy);
        assert_eq!(turn.check(0, EVERY_MS + 3 * GRACE_MS), Checked::Copy);
        assert_eq!(turn.check(second, EVERY_MS + 3 * GRACE_MS), GOOD);
    }

    #[test]
    fn an_answer_that_is_lost_costs_nobody_a_session() {
        let mut turn = Turn::new(0);
        for round in 1..50 {
            assert!(matches!(turn.check(0, round * EVERY_MS), Checked::Good { .. }));
        }
    }

    #[test]
    fn a_turn_that_was_never_offered_is_a_copy() {
        let mut turn = Turn::new(0);
        assert_eq!(turn.check(7, 1000), Checked::Copy);
    }

    #[test]
    fn after_a_restart_the_first_to_come_has_it() {
        let mut turn = Turn::unknown(0);
        assert_eq!(turn.check(5, 1000), GOOD);
        assert_eq!(turn.check(4, 1001), GOOD);
        assert_eq!(turn.check(4, 1000 + GRACE_MS), Checked::Copy);
    }
}
