//! The waiting room: who may come in, who waits, and where in the line.
//!
//! Pure: no I/O and no clock. A visitor's request asks [`Room::visit`]; a request that only wants
//! to know asks [`Face::poll`], which takes no lock, and then [`Room::poll`]; while the level holds
//! everyone, both ask [`Room::hold_place`]. Every 100 ms to 1 s the shell calls [`Room::tick`],
//! writes the [`Changes`] to disk and calls [`Room::commit`]. Nobody is let in, and no number is
//! given, that is not on disk: a slot is reserved for a ticket, or leased for whoever comes while
//! nobody waits, one tick before it is used. So a crash at any moment finds everyone who may be
//! inside on disk.
//!
//! What holds at every instant: active + reserved + leased ≤ `capacity` (after a reload to a lower
//! capacity those inside stay, and nobody new comes in until they are fewer), and over any span at
//! most `admit` × span + one burst slots are given; a visitor may use a slot up to `claim` later.
//!
//! One who comes for the first time, and can't walk in, gets a [`Stub`] and no number: the next
//! touch that bears it draws one. So who keeps no cookies takes no place in the line.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::policy;

mod admission;
mod auto;
pub mod census;
mod entrance;
mod face;
mod figures;
pub mod invitation;
mod line;
pub mod lottery;
mod opening;
mod operator;
mod pace;
pub mod page;
mod place;
mod queue;
pub mod record;
pub mod reference;
mod remembered;
mod sessions;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic)]
mod simulation;
mod speed;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic)]
pub(crate) mod tests;
pub mod ticket;

use auto::Auto;
pub use face::{Face, LineSign, Signs};
pub use figures::Counters;
use figures::Figures;
pub use line::{EVERYONE, FIRST_LANE, Phase, RETURNERS};
use line::{LINES_MAX, Line};
pub use opening::Published;
pub use operator::{Forecast, LookUp, Outlook};
use pace::Pace;
pub use place::{POLL_MAX, POLL_MIN, POLL_STUB, Place};
pub use record::{Changes, Record};
pub use reference::Reference;
use remembered::Remembered;
use sessions::{Sessions, Terms};
use speed::Speed;
pub use ticket::{RoomId, Session, Stub, Ticket};

/// Who is silent for one of these, and for the next, is absent. At least twice [`POLL_MAX`], so
/// that one lost poll costs nothing.
pub const LIVENESS_WINDOW: Duration = Duration::from_secs(60);
/// Numbers that may be issued and absent between frontier and tail, in multiples of `max_queue`.
const SPAN_PER_QUEUE: u64 = 4;
/// Room-time at which a room begins, milliseconds: 34 years, so that what began before is a time.
const BEGINNING_MS: u64 = 1 << 40;

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// A keyed hash of its address, of IPv6 the /64; 0: not known, and not counted.
    pub hash: census::ClientHash,
    /// Whether its address is of IPv6.
    pub v6: bool,
}

/// An invitation, checked: which lane it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invited {
    pub lane: invitation::LaneTag,
    pub id: u64,
}

/// What a visitor brought, with every signature checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    pub session: Option<Session>,
    pub ticket: Option<Ticket>,
    pub stub: Option<Stub>,
    pub invited: Option<Invited>,
    pub client: Client,
}

/// What a visitor gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The room is not in force: on as if there were none.
    Pass,
    /// Come in. After [`Room::visit`], the request counts until [`Room::leave`].
    Inside {
        session: Session,
        /// The session's cookie is to be set, and the ticket's to be cleared.
        fresh: bool,
    },
    /// Come again with this cookie, and get a number.
    Stub { stub: Stub, waits: Waits, poll_after: Duration },
    /// Wait. The ticket's cookie is to be set: it carries the best position shown.
    Queued { ticket: Ticket, place: Place, waits: Waits },
    /// Nobody gets a place now.
    Shut { waits: Waits, retry_after: Duration },
    /// Everyone is held, and this visitor was inside: the session goes on, no place is needed.
    Held,
    /// Inside, and with as many requests under way as one visitor may have.
    Crowded,
    /// The queue takes no more.
    Full { retry_after: Duration, why: Full },
}

/// Why one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    InLine,
    /// It has not opened yet.
    Before {
        opens_in: Duration,
    },
    Paused,
    SoldOut,
    Closed,
}

/// Why no place is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many wait as may.
    Queue,
    /// This client's address holds as many places as it may.
    Client,
    /// More came within a moment than was foreseen.
    Moment,
}

/// What keeps the next one in line from coming in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Nobody waits.
    #[default]
    None,
    /// `admit`.
    Rate,
    /// `admit = "auto"`: the origin's pressure.
    Pressure,
    /// `capacity`.
    Capacity,
    /// Someone paused it.
    Pause,
    /// It is not open, or was closed.
    Hours,
    /// There is nothing left.
    Stock,
    /// After a crash: tickets of the last moment have a few seconds to show up.
    Recovery,
    /// The disk does not take what must be on it.
    Store,
}

/// One waiting room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    policy: policy::WaitingRoom,
    /// Room-time [`BEGINNING_MS`].
    began: Mono,
    /// By the lane's id in tickets.
    lines: Vec<Line>,
    sessions: Sessions,
    /// Tickets whose slot was kept for a while and went on to the next.
    called: Remembered,
    /// Those of them who have come since, by ticket; each is in `called`, so they are as bounded.
    back: VecDeque<u64>,
    face: Arc<Face>,
    pace: Option<Pace>,
    auto: Option<Auto>,
    speed: Speed,
    figures: Figures,
    /// Where the line that was served last stood in the order of lines.
    pass_at: u64,
    /// Uses of the invitations that have a number of them.
    used: HashMap<u64, u32>,
    /// Invitations used since the last changes.
    newly_used: Vec<u64>,
    /// The header on disk.
    saved: record::Header,
    /// Whether a tick's changes are on their way to disk.
    outstanding: bool,
    /// Whether the last changes could not be written.
    store_fails: bool,
    rotated_ms: u64,
    recounted_ms: u64,
    /// The census of clients begins a new window with the next tick.
    census_turns: bool,
    ticked: Mono,
    ticked_unix_ms: u64,
    /// For how long the clocks of sessions have stood still, milliseconds.
    stood_still_ms: u64,
    /// And before this process, seconds.
    stood_still_before_s: u64,
    paused: bool,
    closed: bool,
    stock: Option<u64>,
    limit: Limit,
}

impl Room {
    /// A room without a past. `seed` is random; tick and commit once before the first visit.
    pub fn new(policy: policy::WaitingRoom, seed: [u8; 32], now: Now) -> Self {
        let header = record::Header { seed, clean: true, ..record::Header::default() };
        Self::restore(policy, &Record { header, slots: Vec::new(), invitations: Vec::new() }, now)
    }

    /// The room as the disk remembers it; tick and commit once before the first visit.
    ///
    /// Every occupied slot counts as just seen, every ticket issued as live for one window.
    pub fn restore(policy: policy::WaitingRoom, record: &Record, now: Now) -> Self {
        let header = &record.header;
        let lines =
            header.lines.iter().take(LINES_MAX).map(|line| Line::restore(*line, header.clean, now.mono)).collect();
        let mut room = Self {
            id: RoomId::new(&policy.name, &header.seed),
            face: Arc::new(Face::new(policy.max_queue.get())),
            began: now.mono,
            lines,
            sessions: Sessions::new(header.generation),
            called: Remembered::default(),
            back: VecDeque::new(),
            pace: None,
            auto: None,
            speed: Speed::default(),
            figures: Figures::default(),
            pass_at: 0,
            used: HashMap::new(),
            newly_used: Vec::new(),
            // What was clean is so no longer.
            saved: record::Header { clean: false, ..header.clone() },
            outstanding: false,
            store_fails: false,
            rotated_ms: BEGINNING_MS,
            recounted_ms: BEGINNING_MS,
            census_turns: false,
            ticked: now.mono,
            ticked_unix_ms: now.unix_ms,
            stood_still_ms: 0,
            stood_still_before_s: header.stood_still_s,
            paused: false,
            closed: false,
            stock: None,
            limit: Limit::None,
            policy,
        };
        record.invitations.iter().for_each(|id| room.count_use(*id));
        room.restore_draws(header);
        room.raise_barriers();
        room.take_policy(now);
        room.restore_slots(record, now);
        room.publish(now);
        room
    }

    /// The room's identity in cookies.
    pub const fn id(&self) -> RoomId {
        self.id
    }

    /// The policy's name for it.
    pub fn name(&self) -> &str {
        &self.policy.name
    }

    /// What polls are answered from without a lock.
    pub const fn face(&self) -> &Arc<Face> {
        &self.face
    }

    /// Takes over another policy: queue and sessions stay as they are.
    pub fn configure(&mut self, policy: &policy::WaitingRoom, now: Now) {
        self.policy.clone_from(policy);
        self.take_policy(now);
        self.sessions.drop_leases(policy.capacity.get());
        self.publish(now);
    }

    /// Stops and resumes admissions and the clocks of sessions; those inside stay inside, those in
    /// line keep their places.
    pub const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Nobody new comes in, and all who wait are told so; or no longer.
    pub const fn set_closed(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// How many there are still to be had: at 0 nobody new comes in. None: not known.
    pub const fn set_stock(&mut self, stock: Option<u64>) {
        self.stock = stock;
    }

    /// The pressure on the origin, 1 where it is strained: what `admit = "auto"` goes by.
    pub fn observe_pressure(&mut self, pressure: f64) {
        if let Some(auto) = &mut self.auto {
            auto.observe(pressure);
        }
    }

    /// The room in numbers, as of now.
    pub fn counters(&self) -> Counters {
        Counters {
            waiting: self.lines.iter().map(|line| line.queue.board().waiting()).sum(),
            returning: self.lines.iter().map(|line| line.queue.board().returning()).sum(),
            inside: self.sessions.active(),
            reserved: self.sessions.reserved(),
            leased: self.sessions.leased(),
            capacity: self.policy.capacity.get(),
            limit: self.limit,
            phase: self.lines.first().map(|line| line.phase(self.ticked_unix_ms)).unwrap_or_default(),
            stock: self.stock,
            admitted_per_second: self.speed.per_second().unwrap_or(0.0),
            admit_per_second: self.quota_per_second(),
            ..self.figures.counters()
        }
    }

    /// Whether there is a slot for one who comes while nobody waits.
    pub fn has_lease(&self) -> bool {
        self.sessions.has_lease()
    }

    /// Whether a session is good; to ask changes nothing.
    pub fn knows(&self, session: Session, now: Now) -> bool {
        self.sessions.knows(session, self.session_ms(now), self.terms())
    }

    /// Whether a visit of this session that is still under way, as a stream is, has to end.
    pub fn is_over(&self, session: Session, now: Now) -> bool {
        self.sessions.is_over(session.slot, session.generation, self.session_ms(now), self.terms())
    }

    /// A request let in by [`Room::visit`] has ended.
    pub fn leave(&mut self, slot: u32, generation: u32, now: Now) {
        let at_ms = self.session_ms(now);
        self.sessions.leave(slot, generation, at_ms);
    }

    /// A session ends after so long; at once, with [`Duration::ZERO`], or with its last request.
    pub fn end_session(&mut self, session: Session, after: Duration, now: Now) {
        let ends_ms = self.session_ms(now).saturating_add(millis(after));
        self.sessions.end(session.slot, session.generation, ends_ms);
    }

    const fn terms(&self) -> Terms {
        Terms { idle: self.policy.session_idle, max: self.policy.session_max, back: self.policy.session_return }
    }

    /// Visitors a second at most, by `admit`.
    fn quota_per_second(&self) -> Option<f64> {
        self.pace.map(|pace| pace.per_second())
    }

    /// Room-time.
    fn ms(&self, now: Now) -> u64 {
        BEGINNING_MS.saturating_add(millis(now.mono.since(self.began)))
    }

    /// The time that the clocks of sessions and claims show: it stands still while the room is paused.
    fn session_ms(&self, now: Now) -> u64 {
        let since_tick = if self.paused { millis(now.mono.since(self.ticked)) } else { 0 };
        self.ms(now).saturating_sub(self.stood_still_ms).saturating_sub(since_tick)
    }

    /// For how long the clocks of sessions have stood still in this life of the room's state, seconds.
    const fn stood_still_s(&self) -> u64 {
        self.stood_still_before_s.saturating_add(self.stood_still_ms / 1000)
    }

    /// The wall clock's seconds at a time of the sessions' clock, less what that has stood still: what
    /// the disk remembers, and what is right again after a pause and a restart.
    fn unix_s(&self, session_ms: u64, now: Now) -> u32 {
        let age_s = self.session_ms(now).saturating_sub(session_ms) / 1000;
        let unix_s = (now.unix_ms / 1000).saturating_sub(self.stood_still_s()).saturating_sub(age_s);
        u32::try_from(unix_s).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
pub(crate) use tests::policy as for_tests;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
