//! A waiting room as requests meet it: cookies in, an answer or a visit out.
//!
//! The room itself is the pure [`waiting_room::Room`]; here it is given its lock, its keys, its page
//! and its operator's orders. One cookie, `seawall_NAME`, holds the visitor's stub, then the ticket,
//! later the session; apps may carry the same in the field `Seawall-Ticket`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::{Clock, Now};
use crate::keys::Keys;
use crate::policy::{self, Admit};
use crate::waiting_room::invitation::LaneTag;
use crate::waiting_room::page::{Message, MessageError, Page, TemplateError};
use crate::waiting_room::{
    self, Changes, Counters, Face, Forecast, LookUp, Presented, Published, Reference, RoomId, Session, Visit,
};

mod command;
mod elsewhere;
pub mod operator;
mod presented;
mod told;

use operator::{By, Change, Lapsed, Orders, What};
pub use told::{Asks, Entrance};

/// The field in which apps carry what browsers keep in the cookie.
pub const TICKET_FIELD: &str = "seawall-ticket";

/// `[waiting_room.NAME]` at work.
#[derive(Debug)]
pub struct Room {
    name: String,
    id: RoomId,
    clock: Clock,
    keys: Arc<Keys>,
    /// What the log says where a dry run would hold someone.
    dry_note: String,
    face: Arc<Face>,
    /// Whether another process owns it.
    away: AtomicBool,
    /// What changes with the policy and the orders.
    rules: ArcSwap<Rules>,
    orders: Mutex<Orders>,
    machine: Mutex<waiting_room::Room>,
}

/// What answers are made by.
#[derive(Clone, Debug)]
struct Rules {
    /// As the file says.
    policy: policy::WaitingRoom,
    page: Arc<Page>,
    /// The lanes that invitations open, with the keys that sign these.
    lanes: Vec<(LaneTag, Keys)>,
    message: Option<Message>,
    /// Whether the level holds all routes.
    held: bool,
}

/// What a policy's room is bound with: read from disk, so that nothing fails later.
#[derive(Debug)]
pub struct Parts {
    pub page: Page,
    /// In the order of the policy's lanes.
    pub lanes: Vec<Keys>,
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct Standing {
    /// As the file says.
    pub policy: policy::WaitingRoom,
    /// With the orders over it.
    pub effective: policy::WaitingRoom,
    pub orders: Orders,
    pub counters: Counters,
    pub held_by_level: bool,
}

/// A visitor inside whose request is on its way; dropped, it counts no more.
#[derive(Debug)]
pub struct Inside {
    room: Arc<Room>,
    session: Session,
}

impl Inside {
    /// Whose visit it is: the same with each request.
    pub fn session(&self) -> (RoomId, Session) {
        (self.room.id, Session { turn: 0, ..self.session })
    }

    /// The same visit, for those who watch it.
    pub fn guest(&self) -> Guest {
        Guest { room: self.room.clone(), session: self.session }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let now = self.room.clock.now();
        self.room.machine.lock().leave(self.session.slot, self.session.generation, now);
    }
}

/// A visit that someone watches: what lasts longer than its session must end.
#[derive(Clone, Debug)]
pub struct Guest {
    room: Arc<Room>,
    session: Session,
}

impl Guest {
    /// Whether its session is over.
    pub fn is_over(&self) -> bool {
        self.room.machine.lock().is_over(self.session, self.room.clock.now())
    }

    /// What the origin says in `Seawall-Room`, with an answer to this visitor.
    pub fn hear(&self, said: &str) {
        self.room.hear(said, Some(self.session));
    }
}

impl Room {
    /// A room at its beginning; see [`Room::configure`] for later policies.
    pub fn new(
        machine: waiting_room::Room,
        policy: &policy::WaitingRoom,
        parts: Parts,
        keys: Arc<Keys>,
        clock: Clock,
    ) -> Self {
        let rules = Rules::new(policy, parts, None, false);
        Self {
            name: machine.name().to_owned(),
            dry_note: format!("room `{}` would hold it (dry run)", machine.name()),
            id: machine.id(),
            face: machine.face().clone(),
            away: AtomicBool::new(false),
            clock,
            keys,
            rules: ArcSwap::from_pointee(rules),
            orders: Mutex::default(),
            machine: Mutex::new(machine),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its cookies are bound to.
    pub const fn id(&self) -> RoomId {
        self.id
    }

    /// Takes over a reloaded policy; the orders stay over it.
    pub fn configure(&self, policy: &policy::WaitingRoom, parts: Parts, now: Now) {
        let before = self.rules.load_full();
        self.rules.store(Arc::new(Rules::new(policy, parts, before.message.clone(), before.held)));
        self.apply(now);
    }

    /// Whether the policy lets everyone through and only counts.
    pub fn is_dry_run(&self) -> bool {
        self.rules.load().policy.dry_run
    }

    pub(super) fn dry_note(&self) -> &str {
        &self.dry_note
    }

    /// One tick of the shell: follows the level and the orders; what lapsed is to be logged.
    pub fn keep(&self, held: bool, now: Now) -> Vec<Lapsed> {
        let rules = self.rules.load_full();
        let lapsed = self.orders.lock().expire(&rules.policy, now);
        if held != rules.held || !lapsed.is_empty() {
            self.rules.rcu(|rules| Rules { held, ..Rules::clone(rules) });
            self.apply(now);
        }
        lapsed
    }

    /// The pressure on the origins of its routes, 1 where one is strained.
    pub fn observe_pressure(&self, pressure: f64) {
        self.machine.lock().observe_pressure(pressure);
    }

    /// Changes the orders, all or none.
    ///
    /// # Errors
    /// A message that is too long or in too many languages.
    pub fn order(&self, changes: &[Change], by: &By, now: Now) -> Result<(), MessageError> {
        {
            let mut orders = self.orders.lock();
            let mut changed = orders.clone();
            changes.iter().try_for_each(|change| changed.change(change, by))?;
            *orders = changed;
        }
        self.apply(now);
        Ok(())
    }

    /// Takes up what was ordered before a restart.
    pub fn restore_orders(&self, orders: Orders, now: Now) {
        *self.orders.lock() = orders;
        self.apply(now);
    }

    /// All that is ordered.
    pub fn orders(&self) -> Orders {
        self.orders.lock().clone()
    }

    /// What is in force.
    pub fn standing(&self, now: Now) -> Standing {
        let (rules, orders) = (self.rules.load_full(), self.orders());
        let effective = orders.effective(&rules.policy, now);
        let (policy, held_by_level) = (rules.policy.clone(), rules.held);
        Standing { policy, effective, orders, counters: self.counters(), held_by_level }
    }

    /// The room in numbers.
    pub fn counters(&self) -> Counters {
        self.machine.lock().counters()
    }

    /// One step of admissions; what it changes must be on disk before [`Room::commit`].
    pub fn tick(&self, now: Now) -> Changes {
        self.machine.lock().tick(now)
    }

    /// Whether the next step may come at once: a draw is under way.
    pub fn is_in_haste(&self) -> bool {
        self.machine.lock().is_drawing()
    }

    /// The changes are on disk.
    pub fn commit(&self, changes: &Changes) {
        self.machine.lock().commit(changes);
    }

    /// The changes could not be written.
    pub fn abandon(&self, changes: &Changes) {
        self.machine.lock().abandon(changes);
    }

    /// The last changes of a process that ends in order.
    pub fn close(&self, now: Now) -> Changes {
        self.machine.lock().close(now)
    }

    /// See [`waiting_room::Room::evict_sessions`].
    pub fn evict_sessions(&self, now: Now) -> u32 {
        self.machine.lock().evict_sessions(now)
    }

    /// See [`waiting_room::Room::evict_queue`].
    pub fn evict_queue(&self, now: Now) -> u64 {
        self.machine.lock().evict_queue(now)
    }

    /// See [`waiting_room::Room::evict`].
    pub fn evict(&self, reference: Reference, now: Now) -> bool {
        self.machine.lock().evict(reference, now)
    }

    /// See [`waiting_room::Room::look_up`].
    pub fn look_up(&self, reference: Reference, now: Now) -> LookUp {
        self.machine.lock().look_up(reference, now)
    }

    /// See [`waiting_room::Room::forecast`].
    pub fn forecast(&self, admit: Option<Admit>, capacity: Option<std::num::NonZeroU32>) -> Forecast {
        self.machine.lock().forecast(admit, capacity)
    }

    /// See [`waiting_room::Room::published`].
    pub fn published(&self) -> Vec<Published> {
        self.machine.lock().published()
    }

    /// Whether one who comes now without a ticket need not wait.
    pub fn lets_walk_in(&self) -> bool {
        self.face.signs().waiting() == 0 && self.machine.lock().has_lease()
    }

    /// The session of one who is inside.
    pub fn session(&self, presented: Presented, now: Now) -> Option<(RoomId, Session)> {
        let session = presented.session.filter(|session| self.machine.lock().knows(*session, now))?;
        Some((self.id, Session { turn: 0, ..session }))
    }

    /// A request that goes on if its visitor is inside.
    pub fn visit(self: &Arc<Self>, presented: Presented, asks: &Asks<'_>, now: Now) -> Entrance {
        let visit = self.machine.lock().visit(presented, now);
        match visit {
            Visit::Pass => Entrance::Pass,
            Visit::Inside { session, fresh } => {
                let bearer = fresh.then(|| self.session_text(&session));
                Entrance::Inside(Inside { room: self.clone(), session }, bearer)
            }
            visit => Entrance::Outside(self.refusal(visit, asks)),
        }
    }

    /// The level holds everyone: a place, and no admission.
    pub fn hold(&self, presented: Presented, asks: &Asks<'_>, now: Now) -> Entrance {
        match self.machine.lock().hold_place(presented, now) {
            Visit::Pass => Entrance::Pass,
            visit => Entrance::Outside(self.refusal(visit, asks)),
        }
    }

    /// What a poll is answered, before it is put into words. A ticket whose turn has not come takes
    /// no lock.
    pub fn place(&self, presented: Presented, held: bool, now: Now) -> Visit {
        if !held
            && presented.session.is_none()
            && presented.invited.is_none()
            && let Some(ticket) = presented.ticket
            && let Some(visit) = self.face.poll(ticket, presented.client, now)
        {
            return visit;
        }
        let mut machine = self.machine.lock();
        if held { machine.hold_place(presented, now) } else { machine.poll(presented, now) }
    }

    /// A visitor's session ends after so long: the route says so.
    pub fn end_after(&self, inside: &Inside, after: Duration, now: Now) {
        self.machine.lock().end_session(inside.session, after, now);
    }

    /// Puts policy, orders and level into force.
    fn apply(&self, now: Now) {
        let orders = self.orders();
        let rules = self.rules.load_full();
        let policy = &rules.policy;
        let message = orders.message(policy, now).cloned();
        if message != rules.message {
            self.rules.rcu(|rules| Rules { message: message.clone(), ..Rules::clone(rules) });
        }
        let mut machine = self.machine();
        machine.set_paused(rules.held || orders.stands(What::Pause, policy, now));
        machine.set_closed(orders.stands(What::Close, policy, now));
        machine.set_stock(orders.stock(policy, now));
        machine.configure(&orders.effective(policy, now), now);
    }

    fn machine(&self) -> MutexGuard<'_, waiting_room::Room> {
        self.machine.lock()
    }
}

impl Parts {
    /// What a policy's room needs from disk: its template, and keys made on first use.
    ///
    /// # Errors
    /// The template can't be read or makes no sense; the keys can't be read or made.
    pub fn read(
        policy: &policy::WaitingRoom,
        keys: impl Fn(&Path) -> Result<Keys, crate::store::StoreError>,
    ) -> Result<Self, PartsError> {
        let template = policy.page.as_deref().map(policy::file::read_page).transpose()?;
        let path = policy.page.clone().unwrap_or_default();
        let page =
            Page::new(&policy.name, template.as_deref()).map_err(|source| PartsError::Template { path, source })?;
        let lanes = policy.lanes.iter().map(|lane| keys(&lane.invitations)).collect::<Result<_, _>>()?;
        Ok(Self { page, lanes })
    }
}

/// Why a room's parts can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    #[error("{0}")]
    Read(#[from] policy::file::LoadError),
    #[error("the page {path}: {source}")]
    Template { path: std::path::PathBuf, source: TemplateError },
    #[error("{0}")]
    Keys(#[from] crate::store::StoreError),
}

impl Rules {
    fn new(policy: &policy::WaitingRoom, parts: Parts, message: Option<Message>, held: bool) -> Self {
        let tags = policy.lanes.iter().map(|lane| LaneTag::of(&policy.name, &lane.name));
        Self {
            policy: policy.clone(),
            page: Arc::new(parts.page),
            lanes: tags.zip(parts.lanes).collect(),
            message,
            held,
        }
    }
}
