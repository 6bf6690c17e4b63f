//! A limit that is found: a hill climb on throughput.
//!
//! By Little's law an origin with `n` requests in flight all the time answers `n ÷ latency` a
//! second. So two limits are compared by the latencies of requests that began while every place was
//! taken and others waited: going from `n` to `m` gains `(m ÷ n) ÷ (latency at m ÷ latency at n)`.
//! A step up that gains nothing only makes a queue inside the origin; one that loses is collapse.
//! A step down that loses nothing is free. Nothing else is asked: no idle latency that must be known
//! (it would have to be probed for, which is what pins Envoy's gradient, #8337, and drifts in
//! Netflix's, #134), and no number to tune.
//!
//! - Latencies are compared within a route, to its own at `home`, the limit that is known to be
//!   good; so a change of mix is not taken for a change of the origin.
//! - A comparison ends as soon as it is clear: three standard errors for a limit that is better, half
//!   of that for one that is worse, since that one costs throughput with each request and can be
//!   tried again. So a steady origin is probed with a dozen requests, and a noisy one with as many
//!   as it takes.
//! - Where the origin's workers wait for what is on its way, one more in flight than there are workers
//!   gains a little, and is let go; not where a place is kept for those who would wait behind it.
//! - Up to the initial limit it starts slowly, one more for each answer ([`super::start`]).
//! - When latency at home changes, the origin has: the search begins anew, in steps of half.
//! - When more than 5 % fail, the limit goes to 70 %, whatever the latencies say.
//! - A limit that was never filled is not known to be good (RFC 7661 §4.3 for TCP): it comes down to
//!   twice what was used, and not below what one visitor's browser asks for at once.

use std::time::Duration;

use super::round::{Round, Worth};
use super::start::Start;
use super::{Limiter, Outcome, Sample};
use crate::clock::Mono;

/// A step of which this share is lost in throughput is all lost.
const PROPORTIONAL: f64 = 0.7;
/// Latencies so many times the shortest that there was are a queue: no reason to go up.
const STRETCHED: f64 = 3.0;
/// A trial that loses this share of its step in throughput, up or down, is plainly a loss: the next need
/// only say the same.
const PLAINLY: f64 = 0.25;
/// Half of so few would cost much to try, and is one or two steps away.
const HANDFUL: usize = 4;
/// A latency at home that differs by this much is another origin's.
const CHANGED: f64 = 0.15;
/// The share of failures that is too much, and how many they must be.
const FAILING: f64 = 0.05;
const FAILURES: u32 = 3;
const BACK_OFF: f64 = 0.7;
/// How often a higher limit is tried while the limit holds others back; doubled where it is no better.
const UP_EVERY: Duration = Duration::from_millis(500);
const UP_EVERY_MAX: Duration = Duration::from_secs(1);
/// How often a lower one is; doubled each time that it is worse.
const DOWN_EVERY: Duration = Duration::from_secs(1);
const DOWN_EVERY_MAX: Duration = Duration::from_secs(16);
/// A trial that gets no requests to judge by is over after this.
const TRIAL_MAX: Duration = Duration::from_secs(2);
/// How long a limit must lie unused before it comes down.
const UNUSED: Duration = Duration::from_secs(1);
/// And what it comes down to at the least: a page with its parts, which a browser asks for together.
const UNUSED_LEAST: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Home is in use, and measured.
    Home,
    /// Nothing is known yet: on the way from a few to the initial limit.
    Start,
    /// Another limit is tried; home is kept if it is no better.
    Trial { up: bool, searching: bool },
}

/// Finds the limit between `min` and `max`.
#[derive(Debug)]
pub struct Adaptive {
    min: usize,
    max: usize,
    /// The limit that is known to be the best.
    home: usize,
    /// The one in use.
    limit: usize,
    phase: Phase,
    start: Option<Start>,
    round: Round,
    /// What to try next while searching: up, or down; coarse or fine steps.
    search: Option<Search>,
    tried_up: Mono,
    tried_down: Mono,
    up_every: Duration,
    down_every: Duration,
    /// The limits above and below that were plainly a loss the last time.
    up_lost: Option<usize>,
    down_lost: Option<usize>,
    /// Whether home was ever full and measured.
    known: bool,
    /// The most in flight since, for a limit that is not used.
    peak: usize,
    peak_since: Mono,
    /// When a request last ended.
    seen: Mono,
    answered: u32,
    failed: u32,
}

/// The rest of a search: which ways are left to try, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Search {
    up: bool,
    coarse: bool,
    /// The other direction has been tried already.
    last: bool,
}

impl Search {
    const DOWN: Self = Self { up: false, coarse: true, last: false };
    const UP: Self = Self { up: true, coarse: true, last: false };
    const UP_FINE: Self = Self { up: true, coarse: false, last: false };
}

impl Adaptive {
    /// Begins at `initial`, and never leaves `min` to `max`.
    pub fn new(initial: usize, min: usize, max: usize) -> Self {
        let min = min.max(1);
        let home = initial.clamp(min, max.max(min));
        let start = Start::new(home, min);
        let mut round = Round::default();
        // Nothing is known yet: the first few say where to go.
        round.begin(1, true, Mono::ZERO);
        Self {
            min,
            max: max.max(min),
            home,
            limit: start.as_ref().map_or(home, Start::limit),
            phase: if start.is_some() { Phase::Start } else { Phase::Home },
            start,
            round,
            search: Some(Search::DOWN),
            tried_up: Mono::ZERO,
            tried_down: Mono::ZERO,
            up_every: UP_EVERY,
            down_every: DOWN_EVERY,
            up_lost: None,
            down_lost: None,
            known: false,
            peak: 0,
            peak_since: Mono::ZERO,
            seen: Mono::ZERO,
            answered: 0,
            failed: 0,
        }
    }

    fn go(&mut self, limit: usize, phase: Phase, now: Mono) {
        let coarse = self.search.is_some_and(|search| search.coarse);
        self.round.begin(limit, coarse, now);
        self.limit = limit;
        self.phase = phase;
    }

    fn again(&mut self, now: Mono) {
        self.phase = Phase::Home;
        self.round.begin(self.limit, false, now);
    }

    /// Home has been measured: is it still what it was?
    fn at_home(&mut self, now: Mono) {
        let Some(verdict) = self.round.against_home(CHANGED) else { return };
        let first = !std::mem::replace(&mut self.known, true);
        self.round.settle(false);
        if !first && (verdict.ratio - 1.0).abs() > CHANGED {
            // Lower first: where nothing is lost by it the origin's own queue goes, and only then
            // can be seen what more would gain.
            self.search = Some(Search::DOWN);
            self.forget_trials();
            // What was measured is a mixture of before and after: once more, then the search.
            self.known = false;
            self.round.forget();
            return self.again(now);
        }
        // A limit that is too high costs more than to know how much.
        if self.search.is_some_and(|search| search.up) && !self.round.knows_home() {
            return self.again(now);
        }
        self.next_trial(now);
    }

    fn next_trial(&mut self, now: Mono) {
        let trial = match self.search {
            Some(search) => Some((search, true)),
            None if now.since(self.tried_up) >= self.up_every => {
                Some((Search { up: true, coarse: false, last: true }, false))
            }
            None if now.since(self.tried_down) >= self.down_every => {
                Some((Search { up: false, coarse: false, last: true }, false))
            }
            None => None,
        };
        let Some((search, searching)) = trial else { return self.again(now) };
        if search.up && self.round.stretch() > STRETCHED {
            self.tried_up = now;
            self.search = None;
            return self.again(now);
        }
        let limit = self.step(search);
        if limit == self.home {
            // At the end of the range.
            self.tried(search.up, now);
            self.turn(search);
            return self.again(now);
        }
        self.search = searching.then_some(search);
        self.go(limit, Phase::Trial { up: search.up, searching }, now);
        if Some(limit) == if search.up { self.up_lost } else { self.down_lost } {
            self.round.doubt();
        }
    }

    fn step(&self, search: Search) -> usize {
        let home = self.home;
        let by = match (search.coarse, search.up) {
            (true, true) => home,
            (true, false) if home > HANDFUL => home / 2,
            _ => home / 10,
        };
        let by = by.max(1);
        let limit = if search.up { home + by } else { home.saturating_sub(by) };
        limit.clamp(self.min, self.max)
    }

    /// What they said was of another home.
    fn forget_trials(&mut self) {
        (self.up_every, self.down_every) = (UP_EVERY, DOWN_EVERY);
        (self.up_lost, self.down_lost) = (None, None);
    }

    fn tried(&mut self, up: bool, now: Mono) {
        if up {
            self.tried_up = now;
        } else {
            self.tried_down = now;
        }
    }

    /// After a step that led nowhere: finer, then the other way, then rest.
    fn turn(&mut self, search: Search) {
        self.search = match search {
            Search { coarse: true, .. } => Some(Search { coarse: false, ..search }),
            Search { last: false, up, .. } => Some(Search { up: !up, coarse: true, last: true }),
            _ => None,
        };
    }

    fn at_trial(&mut self, up: bool, searching: bool, now: Mono) {
        let scale = self.limit as f64 / self.home as f64;
        let Some((gain, found)) = self.round.gain(scale) else {
            if now.since(self.round.began()) > TRIAL_MAX {
                self.go(self.home, Phase::Home, now);
            }
            return;
        };
        if found == Worth::Unknown {
            // Home is measured for longer, and then this tried again.
            self.search.get_or_insert(Search { up, coarse: false, last: true });
            return self.go(self.home, Phase::Home, now);
        }
        self.tried(up, now);
        if found == Worth::More {
            self.home = self.limit;
            self.round.settle(true);
            self.forget_trials();
            // Where one step was good the next may be, in the same direction; the other is where we came from.
            let search = self.search.filter(|_| searching).unwrap_or(Search { up, coarse: false, last: true });
            self.search = Some(Search { last: true, ..search });
            self.next_trial(now);
        } else {
            match up {
                _ if searching => {}
                true => self.up_every = (self.up_every * 2).min(UP_EVERY_MAX),
                false => self.down_every = (self.down_every * 2).min(DOWN_EVERY_MAX),
            }
            if up {
                self.up_lost = (gain < 1.0 - PLAINLY * (scale - 1.0)).then_some(self.limit);
            } else {
                self.down_lost = (gain < 1.0 - PLAINLY * (1.0 - scale)).then_some(self.limit);
            }
            if let Some(search) = self.search {
                // Where all of a step down is lost, the best lies higher.
                let lost = !up && 1.0 - gain > PROPORTIONAL * (1.0 - scale);
                self.turn(Search { coarse: search.coarse && !lost, ..search });
            }
            self.go(self.home, Phase::Home, now);
            if self.search.is_some() {
                self.next_trial(now);
            }
        }
    }

    fn at_start(&mut self, sample: &Sample, now: Mono) {
        let Some(start) = &mut self.start else { return };
        let over = start.answered(sample);
        self.limit = start.limit();
        if let Some(limit) = over {
            if limit < self.home && !start.is_beyond(limit) {
                // Lower was never looked at; and whether more is a loss was judged by very few.
                self.search = Some(Search::UP_FINE);
            }
            self.start = None;
            self.home = limit;
            self.go(limit, Phase::Home, now);
        }
    }

    /// Too many fail: less, at once.
    fn back_off(&mut self, now: Mono) {
        let limit = ((self.limit as f64 * BACK_OFF) as usize).clamp(self.min, self.max);
        self.home = limit.min(self.home);
        self.start = None;
        self.search = Some(Search::UP);
        self.known = false;
        self.round.forget();
        (self.answered, self.failed) = (0, 0);
        self.go(self.home, Phase::Home, now);
    }

    fn unused(&mut self, sample: &Sample, now: Mono) {
        if now.since(std::mem::replace(&mut self.seen, now)) >= UNUSED {
            // After a silence nothing is known of its use: the first of a burst began alone.
            (self.peak, self.peak_since) = (0, now);
        }
        self.peak = self.peak.max(sample.in_flight);
        if sample.full {
            self.peak_since = now;
        }
        if now.since(self.peak_since) < UNUSED {
            return;
        }
        if !self.known && self.phase == Phase::Home {
            self.home = self.home.min((self.peak * 2).max(UNUSED_LEAST).max(self.min));
            self.limit = self.home;
        }
        self.peak = 0;
        self.peak_since = now;
    }
}

impl Limiter for Adaptive {
    fn limit(&self) -> usize {
        self.limit
    }

    fn observe(&mut self, sample: &Sample, now: Mono) {
        self.unused(sample, now);
        match sample.outcome {
            Outcome::Ignored => return,
            Outcome::Overloaded => self.failed += 1,
            Outcome::Answered => self.answered += 1,
        }
        if self.failed >= FAILURES && f64::from(self.failed) > FAILING * f64::from(self.answered + self.failed) {
            return self.back_off(now);
        }
        if self.answered >= 100 {
            (self.answered, self.failed) = (0, 0);
        }
        if sample.outcome == Outcome::Answered && self.round.takes(sample) {
            self.round.add(sample);
        }
        match self.phase {
            // A failure is quick or slow for reasons of its own.
            Phase::Start if sample.outcome == Outcome::Answered => self.at_start(sample, now),
            Phase::Start => {}
            Phase::Home => self.at_home(now),
            Phase::Trial { up, searching } => self.at_trial(up, searching, now),
        }
    }
}

#[cfg(test)]
mod tests;
