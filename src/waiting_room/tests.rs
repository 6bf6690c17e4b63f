//! Behaviour, by name, with a manual clock.

use std::num::{NonZeroU32, NonZeroU64};

use super::*;
use crate::policy::Quota;

mod attacks;
mod events;
mod operating;
mod recovery;
mod scale;

pub(crate) fn policy(capacity: u32) -> policy::WaitingRoom {
    let many = NonZeroU32::new(1_000_000).unwrap();
    policy::WaitingRoom {
        name: "launch".into(),
        capacity: NonZeroU32::new(capacity).unwrap(),
        admit: policy::Admit::AsPlacesComeFree,
        order: policy::Order::Fifo,
        opens_unix_ms: None,
        gather: Duration::from_secs(1800),
        closes_unix_ms: None,
        outside: policy::Outside::Pass,
        session_idle: Duration::from_secs(600),
        session_max: Duration::from_secs(3600),
        session_return: Duration::ZERO,
        claim: Duration::from_secs(180),
        place_hold: Duration::from_secs(3 * 3600),
        max_queue: NonZeroU64::new(100_000).unwrap(),
        places_per_client: policy::PlacesPerClient { ipv4: many, ipv6_64: many },
        bypass: Vec::new(),
        cookie_domain: None,
        lanes: Vec::new(),
        page: None,
        commands: policy::Commands::ALL,
        on_store_failure: policy::OnStoreFailure::Hold,
        dry_run: false,
    }
}

fn per_minute(count: u32) -> policy::Admit {
    policy::Admit::Quota(Quota { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(60) })
}

/// A room with its disk and its clock.
pub(super) struct Bench {
    room: Room,
    policy: policy::WaitingRoom,
    disk: Disk,
    now: Now,
}

/// What would be in the room's file.
#[derive(Default, Clone)]
pub(super) struct Disk {
    header: record::Header,
    slots: std::collections::BTreeMap<u32, record::SlotRecord>,
    invitations: Vec<u64>,
}

impl Disk {
    pub(super) fn write(&mut self, changes: &Changes) {
        self.header = changes.header.clone();
        self.write_slots(changes);
    }

    pub(super) fn write_slots(&mut self, changes: &Changes) {
        self.slots.extend(changes.slots.iter().map(|s| (s.slot, *s)));
        self.invitations.extend(&changes.invitations);
    }

    pub(super) fn record(&self) -> Record {
        Record {
            header: self.header.clone(),
            slots: self.slots.values().copied().collect(),
            invitations: self.invitations.clone(),
        }
    }
}

impl Bench {
    fn new(policy: policy::WaitingRoom) -> Self {
        let now = Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_790_000_000_000 };
        let mut bench = Self { room: Room::new(policy.clone(), [7; 32], now), policy, disk: Disk::default(), now };
        bench.tick();
        bench
    }

    fn tick(&mut self) {
        let changes = self.room.tick(self.now);
        self.disk.write(&changes);
        self.room.commit(&changes);
    }

    /// Lets time pass, with a tick each second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            self.tick();
        }
    }

    /// The same, while these poll each second.
    fn wait(&mut self, seconds: u64, line: &mut [&mut Presented]) {
        for _ in 0..seconds {
            self.pass(1);
            line.iter_mut().filter(|who| who.session.is_none()).for_each(|who| _ = self.visit(who));
        }
    }

    fn crash(&mut self) {
        self.room = Room::restore(self.policy.clone(), &self.disk.record(), self.now);
        self.tick();
    }

    fn visit(&mut self, who: &mut Presented) -> Visit {
        let visit = self.room.visit(*who, self.now);
        if let Some(session) = keep(who, visit) {
            self.room.leave(session.slot, session.generation, self.now);
        }
        visit
    }

    fn arrive(&mut self) -> Presented {
        self.arrive_as(Presented::default())
    }

    /// Twice, if the first touch brings only a stub.
    fn arrive_as(&mut self, mut who: Presented) -> Presented {
        if let Visit::Stub { .. } = self.visit(&mut who) {
            self.visit(&mut who);
        }
        who
    }

    fn fill(&mut self, count: u32) -> Vec<Presented> {
        let mut inside = Vec::new();
        for _ in 0..count {
            inside.push(self.arrive());
            self.tick();
        }
        for who in &mut inside {
            assert!(matches!(self.visit(who), Visit::Inside { .. }));
        }
        self.tick();
        inside
    }
}

/// What a browser does with the cookies.
pub(super) fn keep(who: &mut Presented, visit: Visit) -> Option<Session> {
    match visit {
        Visit::Inside { session, .. } => {
            *who = Presented { session: Some(session), client: who.client, ..Presented::default() };
            Some(session)
        }
        Visit::Queued { ticket, .. } => {
            *who = Presented { ticket: Some(ticket), client: who.client, ..Presented::default() };
            None
        }
        Visit::Stub { stub, .. } => {
            who.stub = Some(stub);
            None
        }
        Visit::Pass | Visit::Held | Visit::Crowded | Visit::Shut { .. } | Visit::Full { .. } => None,
    }
}

fn position(visit: Visit) -> u64 {
    match visit {
        Visit::Queued { place: Place { position: Some(position), .. }, .. } => position,
        other => panic!("no position: {other:?}"),
    }
}

#[test]
fn the_first_ones_walk_in_and_the_rest_wait_in_order() {
    let mut b = Bench::new(policy(2));
    b.fill(2);
    for expected in 1..=3 {
        let who = b.arrive();
        assert_eq!(position(b.room.poll(who, b.now)), expected);
    }
    assert_eq!((b.room.counters().inside, b.room.counters().waiting), (2, 3));
    b.tick();
    assert_eq!(b.room.counters().limit, Limit::Capacity);
}

#[test]
fn the_next_in_line_comes_in_when_a_session_idles_out() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let (mut first, mut second) = (b.arrive(), b.arrive());
    b.wait(610, &mut [&mut first, &mut second]);
    assert!(first.session.is_some());
    assert_eq!(position(b.visit(&mut second)), 1);
    assert_eq!(b.room.counters().admitted_total, 2);
    assert!(b.room.counters().last_wait.as_secs().abs_diff(600) <= 1);
}

#[test]
fn a_claimed_ticket_asked_twice_is_one_session() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let waiting = b.arrive();
    for _ in 0..598 {
        b.pass(1);
        b.room.poll(waiting, b.now);
    }
    b.pass(6);
    let Visit::Inside { session: a, .. } = b.room.visit(waiting, b.now) else { panic!() };
    let Visit::Inside { session: c, .. } = b.room.visit(waiting, b.now) else { panic!() };
    assert_eq!(a, c);
    assert_eq!(b.room.counters().inside, 1);
}

#[test]
fn a_visitor_with_a_request_in_flight_keeps_the_slot_whatever_the_time() {
    let mut b = Bench::new(policy(1));
    b.tick();
    let Visit::Inside { session, .. } = b.room.visit(Presented::default(), b.now) else { panic!() };
    let mut next = b.arrive();
    for _ in 0..300 {
        b.pass(20);
        assert_eq!(position(b.visit(&mut next)), 1);
    }
    let stale = Presented { session: Some(session), ..Presented::default() };
    assert!(matches!(b.room.visit(stale, b.now), Visit::Stub { .. }), "max is over for new requests");
    b.room.leave(session.slot, session.generation, b.now);
    b.pass(1);
    assert!(matches!(b.visit(&mut next), Visit::Inside { .. }));
}

#[test]
fn an_old_cookie_never_opens_a_slot_again() {
    let mut b = Bench::new(policy(1));
    let old = b.fill(1)[0];
    b.pass(601);
    let new = b.arrive();
    assert!(new.session.is_some());
    assert_ne!(old.session, new.session);
    assert!(matches!(b.room.visit(old, b.now), Visit::Stub { .. }));
}

#[test]
fn a_no_show_costs_until_the_next_poll_and_is_first_when_back_within_the_claim() {
    let mut b = Bench::new(policy(1));
    let mut inside = b.fill(1)[0];
    let (mut absent, mut second, mut third) = (b.arrive(), b.arrive(), b.arrive());
    b.room.end_session(inside.session.take().unwrap(), Duration::ZERO, b.now);
    b.pass(2);
    assert_eq!(b.room.counters().reserved, 1);
    for _ in 0..20 {
        b.pass(1);
        b.visit(&mut second);
        b.room.poll(third, b.now);
    }
    assert_eq!(b.room.counters().no_shows_total, 1);
    assert!(second.session.is_some(), "the slot went on");
    // Asked twice, since an answer may be lost.
    assert_eq!(position(b.room.poll(absent, b.now)), 1);
    assert_eq!(position(b.visit(&mut absent)), 1);
    b.room.end_session(second.session.unwrap(), Duration::ZERO, b.now);
    b.pass(2);
    b.visit(&mut third);
    assert!(matches!(b.visit(&mut absent), Visit::Inside { .. }), "before the third");
    assert_eq!(b.room.counters().returns_total, 1);
}

#[test]
fn one_who_was_to_be_heard_of_and_was_not_gets_no_slot_at_all() {
    let mut b = Bench::new(policy(1));
    let inside = b.fill(1)[0];
    let (gone, mut second) = (b.arrive(), b.arrive());
    for _ in 0..40 {
        b.pass(1);
        b.room.poll(second, b.now);
    }
    b.room.end_session(inside.session.unwrap(), Duration::ZERO, b.now);
    b.pass(2);
    assert!(matches!(b.visit(&mut second), Visit::Inside { .. }), "at once");
    assert_eq!(position(b.room.poll(gone, b.now)), 1, "and who comes late is next");
}

#[test]
fn a_no_show_that_is_back_after_the_claim_returns_in_a_share() {
    let mut b = Bench::new(policy(1));
    let mut inside = b.fill(1)[0];
    let (absent, mut second) = (b.arrive(), b.arrive());
    b.room.end_session(inside.session.take().unwrap(), Duration::ZERO, b.now);
    for _ in 0..20 {
        b.pass(10);
        b.visit(&mut second);
    }
    assert!(second.session.is_some());
    assert_eq!(position(b.room.poll(absent, b.now)), 1, "nobody else is there");
}

#[test]
fn the_absent_cost_no_slot() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let gone = b.arrive();
    let mut there = b.arrive();
    b.wait(620, &mut [&mut there]);
    assert!(there.session.is_some(), "the one in front was passed over");
    assert_eq!(b.room.counters().no_shows_total, 0);
    assert_eq!(position(b.room.poll(gone, b.now)), 1);
}

#[test]
fn admissions_are_evenly_spaced() {
    let mut p = policy(1000);
    p.admit = per_minute(60);
    let mut b = Bench::new(p);
    let mut line: Vec<_> = (0..50).map(|_| b.arrive()).collect();
    for second in 1..=30u64 {
        b.pass(1);
        for who in line.iter_mut().filter(|w| w.session.is_none()) {
            b.visit(who);
        }
        let inside = line.iter().filter(|w| w.session.is_some()).count() as u64;
        assert!(inside <= second + 1 && inside + 1 >= second, "{inside} after {second} s");
    }
    assert_eq!(b.room.counters().limit, Limit::Rate);
}

#[test]
fn the_estimate_follows_the_line() {
    let mut p = policy(1000);
    p.admit = per_minute(60);
    let mut b = Bench::new(p);
    let mut line: Vec<_> = (0..200).map(|_| b.arrive()).collect();
    b.pass(20);
    let Visit::Queued { place, .. } = b.visit(&mut line[199]) else { panic!() };
    let (low, high) = place.wait.unwrap();
    let truth = Duration::from_secs(place.position.unwrap());
    assert!(low <= truth && truth <= high && high < truth * 2, "{low:?} {high:?} at {truth:?}");
    assert!(place.poll_after > POLL_MIN && place.poll_after <= POLL_MAX);
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let mut p = policy(1);
    p.max_queue = NonZeroU64::new(2).unwrap();
    let mut b = Bench::new(p);
    b.fill(1);
    b.arrive();
    b.arrive();
    let mut third = Presented::default();
    b.visit(&mut third);
    let Visit::Full { retry_after, why: Full::Queue } = b.visit(&mut third) else { panic!() };
    assert!(retry_after >= Duration::from_secs(30));
}

#[test]
fn numbers_are_given_only_as_far_as_the_disk_knows() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let mut one = Presented::default();
    b.visit(&mut one);
    let visits: Vec<_> = (0..5000).map(|_| b.room.poll(one, b.now)).collect();
    let queued = visits.iter().filter(|v| matches!(v, Visit::Queued { .. })).count();
    assert!((4000..5000).contains(&queued), "{queued}");
    assert_eq!(visits.last(), Some(&Visit::Full { retry_after: Duration::from_secs(1), why: Full::Moment }));
    b.tick();
    assert!(matches!(b.room.poll(one, b.now), Visit::Queued { .. }));
}

#[test]
fn held_everyone_keeps_place_and_session() {
    let mut b = Bench::new(policy(1));
    let mut inside = b.fill(1)[0];
    let mut waiting = b.arrive();
    b.room.set_paused(true);
    assert_eq!(b.room.hold_place(inside, b.now), Visit::Held);
    assert_eq!(position(b.room.hold_place(waiting, b.now)), 1);
    let Visit::Stub { stub, .. } = b.room.hold_place(Presented::default(), b.now) else { panic!() };
    let new = Presented { stub: Some(stub), ..Presented::default() };
    let Visit::Queued { place, waits: Waits::Paused, .. } = b.room.hold_place(new, b.now) else { panic!() };
    assert_eq!((place.position, place.wait), (Some(2), None));
    b.pass(1);
    assert_eq!(b.room.counters().limit, Limit::Pause);
    b.room.set_paused(false);
    assert!(matches!(b.visit(&mut inside), Visit::Inside { fresh: false, .. }));
    assert_eq!(position(b.visit(&mut waiting)), 1);
}

#[test]
fn a_reservation_does_not_lapse_while_everyone_is_held() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let mut who = b.arrive();
    for _ in 0..60 {
        b.pass(10);
        b.room.hold_place(who, b.now);
    }
    for _ in 0..100 {
        b.pass(10);
        b.room.hold_place(who, b.now);
    }
    assert_eq!(b.room.counters().no_shows_total, 0);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
}
