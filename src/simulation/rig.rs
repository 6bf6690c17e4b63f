//! One limiter in front of one origin: what is it worth?
//!
//! Nothing stands between them but a short line, first come first served, so that what is measured
//! is the limiter and not the queue's cleverness. Reported a tenth of a second at a time, as shares
//! of what the origin could have done.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::origin::{Origin, Shape};
use super::random::Random;
use crate::clock::Mono;
use crate::concurrency::{Limiter, Outcome, Sample};

mod scenarios;

pub use scenarios::{Kind, all, named};

/// How long a [`Tick`] is.
pub const TICK: Duration = Duration::from_millis(100);

/// An answer after this is too late to be of use.
const GOOD_WITHIN: Duration = Duration::from_millis(500);
/// How many may wait for a place.
const LINE: usize = 64;
/// How long they do: so that an answer may still be good, whatever the origin's capacity has become.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long an origin may take to answer, as `response_timeout`'s default.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An origin, and what comes to it.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub origin: Shape,
    /// From these moments on, so many requests a second.
    pub rate: Vec<(Duration, f64)>,
    /// At random moments; otherwise evenly spaced.
    pub poisson: bool,
    /// Which kinds, and how many of each in a thousand; the rest is kind 0.
    pub kinds: Vec<(usize, u64)>,
    pub lasts: Duration,
    /// What is asked of it.
    pub asks: Kind,
}

/// What happened in a tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tick {
    /// Requests that came.
    pub offered: u32,
    /// Of those answered, the ones within half a second of their coming.
    pub good: u32,
    /// Answered at all.
    pub answered: u32,
    /// Refused: the line was full, or patience ran out.
    pub refused: u32,
    /// Let go to the origin, and not answered.
    pub failed: u32,
    /// The limit at the end.
    pub limit: usize,
    /// Places taken at the end.
    pub in_flight: usize,
    /// What the origin could have answered, had all come that might.
    pub capacity: f64,
}

/// What a limiter made of a scenario.
#[derive(Clone, Debug)]
pub struct Report {
    pub ticks: Vec<Tick>,
}

impl Report {
    /// Good answers as a share of what was to be had: the lesser of what came and what the origin
    /// could have answered.
    pub fn share(&self, of: Range<Duration>) -> f64 {
        let (good, had) = self.of(of).fold((0.0, 0.0), |(good, had), tick| {
            (good + f64::from(tick.good), had + tick.capacity.min(f64::from(tick.offered)))
        });
        if had > 0.0 { good / had } else { 0.0 }
    }

    /// Refusals and failures as a share of what came.
    pub fn lost(&self, of: Range<Duration>) -> f64 {
        let (lost, offered) = self.of(of).fold((0.0, 0.0), |(lost, offered), tick| {
            (lost + f64::from(tick.refused + tick.failed), offered + f64::from(tick.offered))
        });
        if offered > 0.0 { lost / offered } else { 0.0 }
    }

    /// How long after `from` it took until `share` was reached, and held for `over` from then on.
    pub fn reached(&self, share: f64, from: Duration, over: Duration) -> Option<Duration> {
        let end = TICK * u32::try_from(self.ticks.len()).unwrap_or(u32::MAX);
        let mut after = Duration::ZERO;
        while from + after + over <= end {
            let window = from + after..from + after + over;
            if self.share(window.clone()) >= share && self.share(window.start..window.start + 2 * TICK) >= share * 0.9 {
                return Some(after);
            }
            after += TICK;
        }
        None
    }

    fn of(&self, span: Range<Duration>) -> impl Iterator<Item = &Tick> {
        let index = |at: Duration| usize::try_from(at.as_millis() / TICK.as_millis()).unwrap_or(usize::MAX);
        let (start, end) = (index(span.start), index(span.end));
        self.ticks.iter().skip(start).take(end.saturating_sub(start))
    }
}

/// Lets the scenario happen.
pub fn run(scenario: &Scenario, limiter: Box<dyn Limiter>, seed: u64) -> Report {
    Rig {
        origin: Origin::new(scenario.origin.clone(), seed),
        limiter,
        random: Random::new(!seed),
        scenario,
        line: VecDeque::with_capacity(LINE),
        places: HashMap::new(),
        let_go: VecDeque::new(),
        next_id: 0,
        tick: Tick::default(),
        done: Vec::new(),
    }
    .run()
}

/// A request in the line.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    came: Mono,
    kind: usize,
}

/// A request that has a place.
#[derive(Clone, Copy, Debug)]
struct Placed {
    request: Waiting,
    started: Mono,
    in_flight: usize,
    all_taken: bool,
}

struct Rig<'a> {
    scenario: &'a Scenario,
    origin: Origin,
    limiter: Box<dyn Limiter>,
    random: Random,
    line: VecDeque<Waiting>,
    places: HashMap<u64, Placed>,
    /// Who has been let go, in order: the first may time out first.
    let_go: VecDeque<(u64, Mono)>,
    next_id: u64,
    tick: Tick,
    done: Vec<(u64, Outcome)>,
}

impl Rig<'_> {
    fn run(mut self) -> Report {
        let ticks = self.scenario.lasts.as_millis() / TICK.as_millis();
        let mut report = Report { ticks: Vec::with_capacity(usize::try_from(ticks).unwrap_or_default()) };
        let mut arrival = self.after_arrival(Mono::ZERO);
        let mut end = Mono::ZERO.after(TICK);
        while end.since(Mono::ZERO) <= self.scenario.lasts {
            let inside = self.origin.next_event().filter(|at| *at < arrival.min(end));
            if let Some(now) = inside {
                self.live(now);
            } else if arrival < end {
                self.live(arrival);
                self.arrive(arrival);
                arrival = self.after_arrival(arrival);
            } else {
                self.live(end);
                report.ticks.push(self.close_tick(end));
                end = end.after(TICK);
            }
        }
        report
    }

    fn rate(&self, now: Mono) -> f64 {
        let passed = now.since(Mono::ZERO);
        self.scenario.rate.iter().take_while(|(from, _)| *from <= passed).last().map_or(0.0, |(_, rate)| *rate)
    }

    /// When the next request comes after one at `now`.
    fn after_arrival(&mut self, now: Mono) -> Mono {
        let rate = self.rate(now);
        let gap = if self.scenario.poisson { self.random.gap(rate) } else { super::random::seconds(1.0 / rate) };
        let passed = now.since(Mono::ZERO);
        let change = self.scenario.rate.iter().map(|(from, _)| *from).find(|from| *from > passed);
        // A new rate begins when it begins, not after the gap of the old one.
        let next = now.after(gap);
        change.map_or(next, |change| next.min(Mono::ZERO.after(change)))
    }

    fn arrive(&mut self, now: Mono) {
        self.tick.offered += 1;
        let mut draw = self.random.below(1000);
        let kind = self.scenario.kinds.iter().find(|(_, share)| {
            let is = draw < *share;
            draw = draw.saturating_sub(*share);
            is
        });
        if self.line.len() >= LINE && self.places.len() >= self.limiter.limit() {
            self.tick.refused += 1;
            return;
        }
        self.line.push_back(Waiting { came: now, kind: kind.map_or(0, |(kind, _)| *kind) });
        self.let_go(now);
    }

    fn live(&mut self, now: Mono) {
        let mut done = std::mem::take(&mut self.done);
        self.origin.advance(now, &mut done);
        for (id, outcome) in done.drain(..) {
            self.end(id, outcome, now);
        }
        self.done = done;
        while let Some((id, since)) = self.let_go.front().copied() {
            if self.places.contains_key(&id) {
                if now.since(since) < RESPONSE_TIMEOUT {
                    break;
                }
                self.end(id, Outcome::Overloaded, now);
            }
            self.let_go.pop_front();
        }
        self.let_go(now);
    }

    fn end(&mut self, id: u64, outcome: Outcome, now: Mono) {
        let Some(placed) = self.places.remove(&id) else { return };
        match outcome {
            Outcome::Answered => {
                self.tick.answered += 1;
                self.tick.good += u32::from(now.since(placed.request.came) <= GOOD_WITHIN);
            }
            Outcome::Overloaded | Outcome::Ignored => self.tick.failed += 1,
        }
        let sample = Sample {
            latency: now.since(placed.started),
            started: placed.started,
            in_flight: placed.in_flight,
            full: placed.all_taken && !self.line.is_empty(),
            kept: false,
            kind: placed.request.kind,
            outcome,
        };
        self.limiter.observe(&sample, now);
        self.let_go(now);
    }

    fn let_go(&mut self, now: Mono) {
        while self.line.front().is_some_and(|waiting| now.since(waiting.came) > PATIENCE) {
            self.line.pop_front();
            self.tick.refused += 1;
        }
        while self.places.len() < self.limiter.limit() {
            let Some(request) = self.line.pop_front() else { break };
            self.next_id += 1;
            let in_flight = self.places.len() + 1;
            let all_taken = in_flight >= self.limiter.limit();
            self.places.insert(self.next_id, Placed { request, started: now, in_flight, all_taken });
            self.let_go.push_back((self.next_id, now));
            self.origin.submit(self.next_id, request.kind, now);
        }
    }

    fn close_tick(&mut self, end: Mono) -> Tick {
        let began = end.since(Mono::ZERO).saturating_sub(TICK);
        let mut tick = std::mem::take(&mut self.tick);
        tick.limit = self.limiter.limit();
        tick.in_flight = self.places.len();
        tick.capacity = self.scenario.origin.capacity(began) * TICK.as_secs_f64();
        tick
    }
}

#[cfg(test)]
mod tests;
