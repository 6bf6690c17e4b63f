//! One origin's state: its places, its level, and the RAII that gives places back.
//!
//! A [`Permit`] is a place at the origin; dropped, wherever and why ever, it goes to the next in
//! line. A [`Turn`] is the wait for one; dropped, it leaves the line. Nothing else can hold or lose
//! a place.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::reason::Reason;
use crate::admission::{Admission, Admit, WaiterId};
use crate::clock::{Clock, Mono, Now};
use crate::level::{Change, Contact, Ladder, Signals};
use crate::policy::{self, Level, LevelPolicy};

/// How long one refusal speaks for those who come after it. Short enough that the line does not run
/// dry meanwhile: it holds a few times as many as are in flight.
const IN_VAIN: Duration = Duration::from_millis(5);

/// The state of `[origin.NAME]`; outlives the policy that named it.
#[derive(Debug)]
pub struct Origin {
    pub name: String,
    clock: Clock,
    line: Mutex<Line>,
    ladder: Mutex<Ladder>,
    /// The ladder's level, so that a request need not lock it.
    level: AtomicU8,
    /// An `f64`'s bits; see [`Origin::set_allowance`].
    allowance: AtomicU64,
    /// When someone was last refused a place, in nanoseconds of the monotonic clock.
    refused: AtomicU64,
    contacts_good: AtomicU64,
    contacts_bad: AtomicU64,
}

#[derive(Debug)]
struct Line {
    admission: Admission,
    wakers: HashMap<WaiterId, Waker>,
}

/// The figures of an origin, for status and metrics.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub in_flight: usize,
    pub in_flight_peak: usize,
    pub limit: usize,
    pub queued: usize,
    pub streams: usize,
    /// Answers received, and attempts that got none.
    pub reached: u64,
    pub unreached: u64,
}

impl Origin {
    pub fn new(policy: &policy::Origin, ladder: &LevelPolicy, clock: Clock) -> Self {
        let ladder = Ladder::new(ladder, &policy.name, policy.health.is_some());
        Self {
            name: policy.name.clone(),
            clock,
            line: Mutex::new(Line { admission: Admission::new(&policy.concurrency), wakers: HashMap::new() }),
            ladder: Mutex::new(ladder),
            level: AtomicU8::new(Level::Normal as u8),
            allowance: AtomicU64::new(1.0_f64.to_bits()),
            refused: AtomicU64::new(0),
            contacts_good: AtomicU64::new(0),
            contacts_bad: AtomicU64::new(0),
        }
    }

    /// Takes over a new policy; those who wait keep their place in the line.
    pub fn configure(&self, policy: &policy::Origin, ladder: &LevelPolicy) {
        let woken: Vec<Waker> = {
            let line = &mut *self.line.lock();
            let granted = line.admission.configure(&policy.concurrency);
            granted.iter().filter_map(|id| line.wakers.remove(id)).collect()
        };
        woken.into_iter().for_each(Waker::wake);
        self.ladder.lock().configure(ladder, &policy.name, policy.health.is_some());
    }

    /// Asks for a place.
    pub fn admit(self: &Arc<Self>, now: Mono) -> Admitted {
        let admit = self.line.lock().admission.admit(now);
        match admit {
            Admit::Granted => Admitted::Now(Permit { origin: self.clone(), kind: Held::Place }),
            Admit::Queued(id, deadline) => Admitted::Queued(Turn { origin: self.clone(), id, deadline, over: false }),
            Admit::Refused(reason) => {
                self.refused.store(now.as_nanos(), Ordering::Relaxed);
                Admitted::Refused(reason, self.retry_after(now))
            }
        }
    }

    /// Whether someone was refused a place just now: to ask again at once would be in vain.
    pub fn refuses(&self, now: Mono) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        refused > 0 && now.since(Mono::from_nanos(refused)) < IN_VAIN
    }

    /// When one who was refused should come back.
    pub fn retry_after(&self, now: Mono) -> Duration {
        self.line.lock().admission.retry_after(now)
    }

    /// The level of service now.
    pub fn level(&self) -> Level {
        Level::ALL.get(usize::from(self.level.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// What a request learned about the origin.
    pub fn observe(&self, contact: Contact, now: Now) {
        match contact {
            Contact::Reached => self.contacts_good.fetch_add(1, Ordering::Relaxed),
            Contact::Unreachable => self.contacts_bad.fetch_add(1, Ordering::Relaxed),
        };
        self.ladder.lock().observe(contact, now.mono);
    }

    /// Asks or changes the ladder, and takes over the level that follows from it.
    pub fn ladder<T>(&self, now: Now, ask: impl FnOnce(&mut Ladder) -> T) -> (T, Option<Change>) {
        let mut ladder = self.ladder.lock();
        let answer = ask(&mut ladder);
        let change = ladder.tick(now);
        self.level.store(ladder.level(now) as u8, Ordering::Relaxed);
        let allowance = ladder.allowance(now);
        drop(ladder);
        self.set_allowance(allowance);
        (answer, change)
    }

    /// Looks at the ladder, and moves nothing.
    pub fn look<T>(&self, at: impl FnOnce(&Ladder) -> T) -> T {
        at(&self.ladder.lock())
    }

    /// The share of its usual traffic that the origin may have, 0.1 to 1.0: less than all while it is
    /// out of reach and on the way back.
    pub fn set_allowance(&self, share: f64) {
        self.allowance.store(share.to_bits(), Ordering::Relaxed);
    }

    /// See [`Origin::set_allowance`].
    pub fn allowance(&self) -> f64 {
        f64::from_bits(self.allowance.load(Ordering::Relaxed))
    }

    /// What its traffic says of it at this moment.
    pub fn signals(&self, _: Mono) -> Signals {
        Signals::default()
    }

    pub fn figures(&self) -> Figures {
        let line = self.line.lock();
        Figures {
            in_flight: line.admission.in_flight(),
            in_flight_peak: line.admission.in_flight_peak(),
            limit: line.admission.limit(),
            queued: line.admission.queued(),
            streams: line.admission.streams(),
            reached: self.contacts_good.load(Ordering::Relaxed),
            unreached: self.contacts_bad.load(Ordering::Relaxed),
        }
    }

    /// Does something to the line; wakes whoever has a place by it.
    fn with_line(&self, act: impl FnOnce(&mut Admission) -> Option<WaiterId>) {
        let waker = {
            let line = &mut *self.line.lock();
            act(&mut line.admission).and_then(|id| line.wakers.remove(&id))
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The answer to [`Origin::admit`].
#[derive(Debug)]
pub enum Admitted {
    Now(Permit),
    Queued(Turn),
    /// Why, and when to come back.
    Refused(Reason, Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Place,
    Stream,
}

/// A place at an origin, or one of its streams. Given back by drop.
#[derive(Debug)]
pub struct Permit {
    origin: Arc<Origin>,
    kind: Held,
}

impl Permit {
    /// An upgrade or an event stream holds no place: it gives it back at the response's head and
    /// counts against `max_streams` instead.
    ///
    /// # Errors
    /// [`Reason::StreamsFull`]; the place is kept until drop.
    pub fn into_stream(&mut self) -> Result<(), Reason> {
        if self.kind == Held::Stream {
            return Ok(());
        }
        let mut outcome = Ok(());
        let now = self.origin.clock.mono();
        self.origin.with_line(|admission| match admission.to_stream(now) {
            Ok(next) => next,
            Err(reason) => {
                outcome = Err(reason);
                None
            }
        });
        if outcome.is_ok() {
            self.kind = Held::Stream;
        }
        outcome
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.kind {
            Held::Place => {
                let now = self.origin.clock.mono();
                self.origin.with_line(|admission| admission.release(now));
            }
            Held::Stream => self.origin.with_line(|admission| {
                admission.release_stream();
                None
            }),
        }
    }
}

/// The wait for a place. Resolves to a permit; dropped, it leaves the line.
#[derive(Debug)]
pub struct Turn {
    origin: Arc<Origin>,
    id: WaiterId,
    deadline: Mono,
    over: bool,
}

impl Turn {
    /// How long patience still lasts.
    pub fn patience(&self, now: Mono) -> Duration {
        self.deadline.since(now)
    }
}

impl Future for Turn {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let this = self.get_mut();
        let line = &mut *this.origin.line.lock();
        if line.admission.claim(this.id) {
            this.over = true;
            return Poll::Ready(Permit { origin: this.origin.clone(), kind: Held::Place });
        }
        line.wakers.insert(this.id, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let id = self.id;
        self.origin.line.lock().wakers.remove(&id);
        self.origin.with_line(|admission| admission.leave(id));
    }
}
