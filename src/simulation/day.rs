//! A day: a policy, an origin and a crowd, in virtual time, through the real pipeline.
//!
//! What stands for the network is written here; what decides is the program itself: each page goes
//! through [`decide`](crate::pipeline::decide) and [`Passage::turn`], rooms and ladders tick as they
//! do at the edge, and a fill serves all who ask for the same. Only a visitor deep in a queue is
//! spared the way through the pipeline: the room is asked for the place directly, once in its
//! liveness window, or ten million visitors would be ten million polls each few seconds.
//!
//! [`Passage::turn`]: crate::pipeline::passage::Passage::turn

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::crowd::{Arrivals, Patience};
use super::figures::{Report, Span, Waits};
use super::journey::Journey;
use super::origin::{Origin, Shape};
use super::random::Random;
use super::wheel::{STEP, Wheel};
use crate::clock::{Clock, Hand, Mono, Now};
use crate::keys::Keys;
use crate::level::Probe;
use crate::pipeline::room::{self, Room};
use crate::pipeline::site::{Parts, Site};
use crate::policy::{Level, Policy};
use crate::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::waiting_room;
use crate::waiting_room::invitation::LaneTag;
use crate::waiting_room::page::Page;

mod flights;
#[cfg(test)]
mod tests;
mod visitors;
mod waves;

use flights::Flights;
use visitors::Visitor;
use waves::Coming;
pub use waves::{Crowd, EVERYONE, Error as CrowdError, Wave};

/// How often rooms admit and levels are looked at, as at the edge.
const TICK: Duration = Duration::from_millis(100);
/// How often an origin out of reach is probed.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// The moment at which a day begins for which nothing opens: any.
pub const BEGINS_UNIX_MS: u64 = 1_790_000_000_000;
/// Spans in a day at least, if they are not shorter than a second.
const SPANS: u32 = 240;

/// What is to happen.
#[derive(Debug)]
pub struct Plan {
    pub policy: Policy,
    pub snapshot: Option<Snapshot>,
    /// Of every origin in the policy. The kinds of its requests are the routes' numbers.
    pub origin: Shape,
    /// When the day begins, milliseconds since 1970 UTC.
    pub begins_unix_ms: u64,
    /// Who comes when: at most `WAVES_MAX` waves.
    pub waves: Vec<Wave>,
    /// How they bear refusals, and whether one of them is greedy.
    pub arrivals: Arrivals,
    /// How long the day lasts at most after all have come.
    pub after: Duration,
    pub patience: Patience,
    /// Between two pages, on average.
    pub think: Duration,
    pub journey: Journey,
    /// Requests a second of one client that has the site to itself.
    pub greedy: f64,
    pub seed: u64,
}

/// Lets the day happen. `progress` hears of the time and of how many have come, once a span.
pub fn run(plan: Plan, mut progress: impl FnMut(Duration, u32)) -> Report {
    let mut day = Day::begin(plan);
    while !day.is_over() {
        if day.step() {
            progress(day.now.mono.since(Mono::ZERO), day.come());
        }
    }
    day.end()
}

struct Day {
    site: Arc<Site>,
    keys: Arc<Keys>,
    hand: Hand,
    now: Now,
    random: Random,
    begins_unix_ms: u64,
    arrivals: Arrivals,
    coming: Coming,
    /// By wave.
    lines: Vec<Line>,
    waits: Vec<Waits>,
    visitors: Vec<Visitor>,
    /// How many have come and not ended.
    here: u64,
    wheel: Wheel,
    patience: Patience,
    think: Duration,
    journey: Journey,
    /// Requests a second of the greedy client, and how many it owes.
    greedy: f64,
    greedy_owed: f64,
    origins: Vec<Origin>,
    probed: Vec<Mono>,
    flights: Flights,
    next_request: u64,
    /// By room: whether the level holds everyone.
    held: Vec<bool>,
    /// After this everyone goes home.
    ends: Duration,
    span: Duration,
    current: Span,
    spans: Vec<Span>,
    /// Texts that are made anew for each request.
    target: String,
    cookie: String,
}

impl Day {
    fn begin(plan: Plan) -> Self {
        let (clock, hand) = Clock::told(plan.begins_unix_ms);
        let now = clock.now();
        let keys = Arc::new(Keys::from_bytes(1, &[7; 32]));
        let rooms = plan.policy.waiting_rooms.iter().map(|rules| {
            let secret = blake3::derive_key("seawall simulated room", &plan.seed.to_le_bytes());
            let machine = waiting_room::Room::new(rules.clone(), secret, now);
            // The crowd sees no page, and shows its invitations to the room itself.
            let lanes = vec![keys.as_ref().clone(); rules.lanes.len()];
            let parts = room::Parts { page: Page::built_in(&rules.name), lanes };
            Arc::new(Room::new(machine, rules, parts, keys.clone(), clock))
        });
        let rooms: Vec<_> = rooms.collect();
        let held = vec![false; rooms.len()];
        let (lines, waits) = lines(&plan);
        let telemetry = Arc::new(Telemetry::new(None));
        // The crowd has no passes.
        let passes = vec![None; plan.policy.clients.len()];
        let parts =
            Parts { clock, telemetry, snapshot: plan.snapshot, rooms, passes, keys: keys.clone(), seed: plan.seed };
        let origins = (1..).zip(&plan.policy.origins).map(|(n, _)| Origin::new(plan.origin.clone(), plan.seed ^ n));
        let origins: Vec<_> = origins.collect();
        let visitors: usize = plan.waves.iter().map(|wave| wave.visitors as usize).sum();
        let over = plan.waves.iter().map(|wave| wave.begins + wave.over).max().unwrap_or_default();
        let mut day = Self {
            probed: vec![Mono::ZERO; origins.len()],
            origins,
            site: Arc::new(Site::bind(plan.policy, None, parts)),
            keys,
            hand,
            now,
            random: Random::new(plan.seed),
            begins_unix_ms: plan.begins_unix_ms,
            arrivals: plan.arrivals,
            coming: Coming::new(&plan.waves, !plan.seed),
            lines,
            waits,
            visitors: Vec::with_capacity(visitors),
            here: 0,
            wheel: Wheel::default(),
            patience: plan.patience,
            think: plan.think,
            journey: plan.journey,
            greedy: if plan.arrivals == Arrivals::Greedy { plan.greedy } else { 0.0 },
            greedy_owed: 0.0,
            flights: Flights::default(),
            next_request: 0,
            held,
            ends: over + plan.after,
            span: Duration::from_secs((over / SPANS).as_secs().max(1)),
            current: Span::default(),
            spans: Vec::new(),
            target: String::new(),
            cookie: String::new(),
        };
        day.tick();
        day
    }

    fn is_over(&mut self) -> bool {
        let passed = self.now.mono.since(Mono::ZERO);
        passed >= self.ends || (self.here == 0 && self.coming.is_over())
    }

    fn end(mut self) -> Report {
        let before = self.span * u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        if self.now.mono.since(Mono::ZERO) > before {
            self.close_span();
        }
        Report { span: self.span, spans: self.spans, waits: self.waits, still_there: self.here }
    }

    fn come(&self) -> u32 {
        u32::try_from(self.visitors.len()).unwrap_or(u32::MAX)
    }

    /// One step of the wheel; whether a span has ended with it.
    fn step(&mut self) -> bool {
        let (until, due) = self.wheel.turn();
        self.live(until);
        self.tell(until);
        let passed = until.since(Mono::ZERO);
        let ends = |every: Duration| passed.as_nanos() % every.as_nanos() == 0;
        if ends(TICK) {
            self.tick();
        }
        while let Some(wave) = self.coming.next_by(passed) {
            self.arrive(wave);
        }
        if passed <= self.ends {
            self.be_greedy();
        }
        for number in due {
            self.act(number);
        }
        self.wake();
        let ended = ends(self.span);
        if ended {
            self.close_span();
        }
        ended
    }

    /// It is this time now, also for what is dropped.
    fn tell(&mut self, mono: Mono) {
        self.hand.set(mono);
        self.now = Now { mono, unix_ms: self.begins_unix_ms + mono.as_nanos() / 1_000_000 };
    }

    /// What the shell does each tenth of a second.
    fn tick(&mut self) {
        let site = self.site.clone();
        for room in site.rooms() {
            let changes = room.tick(self.now);
            room.commit(&changes);
        }
        let (probed, rules) = (&mut self.probed, &site.policy.origins);
        for (((origin, model), probed), rules) in site.origins().iter().zip(&self.origins).zip(probed).zip(rules) {
            let ((wants, level), _) = origin.ladder(self.now, |l| (l.wants_probe(), l.automatic()));
            let every = match (&rules.health, level) {
                (Some(health), Level::Normal) => health.every,
                _ => PROBE_EVERY,
            };
            if wants && self.now.mono.since(*probed) >= every {
                *probed = self.now.mono;
                let found = if model.is_alive() { Probe::Passed } else { Probe::Unreachable };
                origin.ladder(self.now, |ladder| ladder.probe(found, self.now.mono));
            }
            self.current.level = self.current.level.max(origin.level());
            self.current.capacity += model.capacity() * TICK.as_secs_f64();
            let figures = origin.figures();
            self.current.queued = self.current.queued.max(figures.queued);
        }
        for (held, room) in self.held.iter_mut().zip(site.rooms()) {
            *held = site.is_held(room, false);
            room.observe_pressure(site.pressure_on(room));
            let _ = room.keep(*held, self.now);
        }
    }

    fn close_span(&mut self) {
        let counters = self.site.rooms().iter().map(|room| room.counters());
        (self.current.waiting, self.current.inside) = counters
            .fold((0, 0), |(waiting, inside), c| (waiting + c.waiting + c.returning, inside + u64::from(c.inside)));
        self.current.limit = self.site.origins().iter().map(|o| o.figures().limit).sum();
        let before = self.span * u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.current.lasts = self.now.mono.since(Mono::ZERO).saturating_sub(before);
        self.spans.push(std::mem::take(&mut self.current));
    }
}

/// Where the visitors of one wave stand in line.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// When it opens; milliseconds of the day.
    opens_ms: u32,
    /// The room and the lane that they are invited to.
    invited: Option<(u8, LaneTag)>,
    /// Index of its waits.
    waits: usize,
}

/// Of each wave, and the waits of each line.
fn lines(plan: &Plan) -> (Vec<Line>, Vec<Waits>) {
    let mut waits = vec![Waits::new(EVERYONE)];
    let lines = plan.waves.iter().map(|wave| {
        let of_lane = |name: &str| {
            let rooms = (0..).zip(&plan.policy.waiting_rooms);
            let mut having = rooms.filter(|(_, room)| room.lanes.iter().any(|lane| lane.name == name));
            having.next().map(|(index, room)| (index, LaneTag::of(&room.name, name)))
        };
        let name = wave.lane.as_deref().unwrap_or(EVERYONE);
        let at = waits.iter().position(|waits| waits.line == name).unwrap_or_else(|| {
            waits.push(Waits::new(name));
            waits.len() - 1
        });
        let opens_ms = u32::try_from(wave.opens.as_millis()).unwrap_or(u32::MAX);
        Line { opens_ms, invited: wave.lane.as_deref().and_then(of_lane), waits: at }
    });
    (lines.collect(), waits)
}

/// A step of the wheel, as a share of a second.
fn step_seconds() -> f64 {
    STEP.as_secs_f64()
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Visitor(u32),
    /// Nobody's: it fills the cache.
    Fill,
    Greedy,
}

/// Moments at which something runs out, the first first.
type Deadlines = BinaryHeap<std::cmp::Reverse<(Mono, u64)>>;
/// Those who follow a fill, by its key.
type Followers = HashMap<Box<[u8]>, Vec<(Who, crate::pipeline::passage::Passage)>>;
