//! An operator's changes, on disk: they outlive reload and restart until they expire or are taken
//! back. Levels in `levels.json`, rooms in `rooms.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::Edge;
use crate::clock::Now;
use crate::level::Override;
use crate::pipeline::origin::Origin;
use crate::pipeline::room::Room;
use crate::pipeline::room::operator::{self, Lapsed};
use crate::pipeline::site::Site;

/// How often what an origin said of its stock goes to disk at most.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);

/// Pins and floors, by origin.
type Kept = BTreeMap<String, Vec<Override>>;

/// The levels that are set, as they are on disk; held while they are written.
#[derive(Debug, Default)]
pub(crate) struct Levels(Mutex<Kept>);

/// The rooms' orders as they are on disk; held while they are written.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<operator::Kept>);

fn path(site: &Site, name: &str) -> PathBuf {
    site.policy.state_dir.join(name)
}

/// Takes up what was set before the restart. A file that can't be read is said and left alone.
pub(super) fn restore(site: &Site, levels: &Levels, written: &Written, now: Now) {
    *levels.0.lock() = read(&path(site, "levels.json")).unwrap_or_default();
    site.origins().iter().for_each(|origin| levels.restore(origin, now));
    *written.0.lock() = read(&path(site, "rooms.json")).unwrap_or_default();
    site.rooms().iter().for_each(|room| restore_room(site, room, written, now));
}

/// Takes up what is ordered of a room that was not open, before its first tick: a room that is paused
/// or held lets nobody in, not even at first.
pub(super) fn restore_room(site: &Site, room: &Arc<Room>, written: &Written, now: Now) {
    if let Some(orders) = written.0.lock().get(room.name()) {
        room.restore_orders(orders.clone(), now);
    }
    for lapsed in room.keep(site.is_held(room, false), now) {
        log_lapsed(room.name(), &lapsed);
    }
    let standing = room.standing(now);
    for (what, value, by) in standing.orders.in_force(&standing.policy, now) {
        let (room, what, who) = (room.name(), what.name(), &by.who);
        tracing::warn!(room, what, %value, who, "a change from before is in force");
    }
}

impl Levels {
    /// Takes up what is set at an origin that was not there.
    pub(super) fn restore(&self, origin: &Origin, now: Now) {
        for set in self.0.lock().get(&origin.name).into_iter().flatten() {
            let who = set.who.clone();
            let (_, change) = origin.ladder(now, |ladder| ladder.set(set.clone(), now));
            if change.is_some() || origin.ladder(now, |l| l.overrides(now).count()).0 > 0 {
                let (origin, level) = (&origin.name, set.level.name());
                tracing::warn!(origin, level, who, "a change from before is in force");
            }
        }
    }

    /// Writes down what is set now.
    ///
    /// # Errors
    /// The disk's; what was set is in force nevertheless, until a restart.
    pub(crate) fn save(&self, site: &Site, now: Now) -> io::Result<()> {
        let mut written = self.0.lock();
        // An origin that the policy has lost may be back with the next one.
        let mut kept = written.clone();
        let of = |origin: &Arc<Origin>| origin.look(|l| l.overrides(now).cloned().collect());
        kept.extend(site.origins().iter().map(|origin| (origin.name.clone(), of(origin))));
        kept.retain(|_, sets: &mut Vec<Override>| !sets.is_empty());
        write_whole(&path(site, "levels.json"), &serde_json::to_vec_pretty(&kept)?)?;
        *written = kept;
        Ok(())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let read = match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error),
    };
    read.inspect_err(|error| tracing::error!(path = %path.display(), %error, "an operator's changes are not restored"))
        .ok()
}

/// Replaces a file in one step: a crash leaves the old one or the new one.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

impl Written {
    /// Writes down what is ordered of the rooms now, unless that is what is written already.
    fn save(&self, site: &Site) -> io::Result<()> {
        let mut written = self.0.lock();
        // A room that the policy has lost may be back with the next one.
        let mut kept = written.clone();
        kept.extend(site.rooms().iter().map(|room| (room.name().to_owned(), room.orders())));
        kept.retain(|_, orders| *orders != Default::default());
        if *written != kept {
            write_whole(&path(site, "rooms.json"), &serde_json::to_vec_pretty(&kept)?)?;
            *written = kept;
        }
        Ok(())
    }
}

impl Edge {
    /// Writes down what is ordered of the rooms.
    ///
    /// # Errors
    /// The disk's; what was ordered is in force nevertheless, until a restart.
    pub async fn save_orders(self: &Arc<Self>) -> io::Result<()> {
        let edge = self.clone();
        let saved = tokio::task::spawn_blocking(move || edge.orders.save(&edge.door.site.load()));
        saved.await.map_err(io::Error::other)?
    }

    /// The last word on the rooms of a process that ends in order.
    pub(super) fn write_orders(&self) {
        if let Err(error) = self.orders.save(&self.door.site.load()) {
            tracing::error!(%error, "orders of the rooms are not written down");
        }
    }
}

/// Writes down, soon, what an origin said and what has lapsed: nobody waits for that.
pub(super) async fn keep_orders(edge: Arc<Edge>) {
    let mut tick = tokio::time::interval(WRITTEN_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tick.tick().await;
        if edge.draining() {
            // The last word is said elsewhere, and after a hand-over it is another process's.
            continue;
        }
        match edge.save_orders().await {
            Ok(()) => failing = false,
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::error!(%error, "orders of the rooms are not written down; they would not outlive a restart");
            }
            Err(_) => {}
        }
    }
}

/// An order is no more: what, whose, and why.
pub(super) fn log_lapsed(room: &str, lapsed: &Lapsed) {
    let Lapsed { what, value, by, cause } = lapsed;
    let (what, who, why, cause) = (what.name(), &by.who, &by.why, cause.said());
    tracing::warn!(room, what, %value, who, why, cause, "an order is no more; the policy's word counts again");
}
