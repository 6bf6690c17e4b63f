//! A policy bound to its state: what a request is decided with.
//!
//! The policy is immutable and swapped whole; the state behind its names (places, limits, rooms,
//! cached pages) outlives it. A request keeps the [`Site`] it began with.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use super::answer::Pages;
use super::client::one_client;
use super::origin::Origin;
use super::room::Room;
use super::view::View;
use crate::cache::key;
use crate::cache::purge::{Purged, Purges, Stamp, Stored, Target};
use crate::cache::remembered::Remembered;
use crate::cache::store::Store;
use crate::cache::version;
use crate::clients::Groups;
use crate::clock::{Clock, Now};
use crate::files::Tree;
use crate::keys::Keys;
use crate::overload::Condition;
use crate::policy::{self, Mode, OriginId, Policy, RateLimitId, Route, RouteId, WaitingRoomId};
use crate::rate_limit::Limit;
use crate::snapshot::popular::Popular;
use crate::snapshot::{Accepts, File, Shown, Snapshot, Wanted};
use crate::telemetry::Telemetry;

/// Everything that decisions need. Made by [`Site::bind`], where each reference of the policy is
/// given its state; so each vector is as long as the policy's own.
pub struct Site {
    pub policy: Policy,
    pub clock: Clock,
    pub pages: Arc<Pages>,
    pub store: Arc<Store>,
    /// What is known of keys that gave no copy.
    pub remembered: Arc<Remembered>,
    pub snapshot: Arc<Shown>,
    /// The most requested pages that it should have.
    pub popular: Arc<Mutex<Popular>>,
    pub telemetry: Arc<Telemetry>,
    /// Sign what visitors carry for the cache.
    pub keys: Arc<Keys>,
    pub clients: Groups,
    /// How the edge itself does.
    pub condition: Arc<Condition>,
    origins: Vec<Arc<Origin>>,
    limits: Vec<Arc<Limit>>,
    rooms: Vec<Arc<Room>>,
    trees: Vec<Arc<Tree>>,
    /// The number of each route at its origin.
    kinds: Vec<usize>,
    /// Keys the limits' hashes, so that no visitor can choose to share a bucket.
    seed: u64,
}

/// What a [`Site`] is bound with beside its policy.
pub struct Parts {
    pub clock: Clock,
    pub telemetry: Arc<Telemetry>,
    pub snapshot: Option<Snapshot>,
    /// In the policy's order.
    pub rooms: Vec<Arc<Room>>,
    /// For the passes of each of the policy's groups of clients, in its order; none for the rest.
    pub passes: Vec<Option<Keys>>,
    pub keys: Arc<Keys>,
    pub seed: u64,
}

impl Site {
    /// Binds a policy to the state of the one before it, by name; what is new begins empty.
    pub fn bind(policy: Policy, before: Option<&Self>, parts: Parts) -> Self {
        let Parts { clock, telemetry, snapshot, rooms, passes, keys, seed } = parts;
        let origins = policy.origins.iter().map(|origin| {
            let held = before.and_then(|b| b.origins.iter().find(|o| o.name == origin.name));
            match held {
                Some(held) => {
                    held.configure(origin, &policy.level);
                    held.clone()
                }
                None => Arc::new(Origin::new(origin, &policy.level, clock)),
            }
        });
        let origins: Vec<Arc<Origin>> = origins.collect();
        let kinds = number_routes(&policy, &origins);
        let limits = policy.rate_limits.iter().map(|limit| {
            let held = before.and_then(|b| {
                // A quota that changed begins anew: what was counted was counted by other rules.
                let at = b.policy.rate_limits.iter().position(|held| held == limit)?;
                b.limits.get(at).cloned()
            });
            held.unwrap_or_else(|| Arc::new(Limit::new(limit, seed)))
        });
        let limits = limits.collect();
        let trees = policy.files.iter().map(|rules| {
            let held = before.and_then(|b| b.trees.iter().find(|tree| tree.rules() == rules));
            held.cloned().unwrap_or_else(|| Arc::new(Tree::new(rules)))
        });
        let trees = trees.collect();
        let store = match before {
            Some(before) if before.policy.cache_memory == policy.cache_memory => before.store.clone(),
            Some(before) => Arc::new(Store::with(policy.cache_memory, before.store.purges().clone())),
            None => Arc::new(Store::with(policy.cache_memory, Arc::new(Purges::new(clock.now())))),
        };
        let popular = before.map_or_else(Arc::default, |b| b.popular.clone());
        let remembered = before.map_or_else(Arc::default, |b| b.remembered.clone());
        let pages = before.map_or_else(|| Arc::new(Pages::default()), |b| b.pages.clone());
        let clients = Groups::new(policy.clients.iter().zip(passes.into_iter().chain(std::iter::repeat(None))));
        let condition = before.map_or_else(Arc::default, |b| b.condition.clone());
        Self {
            policy,
            clock,
            clients,
            pages,
            store,
            remembered,
            snapshot: Arc::new(Shown::new(snapshot)),
            popular,
            telemetry,
            keys,
            condition,
            origins,
            limits,
            rooms,
            trees,
            kinds,
            seed,
        }
    }

    /// The parts that the next site takes over as they are.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    pub fn rooms(&self) -> &[Arc<Room>] {
        &self.rooms
    }

    /// The state behind a reference. [`Site::bind`] made one for each.
    #[allow(clippy::indexing_slicing, reason = "ids are made by the loader for this policy alone")]
    pub fn origin(&self, id: OriginId) -> &Arc<Origin> {
        &self.origins[id.0]
    }

    /// See [`Site::origin`].
    #[allow(clippy::indexing_slicing, reason = "ids are made by the loader for this policy alone")]
    pub fn limit(&self, id: RateLimitId) -> &Arc<Limit> {
        &self.limits[id.0]
    }

    /// See [`Site::origin`].
    #[allow(clippy::indexing_slicing, reason = "ids are made by the loader for this policy alone")]
    pub fn room(&self, id: WaitingRoomId) -> &Arc<Room> {
        &self.rooms[id.0]
    }

    /// See [`Site::origin`].
    #[allow(clippy::indexing_slicing, reason = "ids are made by the loader for this policy alone")]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.policy.routes[id.0]
    }

    /// The files that a route's answers are.
    pub fn tree_of(&self, route: &Route) -> Option<&Arc<Tree>> {
        self.trees.get(route.files?.0)
    }

    /// The number of a route at its origin: what an [`Ask`](crate::admission::Ask) calls its kind.
    pub fn kind(&self, id: RouteId) -> usize {
        self.kinds.get(id.0).copied().unwrap_or_default()
    }

    /// A client as the line for an origin knows it: hashed under the process's seed, so that nobody
    /// chooses to stand in another's place; of IPv6 the network that one household has.
    pub fn client_number(&self, client: std::net::IpAddr) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, one_client(client)).hash(&mut hasher);
        hasher.finish()
    }

    /// The rules of a route's cache, if it has one.
    pub fn cache_of(&self, route: &Route) -> Option<&policy::Cache> {
        self.policy.caches.get(route.cache?.0)
    }

    /// Purges these, as each cache of the policy would tell them apart: a URL also without the
    /// parameters that a cache ignores.
    pub fn purge(&self, targets: &[Target], soft: bool, now: Now) -> Purged {
        let more: Vec<_> = targets.iter().flat_map(|target| self.as_kept(target)).collect();
        self.store.purges().purge_all(targets.iter().chain(&more), soft, now)
    }

    /// Makes stale what is held of URLs that were written to (RFC 9111 §4.4).
    pub fn outdate(&self, written: &[Target], now: Now) -> Option<Purged> {
        let mut targets: Vec<_> = written.iter().flat_map(|target| self.as_kept(target)).collect();
        targets.extend_from_slice(written);
        targets.retain(|target| self.store.purges().may_concern(target));
        (!targets.is_empty()).then(|| self.store.purges().purge_all(&targets, true, now))
    }

    /// A URL as the caches' keys have it, where they leave some of its query out.
    fn as_kept(&self, target: &Target) -> Vec<Target> {
        let (Target::Url { host, path_and_query } | Target::Written { host, path_and_query }) = target else {
            return Vec::new();
        };
        let Some((path, query)) = path_and_query.split_once('?') else { return Vec::new() };
        let kept = |cache: &policy::Cache| key::kept_query(query, &cache.ignore_query);
        let different: BTreeSet<_> =
            self.policy.caches.iter().map(kept).filter(|kept| kept.as_deref() != Some(query)).collect();
        let url = |kept: Option<String>| -> Box<str> {
            kept.map_or_else(|| path.into(), |kept| format!("{path}?{kept}").into())
        };
        let as_url = |kept| match target {
            Target::Written { .. } => Target::Written { host: host.clone(), path_and_query: url(kept) },
            _ => Target::Url { host: host.clone(), path_and_query: url(kept) },
        };
        different.into_iter().map(as_url).collect()
    }

    /// What the bearer of a request has written, where the cache heeds it.
    pub fn written(&self, view: &View<'_>, cache: &policy::Cache, now: Now) -> Option<Stamp> {
        cache.read_your_writes.then(|| version::borne(view, &self.keys, self.store.purges().stamp(now.mono)))?
    }

    /// The snapshot's file for a request, unless what it stands for was purged since, or is older than
    /// what the request's bearer has written. A query is looked for as it came, then without what the route's
    /// cache ignores.
    pub fn file_of(&self, route: &Route, view: &View<'_>, newer_than: Option<Stamp>) -> Option<Arc<File>> {
        let snapshot = self.snapshot.get()?;
        let (host, accepts) = (key::host(view), Accepts::of(view));
        let find = |query: Option<&str>| {
            snapshot.find(&Wanted { host, path: view.path, raw_path: view.raw_path, query, accepts })
        };
        let ignored = self.cache_of(route).map_or(&[][..], |cache| &cache.ignore_query);
        let kept = view.query.and_then(|query| key::kept_query(query, ignored));
        let found = find(view.query).map(|file| (file, view.query));
        let (file, found_by) = found.or_else(|| Some((find(kept.as_deref())?, kept.as_deref())))?;
        let since = Stamp::from_unix_ms(file.since_unix_ms);
        let is_purged = |query| {
            self.store.purges().is_hidden(&Stored {
                host: (!file.any_host).then_some(host),
                path: view.raw_path,
                query,
                names: file.tags.names(),
                tags: file.tags.kind(),
                stamp: since,
            })
        };
        // By the URL as it is asked for, and by the one that the file is of.
        let own = if file.any_query { None } else { found_by };
        let purged = is_purged(view.query) || (own != view.query && is_purged(own));
        (!purged && newer_than.is_none_or(|written| since > written)).then_some(file)
    }

    /// Whether the level holds everyone on all routes of a room; or, where that is the question, on
    /// `any` of them.
    pub fn is_held(&self, room: &Arc<Room>, any: bool) -> bool {
        let of_room = |r: &&Route| r.waiting_room.is_some_and(|id| Arc::ptr_eq(self.room(id), room));
        let holds = |route: &Route| {
            let level = || self.origin(route.origin).level() as usize;
            route.has_level() && route.mode.get(level()) == Some(&Mode::Wait)
        };
        let mut routes = self.policy.routes.iter().filter(of_room).peekable();
        if any { routes.any(holds) } else { routes.peek().is_some() && routes.all(holds) }
    }

    /// The worst pressure on an origin that one of the room's routes leads to, 1 where it is strained; a
    /// level that is held by hand or by the clock counts as it would have come about.
    pub fn pressure_on(&self, room: &Arc<Room>) -> f64 {
        let of_room = |r: &&Route| r.has_level() && r.waiting_room.is_some_and(|id| Arc::ptr_eq(self.room(id), room));
        let pressure = |route: &Route| {
            let origin = self.origin(route.origin);
            let by_level = if origin.level() >= policy::Level::Degraded { 1.0 } else { 0.0 };
            origin.look(|ladder| ladder.pressure().value()).max(by_level)
        };
        self.policy.routes.iter().filter(of_room).map(pressure).fold(0.0, f64::max)
    }

    /// The room of that name.
    pub fn room_named(&self, name: &str) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name() == name)
    }
}

fn number_routes(policy: &Policy, origins: &[Arc<Origin>]) -> Vec<usize> {
    let mut kinds = vec![0; policy.routes.len()];
    for (at, (origin, rules)) in origins.iter().zip(&policy.origins).enumerate() {
        let here = || {
            policy.routes.iter().enumerate().filter(|(_, route)| route.files.is_none() && route.origin == OriginId(at))
        };
        let routes: Vec<_> = here().map(|(_, route)| (route.name.as_str(), route.max_in_flight)).collect();
        for ((route, _), kind) in here().zip(origin.number(&rules.concurrency, &routes)) {
            if let Some(place) = kinds.get_mut(route) {
                *place = kind;
            }
        }
    }
    kinds
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("origins", &self.origins).finish_non_exhaustive()
    }
}
