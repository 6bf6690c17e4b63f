//! How a server has done lately, and when that is so bad that it goes out.

use std::iter::Sum;
use std::time::Duration;

use crate::clock::Mono;

/// Failures in a row by which a server goes out.
const IN_A_ROW: u32 = 5;
/// What is looked back at: this half and the one before.
const HALF: Duration = Duration::from_secs(5);
/// Attempts, here and at the other servers, before shares are compared.
const ENOUGH: u32 = 20;
/// By how many percent of its attempts a server must fail more than the others together: what
/// fails everywhere is not this server's fault.
const WORSE_BY: u32 = 30;

/// Attempts, and those of them that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) attempts: u32,
    pub(super) failures: u32,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            attempts: sum.attempts.saturating_add(one.attempts),
            failures: sum.failures.saturating_add(one.failures),
        })
    }
}

impl Tally {
    fn percent(self) -> u32 {
        let percent = u64::from(self.failures) * 100 / u64::from(self.attempts.max(1));
        u32::try_from(percent).unwrap_or(100)
    }
}

/// One server's record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    in_a_row: u32,
    halves: [Tally; 2],
    /// The number of the newer half, since the clock's beginning.
    half: u64,
}

impl Record {
    pub(super) fn answered(&mut self, now: Mono) {
        self.in_a_row = 0;
        self.count(0, now);
    }

    /// Whether it is to go out, for failing in a row or far more often than the others.
    pub(super) fn failed(&mut self, others: Tally, now: Mono) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.count(1, now);
        let own = self.lately(now);
        let worse = own.attempts >= ENOUGH
            && others.attempts >= ENOUGH
            && own.percent() >= others.percent().saturating_add(WORSE_BY);
        self.is_failing() || worse
    }

    /// Whether its last attempts all failed.
    pub(super) fn is_failing(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }

    /// After an ejection it begins anew, but one failure before the first success puts it out
    /// again.
    pub(super) fn on_probation(&mut self) {
        *self = Self { in_a_row: IN_A_ROW - 1, halves: Default::default(), half: self.half };
    }

    /// What it did in the last five to ten seconds.
    pub(super) fn lately(&mut self, now: Mono) -> Tally {
        self.turn(now);
        self.halves.into_iter().sum()
    }

    fn count(&mut self, failures: u32, now: Mono) {
        self.turn(now);
        let [newer, _] = &mut self.halves;
        newer.attempts = newer.attempts.saturating_add(1);
        newer.failures = newer.failures.saturating_add(failures);
    }

    fn turn(&mut self, now: Mono) {
        let half = now.since(Mono::ZERO).as_secs() / HALF.as_secs();
        let [newer, _] = self.halves;
        match half.saturating_sub(self.half) {
            0 => return,
            1 => self.halves = [Tally::default(), newer],
            _ => self.halves = Default::default(),
        }
        self.half = half;
    }
}
