//! Requests on their way to the origin and back.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Day, Deadlines, Followers, Who};
use crate::cache::entry::Entry;
use crate::cache::freshness::{ResponseParts, Terms};
use crate::clock::Mono;
use crate::concurrency::Outcome;
use crate::level::Contact;
use crate::pipeline::Flow;
use crate::pipeline::origin::Turn;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::policy::Ttl;

/// When to come back to an origin that failed, as the proxy says it.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Everything between the cache and the origin's answer.
#[derive(Default)]
pub(super) struct Flights {
    /// By number.
    open: HashMap<u64, Flight>,
    /// Turns and answers that may come too late.
    deadlines: Deadlines,
    woken: Arc<Woken>,
    followers: Followers,
    next: u64,
    done: Vec<(u64, Outcome)>,
}

struct Flight {
    who: Who,
    passage: Passage,
    /// Waits for its place; none: it is at the origin.
    turn: Option<Turn>,
    asked: Mono,
    /// The key of the entry that comes of it.
    key: Option<Box<[u8]>>,
}

/// Flights whose turn has come.
#[derive(Default)]
struct Woken(Mutex<Vec<u64>>);

struct Bell(Arc<Woken>, u64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.0.lock().push(self.1);
    }
}

impl Day {
    /// A request that no copy answers: it follows a fill, leads one, or goes alone.
    pub(super) fn ask_origin(&mut self, who: Who, mut passage: Passage) {
        let shared = self.ttl(&passage).is_some();
        let Some(key) = passage.copy.key.take().filter(|_| shared) else {
            return self.take_turn(who, passage, None);
        };
        if let Some(followers) = self.flights.followers.get_mut(&key) {
            return followers.push((who, passage));
        }
        let fill = passage.for_fill();
        self.flights.followers.insert(key.clone(), vec![(who, passage)]);
        self.take_turn(Who::Fill, fill, Some(key));
    }

    /// A stale copy has answered: it is fetched anew, if nobody does so already.
    pub(super) fn refresh(&mut self, passage: &mut Passage) {
        let Some(key) = passage.copy.key.take() else { return };
        if self.ttl(passage).is_some() && !self.flights.followers.contains_key(&key) {
            self.flights.followers.insert(key.clone(), Vec::new());
            self.take_turn(Who::Fill, passage.for_fill(), Some(key));
        }
    }

    /// How long the cache of this route keeps what has no freshness of its own: all that the model
    /// of an origin answers. None: it is not kept.
    fn ttl(&self, passage: &Passage) -> Option<Duration> {
        match self.site.cache_of(passage.route())?.ttl {
            Ttl::Fixed(ttl) => Some(ttl),
            Ttl::Origin | Ttl::Heuristic => None,
        }
    }

    fn take_turn(&mut self, who: Who, mut passage: Passage, key: Option<Box<[u8]>>) {
        let asked = self.now.mono;
        let turn = match passage.turn(self.now) {
            Flow::Continue => None,
            Flow::Wait(turn) => Some(turn),
            Flow::Respond(answer) => {
                let retry_after = passage.origin().retry_after(asked);
                return self.turned_away(who, passage, key, answer.reason, retry_after);
            }
        };
        self.flights.next += 1;
        let number = self.flights.next;
        if let Some(turn) = &turn {
            self.flights.deadlines.push(Reverse((asked.after(turn.patience(asked)), number)));
            self.flights.woken.0.lock().push(number);
        }
        let at_once = turn.is_none();
        self.flights.open.insert(number, Flight { who, passage, turn, asked, key });
        if at_once {
            self.let_go(number);
        }
    }

    /// Asks the turns that may have come.
    pub(super) fn wake(&mut self) {
        loop {
            let Some(number) = self.flights.woken.0.lock().pop() else { return };
            let Some(flight) = self.flights.open.get_mut(&number) else { continue };
            let Some(turn) = &mut flight.turn else { continue };
            let waker = Waker::from(Arc::new(Bell(self.flights.woken.clone(), number)));
            let Poll::Ready(outcome) = Pin::new(turn).poll(&mut Context::from_waker(&waker)) else { continue };
            flight.turn = None;
            match outcome {
                Ok(permit) => {
                    flight.passage.permit = Some(permit);
                    self.let_go(number);
                }
                Err(reason) => self.lost_turn(number, reason),
            }
        }
    }

    /// It has its place: on to the origin.
    fn let_go(&mut self, number: u64) {
        let now = self.now.mono;
        let Some(flight) = self.flights.open.get_mut(&number) else { return };
        flight.passage.queued = now.since(flight.asked);
        let (origin, kind) = (flight.passage.route().origin, flight.passage.route_id().0);
        let patience = patience_at_origin(&flight.passage);
        self.flights.deadlines.push(Reverse((now.after(patience), number)));
        self.current.to_origin += 1;
        if let Some(model) = self.origins.get_mut(origin.0) {
            model.submit(number, kind, now);
            self.current.in_flight = self.current.in_flight.max(model.in_flight());
        }
    }

    /// Everything that happens at origins, and all that runs out, up to then.
    pub(super) fn live(&mut self, until: Mono) {
        loop {
            let inside = self.origins.iter().filter_map(super::Origin::next_event).min();
            let late = self.flights.deadlines.peek().map(|Reverse((at, _))| *at);
            let Some(now) = inside.into_iter().chain(late).min().filter(|now| *now <= until) else { return };
            self.tell(now.max(self.now.mono));
            let mut done = std::mem::take(&mut self.flights.done);
            for origin in &mut self.origins {
                origin.advance(now, &mut done);
            }
            for (number, outcome) in done.drain(..) {
                self.back(number, outcome);
            }
            self.flights.done = done;
            while let Some(Reverse((_, number))) =
                self.flights.deadlines.peek().copied().filter(|Reverse((at, _))| *at <= now)
            {
                self.flights.deadlines.pop();
                self.late(number, now);
            }
            self.wake();
        }
    }

    /// The origin has answered, or could not.
    fn back(&mut self, number: u64, outcome: Outcome) {
        let answered = outcome == Outcome::Answered;
        self.current.answered += u64::from(answered);
        let Some(mut flight) = self.flights.open.remove(&number) else { return };
        let contact = if answered { Contact::Reached } else { Contact::Unreachable };
        flight.passage.origin().observe(contact, self.now);
        if let Some(permit) = flight.passage.permit.take() {
            permit.headed(!answered, self.now.mono);
        }
        if !answered {
            let reason = Reason::OriginUnreachable;
            return self.turned_away(flight.who, flight.passage, flight.key, reason, RETRY_AFTER_FAILURE);
        }
        if let Some(key) = flight.key {
            self.keep(&flight.passage, key.clone());
            for (who, passage) in self.flights.followers.remove(&key).unwrap_or_default() {
                self.served(who, passage, Reason::Fill);
            }
        }
        if flight.who != Who::Fill {
            self.served(flight.who, flight.passage, Reason::Pass);
        }
    }

    /// A turn has not come in time, or an answer.
    fn late(&mut self, number: u64, now: Mono) {
        let Some(flight) = self.flights.open.get(&number) else { return };
        let at_origin = flight.turn.is_none();
        // The deadline of a turn that came is still here, and is not the answer's.
        if at_origin && now.since(flight.asked.after(flight.passage.queued)) < patience_at_origin(&flight.passage) {
            return;
        }
        if !at_origin {
            return self.lost_turn(number, Reason::QueueTimeout);
        }
        let Some(mut flight) = self.flights.open.remove(&number) else { return };
        flight.passage.origin().observe(Contact::Unreachable, self.now);
        if let Some(permit) = flight.passage.permit.take() {
            permit.headed(true, now);
        }
        self.turned_away(flight.who, flight.passage, flight.key, Reason::OriginTimeout, RETRY_AFTER_FAILURE);
    }

    /// It gets no place at the origin.
    fn lost_turn(&mut self, number: u64, reason: Reason) {
        let Some(mut flight) = self.flights.open.remove(&number) else { return };
        // Dropped, it leaves the line.
        flight.turn = None;
        flight.passage.queued = self.now.mono.since(flight.asked);
        let retry_after = flight.passage.origin().retry_after(self.now.mono);
        self.turned_away(flight.who, flight.passage, flight.key, reason, retry_after);
    }

    /// The origin was not asked, or gave no answer: each who waited for it gets a copy or a refusal.
    fn turned_away(
        &mut self,
        who: Who,
        passage: Passage,
        key: Option<Box<[u8]>>,
        reason: Reason,
        retry_after: Duration,
    ) {
        let waited = key.and_then(|key| self.flights.followers.remove(&key)).unwrap_or_default();
        if who != Who::Fill {
            self.fall_back(who, passage, reason, retry_after);
        }
        for (who, passage) in waited {
            self.fall_back(who, passage, reason, retry_after);
        }
    }

    fn fall_back(&mut self, who: Who, mut passage: Passage, reason: Reason, retry_after: Duration) {
        let answer = passage.fall_back(reason, retry_after, self.now);
        self.answered(who, passage, &answer);
    }

    fn keep(&self, passage: &Passage, key: Box<[u8]>) {
        let Some((rules, ttl)) = self.site.cache_of(passage.route()).zip(self.ttl(passage)) else { return };
        let terms = Terms {
            fresh_for: ttl,
            stale_while_revalidate: rules.stale_while_revalidate,
            stale_if_error: rules.stale_if_error,
            ..Terms::default()
        };
        let head = ResponseParts { status: 200, fields: &[] };
        let entry = Entry::new(&head, Bytes::from_static(b"page"), terms, self.now);
        self.site.store.insert(key, Arc::new(entry), &[], self.now.mono);
    }
}

/// How long the origin may take, as the policy says it.
fn patience_at_origin(passage: &Passage) -> Duration {
    let (route, policy) = (passage.route(), &passage.site.policy);
    let of_origin = policy.origins.get(route.origin.0).map_or(Duration::MAX, |o| o.response_timeout);
    route.response_timeout.unwrap_or(of_origin)
}
