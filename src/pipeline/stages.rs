//! The stages: each a few lines between a core module and the request.

pub(crate) mod copies;
mod files;

use std::time::Duration;

use compact_str::ToCompactString;

use super::Flow;
use super::answer::{Answer, Content, Format};
use super::origin::Admitted;
use super::own;
use super::passage::{CopyUse, Passage};
use super::reason::Reason;
use super::room::{Asks, Entrance, Inside};
use super::site::Site;
use super::view::{BodyKind, View};
use crate::admission::Ask;
use crate::cache::directives::Directives;
use crate::cache::entry::Entry;
use crate::cache::request::{Lookup, lookup};
use crate::cache::reuse::granted;
use crate::clock::Now;
use crate::policy::{Class, Level, Limit, Mode, Order, Policy, Route, WaitingRoomId};
use crate::priority::classify;
use crate::rate_limit::{self, Asked};
use crate::route;
use crate::waiting_room::{RoomId, Session};

pub use files::{explain_files, files};

/// When to come back to an edge that is short.
const RETRY_AFTER_BUSY: Duration = Duration::from_secs(5);
/// When to come back to what is switched off.
const RETRY_AFTER_LEVEL: Duration = Duration::from_secs(30);

/// Which route it is, and how much it matters. Seawall's own URLs have none.
pub fn route(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> Flow {
    passage.scheme = view.scheme;
    let unix_s = now.unix_ms / 1000;
    passage.cookies.extend(site.clients.cookie(view, unix_s));
    if view.path.starts_with(own::PREFIX) {
        return Flow::Respond(own::answer(passage, view, now));
    }
    let members = &mut passage.members;
    let mut is_member = |group| members.has(group, &site.clients, view, unix_s);
    let Some((id, route)) = route::find(&site.policy, view, &mut is_member) else {
        return Flow::Respond(Answer::of(Reason::NotFound, &site.pages, Format::asked(view)));
    };
    let too_large = matches!(view.body, BodyKind::Length(n) if n > route.max_body_size);
    let rules = &site.policy.priority;
    passage.class = classify(view, route.priority, rules, || rules.from.iter().any(|group| is_member(*group)));
    passage.take_route(id);
    if too_large {
        return Flow::Respond(refusal(passage, view, Reason::BodyTooLarge));
    }
    if site.condition.strain().refuses(passage.class) {
        let seconds = passage.spread(RETRY_AFTER_BUSY);
        return Flow::Respond(
            refusal(passage, view, Reason::EdgeBusy).with("retry-after", seconds.to_compact_string()),
        );
    }
    Flow::Continue
}

/// While the edge itself is short, the answer to one who would ask the origin for a place at a moment
/// when it sends others away: the same as there, without the way to it. A copy answers if there is
/// one.
pub fn in_vain(passage: &mut Passage, view: &View<'_>, now: Now) -> Option<Answer> {
    if !passage.site.condition.strain().refuses_in_vain(passage.class)
        || !passage.origin().refuses(passage.class, now.mono)
    {
        return None;
    }
    passage.format = format(passage.route(), view);
    passage.copy.key = None;
    Some(passage.fall_back(Reason::EdgeBusy, RETRY_AFTER_BUSY, now))
}

/// At which level it is served, and what the route does at it. `refuse` answers at once; every
/// other mode travels on to the stage that it is about.
pub fn level(passage: &mut Passage, _: &Site, view: &View<'_>, _: Now) -> Flow {
    if passage.route().has_level() {
        passage.level = passage.origin().level();
    }
    passage.mode = passage.route().mode.get(passage.level as usize).copied().unwrap_or_default();
    if passage.mode == Mode::Refuse {
        return Flow::Respond(switched_off(passage, view));
    }
    Flow::Continue
}

/// How often this visitor may ask. What the waiting room answers does not count: one who is likely to wait is
/// asked behind it, if it lets them by.
pub fn rate_limit(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> Flow {
    if passage.route().rate_limits.is_empty() {
        return Flow::Continue;
    }
    let mut session = None;
    if let Some(room) = passage.route().waiting_room {
        let room = site.room(room);
        let presented = room.presented(view, site.client_number(view.client), now);
        session = room.session(presented, now);
        let waits = presented.ticket.is_some() || presented.stub.is_some() || !room.lets_walk_in();
        passage.uncounted =
            passage.mode == Mode::Wait || session.is_none() && waits && !is_bypassed(passage, site, view, now);
        if passage.uncounted {
            return Flow::Continue;
        }
    }
    count(passage, site, view, session, now)
}

/// Counts a request against its route's limits; over one of them, it is refused.
fn count(passage: &mut Passage, site: &Site, view: &View<'_>, session: Option<(RoomId, Session)>, now: Now) -> Flow {
    let route = site.route(passage.route_id());
    let (request, unix_s) = (rate_limit::Request { view, session }, now.unix_ms / 1000);
    let mut asks = Asked::new();
    for id in &route.rate_limits {
        let is_member = |group| passage.members.has(group, &site.clients, view, unix_s);
        asks.extend(site.limit(*id).ask(*id, &request, route.cost, is_member));
    }
    rate_limit::decide(&mut asks, now.mono);
    passage.would_refuse = asks.iter().find(|ask| ask.would_refuse()).map(|ask| ask.id);
    // Of several, the one that is to be waited for longest.
    let refused = asks.iter().filter(|ask| ask.refuses()).max_by_key(|ask| ask.verdict.retry_after_seconds());
    let Some(ask) = refused else { return Flow::Continue };
    let seconds = ask.verdict.retry_after_seconds().unwrap_or(1);
    let answer = refusal(passage, view, Reason::RateLimited)
        .with("retry-after", seconds.to_compact_string())
        .with("ratelimit-policy", ask.policy_field())
        .with("ratelimit", ask.limit_field());
    Flow::Respond(answer)
}

/// Whether this visitor is inside, or what place they have.
pub fn waiting_room(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> Flow {
    let Some(id) = passage.route().waiting_room else { return Flow::Continue };
    match enter(passage, site, id, view, now) {
        Flow::Continue if std::mem::take(&mut passage.uncounted) => {
            let session = passage.visit.as_ref().map(Inside::session);
            count(passage, site, view, session, now)
        }
        flow => flow,
    }
}

fn enter(passage: &mut Passage, site: &Site, id: WaitingRoomId, view: &View<'_>, now: Now) -> Flow {
    if is_bypassed(passage, site, view, now) {
        return Flow::Continue;
    }
    if own::is_preflight(view) {
        // It bears no cookie and asks for nothing yet. What it may allow is the origin's to say; it goes
        // last, so that it is no way around the room.
        passage.class = Class::Bulk;
        return Flow::Continue;
    }
    let room = site.room(id);
    if let Some(answer) = room.elsewhere(view) {
        return Flow::Respond(answer);
    }
    let presented = room.presented(view, site.client_number(view.client), now);
    let asks = Asks::of(view, format(passage.route(), view));
    let entrance =
        if passage.mode == Mode::Wait { room.hold(presented, &asks, now) } else { room.visit(presented, &asks, now) };
    match entrance {
        // A room that is not open has no places, but its route is held all the same.
        Entrance::Pass if passage.mode == Mode::Wait => Flow::Respond(switched_off(passage, view)),
        Entrance::Pass => Flow::Continue,
        Entrance::Inside(inside, bearer) => {
            if let Some(text) = bearer {
                let (cookie, ticket) = room.bearer_fields(&text, &asks);
                passage.cookies.push(cookie);
                passage.bearer = ticket;
            }
            if let Some(after) = passage.route().ends_session {
                room.end_after(&inside, after, now);
            }
            passage.visit = Some(inside);
            Flow::Continue
        }
        Entrance::Outside(answer) if room.is_dry_run() => {
            let cookies = answer.fields.into_iter().filter(|(name, _)| *name == "set-cookie");
            passage.cookies.extend(cookies.map(|(_, cookie)| cookie.into()));
            passage.would_hold = Some(id);
            Flow::Continue
        }
        Entrance::Outside(answer) => Flow::Respond(answer),
    }
}

/// Whether this client neither waits nor counts.
fn is_bypassed(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> bool {
    let Some(room) = site.route(passage.route_id()).waiting_room.and_then(|id| site.policy.waiting_rooms.get(id.0))
    else {
        return false;
    };
    let unix_s = now.unix_ms / 1000;
    room.bypass.iter().any(|group| passage.members.has(*group, &site.clients, view, unix_s))
}

/// Whether a copy answers: a fresh one always, an older one or a file where the mode says so.
pub fn cache(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> Flow {
    passage.counts_for = copies::counts_for(passage, view);
    let of_copy = copies::find(passage, site, view, now);
    let stale = match &of_copy {
        Some(Flow::Respond(Answer {
            reason: Reason::Stale,
            content: Content::Copy(entry) | Content::NotModified(entry) | Content::Part(entry, _),
            ..
        })) => Some(entry),
        _ => None,
    };
    let is_outdone = |passage: &mut Passage, entry: &Entry| {
        stand_in(passage, view);
        passage.copy.file.as_ref().is_some_and(|file| file.is_newer_than(entry))
    };
    let mode = passage.mode;
    let prefers_newest = matches!(mode, Mode::Snapshot | Mode::Newest);
    let is_outdone = prefers_newest && stale.is_some_and(|entry| is_outdone(passage, entry));
    match of_copy {
        Some(flow) if !is_outdone => return flow,
        _ => stand_in(passage, view),
    }
    if prefers_newest {
        if let Some(file) = passage.copy.file.take() {
            let share = std::mem::take(&mut passage.copy.share);
            return Flow::Respond(Answer::of_file(file, share, "snapshot", now.unix_ms));
        }
        return Flow::Respond(switched_off(passage, view));
    }
    Flow::Continue
}

/// The file of the snapshot that may stand in for the origin: wherever the route says it does at static, not
/// only by then.
fn stand_in(passage: &mut Passage, view: &View<'_>) {
    let may_copy = view.is_read() && view.body == BodyKind::None;
    if may_copy && matches!(passage.route().mode.last(), Some(Mode::Snapshot | Mode::Newest)) {
        let file = passage.site.file_of(passage.route(), view, passage.copy.newer_than);
        passage.copy.share = file.as_ref().map(|file| file.share_of(view)).unwrap_or_default();
        passage.copy.file = file;
    }
}

/// Whether there is a place at the origin.
pub fn admission(passage: &mut Passage, now: Now) -> Flow {
    let origin = passage.origin().clone();
    let class = passage.class;
    let ask = Ask {
        class,
        kind: passage.site.kind(passage.route_id()),
        client: passage.site.client_number(passage.client),
        cohort: passage.cohort,
        // What is shed takes what is free, and does not wait for more.
        waits: !passage.level.sheds(class),
    };
    match origin.admit(ask, now.mono) {
        Admitted::Now(permit) => {
            passage.permit = Some(permit);
            Flow::Continue
        }
        Admitted::Queued(turn) => Flow::Wait(turn),
        // What stands in for the origin is the asker's to say: a fill has many.
        Admitted::Refused(reason, _) => Flow::Respond(Answer::of(reason, &passage.site.pages, passage.format)),
    }
}

fn format(route: &Route, view: &View<'_>) -> Format {
    if route.answers_json { Format::Json } else { Format::asked(view) }
}

fn refusal(passage: &Passage, view: &View<'_>, reason: Reason) -> Answer {
    Answer::of(reason, &passage.site.pages, format(passage.route(), view))
}

fn switched_off(passage: &mut Passage, view: &View<'_>) -> Answer {
    passage.copy = CopyUse::default();
    let seconds = passage.spread(RETRY_AFTER_LEVEL);
    refusal(passage, view, Reason::LevelRefused).with("retry-after", seconds.to_compact_string())
}

/// A request of which someone asks what would become of it.
pub struct Explained<'a> {
    pub policy: &'a Policy,
    pub route: &'a Route,
    pub view: &'a View<'a>,
    pub class: Class,
}

impl Explained<'_> {
    fn mode(&self, level: Level) -> Mode {
        self.route.mode.get(level as usize).copied().unwrap_or_default()
    }
}

pub fn explain_route(asked: &Explained<'_>, _: Level) -> String {
    let (route, class) = (&asked.route.name, asked.class.name());
    match files::of(asked.policy, asked.route) {
        Some(files) => format!("`{route}`, to files `{}`, as {class}", files.name),
        None => {
            let origin = asked.policy.origins.get(asked.route.origin.0).map_or("?", |o| o.name.as_str());
            format!("`{route}`, to origin `{origin}`, as {class}")
        }
    }
}

pub fn explain_level(asked: &Explained<'_>, level: Level) -> String {
    match asked.mode(level) {
        Mode::Pass => "pass".to_owned(),
        Mode::Stale => "any copy held, else on".to_owned(),
        Mode::Snapshot => "a fresh copy, else the newer of a stale one and the snapshot's file, else 503".to_owned(),
        Mode::Wait => "everyone is held in the room".to_owned(),
        Mode::Refuse => "503, with Retry-After".to_owned(),
        Mode::Newest if asked.view.is_read() => {
            "a fresh copy, else the newer of a stale one and the snapshot's file, else 503".to_owned()
        }
        Mode::Newest => "503: a write is never answered from a copy".to_owned(),
    }
}

pub fn explain_rate_limit(asked: &Explained<'_>, _: Level) -> String {
    let limits = asked.route.rate_limits.iter().filter_map(|id| asked.policy.rate_limits.get(id.0));
    let words: Vec<_> = limits
        .map(|l| {
            let by = l.key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            let every = humantime::format_duration(l.quota.period);
            let cost = match asked.route.cost.get() {
                1 => String::new(),
                cost => format!(", of which this takes {cost}"),
            };
            let plans = if l.plans.is_some() { "; plans may have other quotas" } else { "" };
            let dry_run = if l.dry_run { "; a dry run, which refuses nothing" } else { "" };
            format!("`{}`: {} in {every} by {by}, burst {}{cost}{plans}{dry_run}", l.name, l.quota.count, l.burst)
        })
        .collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}

pub fn explain_waiting_room(asked: &Explained<'_>, level: Level) -> String {
    let Some(room) = asked.route.waiting_room.and_then(|id| asked.policy.waiting_rooms.get(id.0)) else {
        return "none".to_owned();
    };
    if asked.mode(level) == Mode::Wait {
        return format!("`{}` holds everyone, those inside too", room.name);
    }
    let mut words = format!("`{}`: at most {} inside; others wait their turn", room.name, room.capacity);
    let mut also = |it_is: bool, what: &str| {
        if it_is {
            words.push_str(what);
        }
    };
    also(room.order == Order::Lottery, ", drawn by lot");
    also(room.opens_unix_ms.is_some() || room.closes_unix_ms.is_some(), ", within its hours");
    also(!room.bypass.is_empty(), "; some groups of clients are let by");
    also(asked.route.ends_session.is_some(), "; ends its visitor's session");
    also(room.dry_run, "; a dry run, which holds nobody");
    words
}

pub fn explain_cache(asked: &Explained<'_>, level: Level) -> String {
    let Some(rules) = asked.route.cache.and_then(|id| asked.policy.caches.get(id.0)) else {
        return "none".to_owned();
    };
    let name = &rules.name;
    let copy = matches!(asked.mode(level), Mode::Stale | Mode::Newest | Mode::Snapshot);
    let words = match lookup(asked.view, rules) {
        Lookup::Bypass(why) => return format!("`{name}` not used ({why:?})").to_lowercase(),
        Lookup::Plain if copy => format!("`{name}`: a copy of any age answers"),
        Lookup::Personal if copy => {
            format!("`{name}`: a copy of any age answers, whose cookies these are does not matter")
        }
        Lookup::Plain if rules.read_your_writes => {
            format!(
                "`{name}`: a fresh copy answers, to who has written one newer than that; a miss is fetched once for all"
            )
        }
        Lookup::Plain => format!("`{name}`: a fresh copy answers; a miss is fetched once for all"),
        Lookup::Personal => format!("`{name}`: its cookies make it personal; only what the origin calls public"),
        Lookup::Authorized => format!("`{name}`: it shows credentials; only what the origin lets others have"),
    };
    let wishes = Directives::of(asked.view);
    match granted(wishes, rules.request_directives, level) == wishes {
        true if wishes == wishes.harmless() => words,
        true => words + "; its Cache-Control is heard",
        false => words + "; its Cache-Control is not heard",
    }
}

pub fn explain_admission(asked: &Explained<'_>, level: Level) -> String {
    if matches!(asked.mode(level), Mode::Snapshot | Mode::Newest | Mode::Refuse | Mode::Wait)
        || asked.route.files.is_some()
    {
        return "not reached".to_owned();
    }
    let Some(origin) = asked.policy.origins.get(asked.route.origin.0) else { return String::new() };
    let c = &origin.concurrency;
    let class = asked.class;
    let patience = humantime::format_duration(c.patience.of(class));
    let limit = match c.limit {
        Limit::Fixed(limit) => format!("at most {limit}"),
        Limit::Adaptive { max, .. } => format!("as many as `{}` carries, at most {max},", origin.name),
    };
    let share = match asked.route.max_in_flight {
        100 => String::new(),
        share => format!(" ({share} % of them from this route)"),
    };
    let waits = if level.sheds(class) {
        "takes a free place or is refused".to_owned()
    } else {
        format!("waits up to {patience}")
    };
    format!("{limit} at `{}` at once{share}; as {} {waits}", origin.name, class.name())
}
