//! Rooms, tickets, draws and forecasts as JSON, and changes as the log says them.

use std::num::NonZeroU32;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::change::{Evict, SetRoom, Wanted};
use crate::admin::limited_by;
use crate::clock::Now;
use crate::pipeline::room::operator::{By, What};
use crate::pipeline::room::{Room, Standing};
use crate::policy::Admit;
use crate::waiting_room::{LookUp, Outlook, Published, Reference};

/// A room in numbers, with what is ordered of it.
pub(in crate::admin) fn room(room: &Room, now: Now) -> Value {
    let standing = room.standing(now);
    let c = &standing.counters;
    let orders: Vec<_> =
        standing.orders.in_force(&standing.policy, now).map(|(what, value, by)| order(what, value, by)).collect();
    let [p50, p90, p99] = c.wait.map(|wait| known(wait).map(|wait| wait.as_secs()));
    let off = (c.claimed_total > 0).then_some(c.estimate_error);
    json!({
        "name": room.name(),
        "phase": c.phase.name(),
        "dry_run": standing.policy.dry_run,
        "limited_by": limited_by(c.limit),
        "admit": standing.effective.admit, "capacity": standing.effective.capacity,
        "policy": { "admit": standing.policy.admit, "capacity": standing.policy.capacity },
        "orders": orders,
        "held_by_level": standing.held_by_level,
        "stock": c.stock,
        "opens_unix_ms": standing.policy.opens_unix_ms, "closes_unix_ms": standing.policy.closes_unix_ms,
        "waiting": c.waiting, "returning": c.returning,
        "inside": c.inside, "reserved": c.reserved, "leased": c.leased,
        "admitted_per_second": c.admitted_per_second, "admit_per_second": c.admit_per_second,
        "mean_stay_seconds": known(c.mean_stay).map(|stay| stay.as_secs()),
        "issued_total": c.issued_total,
        "admitted_total": c.admitted_total, "claimed_total": c.claimed_total,
        "no_shows_total": c.no_shows_total, "abandoned_total": c.abandoned_total,
        "returns_total": c.returns_total, "full_total": c.full_total,
        "provisional_lapsed_total": c.provisional_lapsed_total, "copies_total": c.copies_total,
        "last_wait_seconds": c.last_wait.as_secs(),
        "wait_seconds": { "p50": p50, "p90": p90, "p99": p99 },
        "estimate_error": { "p50": off.map(|off| off[0]), "p90": off.map(|off| off[1]) },
    })
}

fn order(what: What, value: Value, by: &By) -> Value {
    json!({
        "what": what.name(), "value": value,
        "who": by.who, "why": by.why, "from_origin": by.from_origin,
        "since_unix_ms": by.since_unix_ms, "until_unix_ms": by.until_unix_ms,
    })
}

/// How long those wait who come last, as things are and as they would be.
pub(in crate::admin) fn forecast(
    room: &Room,
    admit: Option<Wanted<Admit>>,
    capacity: Option<Wanted<NonZeroU32>>,
    now: Now,
) -> Value {
    let standing = room.standing(now);
    let wanted_admit = admit.map_or(standing.effective.admit, |w| w.0.unwrap_or(standing.policy.admit));
    let wanted_capacity = capacity.map_or(standing.effective.capacity, |w| w.0.unwrap_or(standing.policy.capacity));
    let forecast = room.forecast(Some(wanted_admit), Some(wanted_capacity));
    json!({
        "waiting": forecast.waiting,
        "now": outlook(standing.effective.admit, standing.effective.capacity, forecast.now),
        "then": outlook(wanted_admit, wanted_capacity, forecast.then),
    })
}

fn outlook(admit: Admit, capacity: NonZeroU32, outlook: Outlook) -> Value {
    json!({
        "admit": admit, "capacity": capacity,
        "per_second": outlook.per_second,
        "tail_wait_seconds": outlook.tail_waits.map(|wait| wait.as_secs()),
    })
}

/// What is known of a ticket; none of one that was never given, or is forgotten.
pub(super) fn ticket(room: &Room, reference: Reference, now: Now) -> Option<Value> {
    let seconds = |time: Duration| time.as_secs();
    let known = match room.look_up(reference, now) {
        LookUp::Waiting { position, wait, here } => json!({
            "state": "waiting", "position": position, "here": here,
            "wait_seconds": wait.map(|(low, high)| json!({ "low": seconds(low), "high": seconds(high) })),
        }),
        LookUp::Returning { here } => json!({ "state": "returning", "here": here }),
        LookUp::Reserved { left } => json!({ "state": "reserved", "left_seconds": seconds(left) }),
        LookUp::Inside { since, seen_ago, in_flight } => json!({
            "state": "inside", "since_seconds": seconds(since), "seen_ago_seconds": seconds(seen_ago),
            "in_flight": in_flight,
        }),
        LookUp::Done => json!({ "state": "done" }),
        LookUp::Unknown => return None,
    };
    let mut shown = json!({ "room": room.name(), "reference": reference.to_string() });
    if let (Some(shown), Value::Object(known)) = (shown.as_object_mut(), known) {
        shown.extend(known);
    }
    Some(shown)
}

/// What makes a lottery's drawings checkable.
pub(super) fn draws(room: &Room) -> Value {
    let draw = |published: &Published| {
        let drawn = published
            .drawn
            .map(|draw| json!({ "first": draw.first, "count": draw.count, "seed": HEXLOWER.encode(&draw.seed()) }));
        json!({
            "lane": published.lane, "nth": published.nth,
            "commitment": HEXLOWER.encode(&published.commitment), "drawn": drawn,
        })
    };
    json!({ "room": room.name(), "draws": room.published().iter().map(draw).collect::<Vec<_>>() })
}

/// How many would have to go.
pub(super) fn would_go(room: &Room, evict: Evict, reference: Option<Reference>, now: Now) -> u64 {
    let counters = room.counters();
    match (evict, reference) {
        (Evict::Sessions, _) => u64::from(counters.inside),
        (Evict::Queue, _) => counters.waiting.saturating_add(counters.returning),
        (Evict::Ticket, Some(reference)) => {
            u64::from(!matches!(room.look_up(reference, now), LookUp::Done | LookUp::Unknown))
        }
        (Evict::Ticket, None) => 0,
    }
}

/// A time that was measured.
fn known(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

/// What changed, who changed it, why, and the numbers before and after.
pub(super) fn log(room: &Room, set: &SetRoom, before: &Standing, after: &Standing, now: Now) {
    let action = serde_json::to_value(set.action).ok();
    tracing::warn!(
        room = room.name(),
        action = action.as_ref().and_then(|value| value.as_str()).unwrap_or_default(),
        who = set.who,
        why = set.why,
        for_seconds = set.for_seconds,
        before = figures(before, now),
        after = figures(after, now),
        "an operator changed the room"
    );
}

/// `admit 120/min, capacity 500, 480 inside, 1204 waiting, paused`.
pub(crate) fn figures(standing: &Standing, now: Now) -> String {
    let Standing { effective, counters, .. } = standing;
    let mut text = format!(
        "admit {}, capacity {}, {} inside, {} waiting",
        effective.admit, effective.capacity, counters.inside, counters.waiting
    );
    for (what, said) in [(What::Pause, ", paused"), (What::Close, ", closed"), (What::Message, ", with a message")] {
        if standing.orders.stands(what, &standing.policy, now) {
            text.push_str(said);
        }
    }
    if let Some(left) = standing.orders.stock(&standing.policy, now) {
        text.push_str(&format!(", {left} left"));
    }
    text
}
