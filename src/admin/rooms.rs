//! `/api/v1/rooms`: the waiting rooms, and an operator's word on them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

mod change;
mod shown;

pub use change::{Evict, RoomAction, SetRoom, Wanted};
pub(super) use shown::{forecast, room};

use super::access::Caller;
use crate::edge::Edge;
use crate::pipeline::room::Room;
use crate::pipeline::site::Site;
use crate::policy::Admit;
use crate::waiting_room::Reference;

/// What is asked of a room, in its URL.
type OfRoom = Path<String>;

/// The URLs of this page.
pub(super) fn routes() -> Router<Arc<Edge>> {
    Router::new()
        .route("/api/v1/rooms", get(list))
        .route("/api/v1/rooms/{name}", get(show).post(set))
        .route("/api/v1/rooms/{name}/forecast", get(foresee))
        .route("/api/v1/rooms/{name}/draws", get(draws))
        .route("/api/v1/rooms/{name}/tickets/{reference}", get(find))
}

/// An answer that says what is wrong, as problem+json (RFC 9457).
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn of(status: StatusCode, detail: String) -> Self {
        Self { status, detail }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    fn none(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let status = self.status.as_u16();
        let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": self.detail });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), detail: rejection.body_text() }
    }
}

fn named(site: &Site, name: &str) -> Result<Arc<Room>, Problem> {
    if let Some(room) = site.room_named(name) {
        return Ok(room.clone());
    }
    let known: Vec<_> = site.rooms().iter().map(|room| room.name()).collect();
    Err(Problem::none(match known.as_slice() {
        [] => "the policy has no waiting room".to_owned(),
        known => format!("there is no room `{name}`; there is: {}", known.join(", ")),
    }))
}

async fn list(State(edge): State<Arc<Edge>>) -> Json<Value> {
    let (site, now) = (edge.door.site.load(), edge.clock.now());
    Json(json!({ "rooms": site.rooms().iter().map(|r| room(r, now)).collect::<Vec<_>>() }))
}

async fn show(State(edge): State<Arc<Edge>>, Path(name): OfRoom) -> Result<Json<Value>, Problem> {
    let found = named(&edge.door.site.load(), &name)?;
    Ok(Json(room(&found, edge.clock.now())))
}

/// `?admit=240/min&capacity=500`: what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foresee {
    admit: Option<Wanted<Admit>>,
    capacity: Option<Wanted<NonZeroU32>>,
}

async fn foresee(
    State(edge): State<Arc<Edge>>,
    Path(name): OfRoom,
    asked: Result<Query<Foresee>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    let found = named(&edge.door.site.load(), &name)?;
    Ok(Json(forecast(&found, asked.admit, asked.capacity, edge.clock.now())))
}

async fn set(
    State(edge): State<Arc<Edge>>,
    Path(name): OfRoom,
    Extension(caller): Extension<Caller>,
    asked: Result<Json<SetRoom>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(mut asked) = asked?;
    asked.who = caller.who(&asked.who)?;
    let site = edge.door.site.load_full();
    let room = named(&site, &name)?;
    change::change(&edge, &room, &asked).await.map(Json)
}

async fn find(
    State(edge): State<Arc<Edge>>,
    Path((name, reference)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let room = named(&edge.door.site.load(), &name)?;
    let reference: Reference = reference.parse().map_err(|error| Problem::bad(format!("{reference}: {error}")))?;
    shown::ticket(&room, reference, edge.clock.now())
        .map(Json)
        .ok_or_else(|| Problem::none(format!("no ticket {reference} was given in this room, or it is forgotten")))
}

async fn draws(State(edge): State<Arc<Edge>>, Path(name): OfRoom) -> Result<Json<Value>, Problem> {
    let room = named(&edge.door.site.load(), &name)?;
    Ok(Json(shown::draws(&room)))
}

/// A change for longer than this was a typing mistake.
pub(super) const MAX_FOR: Duration = Duration::from_secs(366 * 86_400);
