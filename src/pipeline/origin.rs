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
use smallvec::SmallVec;

use super::reason::Reason;
use super::servers::Pool;
use crate::admission::{Admission, Admit, Ask, Claim, FlightId, Percent, WaiterId};
use crate::clock::{Clock, Mono, Now};
use crate::level::{Change, Contact, Ladder, Signals};
use crate::policy::{self, Class, Concurrency, Level, LevelPolicy};

/// Routes that an origin tells apart.
const KINDS_MAX: usize = 4096;

/// How long one refusal speaks for those who come after it. Short enough that the line does not run
/// dry meanwhile: it holds a few times as many as are in flight.
const IN_VAIN: Duration = Duration::from_millis(5);

/// The state of `[origin.NAME]`; outlives the policy that named it.
#[derive(Debug)]
pub struct Origin {
    pub name: String,
    pub servers: Arc<Pool>,
    clock: Clock,
    line: Mutex<Line>,
    ladder: Mutex<Ladder>,
    /// The ladder's level, so that a request need not lock it.
    level: AtomicU8,
    /// When someone of each class was last refused for want of places, in nanoseconds of the monotonic clock.
    refused: [AtomicU64; 3],
    contacts_good: AtomicU64,
    contacts_bad: AtomicU64,
}

#[derive(Debug)]
struct Line {
    admission: Admission,
    wakers: HashMap<WaiterId, Waker>,
    /// Names of the routes that ever led here: a route keeps its number over reloads.
    kinds: Vec<String>,
}

/// Those to wake once the line is no longer locked.
type Wakers = SmallVec<[Waker; 4]>;

impl Line {
    fn woken(&mut self) -> Wakers {
        let Self { admission, wakers, .. } = self;
        admission.take_woken().iter().filter_map(|id| wakers.remove(id)).collect()
    }
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
            servers: Arc::new(Pool::new(policy)),
            clock,
            line: Mutex::new(Line {
                admission: Admission::new(&policy.concurrency, &[]),
                wakers: HashMap::new(),
                kinds: Vec::new(),
            }),
            ladder: Mutex::new(ladder),
            level: AtomicU8::new(Level::Normal as u8),
            refused: Default::default(),
            contacts_good: AtomicU64::new(0),
            contacts_bad: AtomicU64::new(0),
        }
    }

    /// Takes over a new policy, but for its places: those follow with the routes' shares of them, by
    /// [`Self::number`].
    pub fn configure(&self, policy: &policy::Origin, ladder: &LevelPolicy) {
        self.servers.configure(policy, self.clock.mono());
        self.ladder.lock().configure(ladder, &policy.name, policy.health.is_some());
    }

    /// Takes over how many places there are, and gives the policy's routes to this origin their
    /// numbers, each with its share; those who wait keep their place in the line.
    pub fn number(&self, policy: &Concurrency, routes: &[(&str, Percent)]) -> Vec<usize> {
        let now = self.clock.mono();
        let mut numbers = Vec::with_capacity(routes.len());
        self.with_line(|line| {
            let mut shares = vec![100; line.kinds.len()];
            for (name, share) in routes {
                let known = line.kinds.iter().position(|kind| kind == name);
                let number = known.unwrap_or_else(|| {
                    // Only a policy that renames its routes for ever comes here; they share a number.
                    if line.kinds.len() < KINDS_MAX {
                        line.kinds.push((*name).to_owned());
                        shares.push(100);
                    }
                    line.kinds.len().saturating_sub(1)
                });
                if let Some(place) = shares.get_mut(number) {
                    *place = *share;
                }
                numbers.push(number);
            }
            line.admission.configure(policy, &shares, now);
        });
        numbers
    }

    /// Asks for a place.
    pub fn admit(self: &Arc<Self>, ask: Ask, now: Mono) -> Admitted {
        let (admit, woken, for_all) = {
            let line = &mut *self.line.lock();
            let admit = line.admission.admit(ask, now);
            let for_all = matches!(admit, Admit::Refused(_)) && line.admission.refuses_all(&ask, now);
            (admit, line.woken(), for_all)
        };
        // Those who had to make room.
        woken.into_iter().for_each(Waker::wake);
        match admit {
            Admit::Granted(id) => Admitted::Now(Permit::new(self, id)),
            Admit::Queued(id, deadline) => Admitted::Queued(Turn { origin: self.clone(), id, deadline, over: false }),
            Admit::Refused(reason) => {
                if let Some(refused) = self.refused.get(ask.class as usize).filter(|_| for_all) {
                    refused.store(now.as_nanos(), Ordering::Relaxed);
                }
                Admitted::Refused(reason, self.retry_after(now))
            }
        }
    }

    /// Whether someone who matters as much, or more, was refused just now for want of places: to ask again at
    /// once would be in vain.
    pub fn refuses(&self, class: Class, now: Mono) -> bool {
        self.refused
            .iter()
            .take(class as usize + 1)
            .map(|refused| refused.load(Ordering::Relaxed))
            .any(|refused| refused > 0 && now.since(Mono::from_nanos(refused)) < IN_VAIN)
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
        self.set_allowance(allowance, now.mono);
        (answer, change)
    }

    /// Looks at the ladder, and moves nothing.
    pub fn look<T>(&self, at: impl FnOnce(&Ladder) -> T) -> T {
        at(&self.ladder.lock())
    }

    /// The share of its usual traffic that the origin may have, 0.1 to 1.0: less than all while it is
    /// out of reach and on the way back.
    pub fn set_allowance(&self, share: f64, now: Mono) {
        self.with_line(|line| line.admission.set_allowance(share, now));
    }

    /// What its traffic says of it at this moment; of the edge itself it knows nothing.
    pub fn signals(&self, now: Mono) -> Signals {
        let line = self.line.lock();
        Signals {
            queue_delay: line.admission.queue_delay(),
            queue_target: line.admission.queue_target(),
            latency_ratio: line.admission.latency_ratio(now),
            error_rate: line.admission.error_rate(now),
            ..Signals::default()
        }
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

    /// Does something to the line; wakes whoever has a place by it, or lost one.
    fn with_line<T>(&self, act: impl FnOnce(&mut Line) -> T) -> T {
        let (answer, woken) = {
            let line = &mut *self.line.lock();
            let answer = act(line);
            (answer, line.woken())
        };
        woken.into_iter().for_each(Waker::wake);
        answer
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

/// A place at an origin, or one of its streams. Given back by drop.
#[derive(Debug)]
pub struct Permit {
    origin: Arc<Origin>,
    /// None: it has become a stream.
    flight: Option<FlightId>,
}

impl Permit {
    fn new(origin: &Arc<Origin>, flight: FlightId) -> Self {
        Self { origin: origin.clone(), flight: Some(flight) }
    }

    /// The head of the origin's answer has come; or word that it could not give one.
    pub fn headed(&self, overloaded: bool, now: Mono) {
        if let Some(id) = self.flight {
            self.origin.line.lock().admission.headed(id, overloaded, now);
        }
    }

    /// An upgrade or an event stream holds no place: it gives it back at the response's head and
    /// counts against `max_streams` instead.
    ///
    /// # Errors
    /// [`Reason::StreamsFull`]; the place is kept until drop.
    pub fn into_stream(&mut self) -> Result<(), Reason> {
        if let Some(id) = self.flight {
            let now = self.origin.clock.mono();
            self.origin.with_line(|line| line.admission.to_stream(id, now))?;
            self.flight = None;
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.flight {
            Some(id) => {
                let now = self.origin.clock.mono();
                self.origin.with_line(|line| line.admission.release(id, now));
            }
            None => self.origin.with_line(|line| line.admission.release_stream()),
        }
    }
}

/// The wait for a place. Resolves to a permit, or to why there is none; dropped, it leaves the line.
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
    type Output = Result<Permit, Reason>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let line = &mut *this.origin.line.lock();
        let answer = match line.admission.claim(this.id) {
            Claim::Waiting => {
                line.wakers.insert(this.id, cx.waker().clone());
                return Poll::Pending;
            }
            Claim::Granted(flight) => Ok(Permit::new(&this.origin, flight)),
            Claim::Refused(reason) => Err(reason),
        };
        this.over = true;
        Poll::Ready(answer)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (id, now) = (self.id, self.origin.clock.mono());
        self.origin.with_line(|line| {
            line.wakers.remove(&id);
            line.admission.leave(id, now);
        });
    }
}
