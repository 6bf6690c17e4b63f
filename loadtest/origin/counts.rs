//! What the origin has seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

/// More paths than this are counted together.
const PATHS_MAX: usize = 64;
/// The series ends after an hour.
const SERIES_MAX: usize = 3600;

/// Counts since the start or the last reset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    /// Requests that came.
    pub(crate) requests: u64,
    /// Requests answered, or worked on for somebody who had left.
    pub(crate) served: u64,
    /// Requests waiting or worked on now; without /payment, which holds nothing.
    pub(crate) in_flight: usize,
    /// The most that ever were.
    pub(crate) peak_in_flight: usize,
    /// Requests that came, by their path's first segment.
    pub(crate) paths: BTreeMap<String, u64>,
    /// Requests served in each second.
    pub(crate) served_each_second: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Counts(Mutex<(Instant, Stats)>);

impl Counts {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Instant::now(), Stats::none(0))))
    }

    /// Requests in flight stay so.
    pub(crate) fn reset(&self) {
        let mut counts = self.0.lock();
        *counts = (Instant::now(), Stats::none(counts.1.in_flight));
    }

    pub(crate) fn stats(&self) -> Stats {
        self.0.lock().1.clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.0.lock().1.in_flight
    }

    /// A request has come; it is in flight until what is returned is dropped.
    pub(crate) fn arrival(self: &Arc<Self>, path: &str) -> Arrival {
        let segment = path.split('/').nth(1).unwrap_or_default();
        let works = segment != "payment";
        let mut counts = self.0.lock();
        let stats = &mut counts.1;
        stats.requests += 1;
        let name = if stats.paths.len() < PATHS_MAX { format!("/{segment}") } else { "others".to_owned() };
        *stats.paths.entry(name).or_default() += 1;
        stats.in_flight += usize::from(works);
        stats.peak_in_flight = stats.peak_in_flight.max(stats.in_flight);
        Arrival { counts: Arc::clone(self), works }
    }
}

impl Stats {
    const fn none(in_flight: usize) -> Self {
        Self {
            requests: 0,
            served: 0,
            in_flight,
            peak_in_flight: in_flight,
            paths: BTreeMap::new(),
            served_each_second: Vec::new(),
        }
    }

    fn served(&mut self, after: Duration) {
        self.served += 1;
        let second = usize::try_from(after.as_secs()).unwrap_or(SERIES_MAX);
        if second < SERIES_MAX {
            if self.served_each_second.len() <= second {
                self.served_each_second.resize(second + 1, 0);
            }
            if let Some(count) = self.served_each_second.get_mut(second) {
                *count += 1;
            }
        }
    }
}

/// One request in flight; dropped, it is none.
#[derive(Debug)]
pub(crate) struct Arrival {
    counts: Arc<Counts>,
    works: bool,
}

impl Arrival {
    pub(crate) fn served(&self) {
        let mut counts = self.counts.0.lock();
        let after = counts.0.elapsed();
        counts.1.served(after);
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.counts.0.lock().1.in_flight -= usize::from(self.works);
    }
}
