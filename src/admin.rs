//! The admin listener: what the edge does, in numbers, and an operator's levers.
//!
//! On loopback, or for those who have a token (`access`). A web page that an operator happens to visit
//! must not be able to use it: a request without a token has to name the listener as its host, and a
//! change has to be JSON, which no page of another origin may send without asking first.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::balance;
use crate::edge::{Edge, log_change};
use crate::level::Override;
use crate::pipeline::origin::Origin;
use crate::pipeline::reason::Reason;
use crate::pipeline::site::Site;
use crate::policy::{Level, Window};
use crate::waiting_room::Limit;

mod access;
mod metrics;
mod purge;
pub mod rooms;

pub use access::Tokens;
pub use purge::SetPurge;

use access::Caller;
use rooms::{MAX_FOR, Problem};

/// Serves until the task is aborted.
pub async fn serve(listener: TcpListener, edge: Arc<Edge>) {
    let app = Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/status", get(async |State(edge): State<Arc<Edge>>| Json(status(&edge))))
        .route("/api/v1/level", post(set_level))
        .route("/api/v1/snapshot", post(take_snapshot))
        .merge(rooms::routes())
        .merge(purge::routes())
        .layer(middleware::from_fn_with_state(edge.clone(), while_in_charge))
        .layer(middleware::from_fn_with_state(edge.clone(), access::guard))
        .with_state(edge);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the admin listener ended");
    }
}

/// Refuses changes once another process is about to be in charge: they would be lost. One that has begun is
/// made to its end, whoever waits for it.
async fn while_in_charge(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let change = tokio::spawn(async move {
        let _changing = edge.changing.read().await;
        if edge.draining() { refused_on_the_way_out() } else { next.run(request).await }
    });
    change.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn refused_on_the_way_out() -> Response {
    let later = [(header::RETRY_AFTER, "1"), (header::CONNECTION, "close")];
    (StatusCode::SERVICE_UNAVAILABLE, later, "another process takes over, or this one ends: ask again\n")
        .into_response()
}

async fn index() -> &'static str {
    "Seawall\n\n/healthz         the process lives\n/readyz          it takes visitors\n/metrics         OpenMetrics\n\
     /api/v1/status   JSON; or: seawall status\n/api/v1/level    POST; or: seawall level\n\
     /api/v1/rooms    JSON, POST to one of them; or: seawall room\n/api/v1/purge    POST; or: seawall purge\n\
     /api/v1/snapshot POST: take one now, at the edge\n"
}

async fn ready(State(edge): State<Arc<Edge>>) -> (StatusCode, &'static str) {
    if edge.draining() { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") } else { (StatusCode::OK, "ready\n") }
}

/// The edge in numbers, as `/api/v1/status` gives them.
pub fn status(edge: &Edge) -> Value {
    let site = edge.door.site.load();
    let now = edge.clock.now();
    let requests: serde_json::Map<String, Value> = Reason::ALL
        .iter()
        .map(|r| (r.label().to_owned(), site.telemetry.count(*r).into()))
        .filter(|(_, count)| *count != 0)
        .collect();
    let cache = site.store.stats();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if edge.draining() { "draining" } else { "serving" },
        "uptime_seconds": now.mono.as_nanos() / 1_000_000_000,
        "listen": edge.addresses(),
        "connections": edge.connections.len(),
        "edge": edge_status(&site),
        "requests": requests,
        "origins": site.origins().iter().map(|o| origin_status(o, now)).collect::<Vec<_>>(),
        "waiting_rooms": site.rooms().iter().map(|r| rooms::room(r, now)).collect::<Vec<_>>(),
        "cache": { "entries": cache.entries, "bytes": cache.bytes, "bytes_max": cache.bytes_max,
                   "purges": site.store.purges().count(),
                   "fills_in_flight": edge.door.fills.len() },
        "snapshot": edge.snapshot_status(&site),
        "access_log_lost": site.telemetry.access.as_ref().map_or(0, |log| log.lost().get()),
    })
}

fn edge_status(site: &Site) -> Value {
    let vitals = site.condition.vitals();
    json!({
        "strain": site.condition.strain().name(),
        "connections": vitals.connections, "memory": vitals.memory, "cpu": vitals.cpu,
        "lag_seconds": vitals.lag.as_secs_f64(), "resident_bytes": vitals.resident,
    })
}

fn origin_status(origin: &Origin, now: crate::clock::Now) -> Value {
    let f = origin.figures();
    let (retries, retries_denied) = origin.servers.retries();
    let servers: Vec<_> = origin.servers.status(now.mono).iter().map(server).collect();
    origin.look(|ladder| {
        let pressure = ladder.pressure();
        json!({
            "name": origin.name,
            "level": ladder.level(now),
            "level_automatic": ladder.automatic(),
            "level_dry_run": ladder.is_dry_run(),
            "pressure": pressure.value(),
            "pressure_leading": pressure.leading().name(),
            "allowance": ladder.allowance(now),
            "next_scheduled": ladder.next_window(now).map(window),
            "overrides": ladder.overrides(now).collect::<Vec<_>>(),
            "health_check_never_passed": ladder.check_never_passed(),
            "in_flight": f.in_flight, "in_flight_peak": f.in_flight_peak, "limit": f.limit,
            "queued": f.queued, "streams": f.streams,
            "answers": f.reached, "unreached": f.unreached,
            "retries": retries, "retries_denied": retries_denied,
            "servers": servers,
        })
    })
}

fn server(server: &balance::Status) -> Value {
    json!({
        "server": server.server.to_string(),
        "in_flight": server.in_flight,
        "state": server.standing.name(),
        "share_percent": server.standing.percent(),
        "back_in_seconds": server.standing.left().map(|left| left.as_secs()),
    })
}

fn window(window: &Window) -> Value {
    json!({
        "at_least": window.at_least,
        "from_unix_ms": window.from_unix_ms, "until_unix_ms": window.until_unix_ms,
    })
}

/// What keeps the next one in line from coming in, as the policy and the docs call it.
pub(crate) const fn limited_by(limit: Limit) -> &'static str {
    match limit {
        Limit::None => "none",
        Limit::Rate => "rate",
        Limit::Pressure => "pressure",
        Limit::Capacity => "capacity",
        Limit::Pause => "pause",
        Limit::Hours => "hours",
        Limit::Stock => "stock",
        Limit::Recovery => "recovery",
        Limit::Store => "store",
    }
}

/// A change of level, as `/api/v1/level` takes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLevel {
    pub action: Action,
    /// Not for `release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Left out: every origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Left out: until released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// A token says it, where one is shown.
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub why: String,
}

/// What to do with the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Exactly this level.
    Pin,
    /// This level or a worse one.
    Floor,
    /// Take back what was set.
    Release,
}

async fn set_level(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    set: Result<Json<SetLevel>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(mut set) = set?;
    set.who = caller.who(&set.who)?;
    let site = edge.door.site.load_full();
    change_level(&edge, &site, &set).map(Json).map_err(Problem::bad)
}

/// A snapshot to be taken, as `/api/v1/snapshot` takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeSnapshot {
    /// A token says it, where one is shown.
    #[serde(default)]
    who: String,
    #[serde(default)]
    why: String,
}

async fn take_snapshot(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    take: Result<Json<TakeSnapshot>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(take) = take?;
    let who = caller.who(&take.who)?;
    if edge.take_snapshot() {
        tracing::info!(who, why = take.why, "a snapshot is wanted");
        return Ok(Json(json!({ "wanted": true })));
    }
    Err(Problem::bad("the policy has no [snapshot]".to_owned()))
}

fn change_level(edge: &Edge, site: &Site, set: &SetLevel) -> Result<Value, String> {
    let now = edge.clock.now();
    let asked = |o: &&Arc<Origin>| set.origin.as_ref().is_none_or(|name| *name == o.name);
    let origins: Vec<_> = site.origins().iter().filter(asked).collect();
    if origins.is_empty() {
        let known: Vec<_> = site.origins().iter().map(|o| o.name.as_str()).collect();
        return Err(format!("there is no such origin; there are: {}", known.join(", ")));
    }
    let level = match (set.action, set.level) {
        (Action::Release, _) => Level::Normal,
        (_, Some(level)) => level,
        (_, None) => return Err("`level` is missing: normal, elevated, degraded or static".to_owned()),
    };
    let until_unix_ms = set.for_seconds.map(|s| now.after(Duration::from_secs(s.min(MAX_FOR.as_secs()))).unix_ms);
    for origin in &origins {
        let (action, who, why, for_seconds) = (set.action, &set.who, &set.why, set.for_seconds);
        tracing::warn!(origin = origin.name, ?action, level = level.name(), who, why, for_seconds, "a level is set");
        let (change, moved) = origin.ladder(now, |ladder| match set.action {
            Action::Release => ladder.release(&set.who, &set.why, now),
            Action::Pin | Action::Floor => ladder.set(
                Override {
                    level,
                    exact: set.action == Action::Pin,
                    until_unix_ms,
                    who: set.who.clone(),
                    why: set.why.clone(),
                },
                now,
            ),
        });
        for change in change.iter().chain(&moved) {
            log_change(&origin.name, change);
        }
    }
    let saved = edge.levels.save(site, now);
    if let Err(error) = &saved {
        tracing::error!(%error, "the change is in force, but would not outlive a restart");
    }
    Ok(json!({
        "origins": origins.iter().map(|o| origin_status(o, now)).collect::<Vec<_>>(),
        "kept_over_restart": saved.is_ok(),
    }))
}
