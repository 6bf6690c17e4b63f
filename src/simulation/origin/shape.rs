//! What an origin can carry, and how it fails.

use std::time::Duration;

/// What an origin can carry, and how it fails.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Requests worked on at once.
    pub workers: usize,
    /// The mean time a worker takes while nobody waits.
    pub service: Duration,
    /// How long a request is on its way: what a worker waits for the next where nobody stands behind it.
    pub turnaround: Duration,
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
            turnaround: Duration::ZERO,
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

    pub const fn turnaround(mut self, turnaround: Duration) -> Self {
        self.turnaround = turnaround;
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
