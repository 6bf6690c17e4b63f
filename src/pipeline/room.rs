//! A waiting room as requests meet it: cookies in, an answer or a visit out.
//!
//! The room itself is the pure [`waiting_room::Room`]; here it is given its lock, its keys and its
//! page. One cookie, `seawall_NAME`, holds the visitor's ticket, and later the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::answer::{Answer, Content, Fields, Format};
use super::reason::Reason;
use super::view::{Scheme, View};
use crate::clock::{Clock, Now};
use crate::keys::Keys;
use crate::policy;
use crate::waiting_room::page::{Page, Shown, State};
use crate::waiting_room::{self, Changes, Counters, Place, Presented, RoomId, Session, Ticket, Visit};

/// When a held visitor who has no place to ask about, or one who finds the queue full, asks again.
const HELD_POLL: Duration = Duration::from_secs(20);

/// `[waiting_room.NAME]` at work.
#[derive(Debug)]
pub struct Room {
    name: String,
    id: RoomId,
    clock: Clock,
    keys: Arc<Keys>,
    page: Page,
    /// For how long browsers keep the cookie.
    cookie_seconds: AtomicU64,
    machine: Mutex<waiting_room::Room>,
}

/// A visitor inside whose request is on its way; dropped, it counts no more.
#[derive(Debug)]
pub struct Inside {
    room: Arc<Room>,
    session: Session,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let now = self.room.clock.now();
        self.room.machine.lock().leave(self.session.slot, self.session.generation, now);
    }
}

/// What a visitor gets.
#[derive(Debug)]
pub enum Entrance {
    /// In, with the cookie to set if the session is new.
    Inside(Inside, Option<String>),
    /// The room's answer.
    Outside(Answer),
}

impl Room {
    pub fn new(machine: waiting_room::Room, policy: &policy::WaitingRoom, keys: Arc<Keys>, clock: Clock) -> Self {
        let name = machine.name().to_owned();
        let cookie_seconds = AtomicU64::new(cookie_seconds(policy));
        let page = Page::new(&name);
        Self { page, id: machine.id(), name, clock, keys, cookie_seconds, machine: Mutex::new(machine) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its cookies are bound to.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Takes over a reloaded policy.
    pub fn configure(&self, policy: &policy::WaitingRoom, now: Now) {
        self.cookie_seconds.store(cookie_seconds(policy), Ordering::Relaxed);
        self.machine.lock().configure(policy, now);
    }

    /// Stops and resumes admissions: the level holds everyone.
    pub fn set_paused(&self, paused: bool) {
        self.machine.lock().set_paused(paused);
    }

    /// The room in numbers.
    pub fn counters(&self) -> Counters {
        self.machine.lock().counters()
    }

    /// One step of admissions; what it changes must be on disk before [`Room::commit`].
    pub fn tick(&self, now: Now) -> Changes {
        self.machine.lock().tick(now)
    }

    /// The changes are on disk.
    pub fn commit(&self, changes: &Changes) {
        self.machine.lock().commit(changes);
    }

    /// The changes could not be written: admissions hold.
    pub fn abandon(&self, changes: &Changes) {
        self.machine.lock().abandon(changes);
    }

    /// The last changes of a process that ends in order.
    pub fn close(&self, now: Now) -> Changes {
        self.machine.lock().close(now)
    }

    /// Whether one who comes now without a ticket need not wait.
    pub fn lets_walk_in(&self) -> bool {
        let now = self.counters();
        now.leased > 0 && now.waiting == 0 && now.returning == 0
    }

    /// What the visitor brought, with every signature checked.
    pub fn presented(&self, view: &View<'_>) -> Presented {
        let mut presented = Presented::default();
        let ours = view.cookies().filter(|(name, _)| cookie_room(name) == Some(&self.name));
        for (_, value) in ours {
            presented.session = presented.session.or_else(|| Session::parse(value.as_bytes(), &self.keys, self.id));
            presented.ticket = presented.ticket.or_else(|| Ticket::parse(value.as_bytes(), &self.keys, self.id));
        }
        presented
    }

    /// The session of one who is inside.
    pub fn session(&self, presented: Presented, now: Now) -> Option<(RoomId, Session)> {
        let session = presented.session.filter(|session| self.machine.lock().knows(*session, now))?;
        Some((self.id, session))
    }

    /// A request that goes on if its visitor is inside.
    pub fn visit(self: &Arc<Self>, presented: Presented, asks: Asks, now: Now) -> Entrance {
        let visit = self.machine.lock().visit(presented, now);
        match visit {
            Visit::Inside { session, fresh } => {
                let cookie = fresh.then(|| self.session_cookie(&session, asks.scheme));
                Entrance::Inside(Inside { room: self.clone(), session }, cookie)
            }
            Visit::Queued { ticket, place } => Entrance::Outside(self.queued(ticket, place, asks, Reason::Queued)),
            Visit::Held => Entrance::Outside(self.held(asks)),
            Visit::Full { retry_after } => Entrance::Outside(self.full(retry_after, asks)),
        }
    }

    /// The level holds everyone: a place, and no admission.
    pub fn hold(&self, presented: Presented, asks: Asks, now: Now) -> Answer {
        let visit = self.machine.lock().hold_place(presented, now);
        match visit {
            Visit::Inside { .. } | Visit::Held => self.held(asks),
            Visit::Queued { ticket, place } => self.queued(ticket, place, asks, Reason::RoomHeld),
            Visit::Full { retry_after } => self.full(retry_after, asks),
        }
    }

    /// What [`Room::poll`] answers, before it is put into words.
    pub fn place(&self, presented: Presented, held: bool, now: Now) -> Visit {
        let mut machine = self.machine.lock();
        if held { machine.hold_place(presented, now) } else { machine.poll(presented, now) }
    }

    /// `/.seawall/room/NAME`: the visitor's place, always in JSON, and always 200: the question is
    /// answered. One who is admitted by it gets the session's cookie.
    pub fn poll(&self, presented: Presented, asks: Asks, held: bool, now: Now) -> Answer {
        let visit = self.place(presented, held, now);
        let mut body = Vec::with_capacity(256);
        let mut fields = Fields::new();
        match visit {
            Visit::Inside { session, fresh } => {
                self.page.json(&shown(State::Admitted, None, asks), &mut body);
                if fresh {
                    fields.push(("set-cookie", self.session_cookie(&session, asks.scheme).into()));
                }
            }
            Visit::Queued { ticket, place } => {
                let state = if held { State::Paused } else { State::Queued };
                self.page.json(&shown(state, Some(place), asks), &mut body);
                fields.push(("set-cookie", self.ticket_cookie(&ticket, asks.scheme).into()));
            }
            Visit::Held => self.page.json(&shown(State::Paused, None, asks), &mut body),
            Visit::Full { .. } => self.page.json(&shown(State::Full, None, asks), &mut body),
        }
        let content = Content::Made { status: 200, content_type: JSON, body: Bytes::from(body) };
        Answer { reason: Reason::Own, content, fields }
    }

    fn queued(&self, ticket: Ticket, place: Place, asks: Asks, reason: Reason) -> Answer {
        let state = if reason == Reason::RoomHeld { State::Paused } else { State::Queued };
        let retry = super::passage::whole_seconds(place.poll_after);
        self.answer(reason, state, Some(place), asks)
            .with("retry-after", retry.to_string())
            .with("set-cookie", self.ticket_cookie(&ticket, asks.scheme))
    }

    fn held(&self, asks: Asks) -> Answer {
        self.answer(Reason::RoomHeld, State::Paused, None, asks).with("retry-after", HELD_POLL.as_secs().to_string())
    }

    fn full(&self, retry_after: Duration, asks: Asks) -> Answer {
        let retry = super::passage::whole_seconds(retry_after);
        self.answer(Reason::RoomFull, State::Full, None, asks).with("retry-after", retry.to_string())
    }

    fn answer(&self, reason: Reason, state: State, place: Option<Place>, asks: Asks) -> Answer {
        let mut body = Vec::new();
        let content_type = match asks.format {
            Format::Html => {
                self.page.html(&shown(state, place, asks), &mut body);
                HTML
            }
            Format::Json => {
                self.page.json(&shown(state, place, asks), &mut body);
                JSON
            }
        };
        let content = Content::Made { status: reason.status(), content_type, body: Bytes::from(body) };
        // A search engine that comes by chance must not take the queue for the page.
        Answer { reason, content, fields: Fields::new() }.with("x-robots-tag", "noindex")
    }

    fn session_cookie(&self, session: &Session, scheme: Scheme) -> String {
        self.cookie(session.encode(&self.keys, self.id).as_str(), scheme)
    }

    fn ticket_cookie(&self, ticket: &Ticket, scheme: Scheme) -> String {
        self.cookie(ticket.encode(&self.keys, self.id).as_str(), scheme)
    }

    /// Lax, so that one who comes back from a payment page or a mail keeps the place; `__Host-`
    /// where TLS allows (RFC 6265bis §4.1.3.2).
    fn cookie(&self, value: &str, scheme: Scheme) -> String {
        let (prefix, secure) = match scheme {
            Scheme::Https => ("__Host-", "; Secure"),
            Scheme::Http => ("", ""),
        };
        let name = &self.name;
        let seconds = self.cookie_seconds.load(Ordering::Relaxed);
        format!("{prefix}seawall_{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// How long a browser keeps the cookie: longer than any place or session. What it is worth is decided
/// here, not there.
fn cookie_seconds(policy: &policy::WaitingRoom) -> u64 {
    let longest = policy.place_hold.max(policy.session_max);
    // Browsers keep no cookie longer (RFC 6265bis §5.5).
    (longest.as_secs() + 3600).min(400 * 86_400)
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// How an answer of the room's is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub scheme: Scheme,
    pub format: Format,
    /// It is a GET: the page may go to its own URL when the turn comes.
    pub get: bool,
}

fn shown(state: State, place: Option<Place>, asks: Asks) -> Shown {
    Shown { state, place, poll_after: place.map_or(HELD_POLL, |p| p.poll_after), reload: asks.get }
}

/// The room that a cookie is of.
fn cookie_room(name: &str) -> Option<&str> {
    name.strip_prefix("__Host-").unwrap_or(name).strip_prefix("seawall_")
}
