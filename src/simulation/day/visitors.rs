//! Visitors: what each does when its moment comes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Day, Line, Who, step_seconds};
use crate::clock::Mono;
use crate::pipeline::answer::{Answer, RequestId};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::room::Room;
use crate::pipeline::view::{Field, View};
use crate::pipeline::{Outcome, decide};
use crate::simulation::figures::is_refusal;
use crate::simulation::journey::{item, view};
use crate::waiting_room::{Invited, LIVENESS_WINDOW, POLL_MAX, Place, Presented, Session, Stub, Ticket, Visit, Waits};

/// How often one deep in a queue is heard of at least: once in each liveness window, or the room
/// would take its holder for absent.
const HEARTBEAT: Duration = Duration::from_secs(LIVENESS_WINDOW.as_secs() - 1);
/// When one polls who is held, or does not know how long it will be.
const HELD_POLL: Duration = Duration::from_secs(20);
/// The greedy client's address.
const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// What one carries for a room: 32 bytes, because there may be ten million.
#[derive(Clone, Copy, Debug)]
enum Carried {
    Nothing,
    Stub(Stub),
    Ticket(Ticket),
    Session(Session),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor {
    carried: Carried,
    /// When patience with the queue ends, and when it began: not before the opening. Milliseconds of
    /// the day.
    leaves_ms: u32,
    queued_ms: u32,
    /// Which room it carries something for.
    room: u8,
    step: u8,
    /// Refusals in a row.
    refused: u8,
    item: u8,
    wave: u8,
}

impl Day {
    /// The next of a wave comes, and asks for the first page; who is invited, for a place.
    pub(super) fn arrive(&mut self, wave: usize) {
        let number = self.come();
        let item = item(self.random.unit()) as u8;
        let invited = self.lines.get(wave).and_then(|line| line.invited);
        let visitor = Visitor {
            carried: Carried::Nothing,
            leaves_ms: 0,
            queued_ms: 0,
            room: invited.map_or(0, |(room, _)| room),
            step: 0,
            refused: 0,
            item,
            wave: u8::try_from(wave).unwrap_or(u8::MAX),
        };
        self.visitors.push(visitor);
        self.here += 1;
        self.current.arrived += 1;
        self.act(number);
    }

    /// This visitor's moment has come: a place to ask for, or a page.
    pub(super) fn act(&mut self, number: u32) {
        let Some(visitor) = self.visitors.get(number as usize).copied() else { return };
        let presented = match visitor.carried {
            Carried::Session(_) => return self.ask(number),
            Carried::Nothing => {
                let invited = self.line(visitor).and_then(|line| line.invited);
                let Some((_, lane)) = invited else { return self.ask(number) };
                // Each has an invitation of their own.
                Presented { invited: Some(Invited { lane, id: u64::from(number) + 1 }), ..Presented::default() }
            }
            Carried::Stub(stub) => Presented { stub: Some(stub), ..Presented::default() },
            Carried::Ticket(ticket) => Presented { ticket: Some(ticket), ..Presented::default() },
        };
        if !matches!(visitor.carried, Carried::Nothing) && self.ms() >= visitor.leaves_ms {
            self.current.left_queue += 1;
            return self.leave();
        }
        self.ask_place(number, visitor, presented);
    }

    fn ask_place(&mut self, number: u32, visitor: Visitor, presented: Presented) {
        let Some(room) = self.site.rooms().get(usize::from(visitor.room)) else { return };
        let held = self.held.get(usize::from(visitor.room)).copied().unwrap_or_default();
        match room.place(presented, held, self.now) {
            Visit::Inside { session, .. } => {
                self.come_in(number, session);
                self.ask(number);
            }
            Visit::Stub { stub, poll_after, .. } => {
                self.line_up(number, visitor.room, Carried::Stub(stub));
                self.poll_after(number, poll_after);
            }
            Visit::Queued { waits: Waits::SoldOut | Waits::Closed, .. }
            | Visit::Shut { waits: Waits::SoldOut | Waits::Closed, .. } => self.leave_shut(),
            Visit::Queued { ticket, place, .. } => {
                self.line_up(number, visitor.room, Carried::Ticket(ticket));
                self.poll_after(number, next_poll(place));
            }
            Visit::Held => self.poll_after(number, HELD_POLL),
            // No room in force any more: on to the page.
            Visit::Pass | Visit::Crowded => {
                self.carry(number, Carried::Nothing);
                self.ask(number);
            }
            Visit::Shut { retry_after, .. } => self.wheel.put(number, self.now.mono.after(retry_after)),
            Visit::Full { retry_after, .. } => self.refused(number, Some(retry_after)),
        }
    }

    /// In line, with a stub or a number. Patience with it begins with the first, and not before the
    /// opening.
    fn line_up(&mut self, number: u32, room: u8, carried: Carried) {
        let Some(visitor) = self.visitors.get(number as usize).copied() else { return };
        if !matches!(visitor.carried, Carried::Stub(_) | Carried::Ticket(_)) {
            let opens_ms = self.line(visitor).map_or(0, |line| line.opens_ms);
            let queued_ms = self.ms().max(opens_ms);
            let patience = u32::try_from(self.patience.draw(&mut self.random).as_millis()).unwrap_or(u32::MAX);
            if let Some(visitor) = self.visitors.get_mut(number as usize) {
                (visitor.room, visitor.queued_ms) = (room, queued_ms);
                visitor.leaves_ms = queued_ms.saturating_add(patience);
            }
        }
        self.carry(number, carried);
    }

    /// Has a session now that had none.
    fn come_in(&mut self, number: u32, session: Session) {
        let Some(visitor) = self.visitors.get(number as usize).copied() else { return };
        let queued = matches!(visitor.carried, Carried::Stub(_) | Carried::Ticket(_));
        let waited = if queued { self.ms().saturating_sub(visitor.queued_ms) } else { 0 };
        let waited = Duration::from_millis(u64::from(waited));
        if queued {
            self.current.waited = self.current.waited.max(Some(waited));
        }
        let line = self.line(visitor).map_or(0, |line| line.waits);
        if let Some(waits) = self.waits.get_mut(line) {
            waits.record(waited);
        }
        self.carry(number, Carried::Session(session));
    }

    fn line(&self, visitor: Visitor) -> Option<&Line> {
        self.lines.get(usize::from(visitor.wave))
    }

    fn poll_after(&mut self, number: u32, after: Duration) {
        let Some(visitor) = self.visitors.get(number as usize) else { return };
        let leaves = Mono::ZERO.after(Duration::from_millis(u64::from(visitor.leaves_ms)));
        self.wheel.put(number, self.now.mono.after(after).min(leaves));
    }

    /// Asks for the page of this visitor's step.
    fn ask(&mut self, number: u32) {
        let Some(visitor) = self.visitors.get(number as usize).copied() else { return };
        let mut cookie = std::mem::take(&mut self.cookie);
        cookie.clear();
        if let (Carried::Session(session), Some(room)) = (visitor.carried, self.room(visitor.room)) {
            cookie.extend(["__Host-seawall_", room.name(), "="]);
            cookie.push_str(session.encode(&self.keys, room.id()).as_str());
        }
        let (step, item) = (usize::from(visitor.step), u64::from(visitor.item));
        self.request(Who::Visitor(number), step, item, address(number), &cookie);
        self.cookie = cookie;
    }

    /// The greedy client's requests of this step of the wheel: for things that nobody has asked for.
    pub(super) fn be_greedy(&mut self) {
        self.greedy_owed += self.greedy * step_seconds();
        let page = self.journey.steps.len().min(2).saturating_sub(1);
        while self.greedy_owed >= 1.0 {
            self.greedy_owed -= 1.0;
            self.current.greedy += 1;
            let item = 1_000 + self.random.below(1_000_000);
            self.request(Who::Greedy, page, item, GREEDY, "");
        }
    }

    /// A request on its way through the pipeline.
    fn request(&mut self, who: Who, step: usize, item: u64, client: IpAddr, cookie: &str) {
        let Some(step) = self.journey.steps.get(step) else { return };
        let mut target = std::mem::take(&mut self.target);
        step.write_path(item, &mut target);
        let fields =
            [Field { name: "accept", value: b"application/json" }, Field { name: "cookie", value: cookie.as_bytes() }];
        let fields = fields.get(..if cookie.is_empty() { 1 } else { 2 }).unwrap_or_default();
        let view = View { client, ..view(&step.method, &target, &self.journey.host, fields) };
        self.next_request = self.next_request.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let (mut passage, outcome) = decide(&self.site, &view, RequestId::new(self.next_request), self.now);
        self.target = target;
        match outcome {
            Outcome::Answer(answer) => {
                self.refresh(&mut passage);
                self.answered(who, passage, &answer);
            }
            // In a simulation every file is there.
            Outcome::File(_) => self.served(who, passage, Reason::File),
            Outcome::Origin => self.ask_origin(who, passage),
        }
    }

    /// Seawall's own answer.
    pub(super) fn answered(&mut self, who: Who, mut passage: Passage, answer: &Answer) {
        if let (Reason::Queued | Reason::RoomHeld | Reason::RoomNotOpen, Who::Visitor(number)) = (answer.reason, who) {
            self.current.count(answer.reason);
            self.queue(number, &passage, answer);
            return passage.finish(answer.reason, answer.status(), 0, self.now.mono);
        }
        if !is_refusal(answer.reason) {
            return self.served(who, passage, answer.reason);
        }
        if let Who::Visitor(number) = who {
            self.current.count(answer.reason);
            self.take_cookie(number, &mut passage);
            if matches!(answer.reason, Reason::RoomSoldOut | Reason::RoomClosed) {
                self.leave_shut();
            } else {
                let field = answer.fields.iter().find(|(name, _)| *name == "retry-after");
                self.refused(number, field.and_then(|(_, v)| v.parse().ok()).map(Duration::from_secs));
            }
        }
        passage.finish(answer.reason, answer.status(), 0, self.now.mono);
    }

    /// The page that was asked for.
    pub(super) fn served(&mut self, who: Who, mut passage: Passage, reason: Reason) {
        match who {
            Who::Visitor(number) => {
                self.current.count(reason);
                if matches!(reason, Reason::Pass | Reason::Fill) {
                    self.current.latencies.record(self.now.mono.since(passage.began.mono));
                }
                self.take_cookie(number, &mut passage);
                self.go_on(number);
            }
            Who::Greedy => self.current.greedy_served += 1,
            Who::Fill => {}
        }
        passage.finish(reason, 200, 0, self.now.mono);
    }

    /// Goes on to the next page, after a while, or is done.
    fn go_on(&mut self, number: u32) {
        let Some(visitor) = self.visitors.get_mut(number as usize) else { return };
        visitor.refused = 0;
        visitor.step = visitor.step.saturating_add(1);
        let next = self.journey.steps.get(usize::from(visitor.step));
        if next.is_some_and(|step| self.random.below(100) < u64::from(step.share)) {
            let think = self.random.between(self.think / 2, self.think * 3 / 2);
            return self.wheel.put(number, self.now.mono.after(think));
        }
        self.current.through += 1;
        self.leave();
    }

    fn refused(&mut self, number: u32, retry_after: Option<Duration>) {
        let Some(visitor) = self.visitors.get_mut(number as usize) else { return };
        visitor.refused = visitor.refused.saturating_add(1);
        match self.arrivals.again(visitor.refused, retry_after, &mut self.random) {
            Some(after) => self.wheel.put(number, self.now.mono.after(after)),
            None => {
                self.current.left_refused += 1;
                self.leave();
            }
        }
    }

    /// Has a stub or a place in a room's queue now.
    fn queue(&mut self, number: u32, passage: &Passage, answer: &Answer) {
        let Some(id) = passage.route().waiting_room else { return };
        let room = self.site.room(id).clone();
        let field = |name| answer.fields.iter().find(move |(field, _)| *field == name).map(|(_, value)| value);
        let value = field("set-cookie").map(|value| cookie_value(value).as_bytes()).unwrap_or_default();
        let stub = Stub::parse(value, &self.keys, room.id()).map(Carried::Stub);
        let carried = stub.or_else(|| Ticket::parse(value, &self.keys, room.id()).map(Carried::Ticket));
        let retry = field("retry-after").and_then(|v| v.parse().ok()).map_or(HELD_POLL, Duration::from_secs);
        let Some(carried) = carried else {
            // Held inside, or before anyone gets a place: once more when it is time.
            return self.wheel.put(number, self.now.mono.after(retry));
        };
        self.line_up(number, u8::try_from(id.0).unwrap_or(u8::MAX), carried);
        self.poll_after(number, if retry < POLL_MAX { retry } else { HEARTBEAT });
    }

    /// Keeps the session that an answer brings.
    fn take_cookie(&mut self, number: u32, passage: &mut Passage) {
        let Some(id) = passage.route().waiting_room else { return };
        let room = self.site.room(id);
        let mut values = passage.cookies.iter().map(|cookie| cookie_value(cookie));
        let Some(session) = values.find_map(|v| Session::parse(v.as_bytes(), &self.keys, room.id())) else { return };
        let Some(visitor) = self.visitors.get_mut(number as usize) else { return };
        visitor.room = u8::try_from(id.0).unwrap_or(u8::MAX);
        match visitor.carried {
            Carried::Session(_) => visitor.carried = Carried::Session(session),
            _ => self.come_in(number, session),
        }
    }

    fn carry(&mut self, number: u32, carried: Carried) {
        if let Some(visitor) = self.visitors.get_mut(number as usize) {
            visitor.carried = carried;
        }
    }

    fn room(&self, room: u8) -> Option<&Room> {
        self.site.rooms().get(usize::from(room)).map(AsRef::as_ref)
    }

    /// Nobody comes in any more.
    fn leave_shut(&mut self) {
        self.current.left_shut += 1;
        self.leave();
    }

    /// Has no more to do here.
    fn leave(&mut self) {
        self.here -= 1;
    }

    /// Milliseconds of the day: 49 days fit.
    fn ms(&self) -> u32 {
        u32::try_from(self.now.mono.as_nanos() / 1_000_000).unwrap_or(u32::MAX)
    }
}

/// When a place is asked for again: by half of the wait that it shows, so that a browser's polls deep
/// in the queue, which change nothing, need not happen.
fn next_poll(place: Place) -> Duration {
    let half = place.wait.map_or(place.poll_after, |(low, _)| low / 2);
    // At the longest interval there is, what is known is: not soon.
    let far = if place.poll_after < POLL_MAX { half } else { HEARTBEAT };
    far.clamp(place.poll_after, HEARTBEAT)
}

/// The value in a Set-Cookie field.
fn cookie_value(field: &str) -> &str {
    let pair = field.split(';').next().unwrap_or_default();
    pair.split_once('=').map_or("", |(_, value)| value)
}

/// An address of one's own, and a network shared with few: neighbours in the crowd are strangers.
fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(0x9e37_79b1)))
}
