//! `POST /api/v1/rooms/NAME`: what may be changed, and how it is told.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::shown::{self, forecast};
use super::{MAX_FOR, Problem};
use crate::edge::Edge;
use crate::pipeline::room::Room;
use crate::pipeline::room::operator::{By, Change, WHO_MAX, WHY_MAX};
use crate::policy::Admit;
use crate::waiting_room::Reference;

/// A change of a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRoom {
    pub action: RoomAction,
    /// `set`: new visitors at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit: Option<Wanted<Admit>>,
    /// `set`: visitors inside at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Wanted<NonZeroU32>>,
    /// `set`: how many are left, whatever the origin says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Wanted<u64>>,
    /// `message`: what it says; left out: it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `message`: of which language; left out: of all that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `evict`: whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evict: Option<Evict>,
    /// `evict`: the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Left out: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// A token says it, where one is shown.
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub why: String,
    /// Says what would be, and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What to do with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomAction {
    Set,
    Pause,
    Resume,
    Close,
    Open,
    Message,
    Evict,
}

/// Who has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evict {
    /// Everyone inside.
    Sessions,
    /// Everyone in line.
    Queue,
    /// One ticket, with its session.
    Ticket,
}

/// A value, or `policy`: what the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<T>(pub Option<T>);

const POLICY: &str = "policy";

impl<T: FromStr<Err: fmt::Display>> FromStr for Wanted<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            POLICY => Ok(Self(None)),
            value => value.parse().map(|value| Self(Some(value))).map_err(|error| format!("{error}; or `{POLICY}`")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Wanted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(POLICY),
        }
    }
}

impl<T: fmt::Display> Serialize for Wanted<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Wanted<T> {
    /// From a string or a number.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(from)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

/// What a change comes to: some orders, or some who have to go.
enum Asked {
    Orders(Vec<Change>),
    Evict(Evict, Option<Reference>),
}

impl SetRoom {
    /// One that says only what is to be done.
    pub fn new(action: RoomAction) -> Self {
        Self {
            action,
            admit: None,
            capacity: None,
            stock: None,
            text: None,
            language: None,
            evict: None,
            reference: None,
            for_seconds: None,
            who: String::new(),
            why: String::new(),
            dry_run: false,
        }
    }

    fn asked(&self) -> Result<Asked, Problem> {
        let changes = match self.action {
            RoomAction::Evict => return self.evicted(),
            RoomAction::Set => self.values()?,
            RoomAction::Pause => vec![Change::Pause],
            RoomAction::Resume => vec![Change::Resume],
            RoomAction::Close => vec![Change::Close],
            RoomAction::Open => vec![Change::Open],
            RoomAction::Message => vec![self.message()],
        };
        Ok(Asked::Orders(changes))
    }

    fn values(&self) -> Result<Vec<Change>, Problem> {
        let admit = self.admit.map(|wanted| Change::Admit(wanted.0));
        let capacity = self.capacity.map(|wanted| Change::Capacity(wanted.0));
        let stock = self.stock.map(|wanted| Change::Stock(wanted.0));
        let changes: Vec<_> = admit.into_iter().chain(capacity).chain(stock).collect();
        if changes.is_empty() {
            return Err(Problem::bad("nothing to set: name `admit`, `capacity` or `stock`"));
        }
        Ok(changes)
    }

    fn message(&self) -> Change {
        match (&self.text, &self.language) {
            (None, None) => Change::NoMessage,
            (text, language) => Change::Message { language: language.clone().unwrap_or_default(), text: text.clone() },
        }
    }

    fn evicted(&self) -> Result<Asked, Problem> {
        let reference = self
            .reference
            .as_deref()
            .map(|text| text.parse::<Reference>().map_err(|error| Problem::bad(format!("{text}: {error}"))));
        match (self.evict, reference.transpose()?) {
            (Some(Evict::Ticket), None) => Err(Problem::bad("`reference` is missing: which ticket?")),
            (Some(evict), reference) => Ok(Asked::Evict(evict, reference)),
            (None, _) => Err(Problem::bad("`evict` is missing: sessions, queue or ticket")),
        }
    }

    /// Whose word it is, until when.
    fn by(&self, now: crate::clock::Now) -> Result<By, Problem> {
        for (name, text, max) in [("who", &self.who, WHO_MAX), ("why", &self.why, WHY_MAX)] {
            if text.chars().count() > max {
                return Err(Problem::bad(format!("`{name}` is longer than {max} characters")));
            }
        }
        let until = self.for_seconds.map(|s| now.after(Duration::from_secs(s.min(MAX_FOR.as_secs()))).unix_ms);
        Ok(By::operator(&self.who, &self.why, until, now))
    }
}

/// Does it, or says what it would come to.
pub(super) async fn change(edge: &Arc<Edge>, room: &Arc<Room>, set: &SetRoom) -> Result<Value, Problem> {
    let now = edge.clock.now();
    let by = set.by(now)?;
    let forecast = forecast(room, set.admit, set.capacity, now);
    let asked = set.asked()?;
    if let Asked::Orders(changes) = &asked {
        let mut orders = room.orders();
        let tried = changes.iter().try_for_each(|change| orders.change(change, &by));
        tried.map_err(|error| Problem::bad(error.to_string()))?;
    }
    match asked {
        Asked::Evict(evict, reference) => Ok(evict_from(room, evict, reference, set, now)),
        Asked::Orders(_) if set.dry_run => {
            Ok(json!({ "dry_run": true, "room": shown::room(room, now), "forecast": forecast }))
        }
        Asked::Orders(changes) => {
            let before = room.standing(now);
            room.order(&changes, &by, now).map_err(|error| Problem::bad(error.to_string()))?;
            shown::log(room, set, &before, &room.standing(now), now);
            let kept = edge.save_orders().await;
            if let Err(error) = &kept {
                tracing::error!(%error, "the change is in force, but would not outlive a restart");
            }
            Ok(json!({
                "dry_run": false, "room": shown::room(room, now), "forecast": forecast,
                "kept_over_restart": kept.is_ok(),
            }))
        }
    }
}

fn evict_from(room: &Room, evict: Evict, reference: Option<Reference>, set: &SetRoom, now: crate::clock::Now) -> Value {
    let before = room.standing(now);
    let evicted = match (evict, reference) {
        _ if set.dry_run => shown::would_go(room, evict, reference, now),
        (Evict::Sessions, _) => u64::from(room.evict_sessions(now)),
        (Evict::Queue, _) => room.evict_queue(now),
        (Evict::Ticket, Some(reference)) => u64::from(room.evict(reference, now)),
        (Evict::Ticket, None) => 0,
    };
    if !set.dry_run {
        shown::log(room, set, &before, &room.standing(now), now);
    }
    json!({ "dry_run": set.dry_run, "room": shown::room(room, now), "evicted": evicted })
}
