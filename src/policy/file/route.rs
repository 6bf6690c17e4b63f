//! `[[route]]`: which requests it takes and what it does with them.

mod at;

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use self::at::{Allowed, at_levels, modes};
use super::matcher;
use super::overlap;
use super::reader::{Problem, Table, Value};
use super::values::{self, duration_not_zero};
use super::{Named, house, limits, waiting_room};
use crate::policy::diagnose::Diagnostic;
use crate::policy::{
    Cache, CacheId, Class, Clients, Files, FilesId, Matcher, Mode, Origin, OriginId, RateLimit, RateLimitId, Route,
    WaitingRoom, WaitingRoomId,
};

/// The route that stands for a policy without one, and the name of its cache.
const DEFAULT: &str = "default";
/// The route that takes what no route of the file takes.
const UNMATCHED: &str = "unmatched";
/// A list of routes is walked for every request.
const ROUTES_MAX: usize = 1000;

/// What a route may refer to.
pub(super) struct Names<'p> {
    pub(super) clients: &'p Named<Clients>,
    pub(super) origins: &'p Named<Origin>,
    pub(super) rate_limits: &'p Named<RateLimit>,
    pub(super) waiting_rooms: &'p Named<WaitingRoom>,
    pub(super) files: &'p Named<Files>,
    /// Where the policy names it.
    pub(super) snapshot: Option<Range<usize>>,
    pub(super) cache_memory: u64,
    pub(super) max_body_size: u64,
}

/// A route and where its header stands.
pub(super) struct Placed {
    pub(super) route: Route,
    pub(super) span: Range<usize>,
}

impl Names<'_> {
    /// All routes. In a file without one there is one that matches everything and that has a cache
    /// of what the origin itself allows.
    pub(super) fn read(&self, root: &mut Table<'_>, caches: &mut Named<Cache>) -> Option<Vec<Route>> {
        let value = root.take("route");
        let mut placed: Vec<Placed> = Vec::new();
        let mut whole = true;
        if let Some(value) = &value {
            for (at, item) in tables(value)?.into_iter().enumerate() {
                match item.table().and_then(|table| self.one(at, table, caches)) {
                    Some(route) => {
                        duplicate_name(&placed, &route, root);
                        placed.push(route);
                    }
                    None => whole = false,
                }
            }
        }
        // What follows draws conclusions from the whole; from a whole with mistakes they mislead.
        if !whole || root.report.has_errors() {
            return None;
        }
        overlap::unreachable(&placed, root.report);
        let last = match placed.last() {
            // Without an origin, what no route takes is answered with a 404.
            Some(_) if self.origins.items.is_empty() => None,
            None => Some(self.default_route(root, caches)?),
            Some(last) if !placed.iter().any(|p| overlap::takes_all(&p.route.matcher)) => {
                Some(self.unmatched_route(&placed, last, root)?)
            }
            Some(_) => None,
        };
        let routes: Vec<_> = placed.into_iter().map(|p| p.route).chain(last).collect();
        self.unused(&routes, caches, root);
        Some(routes)
    }

    fn one(&self, at: usize, mut table: Table<'_>, caches: &Named<Cache>) -> Option<Placed> {
        let span = table.span.clone();
        let default_name = format!("route-{}", at + 1);
        let name = table.read("name", default_name, |v| v.parse("a name", values::name));
        let matcher = matcher::read(&mut table, self.clients);
        let served = table.take("files");
        let files = served.as_ref().and_then(|v| self.files.refer(v, "files")).map(FilesId);
        if served.is_some() {
            only_of_origins(&mut table);
        }
        let origin = self.origin(&mut table, &name, served.is_some());
        let limits = table.take("rate_limit");
        let rate_limits = limits.map(|v| self.rate_limits(&v)).unwrap_or_default();
        let cost = table.take("cost").and_then(|v| self.cost(&v, &rate_limits)).unwrap_or(NonZeroU32::MIN);
        let room = table.take("waiting_room");
        let waiting_room = room.as_ref().and_then(|v| self.waiting_room(v, &matcher));
        let ends_session = table.take("ends_session").and_then(|v| ends_session(&v, room.is_some()));
        let cache_value = table.take("cache");
        let cache = cache_value.as_ref().and_then(|v| cache(v, caches));
        let allowed = Allowed {
            stale: cache.is_some() || cache_value.is_some_and(|v| v.as_str().is_some()),
            wait: room.is_some(),
            snapshot: self.snapshot.is_some(),
            files: served.is_some(),
        };
        let mode = table.take_table("at").map_or(modes([None; 4], allowed.files), |at| at_levels(at, &allowed));
        let response_timeout =
            table.read("response_timeout", None, |v| v.parse("a duration", duration_not_zero).map(Some));
        let max_body_size = table.read("max_body_size", self.max_body_size, house::body_size);
        let answers_json = table.read("answers", false, answers);
        let priority = table.read("priority", Class::Normal, priority);
        let max_in_flight = table.read("max_in_flight", 100, |v| v.parse("a share such as \"20%\"", values::percent));
        table.finish();
        let route = Route {
            name,
            matcher,
            origin: origin?,
            rate_limits,
            cost,
            waiting_room,
            ends_session,
            cache,
            files,
            mode,
            response_timeout,
            max_body_size,
            answers_json,
            priority,
            max_in_flight,
        };
        Some(Placed { route, span })
    }

    /// Files need none: but one whose level they follow, where what they do depends on it.
    fn origin(&self, table: &mut Table<'_>, name: &str, has_files: bool) -> Option<OriginId> {
        match (table.take("origin"), self.origins.items.len()) {
            (Some(value), _) => self.origins.refer(&value, "origin").map(OriginId),
            (None, 1) => Some(OriginId(0)),
            (None, _) if has_files && !table.has("at") => Some(OriginId(0)),
            (None, 0) => {
                let message = format!("route `{name}` has neither an origin nor files");
                table.report.add(table.error(message).label("nothing to answer with").help("add: files = \"NAME\""));
                None
            }
            (None, _) => {
                let first = self.origins.names().next().unwrap_or_default();
                let all: Vec<_> = self.origins.names().collect();
                let message = format!("route `{name}` does not say which origin it goes to");
                let diagnostic = table.error(message).label(format!("one of: {}", all.join(", ")));
                table.report.add(diagnostic.help(format!("add: origin = \"{first}\"")));
                None
            }
        }
    }

    fn rate_limits(&self, value: &Value<'_>) -> Vec<RateLimitId> {
        let mut found: Vec<RateLimitId> = Vec::new();
        for item in value.one_or_many() {
            let Some(id) = self.rate_limits.refer(&item, "rate_limit").map(RateLimitId) else { continue };
            if found.contains(&id) {
                item.wrong(Problem::new("named twice: every request would count twice"));
            }
            found.push(id);
        }
        found
    }

    fn waiting_room(&self, value: &Value<'_>, matcher: &Matcher) -> Option<WaitingRoomId> {
        let id = self.waiting_rooms.refer(value, "waiting_room")?;
        if let Some(room) = self.waiting_rooms.items.get(id).and_then(|item| item.value.as_ref()) {
            waiting_room::cookie_reaches(value, room, &matcher.hosts);
        }
        Some(WaitingRoomId(id))
    }

    /// Tokens that a request takes. More than a limit's burst would never be had.
    fn cost(&self, value: &Value<'_>, limits: &[RateLimitId]) -> Option<NonZeroU32> {
        let cost = value.integer(1, u32::MAX.into()).and_then(limits::narrow)?;
        if limits.is_empty() {
            let diagnostic = value.error(format!("`{}` has no rate limit to be taken from", value.path));
            value.report.add(diagnostic.label("this route has none").help("add: rate_limit = \"NAME\""));
        }
        let limits = limits.iter().filter_map(|id| self.rate_limits.items.get(id.0)?.value.as_ref());
        for limit in limits.filter(|limit| cost > limit.least_burst()) {
            let label = format!("more than rate_limit.{} gives at once ({})", limit.name, limit.least_burst());
            value.wrong(Problem::new(label).help(format!("make the burst at least {cost}, or the cost less")));
        }
        Some(cost)
    }

    fn default_route(&self, root: &Table<'_>, caches: &mut Named<Cache>) -> Option<Route> {
        if self.origins.items.len() > 1 {
            let first = self.origins.names().next().unwrap_or_default();
            let diagnostic = root.error("there are several origins and no route that says who goes where");
            root.report.add(diagnostic.help(format!("add:\n[[route]]\norigin = \"{first}\"")));
            return None;
        }
        let cache = caches.position(DEFAULT).unwrap_or_else(|| {
            let value = Some(limits::implicit_cache(DEFAULT, self.cache_memory));
            caches.items.push(super::NamedItem { name: DEFAULT.to_owned(), span: 0..0, value });
            caches.items.len() - 1
        });
        Some(Route { cache: Some(CacheId(cache)), ..self.plain_route(DEFAULT) })
    }

    /// What the file's routes leave over. With one origin there is no doubt where it goes, but its
    /// author should know that nothing holds it back; with several there is doubt.
    fn unmatched_route(&self, placed: &[Placed], last: &Placed, root: &Table<'_>) -> Option<Route> {
        let help = "end with a [[route]] that has no matchers, and say there what holds for the rest";
        if self.origins.items.len() > 1 {
            let message = "requests that no route takes have nowhere to go: there are several origins";
            let diagnostic = Diagnostic::error(last.span.clone(), message).label("the last route takes only some");
            root.report.add(diagnostic.help(help));
            return None;
        }
        let origin = self.origins.names().next().unwrap_or_default();
        let message =
            format!("requests that no route takes go straight to origin `{origin}`: no room, no rate limit, no cache");
        let diagnostic = Diagnostic::warning(last.span.clone(), message).label("the last route takes only some");
        root.report.add(diagnostic.help(help));
        let free = |name: &String| placed.iter().all(|p| p.route.name != *name);
        let name = std::iter::once(UNMATCHED.to_owned()).chain((2..).map(|n| format!("{UNMATCHED}-{n}"))).find(free)?;
        Some(self.plain_route(&name))
    }

    fn plain_route(&self, name: &str) -> Route {
        Route {
            name: name.to_owned(),
            matcher: Default::default(),
            origin: OriginId(0),
            rate_limits: Vec::new(),
            cost: NonZeroU32::MIN,
            waiting_room: None,
            ends_session: None,
            cache: None,
            files: None,
            mode: modes([None; 4], false),
            response_timeout: None,
            max_body_size: self.max_body_size,
            answers_json: false,
            priority: Class::Normal,
            max_in_flight: 100,
        }
    }

    /// Warns of what is defined and protects nothing.
    fn unused(&self, routes: &[Route], caches: &Named<Cache>, root: &Table<'_>) {
        let warn = |kind: &str, name: &str, span: &Range<usize>| {
            let diagnostic = Diagnostic::warning(span.clone(), format!("no route uses [{kind}.{name}]"));
            root.report
                .add(diagnostic.label("protects nothing").help(format!("add to a [[route]]: {kind} = \"{name}\"")));
        };
        for (id, item) in self.rate_limits.items.iter().enumerate() {
            if !routes.iter().any(|r| r.rate_limits.contains(&RateLimitId(id))) {
                warn("rate_limit", &item.name, &item.span);
            }
        }
        for (id, item) in self.waiting_rooms.items.iter().enumerate() {
            if !routes.iter().any(|r| r.waiting_room == Some(WaitingRoomId(id))) {
                warn("waiting_room", &item.name, &item.span);
            }
        }
        for (id, item) in self.files.items.iter().enumerate() {
            if !routes.iter().any(|r| r.files == Some(FilesId(id))) {
                warn("files", &item.name, &item.span);
            }
        }
        for (id, item) in caches.items.iter().enumerate() {
            if !routes.iter().any(|r| r.cache == Some(CacheId(id))) {
                warn("cache", &item.name, &item.span);
            }
        }
        let shows = |route: &Route| matches!(route.mode.last(), Some(Mode::Snapshot | Mode::Newest));
        if let Some(span) = self.snapshot.clone().filter(|_| !routes.iter().any(shows)) {
            let diagnostic =
                Diagnostic::warning(span, "[snapshot] is never shown").label("no route shows it at static");
            root.report.add(diagnostic.help(
                "add to the routes of pages: at.static = \"snapshot\"; a route that names a lower level does at static \
                 what it does there",
            ));
        }
    }
}

/// A path to ask an origin for: as it goes on the wire.
pub(super) fn origin_path(text: &str) -> Result<String, Problem> {
    let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if good { Ok(text.to_owned()) } else { Err(Problem::new("expected a path that begins with \"/\"")) }
}

/// The routes' tables; `[route]` for `[[route]]` is the likely slip.
fn tables<'a>(value: &Value<'a>) -> Option<Vec<Value<'a>>> {
    if value.is_table() {
        let diagnostic = value.error("routes are a list of tables").label("expected double brackets");
        value.report.add(diagnostic.help("write [[route]]"));
        return None;
    }
    let list = value.list();
    if let Some(over) = list.get(ROUTES_MAX) {
        over.report.add(over.error(format!("more than {ROUTES_MAX} routes")).label("one too many"));
        return None;
    }
    Some(list)
}

fn duplicate_name(placed: &[Placed], new: &Placed, root: &Table<'_>) {
    if let Some(earlier) = placed.iter().find(|p| p.route.name == new.route.name) {
        let message = format!("two routes are named `{}`", new.route.name);
        let diagnostic = Diagnostic::error(new.span.clone(), message).label("again here");
        root.report.add(diagnostic.related(earlier.span.clone(), "first here").help("give each a name of its own"));
    }
}

/// A cache's name, or false for none.
fn cache(value: &Value<'_>, caches: &Named<Cache>) -> Option<CacheId> {
    match value.as_bool() {
        Some(false) => None,
        Some(true) => {
            let name = caches.names().next().unwrap_or("page");
            value.wrong(
                Problem::new("expected the name of a cache, or false").help(format!("write cache = \"{name}\"")),
            );
            None
        }
        None => caches.refer(value, "cache").map(CacheId),
    }
}

/// How long a session goes on after an answer of this route.
fn ends_session(value: &Value<'_>, has_room: bool) -> Option<Duration> {
    if !has_room {
        let diagnostic = value.error(format!("`{}` has no session to end", value.path));
        value.report.add(diagnostic.label("this route has no waiting room").help("add: waiting_room = \"NAME\""));
    }
    value.parse("a duration", values::duration)
}

fn answers(value: &Value<'_>) -> Option<bool> {
    match value.string("\"json\"")? {
        "json" => return Some(true),
        _ => value.wrong(Problem::new("expected \"json\"; left out, the client's Accept decides")),
    }
    None
}

fn priority(value: &Value<'_>) -> Option<Class> {
    const CLASSES: &str = "\"critical\", \"normal\" or \"bulk\"";
    let written = value.string(CLASSES)?;
    let class = Class::ALL.into_iter().find(|class| class.name() == written);
    if class.is_none() {
        let problem = Problem::new(format!("expected {CLASSES}"));
        value.wrong(match super::nearest(written, Class::ALL.map(Class::name)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
    }
    class
}

/// Files are served without an origin: what only matters on the way to one can't be meant.
fn only_of_origins(table: &mut Table<'_>) {
    for key in ["cache", "response_timeout", "max_in_flight"] {
        let Some(value) = table.take(key).filter(|value| value.as_bool() != Some(false)) else { continue };
        let diagnostic = value.error(format!("`{}` has no meaning for files", value.path));
        value.report.add(diagnostic.label("no origin is asked").help("leave it out"));
    }
}
