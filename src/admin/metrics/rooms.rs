//! The waiting rooms in `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::limited_by;
use crate::clock::Now;
use crate::edge::Edge;
use crate::pipeline::room::Standing;
use crate::pipeline::room::operator::What;
use crate::waiting_room::Counters;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoom {
    room: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtQuantile {
    room: String,
    quantile: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitedBy {
    room: String,
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    room: String,
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderOf {
    room: String,
    order: &'static str,
}

type Whole = Family<OfRoom, Gauge<u64, AtomicU64>>;
type Real = Family<OfRoom, Gauge<f64, AtomicU64>>;

/// A number: its name, what it means, and where it stands.
type Figure = (&'static str, &'static str, fn(&Counters) -> u64);

const STATES: [Figure; 6] = [
    ("room_waiting", "Visitors in line who are still there", |c| c.waiting),
    ("room_returning", "Visitors back after their turn had gone by", |c| c.returning),
    ("room_inside", "Visitors inside", |c| c.inside.into()),
    ("room_reserved", "Places kept for visitors whose turn it is", |c| c.reserved.into()),
    ("room_leased", "Places kept for whoever comes while nobody waits", |c| c.leased.into()),
    ("room_capacity", "Visitors inside at most", |c| c.capacity.into()),
];

const TOTALS: [Figure; 9] = [
    ("room_issued", "Numbers given", |c| c.issued_total),
    ("room_admitted", "Visitors who came in", |c| c.admitted_total),
    ("room_claimed", "Visitors who came in from the line", |c| c.claimed_total),
    ("room_no_shows", "Visitors who did not come when it was their turn", |c| c.no_shows_total),
    ("room_abandoned", "Visitors not heard of any more before their turn", |c| c.abandoned_total),
    ("room_returns", "Visitors who came in after their turn had gone by", |c| c.returns_total),
    ("room_full", "Visitors who were told that the line takes no more", |c| c.full_total),
    ("room_provisional_lapsed", "Visitors who walked in and kept no cookie", |c| c.provisional_lapsed_total),
    ("room_copies", "Sessions shown by a browser after another had gone on with them", |c| c.copies_total),
];

pub(super) fn register(edge: &Edge, registry: &mut Registry) {
    let now = edge.clock.now();
    let site = edge.door.site.load();
    let rooms: Vec<_> = site.rooms().iter().map(|room| (room.name().to_owned(), room.standing(now))).collect();
    for (name, help, value) in STATES {
        let gauges = Whole::default();
        for (room, standing) in &rooms {
            gauges.get_or_create(&OfRoom { room: room.clone() }).set(value(&standing.counters));
        }
        registry.register(name, help, gauges);
    }
    for (name, help, value) in TOTALS {
        let totals = Family::<OfRoom, Counter>::default();
        for (room, standing) in &rooms {
            totals.get_or_create(&OfRoom { room: room.clone() }).inc_by(value(&standing.counters));
        }
        registry.register(name, help, totals);
    }
    pace(&rooms, registry);
    waits(&rooms, registry);
    states(&rooms, now, registry);
}

fn pace(rooms: &[(String, Standing)], registry: &mut Registry) {
    let (is, may, stock) = (Real::default(), Real::default(), Whole::default());
    for (room, Standing { counters, .. }) in rooms {
        let of = OfRoom { room: room.clone() };
        is.get_or_create(&of).set(counters.admitted_per_second);
        if let Some(most) = counters.admit_per_second {
            may.get_or_create(&of).set(most);
        }
        if let Some(left) = counters.stock {
            stock.get_or_create(&of).set(left);
        }
    }
    registry.register("room_admitted_per_second", "New visitors a second, of late", is);
    registry.register("room_admit_per_second", "New visitors a second at most, where admit says so", may);
    registry.register("room_stock", "How many are left, where somebody says so", stock);
}

fn waits(rooms: &[(String, Standing)], registry: &mut Registry) {
    type Quantiles = Family<AtQuantile, Gauge<f64, AtomicU64>>;
    let (waits, errors) = (Quantiles::default(), Quantiles::default());
    let stays = Real::default();
    for (room, Standing { counters, .. }) in rooms.iter().filter(|(_, standing)| standing.counters.claimed_total > 0) {
        let at = |quantile| AtQuantile { room: room.clone(), quantile };
        for (quantile, wait) in ["0.5", "0.9", "0.99"].into_iter().zip(counters.wait) {
            waits.get_or_create(&at(quantile)).set(wait.as_secs_f64());
        }
        for (quantile, error) in ["0.5", "0.9"].into_iter().zip(counters.estimate_error) {
            errors.get_or_create(&at(quantile)).set(error);
        }
        stays.get_or_create(&OfRoom { room: room.clone() }).set(counters.mean_stay.as_secs_f64());
    }
    registry.register_with_unit("room_wait", "How long those who came in had waited in line", Unit::Seconds, waits);
    registry.register("room_estimate_error", "By how much the first estimate was wrong: a share of the wait", errors);
    registry.register_with_unit("room_stay", "How long a session lasts on average", Unit::Seconds, stays);
}

fn states(rooms: &[(String, Standing)], now: Now, registry: &mut Registry) {
    let limited = Family::<LimitedBy, Gauge<u64, AtomicU64>>::default();
    let phases = Family::<InPhase, Gauge<u64, AtomicU64>>::default();
    let orders = Family::<OrderOf, Gauge<u64, AtomicU64>>::default();
    for (room, standing) in rooms {
        let (by, phase) = (limited_by(standing.counters.limit), standing.counters.phase.name());
        limited.get_or_create(&LimitedBy { room: room.clone(), by }).set(1);
        phases.get_or_create(&InPhase { room: room.clone(), phase }).set(1);
        for what in What::ALL {
            let stands = standing.orders.stands(what, &standing.policy, now);
            orders.get_or_create(&OrderOf { room: room.clone(), order: what.name() }).set(stands.into());
        }
    }
    registry.register("room_limited_by", "1 for what keeps the next one in line from coming in", limited);
    registry.register("room_phase", "1 for the phase that the room is in", phases);
    registry.register("room_order", "1 for what an operator or the origin has ordered otherwise", orders);
}
