//! What a room counts.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Limit, Phase, Ticket};
use crate::clock::Now;

/// Waits longer than this are counted as this long, seconds.
const WAIT_MAX_S: u64 = 7 * 86_400;
/// Sessions over which their mean length is taken, as a share of a new one's weight.
const STAY_WEIGHT: f64 = 1.0 / 64.0;

/// The room in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    pub waiting: u64,
    /// Were away when their turn came, and are back.
    pub returning: u64,
    pub inside: u32,
    pub reserved: u32,
    pub leased: u32,
    pub capacity: u32,
    /// Numbers drawn.
    pub issued_total: u64,
    /// Came in.
    pub admitted_total: u64,
    /// Came in from the line.
    pub claimed_total: u64,
    /// Were given a slot and did not come for it.
    pub no_shows_total: u64,
    /// Were not heard of any more before their turn; who comes back later was counted nevertheless.
    pub abandoned_total: u64,
    /// Came in after their turn had gone by.
    pub returns_total: u64,
    /// Were told that the queue is full.
    pub full_total: u64,
    /// Walked in, and never showed the cookie.
    pub provisional_lapsed_total: u64,
    /// Showed a session's cookie that another browser had gone on with.
    pub copies_total: u64,
    /// How long the last one to come in from the queue had waited.
    pub last_wait: Duration,
    /// Half, nine tenths and 99 % of those who came in from the line waited at most so long.
    pub wait: [Duration; 3],
    /// By how much the first estimate was wrong, as a share of the wait: half and nine tenths at most.
    pub estimate_error: [f64; 2],
    /// How long a session lasts on average, its idle time included.
    pub mean_stay: Duration,
    /// New visitors a second, of late.
    pub admitted_per_second: f64,
    /// And at most, by `admit`.
    pub admit_per_second: Option<f64>,
    pub limit: Limit,
    pub phase: Phase,
    /// How many there are still to be had.
    pub stock: Option<u64>,
}

/// What is counted as it happens.
#[derive(Debug)]
pub struct Figures {
    pub issued_total: u64,
    pub admitted_total: u64,
    pub claimed_total: u64,
    pub no_shows_total: u64,
    pub abandoned_total: u64,
    pub returns_total: u64,
    pub full_total: u64,
    pub provisional_lapsed_total: u64,
    pub copies_total: u64,
    last_wait: Duration,
    /// Seconds.
    waits: Option<Histogram<u64>>,
    /// Percent.
    errors: Option<Histogram<u64>>,
    mean_stay_ms: f64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            issued_total: 0,
            admitted_total: 0,
            claimed_total: 0,
            no_shows_total: 0,
            abandoned_total: 0,
            returns_total: 0,
            full_total: 0,
            provisional_lapsed_total: 0,
            copies_total: 0,
            last_wait: Duration::ZERO,
            // The bounds are constants that the library takes.
            waits: Histogram::new_with_bounds(1, WAIT_MAX_S, 2).ok(),
            errors: Histogram::new_with_bounds(1, 1000, 2).ok(),
            mean_stay_ms: 0.0,
        }
    }
}

impl Figures {
    /// One from the line has come in.
    pub fn claimed(&mut self, ticket: Ticket, now: Now) {
        self.admitted_total += 1;
        self.claimed_total += 1;
        let now_s = now.unix_ms / 1000;
        let waited_s = now_s.saturating_sub(u64::from(ticket.issued_unix_s));
        self.last_wait = Duration::from_secs(waited_s);
        if let Some(waits) = &mut self.waits {
            waits.saturating_record(waited_s);
        }
        if let Some(errors) = self.errors.as_mut().filter(|_| ticket.expected_unix_s != 0 && waited_s > 0) {
            let off_s = now_s.abs_diff(u64::from(ticket.expected_unix_s));
            errors.saturating_record(off_s.saturating_mul(100) / waited_s);
        }
    }

    /// A session has ended.
    pub fn stayed(&mut self, stayed_ms: u64) {
        let stayed = stayed_ms as f64;
        if self.mean_stay_ms == 0.0 {
            self.mean_stay_ms = stayed;
        } else {
            self.mean_stay_ms += (stayed - self.mean_stay_ms) * STAY_WEIGHT;
        }
    }

    /// How long a session lasts on average; none has ended yet: none.
    pub fn mean_stay(&self) -> Option<Duration> {
        (self.mean_stay_ms > 0.0).then(|| Duration::from_secs_f64(self.mean_stay_ms / 1000.0))
    }

    /// The counters that are kept here.
    pub fn counters(&self) -> Counters {
        let at = |histogram: &Option<Histogram<u64>>, quantile| {
            histogram.as_ref().filter(|h| !h.is_empty()).map_or(0, |h| h.value_at_quantile(quantile))
        };
        Counters {
            issued_total: self.issued_total,
            admitted_total: self.admitted_total,
            claimed_total: self.claimed_total,
            no_shows_total: self.no_shows_total,
            abandoned_total: self.abandoned_total,
            returns_total: self.returns_total,
            full_total: self.full_total,
            provisional_lapsed_total: self.provisional_lapsed_total,
            copies_total: self.copies_total,
            last_wait: self.last_wait,
            wait: [0.5, 0.9, 0.99].map(|q| Duration::from_secs(at(&self.waits, q))),
            estimate_error: [0.5, 0.9].map(|q| at(&self.errors, q) as f64 / 100.0),
            mean_stay: self.mean_stay().unwrap_or_default(),
            ..Counters::default()
        }
    }
}
