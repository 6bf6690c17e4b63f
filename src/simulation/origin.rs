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

mod shape;

pub use shape::{Change, Cold, Pauses, Shape};

/// A request with the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    id: u64,
    kind: usize,
}

/// What happens inside, at its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Came(Job),
    Counted(Job),
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
    coming: usize,
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
            coming: 0,
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
        if self.shape.turnaround.is_zero() {
            return self.come(job, now);
        }
        self.coming += 1;
        self.schedule(now.after(self.shape.turnaround), Event::Came(job));
    }

    fn come(&mut self, job: Job, now: Mono) {
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
                Event::Came(job) => {
                    self.coming -= 1;
                    self.come(job, at);
                }
                Event::Counted(job) => self.work_on(job, at),
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

    /// Requests on their way or in the house: waiting for a worker, worked on, or waiting for something else.
    pub fn in_flight(&self) -> usize {
        self.coming + self.backlog.len() + self.working + self.waiting
    }

    /// Whether it answers at all.
    pub const fn is_alive(&self) -> bool {
        self.alive
    }

    /// Requests a second at best, as it is now; pauses and cold starts aside.
    pub fn capacity(&self) -> f64 {
        if self.alive { self.workers as f64 / self.service.as_secs_f64() } else { 0.0 }
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
            let Some(job) = self.backlog.pop_front() else { break };
            self.working += 1;
            if self.shape.turnaround.is_zero() {
                self.work_on(job, now);
            } else {
                // Who follows the request that has just ended is in flight too, and still on its way.
                self.schedule(now.after(self.shape.turnaround * 2), Event::Counted(job));
            }
        }
    }

    fn work_on(&mut self, job: Job, now: Mono) {
        let work = self.work(self.backlog.len() + self.working).saturating_sub(self.shape.turnaround * 2);
        self.begun = self.begun.saturating_add(1);
        let done = self.past_pauses(now, work);
        self.schedule(done, Event::Worked(job));
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
        (self.alive, self.begun) = (false, 0);
        (self.coming, self.working, self.waiting) = (0, 0, 0);
        let mut lost: Vec<Job> = self.backlog.drain(..).collect();
        self.events.retain(|Reverse((_, _, event))| match event {
            Event::Came(job) | Event::Counted(job) | Event::Worked(job) | Event::Waited(job) => {
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
mod tests;
