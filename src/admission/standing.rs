//! Whether the line stands: queues that empty again are a buffer doing its work, one that never
//! does is overload (CoDel, RFC 8289 §3). Measured is the least that waited within an interval,
//! over the origin's throughput; so it does not matter who is served first.
//!
//! While it stands, each class that had to refuse lets only as many cohorts in as it can serve. A
//! cohort is a share of the visitors, chosen by their session: who gets in stays in, so a checkout
//! lives or dies whole rather than being cut off at its third page (Uber's Cinnamon sheds by 128
//! cohorts the same way).

use std::time::Duration;

use crate::clock::Mono;
use crate::policy::Class;

/// Sojourn that a standing line may have (RFC 8289 uses 5 ms for packets; folly 5 ms for RPCs; an
/// origin of few workers needs more for its turns).
const TARGET: Duration = Duration::from_millis(20);
/// How long an answer keeps somebody's attention (Nielsen, "Usability Engineering", 1993, chapter 5).
const ATTENTION: Duration = Duration::from_secs(10);
/// How long the line must stand to count.
pub const INTERVAL: Duration = Duration::from_millis(200);
/// Cohorts of visitors.
pub const COHORTS: u8 = 128;
/// A cut lets this many times what was served come in: a line that runs dry wastes places.
const MARGIN: f64 = 1.3;

/// The sojourn that a standing line may have where visitors are given so much patience: a policy whose
/// patience goes beyond anybody's attention asks for a line that stands, and for as long as goes beyond it.
pub(super) fn target(patience: Duration) -> Duration {
    TARGET.max(patience.saturating_sub(ATTENTION))
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    came: u32,
    served: u32,
    /// Cohorts that are let in.
    cut: u8,
}

#[derive(Debug)]
pub(super) struct Standing {
    since: Mono,
    /// The least that waited since.
    least: usize,
    /// The standing delay of the last whole interval.
    delay: Duration,
    overloaded: bool,
    tallies: [Tally; 3],
}

impl Default for Standing {
    fn default() -> Self {
        let tally = Tally { came: 0, served: 0, cut: COHORTS };
        Self { since: Mono::ZERO, least: 0, delay: Duration::ZERO, overloaded: false, tallies: [tally; 3] }
    }
}

impl Standing {
    /// So many wait now, so many a second are served, and so long the line may stand. To be told at each
    /// event.
    pub(super) fn see(&mut self, waiting: usize, per_second: impl FnOnce() -> f64, target: Duration, now: Mono) {
        self.least = self.least.min(waiting);
        if waiting == 0 && self.overloaded {
            // Dry: whatever was overload is over.
            self.overloaded = false;
            self.tallies.iter_mut().for_each(|tally| tally.cut = COHORTS);
        }
        if now.since(self.since) < INTERVAL {
            return;
        }
        let rate = per_second();
        let delay = if self.least == 0 { 0.0 } else { self.least as f64 / rate.max(0.001) };
        self.delay = Duration::from_secs_f64(delay.min(3600.0));
        // One that is served within a turn of the places does not stand, however slow the origin. It
        // is over when the line all but runs dry: it is kept short meanwhile.
        self.overloaded = self.least > 1 && (self.overloaded || self.delay > target);
        for tally in &mut self.tallies {
            tally.roll(self.overloaded);
        }
        self.since = now;
        self.least = waiting;
    }

    /// Whether the line has stood for an interval.
    pub(super) fn overloaded(&self) -> bool {
        self.overloaded
    }

    /// How long the line stood, at least, through the last interval.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn came(&mut self, class: Class) {
        if let Some(tally) = self.tallies.get_mut(class as usize) {
            tally.came = tally.came.saturating_add(1);
        }
    }

    pub(super) fn served(&mut self, class: Class) {
        if let Some(tally) = self.tallies.get_mut(class as usize) {
            tally.served = tally.served.saturating_add(1);
        }
    }

    /// Whether this cohort may wait.
    pub(super) fn lets_in(&self, class: Class, cohort: u8) -> bool {
        self.tallies.get(class as usize).is_none_or(|tally| cohort < tally.cut)
    }
}

impl Tally {
    fn roll(&mut self, overloaded: bool) {
        let share = f64::from(self.served) / f64::from(self.came.max(1));
        let aim = if overloaded && self.came > self.served { share * MARGIN } else { 1.0 };
        let aim = (aim * f64::from(COHORTS)).ceil().min(f64::from(COHORTS));
        // Half-way: an interval holds few requests of a small origin, and their share is noisy.
        let cut = (f64::from(self.cut) + aim) / 2.0;
        self.cut = if aim >= f64::from(COHORTS) { COHORTS } else { cut.ceil() as u8 };
        (self.came, self.served) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_line_that_empties_within_the_interval_is_no_overload() {
        let mut standing = Standing::default();
        for t in 0..2000 {
            standing.see(if t % 100 == 0 { 0 } else { 50 }, || 200.0, TARGET, ms(t));
        }
        assert!(!standing.overloaded());
        assert_eq!(standing.delay(), Duration::ZERO);
    }

    #[test]
    fn a_line_that_stands_is_and_one_that_runs_dry_is_so_no_more() {
        let mut standing = Standing::default();
        for t in 0..600 {
            standing.see(8, || 200.0, TARGET, ms(t));
        }
        assert!(standing.overloaded());
        assert_eq!(standing.delay(), Duration::from_millis(40));
        standing.see(0, || 200.0, TARGET, ms(601));
        assert!(!standing.overloaded());
    }

    #[test]
    fn a_class_that_must_refuse_lets_as_many_cohorts_in_as_it_serves() {
        let mut standing = Standing::default();
        for t in 0..3000 {
            standing.see(8, || 200.0, TARGET, ms(t));
            standing.came(Class::Normal);
            if t % 4 == 0 {
                standing.served(Class::Normal);
                standing.came(Class::Critical);
                standing.served(Class::Critical);
            }
        }
        let cut = (0..COHORTS).filter(|c| standing.lets_in(Class::Normal, *c)).count();
        assert!((40..46).contains(&cut), "a quarter and a margin of 128: {cut}");
        assert!(standing.lets_in(Class::Critical, COHORTS - 1));
    }
}
