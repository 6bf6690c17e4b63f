//! `/metrics`, in OpenMetrics text. Counters live in the telemetry; what is a state now (places,
//! queues, rooms, levels) is read when asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::edge::Edge;
use crate::overload::Strain;
use crate::policy::{Level, RateLimitId};

mod rooms;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(edge): State<Arc<Edge>>) -> Response {
    let mut text = String::new();
    let site = edge.door.site.load();
    let now = registry(&edge);
    let written = encode_registry(&mut text, &site.telemetry.registry)
        .and_then(|()| encode_registry(&mut text, &now))
        .and_then(|()| encode_eof(&mut text));
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        // A String takes everything.
        Err(error) => error.to_string().into_response(),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    origin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtServer {
    origin: String,
    server: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    rate_limit: String,
    dry_run: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtLevel {
    origin: String,
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LedBy {
    origin: String,
    signal: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Strained {
    strain: &'static str,
}

fn registry(edge: &Edge) -> Registry {
    let mut registry = Registry::with_prefix("seawall");
    let site = edge.door.site.load();
    let build = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version that runs", prometheus_client::metrics::info::Info::new(build));
    registry.register("connections_open", "Connections open now", ConstGauge::new(edge.connections.len() as u64));
    let cache = site.store.stats();
    registry.register("cache_entries", "Entries in the cache", ConstGauge::new(cache.entries));
    registry.register_with_unit("cache", "Memory that entries take", Unit::Bytes, ConstGauge::new(cache.bytes));
    let max = ConstGauge::new(cache.bytes_max);
    registry.register_with_unit("cache_max", "Memory that entries may take", Unit::Bytes, max);
    let purges = ConstCounter::new(site.store.purges().count());
    registry.register("cache_purges", "Targets purged, and what writes made stale", purges);
    registry.register("cache_fills_open", "Fills in flight", ConstGauge::new(edge.door.fills.len() as u64));
    let uptime = ConstGauge::new(edge.clock.mono().as_nanos() as f64 / 1e9);
    registry.register_with_unit("uptime", "Since the process began", Unit::Seconds, uptime);
    snapshot(edge, &mut registry);
    origins(edge, &mut registry);
    servers(edge, &mut registry);
    rate_limits(edge, &mut registry);
    ladders(edge, &mut registry);
    strain(edge, &mut registry);
    rooms::register(edge, &mut registry);
    registry
}

fn snapshot(edge: &Edge, registry: &mut Registry) {
    let site = edge.door.site.load();
    if site.policy.snapshot.is_some() {
        let failing = u64::from(edge.snapshot_failed());
        registry.register("snapshot_failing", "1: the last attempt to take one failed", ConstGauge::new(failing));
    }
    let Some(shown) = site.snapshot.get() else { return };
    registry.register("snapshot_urls", "URLs that the snapshot has", ConstGauge::new(shown.len() as u64));
    if let Some(taken) = shown.taken_unix_ms {
        let age = edge.clock.now().unix_ms.saturating_sub(taken) as f64 / 1000.0;
        registry.register_with_unit(
            "snapshot_age",
            "Since the snapshot was taken",
            Unit::Seconds,
            ConstGauge::new(age),
        );
    }
}

fn origins(edge: &Edge, registry: &mut Registry) {
    type Gauges = Family<Of, Gauge<u64, AtomicU64>>;
    let site = edge.door.site.load();
    let (flight, peak, limit) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (queued, streams) = (Gauges::default(), Gauges::default());
    for origin in site.origins() {
        let of = Of { origin: origin.name.clone() };
        let f = origin.figures();
        let values = [
            (&flight, f.in_flight),
            (&peak, f.in_flight_peak),
            (&limit, f.limit),
            (&queued, f.queued),
            (&streams, f.streams),
        ];
        for (gauges, value) in values {
            gauges.get_or_create(&of).set(value as u64);
        }
    }
    registry.register("origin_in_flight", "Requests at the origin now", flight);
    registry.register("origin_in_flight_peak", "Most requests at the origin at once so far", peak);
    registry.register("origin_limit", "Requests at the origin at most", limit);
    registry.register("origin_queued", "Requests that wait for a place at the origin", queued);
    registry.register("origin_streams", "Upgrades and event streams open", streams);
}

fn ladders(edge: &Edge, registry: &mut Registry) {
    type Levels = Family<AtLevel, Gauge<u64, AtomicU64>>;
    type Shares = Family<Of, Gauge<f64, AtomicU64>>;
    let site = edge.door.site.load();
    let now = edge.clock.now();
    let (served, automatic) = (Levels::default(), Levels::default());
    let (pressures, allowances, next) = (Shares::default(), Shares::default(), Shares::default());
    let leading = Family::<LedBy, Gauge<u64, AtomicU64>>::default();
    for origin in site.origins() {
        let of = Of { origin: origin.name.clone() };
        origin.look(|ladder| {
            for level in Level::ALL {
                let at = AtLevel { origin: origin.name.clone(), level: level.name() };
                automatic.get_or_create(&at).set(u64::from(ladder.automatic() == level));
                served.get_or_create(&at).set(u64::from(ladder.level(now) == level));
            }
            let pressure = ladder.pressure();
            pressures.get_or_create(&of).set(pressure.value());
            let led = LedBy { origin: origin.name.clone(), signal: pressure.leading().name() };
            leading.get_or_create(&led).set(1);
            allowances.get_or_create(&of).set(ladder.allowance(now));
            if let Some(window) = ladder.next_window(now) {
                next.get_or_create(&of).set(window.from_unix_ms as f64 / 1000.0);
            }
        });
    }
    registry.register("origin_level", "1 for the level that the origin is served at", served);
    registry.register("origin_level_automatic", "1 for the level that the origin's state asks for", automatic);
    registry.register("pressure", "How near the origin is to its limit: 0 at rest, 1 at the limit", pressures);
    registry.register("pressure_leading", "1 for the signal that leads the pressure", leading);
    registry.register("origin_allowance", "Share of its traffic that the origin may have", allowances);
    let about = "When the next window of the schedule opens, since 1970";
    registry.register_with_unit("level_schedule_next", about, Unit::Seconds, next);
}

fn strain(edge: &Edge, registry: &mut Registry) {
    let site = edge.door.site.load();
    let vitals = site.condition.vitals();
    let strains = Family::<Strained, Gauge<u64, AtomicU64>>::default();
    for strain in Strain::ALL {
        let now = site.condition.strain() == strain;
        strains.get_or_create(&Strained { strain: strain.name() }).set(u64::from(now));
    }
    registry.register("edge_strain", "1 for how short the edge itself is", strains);
    registry.register("edge_cpu", "Share of its threads' time that the edge takes", ConstGauge::new(vitals.cpu));
    let memory = ConstGauge::new(vitals.memory);
    registry.register("edge_memory", "Share of its memory that the edge takes beside the cache", memory);
    let resident = ConstGauge::new(vitals.resident);
    registry.register_with_unit("edge_resident", "Memory resident", Unit::Bytes, resident);
    let lag = ConstGauge::new(vitals.lag.as_secs_f64());
    registry.register_with_unit("edge_lag", "How late tasks run", Unit::Seconds, lag);
}

fn servers(edge: &Edge, registry: &mut Registry) {
    type Counters = Family<Of, prometheus_client::metrics::counter::Counter>;
    type Gauges<N, A> = Family<AtServer, Gauge<N, A>>;
    let site = edge.door.site.load();
    let (flight, share) = (Gauges::<u64, AtomicU64>::default(), Gauges::<f64, AtomicU64>::default());
    let (retries, denied) = (Counters::default(), Counters::default());
    for origin in site.origins() {
        let of = Of { origin: origin.name.clone() };
        let (made, not_allowed) = origin.servers.retries();
        retries.get_or_create(&of).inc_by(made);
        denied.get_or_create(&of).inc_by(not_allowed);
        for status in origin.servers.status(edge.clock.mono()) {
            let at = AtServer { origin: origin.name.clone(), server: status.server.to_string() };
            flight.get_or_create(&at).set(status.in_flight as u64);
            share.get_or_create(&at).set(f64::from(status.standing.percent()) / 100.0);
        }
    }
    registry.register("origin_retries", "Requests tried again", retries);
    registry.register("origin_retries_denied", "Retries that the budget did not allow", denied);
    registry.register("server_in_flight", "Requests and streams at the server now", flight);
    registry.register("server_share", "0 while the server is left out, rising to 1 as it comes back", share);
}

fn rate_limits(edge: &Edge, registry: &mut Registry) {
    let refused = Family::<OfLimit, prometheus_client::metrics::counter::Counter>::default();
    let site = edge.door.site.load();
    for (at, limit) in site.policy.rate_limits.iter().enumerate() {
        let of = OfLimit { rate_limit: limit.name.clone(), dry_run: if limit.dry_run { "true" } else { "false" } };
        refused.get_or_create(&of).inc_by(site.limit(RateLimitId(at)).refused());
    }
    let help = "Requests that a rate limit refused, or would have refused but for its dry run";
    registry.register("rate_limit_refused", help, refused);
}
