//! What a storm has seen, as its visitors saw it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;

use super::GOOD_WITHIN;
use super::client::{Failure, Page};

/// Counters that the crowd writes and the progress display reads.
#[derive(Debug)]
pub struct Tally {
    visitors: AtomicU64,
    orders: AtomicU64,
    gave_up: AtomicU64,
    requests: AtomicU64,
    good: AtomicU64,
    late: AtomicU64,
    hits: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
    unsent: AtomicU64,
    waiting: AtomicU64,
    waiting_peak: AtomicU64,
    scraper_served: AtomicU64,
    scraper_refused: AtomicU64,
    /// Microseconds of the pages that came, in time or late.
    latency: Mutex<Histogram<u64>>,
}

impl Default for Tally {
    fn default() -> Self {
        let counter = AtomicU64::default;
        Self {
            visitors: counter(),
            orders: counter(),
            gave_up: counter(),
            requests: counter(),
            good: counter(),
            late: counter(),
            hits: counter(),
            refused: counter(),
            errors: counter(),
            timeouts: counter(),
            unsent: counter(),
            waiting: counter(),
            waiting_peak: counter(),
            scraper_served: counter(),
            scraper_refused: counter(),
            latency: Mutex::new(histogram()),
        }
    }
}

/// A minute, to three digits: none of the crowd waits longer.
#[allow(clippy::expect_used, reason = "constant bounds that the library takes")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("valid bounds")
}

/// A tally at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Visitors who have come.
    pub visitors: u64,
    /// Visitors who have bought.
    pub orders: u64,
    /// Visitors who have lost patience.
    pub gave_up: u64,
    /// Requests for pages.
    pub requests: u64,
    /// Pages that came within 500 ms.
    pub good: u64,
    /// Pages that came after it.
    pub late: u64,
    /// Of the pages that came, those that a cache answered (Cache-Status `hit`).
    pub hits: u64,
    /// 429 and 503 without a place in a queue.
    pub refused: u64,
    /// Other failures: broken connections, 5xx.
    pub errors: u64,
    /// Nothing came within 5 s.
    pub timeouts: u64,
    /// Never sent, because too many requests were under way already.
    pub unsent: u64,
    /// Visitors in the waiting room now.
    pub waiting: u64,
    /// The most that ever were.
    pub waiting_peak: u64,
    /// Searches the scraper got.
    pub scraper_served: u64,
    /// Searches it did not get.
    pub scraper_refused: u64,
    /// Half of the pages came faster.
    pub p50_ms: f64,
    /// All but one in a hundred came faster.
    pub p99_ms: f64,
}

impl Tally {
    /// All figures, as they are now.
    #[allow(clippy::cast_precision_loss, reason = "a minute in microseconds is far below 2^52")]
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latency = self.latency.lock();
        let millis = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
        Figures {
            visitors: read(&self.visitors),
            orders: read(&self.orders),
            gave_up: read(&self.gave_up),
            requests: read(&self.requests),
            good: read(&self.good),
            late: read(&self.late),
            hits: read(&self.hits),
            refused: read(&self.refused),
            errors: read(&self.errors),
            timeouts: read(&self.timeouts),
            unsent: read(&self.unsent),
            waiting: read(&self.waiting),
            waiting_peak: read(&self.waiting_peak),
            scraper_served: read(&self.scraper_served),
            scraper_refused: read(&self.scraper_refused),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
        }
    }

    pub(super) fn arrived(&self) {
        one_more(&self.visitors);
    }

    pub(super) fn ordered(&self) {
        one_more(&self.orders);
    }

    pub(super) fn gave_up(&self) {
        one_more(&self.gave_up);
    }

    pub(super) fn unsent(&self) {
        one_more(&self.requests);
        one_more(&self.unsent);
    }

    pub(super) fn scraped(&self, served: bool) {
        one_more(if served { &self.scraper_served } else { &self.scraper_refused });
    }

    /// One request for a page and what became of it.
    pub(super) fn asked(&self, answer: &Result<Page, Failure>, took: Duration) {
        one_more(&self.requests);
        match answer {
            Ok(page) if page.is_wanted() => self.came(page, took),
            Ok(page) => match page.status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => one_more(&self.refused),
                _ => one_more(&self.errors),
            },
            Err(Failure::Timeout) => one_more(&self.timeouts),
            Err(Failure::Broken) => one_more(&self.errors),
        }
    }

    /// An answer that looked like a refusal and was a place in the queue: no page was asked in vain.
    pub(super) fn was_queued(&self) {
        self.refused.fetch_sub(1, Ordering::Relaxed);
    }

    /// A visitor waits in the room until the value is dropped.
    pub(super) fn waits(&self) -> Waiting<'_> {
        let now = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting_peak.fetch_max(now, Ordering::Relaxed);
        Waiting(self)
    }

    fn came(&self, page: &Page, took: Duration) {
        one_more(if took <= GOOD_WITHIN { &self.good } else { &self.late });
        let cache_status = page.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if cache_status.split(';').any(|parameter| parameter.trim() == "hit") {
            one_more(&self.hits);
        }
        self.latency.lock().saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One visitor in the waiting room.
pub(super) struct Waiting<'a>(&'a Tally);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
