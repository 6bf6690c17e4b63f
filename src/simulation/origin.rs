//! A modelled origin: a few workers behind an endless backlog.
//!
//! As `cli::demo::shop`, in virtual time: requests wait in front of the workers without bound,
//! every request in flight slows the others down, and who has given up is served all the same.
//! Beyond that it has what origins have on their bad days: pauses, a slow dependency, lost workers,
//! death, and a cold start after it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::random::Random;
use crate::clock::Mono;
use crate::concurrency::Outcome;

/// What an origin can carry, and how it fails.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Requests worked on at once.
    pub workers: usize,
    /// The mean time a worker takes while nobody waits.
    pub service: Duration,
    /// How much slower it gets for each further `workers` requests in flight.
    pub collapse: f64,
    /// The deviation of the logarithm of the service time; 0: each takes the same.
    pub sigma: f64,
    /// Times when nothing moves: garbage collection, a checkpoint.
    pub pauses: Option<Pauses>,
    /// Kinds of requests that wait for something else once their worker is done with them, and for
    /// how long: a payment provider. They hold no worker meanwhile.
    pub slow: Vec<(usize, Duration)>,
    /// Slower at first, and again each time it comes back from the dead.
    pub cold: Option<Cold>,
    /// What happens to it, in order of time.
    pub changes: Vec<(Duration, Change)>,
}

/// Nobody finishes for `lasts`, each `every`, the first time after `every`.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    pub every: Duration,
    pub lasts: Duration,
}

/// The first requests take longer: caches are empty, code is not compiled yet.
#[derive(Clone, Copy, Debug)]
pub struct Cold {
    /// How many times as long the first request takes; falls evenly to 1.
    pub factor: f64,
    /// Requests until it is warm.
    pub requests: u32,
}

/// Something that happens to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Workers(usize),
    Service(Duration),
    /// What is in flight fails, and no connection is taken.
    Dies,
    Returns,
}

impl Shape {
    /// `workers` of `service` each, always the same.
    pub const fn fixed(workers: usize, service: Duration) -> Self {
        Self {
            workers,
            service,
            collapse: 0.0,
            sigma: 0.0,
            pauses: None,
            slow: Vec::new(),
            cold: None,
            changes: Vec::new(),
        }
    }

    /// 4 workers × 20 ms = 200 requests/s, as the loadtest's and the demo's.
    pub const fn shop() -> Self {
        Self::fixed(4, Duration::from_millis(20))
    }

    pub const fn collapsing(mut self, collapse: f64) -> Self {
        self.collapse = collapse;
        self
    }

    pub const fn lognormal(mut self, sigma: f64) -> Self {
        self.sigma = sigma;
        self
    }

    pub const fn pausing(mut self, every: Duration, lasts: Duration) -> Self {
        self.pauses = Some(Pauses { every, lasts });
        self
    }

    pub const fn cold(mut self, factor: f64, requests: u32) -> Self {
        self.cold = Some(Cold { factor, requests });
        self
    }

    /// One kind waits so long without a worker.
    pub fn slow(mut self, kind: usize, wait: Duration) -> Self {
        self.slow.push((kind, wait));
        self
    }

    /// `change` happens at `at` after the beginning.
    pub fn then(mut self, at: Duration, change: Change) -> Self {
        self.changes.push((at, change));
        self.changes.sort_by_key(|(at, _)| *at);
        self
    }

    /// Requests a second at best, `at` after the beginning; pauses and cold starts aside.
    pub fn capacity(&self, at: Duration) -> f64 {
        let (mut workers, mut service, mut alive) = (self.workers, self.service, true);
        for (_, change) in self.changes.iter().take_while(|(when, _)| *when <= at) {
            match *change {
                Change::Workers(to) => workers = to,
                Change::Service(to) => service = to,
                Change::Dies => alive = false,
                Change::Returns => alive = true,
            }
        }
        if alive { workers as f64 / service.as_secs_f64() } else { 0.0 }
    }
}

/// A request with the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    id: u64,
    kind: usize,
}

/// What happens inside, at its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Worked(Job),
    Waited(Job),
    Refused(Job),
    Change(usize),
}

/// An origin at work.
#[derive(Debug)]
pub struct Origin {
    shape: Shape,
    random: Random,
    workers: usize,
    service: Duration,
    alive: bool,
    /// Requests begun since it opened, or came back.
    begun: u32,
    backlog: VecDeque<Job>,
    working: usize,
    waiting: usize,
    events: BinaryHeap<Reverse<(Mono, u64, Event)>>,
    scheduled: u64,
    peak: usize,
    answered: u64,
}

impl Origin {
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut origin = Self {
            workers: shape.workers,
            service: shape.service,
            random: Random::new(seed),
            shape,
            alive: true,
            begun: 0,
            backlog: VecDeque::new(),
            working: 0,
            waiting: 0,
            events: BinaryHeap::new(),
            scheduled: 0,
            peak: 0,
            answered: 0,
        };
        for index in 0..origin.shape.changes.len() {
            let at = origin.shape.changes.get(index).map_or(Duration::ZERO, |(at, _)| *at);
            origin.schedule(Mono::ZERO.after(at), Event::Change(index));
        }
        origin
    }

    /// A request arrives. `id` is told again when it has ended. Call [`Origin::advance`] up to `now`
    /// first.
    pub fn submit(&mut self, id: u64, kind: usize, now: Mono) {
        let job = Job { id, kind };
        if !self.alive {
            return self.schedule(now, Event::Refused(job));
        }
        self.backlog.push_back(job);
        self.peak = self.peak.max(self.in_flight());
        self.begin(now);
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Mono> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lives up to `now`, and adds who has ended to `done`.
    pub fn advance(&mut self, now: Mono, done: &mut Vec<(u64, Outcome)>) {
        while let Some(Reverse((at, _, event))) = self.events.peek().copied().filter(|Reverse((at, ..))| *at <= now) {
            self.events.pop();
            match event {
                Event::Worked(job) => {
                    self.working -= 1;
                    match self.shape.slow.iter().find(|(kind, _)| *kind == job.kind) {
                        Some(&(_, wait)) => {
                            self.waiting += 1;
                            self.schedule(at.after(wait), Event::Waited(job));
                        }
                        None => self.answer(job, done),
                    }
                    self.begin(at);
                }
                Event::Waited(job) => {
                    self.waiting -= 1;
                    self.answer(job, done);
                }
                Event::Refused(job) => done.push((job.id, Outcome::Overloaded)),
                Event::Change(index) => self.change(index, at, done),
            }
        }
    }

    /// Requests in the house: waiting for a worker, worked on, or waiting for something else.
    pub fn in_flight(&self) -> usize {
        self.backlog.len() + self.working + self.waiting
    }

    /// The most that ever were in the house.
    pub const fn peak(&self) -> usize {
        self.peak
    }

    /// Requests answered.
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    fn answer(&mut self, job: Job, done: &mut Vec<(u64, Outcome)>) {
        self.answered += 1;
        done.push((job.id, Outcome::Answered));
    }

    fn schedule(&mut self, at: Mono, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn begin(&mut self, now: Mono) {
        while self.alive && self.working < self.workers {
            let load = self.backlog.len() + self.working;
            let Some(job) = self.backlog.pop_front() else { break };
            let work = self.work(load);
            self.begun = self.begun.saturating_add(1);
            self.working += 1;
            let done = self.past_pauses(now, work);
            self.schedule(done, Event::Worked(job));
        }
    }

    /// How long a request takes that is begun with so many that have or want a worker.
    fn work(&mut self, load: usize) -> Duration {
        let over = (load as f64 / self.workers.max(1) as f64 - 1.0).max(0.0);
        let mut factor = 1.0 + self.shape.collapse * over;
        if let Some(cold) = self.shape.cold.filter(|cold| self.begun < cold.requests) {
            factor *= cold.factor + (1.0 - cold.factor) * f64::from(self.begun) / f64::from(cold.requests);
        }
        if self.shape.sigma > 0.0 {
            factor *= self.random.lognormal(self.shape.sigma);
        }
        self.service.mul_f64(factor)
    }

    /// When `work` begun now is done, as nothing is done in a pause.
    fn past_pauses(&self, now: Mono, mut work: Duration) -> Mono {
        let Some(Pauses { every, lasts }) = self.shape.pauses.filter(|p| p.lasts < p.every) else {
            return now.after(work);
        };
        let (every, lasts) = (every.as_nanos() as u64, lasts.as_nanos() as u64);
        let mut at = now;
        loop {
            let (turn, within) = (at.as_nanos() / every, at.as_nanos() % every);
            if turn > 0 && within < lasts {
                at = Mono::from_nanos(turn * every + lasts);
            }
            let pause = Mono::from_nanos((turn + 1) * every);
            if at.after(work) <= pause {
                return at.after(work);
            }
            work = work.saturating_sub(pause.since(at));
            at = pause;
        }
    }

    fn change(&mut self, index: usize, now: Mono, done: &mut Vec<(u64, Outcome)>) {
        let Some(&(_, change)) = self.shape.changes.get(index) else { return };
        match change {
            Change::Workers(to) => self.workers = to,
            Change::Service(to) => self.service = to,
            Change::Dies => self.die(done),
            Change::Returns => self.alive = true,
        }
        self.begin(now);
    }

    fn die(&mut self, done: &mut Vec<(u64, Outcome)>) {
        (self.alive, self.begun, self.working, self.waiting) = (false, 0, 0, 0);
        let mut lost: Vec<Job> = self.backlog.drain(..).collect();
        self.events.retain(|Reverse((_, _, event))| match event {
            Event::Worked(job) | Event::Waited(job) => {
                lost.push(*job);
                false
            }
            Event::Refused(_) | Event::Change(_) => true,
        });
        lost.sort_unstable();
        done.extend(lost.into_iter().map(|job| (job.id, Outcome::Overloaded)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(millis: u64) -> Mono {
        Mono::ZERO.after(ms(millis))
    }

    /// Keeps `in_flight` at the origin for `lasts`, and counts the answers.
    fn kept_busy(shape: Shape, in_flight: u64, lasts: Duration) -> u64 {
        let mut origin = Origin::new(shape, 1);
        let mut done = Vec::new();
        (0..in_flight).for_each(|id| origin.submit(id, 0, Mono::ZERO));
        let mut answered = 0;
        while let Some(now) = origin.next_event().filter(|now| *now <= Mono::ZERO.after(lasts)) {
            origin.advance(now, &mut done);
            for (id, outcome) in std::mem::take(&mut done) {
                answered += u64::from(outcome == Outcome::Answered);
                origin.submit(id, 0, now);
            }
        }
        answered
    }

    #[test]
    fn a_shop_carries_its_capacity_however_many_wait() {
        assert!((Shape::shop().capacity(ms(0)) - 200.0).abs() < f64::EPSILON);
        assert_eq!(kept_busy(Shape::shop(), 4, ms(10_000)), 2_000);
        assert_eq!(kept_busy(Shape::shop(), 400, ms(10_000)), 2_000);
        assert_eq!(kept_busy(Shape::shop(), 2, ms(10_000)), 1_000);
    }

    #[test]
    fn every_request_in_flight_slows_a_collapsing_one_down() {
        assert_eq!(kept_busy(Shape::shop().collapsing(0.5), 4, ms(9_000)), 1_800);
        // Twice what it can carry, once the one that has just ended is gone: half as long again.
        let answered = kept_busy(Shape::shop().collapsing(0.5), 9, ms(9_000));
        assert!((1_196..=1_204).contains(&answered), "{answered}");
    }

    #[test]
    fn chance_keeps_the_mean() {
        let answered = kept_busy(Shape::shop().lognormal(0.5), 4, ms(100_000));
        assert!((19_600..20_400).contains(&answered), "{answered}");
    }

    #[test]
    fn nothing_is_done_in_a_pause() {
        let mut origin = Origin::new(Shape::shop().pausing(ms(100), ms(30)), 1);
        let mut done = Vec::new();
        origin.advance(at(90), &mut done);
        origin.submit(1, 0, at(90));
        assert_eq!(origin.next_event(), Some(at(140)));
        // A pause costs what it lasts: 30 % of the capacity, but for the first.
        assert_eq!(kept_busy(Shape::shop().pausing(ms(1_000), ms(300)), 4, ms(10_000)), 1_460);
    }

    #[test]
    fn a_slow_kind_holds_no_worker_while_it_waits() {
        let mut origin = Origin::new(Shape::fixed(1, ms(20)).slow(7, ms(5_000)), 1);
        let mut done = Vec::new();
        origin.submit(1, 7, at(0));
        origin.submit(2, 0, at(0));
        origin.advance(at(40), &mut done);
        assert_eq!(done, [(2, Outcome::Answered)]);
        assert_eq!(origin.in_flight(), 1);
        origin.advance(at(5_020), &mut done);
        assert_eq!(done, [(2, Outcome::Answered), (1, Outcome::Answered)]);
    }

    #[test]
    fn a_dead_origin_fails_what_it_has_and_refuses_the_rest_at_once() {
        let shape = Shape::fixed(1, ms(20)).then(ms(30), Change::Dies).then(ms(100), Change::Returns);
        assert!(shape.capacity(ms(50)) < f64::EPSILON);
        let mut origin = Origin::new(shape.cold(3.0, 10), 1);
        let mut done = Vec::new();
        origin.submit(1, 0, at(0));
        origin.submit(2, 0, at(0));
        origin.advance(at(30), &mut done);
        assert_eq!(done, [(1, Outcome::Overloaded), (2, Outcome::Overloaded)], "the first took thrice as long");
        origin.submit(3, 0, at(50));
        origin.advance(at(50), &mut done);
        assert_eq!(done.last(), Some(&(3, Outcome::Overloaded)));
        done.clear();
        origin.advance(at(100), &mut done);
        origin.submit(4, 0, at(100));
        origin.advance(at(160), &mut done);
        assert_eq!(done, [(4, Outcome::Answered)], "cold again");
    }

    #[test]
    fn a_warm_origin_is_as_fast_as_ever() {
        let answered = kept_busy(Shape::fixed(1, ms(10)).cold(5.0, 100), 1, ms(4_010));
        // The first hundred took 3 times as long on average, 3.02 s.
        assert_eq!(answered, 100 + 99);
    }

    #[test]
    fn capacity_comes_and_goes_with_its_workers() {
        let shape = Shape::shop().then(ms(10_000), Change::Workers(2)).then(ms(20_000), Change::Workers(4));
        let answered = kept_busy(shape, 100, ms(30_000));
        assert!((4_998..=5_002).contains(&answered), "{answered}");
    }
}
