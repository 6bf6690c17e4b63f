//! Tasks that keep things as they should be: rooms on disk, levels by probes, names and
//! certificates up to date.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::overrides::log_lapsed;
use super::{Edge, EdgeError, servers};
use crate::clock::{Clock, Mono, Now};
use crate::front::tls;
use crate::keys::Keys;
use crate::level::Signals;
use crate::pipeline::origin::Origin;
use crate::pipeline::room::{self, Room};
use crate::policy::{self, Policy};
use crate::proxy::probe::Prober;
use crate::proxy::resolve;
use crate::store::{self, RoomFile, StoreError};
use crate::waiting_room;

/// How often a room admits.
const ROOM_TICK: Duration = Duration::from_millis(100);
/// How often levels are looked at.
const LEVEL_TICK: Duration = Duration::from_millis(100);
/// How often an origin without a health check of its own is asked at most.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Probes of one origin under way at once: an origin that is slow to answer is not asked faster.
const PROBES_MAX: usize = 8;
/// How often certificates' files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);

/// A room, its file, and the task that writes one into the other.
pub(super) struct RoomKeeper {
    room: Arc<Room>,
    file: Option<RoomFile>,
    task: Option<JoinHandle<()>>,
}

/// The policy's rooms, in its order: those already open, and new ones as the disk remembers them.
pub(super) fn open_rooms(
    policy: &Policy,
    keepers: &mut HashMap<String, RoomKeeper>,
    keys: &Arc<Keys>,
    clock: Clock,
) -> Result<Vec<Arc<Room>>, EdgeError> {
    let mut parts = Vec::new();
    for rules in &policy.waiting_rooms {
        let read = room::Parts::read(rules, store::load_or_create);
        parts.push(read.map_err(|error| EdgeError::Room { name: rules.name.clone(), error: Box::new(error) })?);
    }
    // New ones first: where one can't be opened, those that are open are as they were.
    let mut opened = HashMap::new();
    let mut known = Vec::new();
    for (rules, parts) in policy.waiting_rooms.iter().zip(parts) {
        if keepers.contains_key(&rules.name) {
            known.push((rules, parts));
        } else {
            opened.insert(rules.name.clone(), RoomKeeper::open(rules, parts, policy, keys, clock)?);
        }
    }
    let now = clock.now();
    for (rules, parts) in known {
        if let Some(keeper) = keepers.get(&rules.name) {
            keeper.room.configure(rules, parts, now);
        }
    }
    keepers.extend(opened);
    Ok(policy.waiting_rooms.iter().filter_map(|rules| Some(keepers.get(&rules.name)?.room.clone())).collect())
}

impl RoomKeeper {
    fn open(
        rules: &policy::WaitingRoom,
        parts: room::Parts,
        policy: &Policy,
        keys: &Arc<Keys>,
        clock: Clock,
    ) -> Result<Self, EdgeError> {
        let (file, record) = RoomFile::open(&policy.state_dir, &rules.name)?;
        let now = clock.now();
        let machine = match record {
            Some(record) => waiting_room::Room::restore(rules.clone(), &record, now),
            None => waiting_room::Room::new(rules.clone(), store::random_secret()?, now),
        };
        let room = Room::new(machine, rules, parts, keys.clone(), clock);
        Ok(Self { room: Arc::new(room), file: Some(file), task: None })
    }

    /// The first numbers and slots, on disk before the first visitor. By then the room must know its
    /// orders and whether the level holds it: this tick lets in.
    pub(super) fn begin(&mut self, now: Now) -> Result<(), StoreError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let changes = self.room.tick(now);
        file.write(&changes)?;
        self.room.commit(&changes);
        Ok(())
    }

    /// Begins to keep the room, until it is to be released; then writes it down once more.
    pub(super) fn spawn(&mut self, clock: Clock, release: watch::Receiver<bool>) {
        if let Some(file) = self.file.take() {
            self.task = Some(tokio::spawn(keep_room(self.room.clone(), file, clock, release)));
        }
    }

    /// Owns the file again that another process had for a moment, to go on as the room is in memory.
    pub(super) fn take_back(&mut self, policy: &Policy) -> Result<(), StoreError> {
        self.file = Some(RoomFile::open(&policy.state_dir, self.room.name())?.0);
        self.room.take_back();
        Ok(())
    }

    pub(super) fn task(&mut self) -> Option<JoinHandle<()>> {
        self.task.take()
    }
}

async fn keep_room(room: Arc<Room>, mut file: RoomFile, clock: Clock, mut release: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(ROOM_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let ending = tokio::select! {
            _ = tick.tick() => false,
            _ = release.wait_for(|release| *release) => true,
        };
        let changes = if ending { room.close(clock.now()) } else { room.tick(clock.now()) };
        if !changes.is_empty() {
            // fdatasync can take long on a busy disk; visitors are answered meanwhile.
            let written = tokio::task::spawn_blocking(move || {
                let outcome = file.write(&changes);
                (file, changes, outcome)
            });
            let Ok((back, changes, outcome)) = written.await else {
                // A panic while writing: what is on disk is not known, so nobody new is let in.
                return tracing::error!(
                    room = room.name(),
                    "the room's writer failed; restart to let visitors in again"
                );
            };
            file = back;
            match outcome {
                Ok(()) => {
                    room.commit(&changes);
                    if std::mem::take(&mut failing) {
                        tracing::info!(room = room.name(), "the room is on disk again");
                    }
                }
                Err(error) => {
                    room.abandon(&changes);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(room = room.name(), %error, "the room can't be written; nobody new is let in");
                    }
                }
            }
        } else if !ending {
            room.commit(&changes);
        }
        if ending {
            return;
        }
        if room.is_in_haste() {
            tick.reset_immediately();
        }
    }
}

/// What is remembered of an origin's probes.
#[derive(Default)]
struct Asked {
    last: Mono,
    /// Held by each probe that is under way.
    open: Arc<()>,
}

/// Moves the levels, and asks the origins that the ladder wants to hear of.
pub(super) async fn keep_levels(edge: Arc<Edge>) {
    let prober = Arc::new(Prober::default());
    let mut tick = tokio::time::interval(LEVEL_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut asked: HashMap<String, Asked> = HashMap::new();
    loop {
        tick.tick().await;
        let site = edge.door.site.load_full();
        let now = edge.clock.now();
        for (origin, rules) in site.origins().iter().zip(&site.policy.origins) {
            let own = site.condition.vitals();
            let signals = Signals { cpu: own.cpu, memory: own.memory, loop_lag: own.lag, ..origin.signals(now.mono) };
            let every = rules.health.as_ref().map_or(PROBE_EVERY, |health| health.every);
            let ((wants, every), change) = origin.ladder(now, |l| {
                l.learn(&signals, now.mono);
                (l.wants_probe(), l.probe_interval(every))
            });
            if let Some(change) = change {
                log_change(&origin.name, &change);
            }
            let asked = asked.entry(origin.name.clone()).or_default();
            // A tick comes a little early or late; half of one is no reason to skip a whole one.
            let due = now.mono.since(asked.last) + LEVEL_TICK / 2 >= every;
            if wants && due && Arc::strong_count(&asked.open) <= PROBES_MAX {
                asked.last = now.mono;
                tokio::spawn(ask(edge.clone(), prober.clone(), origin.clone(), rules.clone(), asked.open.clone()));
            }
        }
        for room in site.rooms() {
            let held = site.is_held(room, false);
            room.observe_pressure(site.pressure_on(room));
            for lapsed in room.keep(held, now) {
                log_lapsed(room.name(), &lapsed);
            }
        }
        asked.retain(|name, _| site.origins().iter().any(|o| &o.name == name));
    }
}

/// A schedule or a room of last week's sale is one that somebody forgot.
pub(super) fn warn_of_what_is_over(policy: &Policy, now: Now) {
    let past = policy.level.past_windows(now.unix_ms).count();
    if past > 0 {
        tracing::warn!(past, "windows of level.schedule are over; `seawall check` says which");
    }
    let closed = |room: &&policy::WaitingRoom| room.closes_unix_ms.is_some_and(|closes| closes <= now.unix_ms);
    for room in policy.waiting_rooms.iter().filter(closed) {
        tracing::warn!(room = room.name, "the waiting room has closed for good: its `closes` is in the past");
    }
}

async fn ask(edge: Arc<Edge>, prober: Arc<Prober>, origin: Arc<Origin>, rules: policy::Origin, _open: Arc<()>) {
    let outcome = prober.ask(&edge.door, &origin, rules).await;
    let now = edge.clock.now();
    let (never_passed, change) = origin.ladder(now, |l| {
        l.probe(outcome, now.mono);
        l.check_never_passed()
    });
    if let Some(change) = change {
        log_change(&origin.name, &change);
    }
    if never_passed && outcome == crate::level::Probe::Failed {
        tracing::debug!(origin = origin.name, "the health check has never passed; it is not believed yet");
    }
}

/// A level moved: who, from, to, and why, with the numbers.
pub(crate) fn log_change(origin: &str, change: &crate::level::Change) {
    let (from, to) = (change.from.name(), change.to.name());
    if change.dry_run {
        return tracing::warn!(origin, from, to, cause = %change.cause, "the level would have moved (level.dry_run)");
    }
    tracing::warn!(origin, from, to, cause = %change.cause, "the level moved");
}

/// Resolves the origins' names again and again.
pub(super) async fn keep_addresses(edge: Arc<Edge>) {
    let mut tick = tokio::time::interval(resolve::REFRESH);
    tick.tick().await;
    loop {
        tick.tick().await;
        let site = edge.door.site.load_full();
        for (server, error) in edge.door.addresses.refresh(servers(&site.policy)).await {
            tracing::warn!(host = server.host, error, "the origin's name does not resolve; its last address is used");
        }
    }
}

/// Reads certificates again when their files change.
pub(super) async fn keep_certificates(edge: Arc<Edge>) {
    let mut seen: HashMap<PathBuf, Option<SystemTime>> = HashMap::new();
    let mut tick = tokio::time::interval(CERTIFICATES_EVERY);
    loop {
        tick.tick().await;
        let site = edge.door.site.load_full();
        for profile in &site.policy.tls {
            let mut changed = false;
            for path in profile.certificates.iter().flat_map(|c| [&c.cert, &c.key]) {
                let modified = std::fs::metadata(path).and_then(|m| m.modified()).ok();
                changed |= seen.insert(path.clone(), modified).is_some_and(|before| before != modified);
            }
            if changed {
                edge.read_certificates(profile);
            }
        }
    }
}

impl Edge {
    /// Takes over a profile's certificates as they are on disk now; keeps the old ones if they
    /// can't be used.
    pub(super) fn read_certificates(&self, profile: &policy::Tls) {
        let Some(shared) = self.tls.get(&profile.name) else { return };
        match tls::load(profile) {
            Ok(config) => {
                shared.store(Arc::new(config));
                tracing::info!(tls = profile.name, "certificates read");
            }
            Err(error) => tracing::error!(tls = profile.name, %error, "certificates not taken over; the old ones stay"),
        }
    }
}
