//! What an operator, or the origin by `Seawall-Room`, has ordered of a room.
//!
//! Pure. An order stands over the policy until it expires or is taken back; the policy itself stays
//! as the file says. What has lapsed never counts, even before [`Orders::expire`] has taken it away.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::clock::Now;
use crate::policy::{Admit, WaitingRoom};
use crate::waiting_room::page::{Message, MessageError};

/// Characters of a name at most; what is longer is cut.
pub const WHO_MAX: usize = 100;
/// Characters of a reason at most; what is longer is cut.
pub const WHY_MAX: usize = 500;

/// Everything that is ordered of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    admit: Option<Ordered<Admit>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capacity: Option<Ordered<NonZeroU32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<Ordered<()>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    close: Option<Ordered<()>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stock: Option<Ordered<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Ordered<Message>>,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ordered<T> {
    value: T,
    #[serde(flatten)]
    by: By,
}

/// Whose order it is, and how long it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    #[serde(deserialize_with = "who")]
    pub who: String,
    #[serde(deserialize_with = "why")]
    pub why: String,
    pub since_unix_ms: u64,
    /// None: until it is taken back.
    pub until_unix_ms: Option<u64>,
    /// The origin's word: it lapses when the room opens, and when the policy no longer allows it.
    #[serde(default)]
    pub from_origin: bool,
}

/// What an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Admit,
    Capacity,
    Pause,
    Close,
    Stock,
    Message,
}

/// A change of the orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// None: as the policy says.
    Admit(Option<Admit>),
    /// None: as the policy says.
    Capacity(Option<NonZeroU32>),
    /// None: nobody says how many are left.
    Stock(Option<u64>),
    Pause,
    /// Takes back a pause.
    Resume,
    Close,
    /// Takes back a close, and what the origin said is left.
    Open,
    /// In one language (empty: in all that have none of their own); no text: takes it back.
    Message {
        language: String,
        text: Option<String>,
    },
    /// Takes the message back in every language.
    NoMessage,
}

/// An order that is no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Lapsed {
    pub what: What,
    /// What was ordered.
    pub value: Value,
    pub by: By,
    pub cause: Lapse,
}

/// Why an order is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Its time is over.
    Expired,
    /// The origin gave it before the room opened.
    Opened,
    /// The origin gave it, and the policy no longer allows that.
    NotAllowed,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Admit, Self::Capacity, Self::Pause, Self::Close, Self::Stock, Self::Message];

    /// As the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Capacity => "capacity",
            Self::Pause => "pause",
            Self::Close => "close",
            Self::Stock => "stock",
            Self::Message => "message",
        }
    }
}

impl Lapse {
    /// Half a sentence, for the log.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Expired => "its time is over",
            Self::Opened => "the origin had said it before the room opened",
            Self::NotAllowed => "the origin had said it, and the policy no longer allows that",
        }
    }
}

impl By {
    /// An operator's, from now on. Control characters and what is too long are left out.
    pub fn operator(who: &str, why: &str, until_unix_ms: Option<u64>, now: Now) -> Self {
        Self {
            who: clean(who, WHO_MAX),
            why: clean(why, WHY_MAX),
            since_unix_ms: now.unix_ms,
            until_unix_ms,
            from_origin: false,
        }
    }

    /// The origin's, from now on.
    pub fn origin(said: &str, now: Now) -> Self {
        Self { from_origin: true, ..Self::operator("origin", said, None, now) }
    }

    fn lapse(&self, what: What, policy: &WaitingRoom, now: Now) -> Option<Lapse> {
        if self.until_unix_ms.is_some_and(|until| until <= now.unix_ms) {
            return Some(Lapse::Expired);
        }
        if !self.from_origin {
            return None;
        }
        let opened = policy.opens_unix_ms.is_some_and(|at| self.since_unix_ms < at && at <= now.unix_ms);
        let allowed = match what {
            What::Stock => policy.commands.stock,
            What::Close => policy.commands.close,
            What::Admit | What::Capacity | What::Pause | What::Message => false,
        };
        match (opened, allowed) {
            (true, _) => Some(Lapse::Opened),
            (false, false) => Some(Lapse::NotAllowed),
            (false, true) => None,
        }
    }

    /// When it lapses by itself.
    fn end(&self, policy: &WaitingRoom) -> Option<u64> {
        let opening = policy.opens_unix_ms.filter(|at| self.from_origin && self.since_unix_ms < *at);
        self.until_unix_ms.into_iter().chain(opening).min()
    }
}

impl Orders {
    /// Changes them.
    ///
    /// # Errors
    /// A message that is too long or in too many languages; nothing has changed then.
    pub fn change(&mut self, change: &Change, by: &By) -> Result<(), MessageError> {
        match change {
            Change::Admit(value) => self.admit = ordered(*value, by),
            Change::Capacity(value) => self.capacity = ordered(*value, by),
            Change::Stock(value) => self.stock = ordered(*value, by),
            Change::Pause => self.pause = ordered(Some(()), by),
            Change::Resume => self.pause = None,
            Change::Close => self.close = ordered(Some(()), by),
            Change::Open => {
                self.close = None;
                self.stock = self.stock.take().filter(|stock| !stock.by.from_origin);
            }
            Change::Message { language, text } => self.say(language, text.as_deref(), by)?,
            Change::NoMessage => self.message = None,
        }
        Ok(())
    }

    /// What the origin says, unless an operator has ordered otherwise; whether that changes anything.
    pub fn hear(&mut self, change: &Change, by: &By) -> bool {
        let held = match change {
            Change::Stock(Some(left)) => {
                self.stock.as_ref().filter(|o| !o.by.from_origin || o.value == *left).is_some()
            }
            Change::Close => self.close.is_some(),
            _ => true,
        };
        !held && self.change(change, by).is_ok()
    }

    /// The languages of a message stand and end together, as the last word on any of them says.
    fn say(&mut self, language: &str, text: Option<&str>, by: &By) -> Result<(), MessageError> {
        let mut message = self.message.as_ref().map(|o| o.value.clone()).unwrap_or_default();
        match text {
            Some(text) => message.set(language, text)?,
            None => message.clear(language),
        }
        self.message = ordered(Some(message).filter(|m| !m.is_empty()), by);
        Ok(())
    }

    /// The policy with what is ordered over it.
    pub fn effective(&self, policy: &WaitingRoom, now: Now) -> WaitingRoom {
        let stands = |what| self.stands(what, policy, now);
        let admit = self.admit.as_ref().filter(|_| stands(What::Admit));
        let capacity = self.capacity.as_ref().filter(|_| stands(What::Capacity));
        WaitingRoom {
            admit: admit.map_or(policy.admit, |o| o.value),
            capacity: capacity.map_or(policy.capacity, |o| o.value),
            ..policy.clone()
        }
    }

    /// Whether something is ordered of it that counts.
    pub fn stands(&self, what: What, policy: &WaitingRoom, now: Now) -> bool {
        self.by(what).is_some_and(|by| by.lapse(what, policy, now).is_none())
    }

    /// How many are left, if somebody says so.
    pub fn stock(&self, policy: &WaitingRoom, now: Now) -> Option<u64> {
        self.stock.as_ref().filter(|_| self.stands(What::Stock, policy, now)).map(|o| o.value)
    }

    /// What visitors are told beside their place.
    pub fn message(&self, policy: &WaitingRoom, now: Now) -> Option<&Message> {
        self.message.as_ref().filter(|_| self.stands(What::Message, policy, now)).map(|o| &o.value)
    }

    /// All that counts, as JSON shows it.
    pub fn in_force(&self, policy: &WaitingRoom, now: Now) -> impl Iterator<Item = (What, Value, &By)> {
        let all = What::ALL.into_iter().filter(move |what| self.stands(*what, policy, now));
        all.filter_map(|what| Some((what, self.value(what), self.by(what)?)))
    }

    /// Takes away what counts no more.
    pub fn expire(&mut self, policy: &WaitingRoom, now: Now) -> Vec<Lapsed> {
        let lapsed = |what| {
            let by = self.by(what)?;
            let cause = by.lapse(what, policy, now)?;
            Some(Lapsed { what, value: self.value(what), by: by.clone(), cause })
        };
        let lapsed: Vec<_> = What::ALL.into_iter().filter_map(lapsed).collect();
        lapsed.iter().for_each(|order| self.remove(order.what));
        lapsed
    }

    /// When the next order lapses by itself, milliseconds since 1970 UTC.
    pub fn next_expiry(&self, policy: &WaitingRoom) -> Option<u64> {
        What::ALL.into_iter().filter_map(|what| self.by(what)?.end(policy)).min()
    }

    fn by(&self, what: What) -> Option<&By> {
        match what {
            What::Admit => self.admit.as_ref().map(|o| &o.by),
            What::Capacity => self.capacity.as_ref().map(|o| &o.by),
            What::Pause => self.pause.as_ref().map(|o| &o.by),
            What::Close => self.close.as_ref().map(|o| &o.by),
            What::Stock => self.stock.as_ref().map(|o| &o.by),
            What::Message => self.message.as_ref().map(|o| &o.by),
        }
    }

    fn value(&self, what: What) -> Value {
        let value = match what {
            What::Admit => self.admit.as_ref().map(|o| Value::from(o.value.to_string())),
            What::Capacity => self.capacity.as_ref().map(|o| Value::from(o.value.get())),
            What::Pause => self.pause.as_ref().map(|_| Value::Bool(true)),
            What::Close => self.close.as_ref().map(|_| Value::Bool(true)),
            What::Stock => self.stock.as_ref().map(|o| Value::from(o.value)),
            What::Message => self.message.as_ref().and_then(|o| serde_json::to_value(&o.value).ok()),
        };
        value.unwrap_or_default()
    }

    fn remove(&mut self, what: What) {
        match what {
            What::Admit => self.admit = None,
            What::Capacity => self.capacity = None,
            What::Pause => self.pause = None,
            What::Close => self.close = None,
            What::Stock => self.stock = None,
            What::Message => self.message = None,
        }
    }
}

/// The orders of all rooms, by name: what is on disk.
pub type Kept = BTreeMap<String, Orders>;

fn ordered<T>(value: Option<T>, by: &By) -> Option<Ordered<T>> {
    value.map(|value| Ordered { value, by: by.clone() })
}

fn clean(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

fn who<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(clean(&String::deserialize(from)?, WHO_MAX))
}

fn why<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(clean(&String::deserialize(from)?, WHY_MAX))
}

#[cfg(test)]
mod tests;
