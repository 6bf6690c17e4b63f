//! The workers: threads that sleep, and the backlog in front of them.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::counts::{Arrival, Counts};

/// A model, not a benchmark: no more threads than this.
const WORKERS_MAX: u32 = 1024;

/// What the origin can carry, and how it fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Requests worked on at once.
    pub(crate) workers: u32,
    /// The mean time a page takes while no more requests are in flight than there are workers.
    pub(crate) service: Duration,
    /// How much slower for each further `workers` requests in flight.
    pub(crate) collapse: f64,
    /// Sigma of the lognormal distribution.
    pub(crate) lognormal: f64,
}

impl Shape {
    /// The time the next page takes while nobody else slows it down.
    fn drawn(&self, dice: &mut Dice) -> Duration {
        // The mean of exp(σz) is exp(σ²/2): divided by it, capacity is the same for every sigma.
        self.service.mul_f64((self.lognormal * dice.normal() - self.lognormal * self.lognormal / 2.0).exp())
    }

    /// How many times as long it takes with so many in flight.
    fn slowdown(&self, in_flight: usize) -> f64 {
        let load = (in_flight as f64 / f64::from(self.workers.max(1))).max(1.0);
        1.0 + self.collapse * (load - 1.0)
    }
}

#[derive(Debug)]
pub(crate) struct Workers {
    floor: Mutex<Floor>,
    /// Where workers wait for a job.
    jobs: Condvar,
    /// Where those wait that are more than the shape has.
    hired: Condvar,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Floor {
    shape: Shape,
    /// Without bound, as a bare server's is: that is what makes it fall.
    backlog: VecDeque<Job>,
    /// Threads there are; one that is too many only sleeps.
    threads: u32,
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Job {
    arrival: Arrival,
    done: oneshot::Sender<()>,
}

impl Workers {
    pub(crate) fn start(shape: Shape, counts: Arc<Counts>) -> Arc<Self> {
        let floor = Floor { shape, backlog: VecDeque::new(), threads: 0, paused_until: None };
        let workers = Arc::new(Self { floor: Mutex::new(floor), jobs: Condvar::new(), hired: Condvar::new(), counts });
        workers.reshape(|_| {});
        workers
    }

    /// Waits for a worker and for its work. False if it was lost.
    pub(crate) async fn work(self: &Arc<Self>, arrival: Arrival) -> bool {
        let (done, worked) = oneshot::channel();
        self.floor.lock().backlog.push_back(Job { arrival, done });
        self.jobs.notify_one();
        worked.await.is_ok()
    }

    /// Changes the shape; what is worked on already ends as it began.
    pub(crate) fn reshape(self: &Arc<Self>, change: impl FnOnce(&mut Shape)) {
        let mut floor = self.floor.lock();
        change(&mut floor.shape);
        floor.shape.workers = floor.shape.workers.clamp(1, WORKERS_MAX);
        while floor.threads < floor.shape.workers {
            let (workers, number) = (Arc::clone(self), floor.threads);
            thread::spawn(move || workers.worker(number));
            floor.threads += 1;
        }
        drop(floor);
        self.jobs.notify_all();
        self.hired.notify_all();
    }

    /// Holds every answer for so long.
    pub(crate) fn pause(&self, held: Duration) {
        self.floor.lock().paused_until = Some(Instant::now() + held);
    }

    /// Sleeping takes a little longer than asked, more so on a busy machine, which would cost the
    /// origin capacity that is not the proxy's to lose: what a worker overslept, its next page is
    /// quicker.
    fn worker(&self, number: u32) -> ! {
        let mut dice = Dice(u64::from(number) << 32 | 1);
        let mut overslept = Duration::ZERO;
        loop {
            let (job, shape) = self.next(number);
            let began = Instant::now();
            let page = shape.drawn(&mut dice);
            // Those in flight are counted a little later: a proxy at its limit has by then sent the
            // one that follows the page before.
            thread::sleep(page / 10);
            let took = page.mul_f64(shape.slowdown(self.counts.in_flight())).saturating_sub(overslept);
            thread::sleep(took.saturating_sub(began.elapsed()));
            overslept = began.elapsed().saturating_sub(took).min(shape.service / 2);
            while let Some(until) = self.floor.lock().paused_until.filter(|until| *until > Instant::now()) {
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            job.arrival.served();
            // Before the answer, or a proxy that asks the next at once would seem to be over its limit.
            drop(job.arrival);
            // Nobody there any more: it was worked on all the same.
            let _ = job.done.send(());
        }
    }

    /// The job that has waited longest.
    fn next(&self, number: u32) -> (Job, Shape) {
        let mut floor = self.floor.lock();
        loop {
            if number >= floor.shape.workers {
                self.hired.wait(&mut floor);
            } else if let Some(job) = floor.backlog.pop_front() {
                return (job, floor.shape);
            } else {
                self.jobs.wait(&mut floor);
            }
        }
    }
}

/// Random numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}
