//! What happened, span by span: what tables and plots are made of.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pipeline::reason::Reason;
use crate::policy::Level;

/// What happened in one span of a day, and how things stood at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// How long it is.
    pub lasts: Duration,
    /// Visitors who came.
    pub arrived: u64,
    /// Visitors who got all they came for.
    pub through: u64,
    /// Visitors who left a queue before their turn.
    pub left_queue: u64,
    /// Visitors who were refused once too often.
    pub left_refused: u64,
    /// Visitors who were told that nobody comes in any more: closed, or sold out.
    pub left_shut: u64,
    /// Visitors' requests answered, by reason; polls of a room are not among them.
    pub reasons: [u64; Reason::ALL.len()],
    /// Requests that the origin got, for whomever.
    pub to_origin: u64,
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that it could have answered.
    pub capacity: f64,
    /// The greedy client's requests, and how many of them were answered with what they asked for.
    pub greedy: u64,
    pub greedy_served: u64,
    /// In rooms, at the end.
    pub waiting: u64,
    /// Inside, at the end.
    pub inside: u64,
    /// The longest that one had waited who came in from a queue.
    pub waited: Option<Duration>,
    /// At the origin and in front of it, at most.
    pub in_flight: usize,
    pub queued: usize,
    /// What may be at the origin, at the end.
    pub limit: usize,
    /// The worst.
    pub level: Level,
    /// Of answers that came from the origin, from the visitor's asking.
    pub latencies: Latencies,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            lasts: Duration::ZERO,
            arrived: 0,
            through: 0,
            left_queue: 0,
            left_refused: 0,
            left_shut: 0,
            reasons: [0; Reason::ALL.len()],
            to_origin: 0,
            answered: 0,
            capacity: 0.0,
            greedy: 0,
            greedy_served: 0,
            waiting: 0,
            inside: 0,
            waited: None,
            in_flight: 0,
            queued: 0,
            limit: 0,
            level: Level::Normal,
            latencies: Latencies::default(),
        }
    }
}

impl Span {
    /// A request was answered for this reason.
    pub fn count(&mut self, reason: Reason) {
        if let Some(count) = self.reasons.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// How often a reason was given.
    pub fn given(&self, reason: Reason) -> u64 {
        self.reasons.get(reason as usize).copied().unwrap_or_default()
    }

    /// Answered with what was asked for.
    pub fn served(&self) -> u64 {
        self.given(Reason::Pass) + self.hits()
    }

    /// Answered without a request of their own to the origin.
    pub fn hits(&self) -> u64 {
        [Reason::Hit, Reason::Fill, Reason::Stale, Reason::Snapshot, Reason::File].map(|r| self.given(r)).iter().sum()
    }

    /// Told to come back, or failed; with each reason that was given.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().filter(|r| is_refusal(*r)).map(|r| (r, self.given(r))).filter(|(_, n)| *n > 0)
    }

    pub fn refused(&self) -> u64 {
        self.refusals().map(|(_, count)| count).sum()
    }

    /// Whether some were sent away for want of a place at the origin.
    pub fn turned_away(&self) -> bool {
        self.refusals().any(|(reason, _)| matches!(reason, Reason::QueueFull | Reason::QueueTimeout | Reason::Shed))
    }

    /// This span and the one after it, as one.
    pub fn merge(&mut self, next: &Self) {
        self.lasts += next.lasts;
        self.arrived += next.arrived;
        self.through += next.through;
        self.left_queue += next.left_queue;
        self.left_refused += next.left_refused;
        self.left_shut += next.left_shut;
        self.reasons.iter_mut().zip(next.reasons).for_each(|(a, b)| *a += b);
        self.to_origin += next.to_origin;
        self.answered += next.answered;
        self.capacity += next.capacity;
        self.greedy += next.greedy;
        self.greedy_served += next.greedy_served;
        (self.waiting, self.inside, self.limit) = (next.waiting, next.inside, next.limit);
        self.waited = self.waited.max(next.waited);
        self.in_flight = self.in_flight.max(next.in_flight);
        self.queued = self.queued.max(next.queued);
        self.level = self.level.max(next.level);
        self.latencies.merge(&next.latencies);
    }
}

/// Whether it sends a visitor away.
pub fn is_refusal(reason: Reason) -> bool {
    use Reason::{File, Fill, Hit, Own, Pass, Queued, RoomHeld, RoomNotOpen, Snapshot, Stale};
    !matches!(reason, Pass | Hit | Fill | Stale | Snapshot | File | Own | Queued | RoomHeld | RoomNotOpen)
}

/// What a day came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How long each span is; the last may be shorter.
    pub span: Duration,
    pub spans: Vec<Span>,
    /// By line: everyone's first, then those of the lanes whose visitors came.
    pub waits: Vec<Waits>,
    /// Visitors who were still there at the end.
    pub still_there: u64,
}

impl Report {
    /// All of it as one span.
    pub fn total(&self) -> Span {
        self.spans.iter().fold(Span::default(), |mut total, span| {
            total.merge(span);
            total
        })
    }

    /// The same in so many spans at most, and how long each of them is.
    pub fn in_at_most(&self, spans: usize) -> (Duration, Vec<Span>) {
        let each = self.spans.len().div_ceil(spans.max(1)).max(1);
        let merged = self.spans.chunks(each).map(|chunk| {
            let mut chunk = chunk.iter();
            let mut span = chunk.next().cloned().unwrap_or_default();
            chunk.for_each(|next| span.merge(next));
            span
        });
        (self.span * u32::try_from(each).unwrap_or(u32::MAX), merged.collect())
    }

    /// The share of the origin's capacity that was used in these spans; none without any.
    pub fn used(&self, when: impl Fn(&Span) -> bool) -> Option<f64> {
        let spans = self.spans.iter().filter(|span| when(span));
        let (answered, capacity) = spans.fold((0.0, 0.0), |(a, c), span| (a + span.answered as f64, c + span.capacity));
        (capacity > 0.0).then(|| answered / capacity)
    }
}

/// How long those waited who came in, from their coming, or from the opening if they came before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Waits {
    /// The lane's name.
    pub line: String,
    /// Milliseconds, to three digits; none: its bounds are wrong, which they are not.
    histogram: Option<Histogram<u64>>,
}

impl Waits {
    pub fn new(line: &str) -> Self {
        const MONTH_MS: u64 = 31 * 86_400_000;
        Self { line: line.to_owned(), histogram: Histogram::new_with_bounds(1, MONTH_MS, 3).ok() }
    }

    pub fn record(&mut self, waited: Duration) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// How many came in.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// What this share of them (0 to 1) waited at most; none if nobody came in.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let histogram = self.histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Duration::from_millis(histogram.value_at_quantile(share)))
    }
}

/// How long answers took: in steps of a ninth, from a millisecond to a minute and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies([u32; BUCKETS]);

const BUCKETS: usize = 129;
/// Buckets in which the latency doubles.
const PER_DOUBLING: f64 = 8.0;

impl Default for Latencies {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        let bucket = (latency.as_secs_f64() * 1000.0).max(1.0).log2() * PER_DOUBLING;
        if let Some(count) = self.0.get_mut((bucket.round() as usize).min(BUCKETS - 1)) {
            *count += 1;
        }
    }

    /// What this share of the answers (0 to 1) took at most, within 5 %; none without answers.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.0.iter().map(|n| u64::from(*n)).sum();
        let wanted = (share * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })?;
        Some(super::random::seconds((bucket as f64 / PER_DOUBLING).exp2() / 1000.0))
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_within_a_twentieth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        (1..=1000).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (0.01, 10.0)] {
            let found = latencies.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() < 0.06, "{share}: {found} for {ms}");
        }
    }

    #[test]
    fn a_wait_is_right_to_three_digits() {
        let mut waits = Waits::new("everyone");
        assert_eq!(waits.quantile(0.5), None);
        (1..=1000).for_each(|s| waits.record(Duration::from_secs(s)));
        let median = waits.quantile(0.5).unwrap().as_secs_f64();
        assert!((median / 500.0 - 1.0).abs() < 2e-3 && waits.count() == 1000, "{median}");
    }

    #[test]
    fn spans_add_up() {
        let mut span = Span { arrived: 1, waiting: 5, ..Span::default() };
        span.count(Reason::Hit);
        span.count(Reason::QueueFull);
        let report = Report { span: Duration::from_secs(1), spans: vec![span; 10], waits: Vec::new(), still_there: 0 };
        let total = report.total();
        assert_eq!((total.arrived, total.waiting, total.hits(), total.refused()), (10, 5, 10, 10));
        let (each, spans) = report.in_at_most(4);
        assert_eq!((each, spans.len()), (Duration::from_secs(3), 4));
        assert_eq!(spans.iter().map(|s| s.arrived).collect::<Vec<_>>(), [3, 3, 3, 1]);
    }
}
