//! What is seen from outside: counters, and one access log line a request.
//!
//! Neither ever holds a request up: a counter is one atomic add, a log line goes into a bounded
//! queue whose reader may lose lines (and counts them), but never waits for a disk.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub mod access_log;

pub use access_log::AccessLog;

use crate::pipeline::reason::Reason;
use crate::tally::Tally;

/// Of what happens with every request.
type Often = Counter<u64, Tally>;

/// Everything that is known of a request when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it came.
    pub unix_ms: u64,
    pub id: &'a str,
    pub client: IpAddr,
    pub method: &'a str,
    pub host: &'a str,
    /// Path and query, as they came.
    pub target: &'a str,
    pub version: &'static str,
    pub route: &'a str,
    pub level: &'static str,
    /// Of what importance it was taken to be.
    pub class: &'static str,
    pub reason: Reason,
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    pub took: Duration,
    /// How long it waited for a place at the origin.
    pub queued: Duration,
    pub user_agent: &'a str,
    pub referer: &'a str,
    /// What was wrong with a request that is none, or which rate limit's dry run would refuse it.
    pub detail: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The edge's counters and its access log.
pub struct Telemetry {
    pub registry: Registry,
    requests: Vec<Often>,
    body_bytes: Often,
    origin_seconds: Histogram,
    queued_seconds: Histogram,
    pub connections: Counter,
    pub connections_refused: Counter,
    pub fills: Counter,
    pub reloads: Family<OutcomeLabel, Counter>,
    pub access: Option<AccessLog>,
}

/// `outcome="ok"` or `outcome="failed"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    pub outcome: &'static str,
}

/// Seconds: from a fast page to the slowest that anyone waits for.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Telemetry {
    pub fn new(access: Option<AccessLog>) -> Self {
        let mut registry = Registry::with_prefix("seawall");
        let requests = Family::<ReasonLabel, Often>::default();
        registry.register("requests", "Requests answered, by why the answer is what it is", requests.clone());
        let body_bytes = Often::default();
        registry.register_with_unit("body", "Bytes of the bodies sent to visitors", Unit::Bytes, body_bytes.clone());
        let origin_seconds = Histogram::new(BUCKETS);
        registry.register_with_unit(
            "origin_answer",
            "From the arrival of a request that goes to the origin by itself to the end of its answer, as sent to the visitor",
            Unit::Seconds,
            origin_seconds.clone(),
        );
        let queued_seconds = Histogram::new(BUCKETS);
        registry.register_with_unit(
            "queued",
            "How long requests waited for a place at the origin",
            Unit::Seconds,
            queued_seconds.clone(),
        );
        let connections = Counter::default();
        registry.register("connections", "Connections accepted", connections.clone());
        let connections_refused = Counter::default();
        registry.register("connections_refused", "Connections over a cap, closed at once", connections_refused.clone());
        let fills = Counter::default();
        registry.register("cache_fills", "Requests to the origin for an entry that many may read", fills.clone());
        let reloads = Family::default();
        registry.register("policy_reloads", "Reloads of the policy", reloads.clone());
        let lost = Counter::<u64, AtomicU64>::default();
        if let Some(log) = &access {
            registry.register("access_log_lost", "Access log lines lost: queue or disk full", log.lost());
        } else {
            registry.register("access_log_lost", "Access log lines lost: queue or disk full", lost);
        }
        Self {
            requests: Reason::ALL
                .iter()
                .map(|r| requests.get_or_create(&ReasonLabel { reason: r.label() }).clone())
                .collect(),
            registry,
            body_bytes,
            origin_seconds,
            queued_seconds,
            connections,
            connections_refused,
            fills,
            reloads,
            access,
        }
    }

    /// Counts and logs a request that is over.
    pub fn record(&self, record: &Record<'_>) {
        if let Some(counter) = self.requests.get(record.reason as usize) {
            counter.inc();
        }
        self.body_bytes.inc_by(record.bytes);
        if record.reason == Reason::Pass {
            self.origin_seconds.observe(record.took.as_secs_f64());
        }
        if !record.queued.is_zero() {
            self.queued_seconds.observe(record.queued.as_secs_f64());
        }
        if let Some(log) = &self.access {
            log.write(record);
        }
    }

    /// How often a reason was given so far.
    pub fn count(&self, reason: Reason) -> u64 {
        self.requests.get(reason as usize).map_or(0, Counter::get)
    }
}
