//! Random crowds against what must always hold.

use std::collections::HashSet;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::tests::{Disk, keep, policy};
use super::*;

/// What may happen next. Indices are taken modulo the crowd.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many arrive.
    Arrive(u8),
    /// A visitor stops polling, or begins again.
    Toggle(usize),
    /// A visitor's request goes to the origin and stays there.
    Begin(usize),
    /// The oldest request at the origin ends.
    End,
    /// Time passes, milliseconds; then everyone who is steady polls, and the room ticks.
    Pass(u16),
    /// Nobody polls for a while, seconds: idle sessions end, tickets become absent.
    Lull(u8),
    Capacity(u32),
    /// Another `admit`, visitors a minute; 0: as places come free.
    Rate(u16),
    /// The wall clock jumps, seconds; nothing but opening hours goes by it.
    Clock(i32),
    /// The origin, or a route, ends a visitor's session.
    EndSession(usize),
    /// An operator turns everyone in line out.
    TurnOut,
    /// Kill −9 and restart.
    Crash,
    /// Kill −9 in the middle of a tick's write.
    CrashWriting,
    DiskFails(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..8).prop_map(Step::Arrive),
        2 => any::<usize>().prop_map(Step::Toggle),
        4 => any::<usize>().prop_map(Step::Begin),
        4 => Just(Step::End),
        12 => (100u16..2000).prop_map(Step::Pass),
        1 => (30u8..200).prop_map(Step::Lull),
        1 => (1u32..8).prop_map(Step::Capacity),
        1 => (0u16..600).prop_map(Step::Rate),
        1 => (-100_000..100_000i32).prop_map(Step::Clock),
        2 => any::<usize>().prop_map(Step::EndSession),
        1 => Just(Step::TurnOut),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashWriting),
        1 => any::<bool>().prop_map(Step::DiskFails),
    ]
}

#[derive(Debug)]
struct Visitor {
    carries: Presented,
    /// Polls in each step since it came.
    steady: bool,
    best: u64,
    /// The number of the ticket it had last, and its lane.
    number: Option<u64>,
    /// It was turned out, or kept a slot when all others were: what it has may be gone.
    turned_out: bool,
}

struct World {
    room: Room,
    policy: policy::WaitingRoom,
    disk: Disk,
    disk_fails: bool,
    now: Now,
    crowd: Vec<Visitor>,
    /// Requests at the origin: visitor, session.
    at_origin: Vec<(usize, Session)>,
    numbers: HashSet<u64>,
    /// The most that may be inside: capacity, or what was inside when it was lowered.
    allowed: u32,
}

impl World {
    fn new(capacity: u32) -> Self {
        let mut policy = policy(capacity);
        policy.session_idle = Duration::from_secs(40);
        policy.session_max = Duration::from_secs(120);
        policy.claim = Duration::from_secs(30);
        policy.session_return = Duration::from_secs(60);
        let now = Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_790_000_000_000 };
        let mut world = Self {
            room: Room::new(policy.clone(), [7; 32], now),
            policy,
            disk: Disk::default(),
            disk_fails: false,
            now,
            crowd: Vec::new(),
            at_origin: Vec::new(),
            numbers: HashSet::new(),
            allowed: capacity,
        };
        world.tick();
        world
    }

    fn take(&mut self, step: Step) {
        let any = self.crowd.len().max(1);
        match step {
            Step::Arrive(count) => (0..count).for_each(|_| self.arrive()),
            Step::Toggle(who) => {
                if let Some(visitor) = self.crowd.get_mut(who % any) {
                    visitor.steady = false;
                }
                self.ask(who % any, false);
            }
            Step::Begin(who) => self.ask(who % any, true),
            Step::End => {
                if !self.at_origin.is_empty() {
                    let (_, session) = self.at_origin.remove(0);
                    self.room.leave(session.slot, session.generation, self.now);
                }
            }
            Step::Pass(ms) => self.pass(Duration::from_millis(ms.into()), true),
            Step::Lull(seconds) => {
                self.crowd.iter_mut().for_each(|v| v.steady = false);
                self.pass(Duration::from_secs(seconds.into()), false);
            }
            Step::Capacity(capacity) => {
                self.policy.capacity = capacity.try_into().unwrap();
                self.room.configure(&self.policy, self.now);
                self.allowed = self.allowed.max(capacity);
            }
            Step::Rate(per_minute) => {
                self.policy.admit = NonZeroU32::new(per_minute.into()).map_or(policy::Admit::AsPlacesComeFree, |count| {
                    policy::Admit::Quota(policy::Quota { count, period: Duration::from_secs(60) })
                });
                self.room.configure(&self.policy, self.now);
            }
            Step::Clock(seconds) => {
                self.now.unix_ms = self.now.unix_ms.saturating_add_signed(i64::from(seconds) * 1000);
            }
            Step::EndSession(who) => {
                if let Some(session) = self.crowd.get(who % any).and_then(|v| v.carries.session) {
                    self.room.end_session(session, Duration::ZERO, self.now);
                }
            }
            Step::TurnOut => {
                self.room.evict_queue(self.now);
                for visitor in self.crowd.iter_mut().filter(|visitor| visitor.carries.ticket.is_some()) {
                    (visitor.turned_out, visitor.steady) = (true, false);
                }
            }
            Step::Crash => self.crash(),
            Step::CrashWriting => {
                let changes = self.room.tick(self.now);
                self.disk.write_slots(&changes);
                self.crash();
            }
            Step::DiskFails(fails) => self.disk_fails = fails,
        }
        self.check();
    }

    fn arrive(&mut self) {
        let carries = Presented::default();
        self.crowd.push(Visitor { carries, steady: true, best: u64::MAX, number: None, turned_out: false });
        let who = self.crowd.len() - 1;
        // The first touch may bring no more than a stub.
        self.ask(who, false);
        if self.crowd[who].carries.stub.is_some() {
            self.ask(who, false);
        }
        // Turned away for a moment: not part of the line.
        let visitor = &mut self.crowd[who];
        visitor.steady = visitor.carries != Presented::default();
    }

    fn pass(&mut self, by: Duration, polled: bool) {
        self.now = self.now.after(by);
        if polled {
            (0..self.crowd.len())
                .filter(|who| self.crowd[*who].steady)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|who| self.ask(who, false));
        }
        self.tick();
    }

    fn tick(&mut self) {
        let changes = self.room.tick(self.now);
        if self.disk_fails {
            // Some of it may be there nevertheless.
            self.disk.write_slots(&changes);
            self.room.abandon(&changes);
        } else {
            self.disk.write(&changes);
            self.room.commit(&changes);
        }
    }

    fn crash(&mut self) {
        // The origin's connections end with the process.
        self.at_origin.clear();
        self.room = Room::restore(self.policy.clone(), &self.disk.record(), self.now);
        self.disk_fails = false;
        // What the disk knew may be older than what was freed since.
        self.allowed = self.allowed.max(self.room.counters().inside + self.room.counters().reserved);
        self.tick();
    }

    fn ask(&mut self, who: usize, begin: bool) {
        let Some(visitor) = self.crowd.get_mut(who) else { return };
        let before = visitor.carries;
        let visit =
            if begin { self.room.visit(visitor.carries, self.now) } else { self.room.poll(visitor.carries, self.now) };
        let session = keep(&mut visitor.carries, visit);
        if let (true, Some(session)) = (begin, session) {
            self.at_origin.push((who, session));
        }
        match visit {
            Visit::Queued { ticket, place, .. } => {
                let position = place.position.unwrap();
                if visitor.number != Some(ticket.key()) {
                    assert!(self.numbers.insert(ticket.key()), "{ticket:?} was given twice");
                    let had = before.ticket.is_some() && before.session.is_none() && !visitor.turned_out;
                    assert!(!had, "{who} lost its place: {before:?}");
                    visitor.turned_out = false;
                    // A session that ended: back in line, with a new number.
                    (visitor.number, visitor.best) = (Some(ticket.key()), u64::MAX);
                }
                assert!(position >= 1 && position <= visitor.best, "the position rose");
                assert!(place.poll_after >= POLL_MIN && place.poll_after <= POLL_MAX);
                visitor.best = position;
            }
            Visit::Inside { .. } => {
                if let Some(ticket) = before.ticket {
                    self.check_order(who, ticket);
                }
            }
            Visit::Stub { .. } => {
                assert!(before.ticket.is_none() || visitor.turned_out, "{who} lost its place");
                visitor.carries = Presented { stub: visitor.carries.stub, ..Presented::default() };
            }
            Visit::Pass | Visit::Held | Visit::Crowded | Visit::Shut { .. } => panic!("not here: {visit:?}"),
            Visit::Full { .. } => {
                assert!(before.ticket.is_none() || visitor.turned_out, "{who} lost its place to a full queue");
            }
        }
    }

    /// Whoever polled all the time and came before `number` has a slot too.
    fn check_order(&self, who: usize, served: Ticket) {
        if !self.crowd[who].steady {
            return;
        }
        for other in self.crowd.iter().filter(|v| v.steady) {
            let earlier = |t: &Ticket| t.lane == served.lane && t.number < served.number;
            let Some(ticket) = other.carries.ticket.filter(earlier) else { continue };
            assert!(self.room.sessions.has_ticket(ticket.key()), "{served:?} overtook {ticket:?}");
        }
    }

    fn check(&mut self) {
        let c = self.room.counters();
        let capacity = self.policy.capacity.get();
        let taken = c.inside + c.reserved + c.leased;
        assert!(taken <= self.allowed, "{taken} of {}: {c:?}", self.allowed);
        self.allowed = taken.max(capacity);
        // One visitor may hold two slots: with a request that has outlasted its session, and anew.
        let uses: HashSet<(u32, usize)> = self.at_origin.iter().map(|(who, s)| (s.slot, *who)).collect();
        let slots: HashSet<u32> = uses.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(uses.len(), slots.len(), "two visitors in one slot");
        assert!(slots.len() <= c.inside as usize);
        assert_eq!(self.room.sessions.occupied(), taken);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn no_crowd_breaks_what_must_hold(
        capacity in 1u32..8,
        steps in prop::collection::vec(step(), 1..160),
    ) {
        let mut world = World::new(capacity);
        for step in steps {
            world.take(step);
        }
    }
}

/// The crowd: capacity 50, 5,000 visitors, a kill −9 in the middle, and all get in.
#[test]
fn five_thousand_pass_through_fifty_slots_in_order() {
    let mut world = World::new(50);
    world.policy.session_idle = Duration::from_secs(4);
    world.room.configure(&world.policy.clone(), world.now);
    for _ in 0..50 {
        (0..100).for_each(|_| world.arrive());
        world.pass(Duration::from_millis(250), true);
    }
    let mut rounds = 0;
    while world.crowd.iter().any(|v| v.carries.ticket.is_some()) {
        world.pass(Duration::from_secs(1), false);
        // Those who are in have what they came for; those in line poll.
        for who in 0..world.crowd.len() {
            if world.crowd[who].carries.ticket.is_some() {
                world.ask(who, false);
            }
        }
        if rounds == 100 {
            world.crash();
        }
        world.check();
        rounds += 1;
        assert!(rounds < 2000, "{:?}", world.room.counters());
    }
    assert_eq!(world.allowed, 50);
}
