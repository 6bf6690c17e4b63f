//! `[waiting_room.NAME]`: how many are inside, who comes next, when it is open, and what is shown.

mod domain;
mod lanes;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use self::domain::cookie_reaches;
use super::limits::{ENTRIES_MAX, narrow};
use super::moment::moment;
use super::reader::{Problem, Table, Value};
use super::values::{duration, duration_not_zero, quota};
use super::{FileKind, Named, NamedFile, Over, house};
use crate::policy::{
    Admit, Clients, ClientsId, Commands, OnStoreFailure, Order, Outside, PlacesPerClient, WaitingRoom,
};

const GATHER: Duration = Duration::from_secs(30 * 60);
const MAX_QUEUE: NonZeroU64 = NonZeroU64::MIN.saturating_add(9_999_999);
const PLACES_IPV4: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);
const PLACES_IPV6: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);
/// For hints.
const ADD_OPENS: &str = "add: opens = 2027-11-26T10:00:00+01:00; or leave it out";

/// What a room's keys refer to, and what the file has named so far.
pub(super) struct Around<'p> {
    pub(super) base: &'p Path,
    pub(super) keys_file: &'p Path,
    pub(super) clients: &'p Named<Clients>,
    pub(super) files: &'p mut Vec<NamedFile>,
    pub(super) ends: &'p mut Vec<Over>,
}

/// When a room is open.
struct Hours {
    opens_unix_ms: Option<u64>,
    gather: Duration,
    closes_unix_ms: Option<u64>,
    outside: Outside,
    /// Before it no lane may open; none: nothing is said, or nothing that can be used.
    gathers_unix_ms: Option<u64>,
}

struct Session {
    idle: Duration,
    max: Duration,
    return_within: Duration,
}

impl Around<'_> {
    /// Every `[waiting_room.NAME]`.
    pub(super) fn read(&mut self, root: &mut Table<'_>) -> Named<WaitingRoom> {
        Named::read(root, "waiting_room", |name, table| self.one(name, table))
    }

    fn one(&mut self, name: String, mut table: Table<'_>) -> Option<WaitingRoom> {
        let capacity = table.require("capacity", "how many visitors may be inside at once", "capacity = 500");
        let capacity = capacity.and_then(|v| v.integer(1, u32::MAX.into())).and_then(narrow);
        let admit = table.read("admit", Admit::default(), admit);
        let order =
            table.read("order", Order::default(), |v| word(v, &[("fifo", Order::Fifo), ("lottery", Order::Lottery)]));
        let hours = self.hours(&mut table);
        let session = session(table.take_table("session"));
        let time = |table: &mut Table<'_>, key, default| {
            table.read(key, Duration::from_secs(default), |v| v.parse("a duration", duration_not_zero))
        };
        let claim = time(&mut table, "claim", 180);
        let place_hold = time(&mut table, "place_hold", 3 * 3600);
        let places_per_client = places_per_client(table.take("places_per_client"));
        let max_queue = table.read("max_queue", MAX_QUEUE, |v| v.integer(1, ENTRIES_MAX).and_then(NonZeroU64::new));
        let bypass = table.take("bypass").map(|v| self.bypass(&v)).unwrap_or_default();
        let cookie_domain = table.read("cookie_domain", None, |v| v.parse(domain::EXPECTED, domain::cookie_domain));
        let page = table.take("page").and_then(|v| self.page(&v, &name));
        let lanes = table.take_table("lanes").map(|lanes| self.lanes(lanes, &hours)).unwrap_or_default();
        let commands = table.read("commands", Commands::ALL, |v| Some(commands(v)));
        let on_store_failure = table.read("on_store_failure", OnStoreFailure::default(), on_store_failure);
        let dry_run = table.read("dry_run", false, Value::bool);
        table.finish();
        Some(WaitingRoom {
            name,
            capacity: capacity?,
            admit,
            order,
            opens_unix_ms: hours.opens_unix_ms,
            gather: hours.gather,
            closes_unix_ms: hours.closes_unix_ms,
            outside: hours.outside,
            session_idle: session.idle,
            session_max: session.max,
            session_return: session.return_within,
            claim,
            place_hold,
            max_queue,
            places_per_client,
            bypass,
            cookie_domain,
            lanes,
            page,
            commands,
            on_store_failure,
            dry_run,
        })
    }

    fn hours(&mut self, table: &mut Table<'_>) -> Hours {
        let (opens, gather) = (table.take("opens"), table.take("gather"));
        let (closes, outside) = (table.take("closes"), table.take("outside"));
        if let (None, Some(gather)) = (&opens, &gather) {
            lacks(gather, "is how long before `opens` places are given", "this room has no `opens`", ADD_OPENS);
        }
        if let (None, None, Some(outside)) = (&opens, &closes, &outside) {
            let label = "this room has neither `opens` nor `closes`";
            lacks(outside, "is what stands while the room is not open", label, ADD_OPENS);
        }
        let opens_unix_ms = opens.as_ref().and_then(moment);
        let closes_unix_ms = closes.as_ref().and_then(moment);
        if let (Some(value), Some(closes_unix_ms)) = (closes, closes_unix_ms) {
            if opens_unix_ms.is_some_and(|opens| closes_unix_ms <= opens) {
                value.wrong(Problem::new("closes before it opens").help("write a moment after `opens`"));
            }
            self.ends.push(Over { span: value.span, what: "this waiting room's time", unix_ms: closes_unix_ms });
        }
        let gather = match gather {
            Some(value) => value.parse("a duration", duration_not_zero),
            None => Some(GATHER),
        };
        let outside = outside.and_then(|v| word(&v, &[("pass", Outside::Pass), ("closed", Outside::Closed)]));
        Hours {
            opens_unix_ms,
            gather: gather.unwrap_or(GATHER),
            closes_unix_ms,
            outside: outside.unwrap_or_default(),
            gathers_unix_ms: opens_unix_ms.zip(gather).map(|(opens, gather)| opens.saturating_sub(millis(gather))),
        }
    }

    fn bypass(&self, value: &Value<'_>) -> Vec<ClientsId> {
        let items = value.one_or_many();
        items.iter().filter_map(|item| self.clients.refer(item, "clients").map(ClientsId)).collect()
    }

    fn page(&mut self, value: &Value<'_>, room: &str) -> Option<PathBuf> {
        let path = house::path(value, self.base)?;
        self.files.push(NamedFile {
            path: path.clone(),
            kind: FileKind::Page { room: room.to_owned() },
            span: value.span.clone(),
        });
        Some(path)
    }
}

/// Reports a key that means nothing without another one.
fn lacks(value: &Value<'_>, what: &str, label: &str, help: &str) {
    value.report.add(value.error(format!("`{}` {what}", value.path)).label(label).help(help));
}

fn admit(value: &Value<'_>) -> Option<Admit> {
    if value.as_str() == Some("auto") {
        return Some(Admit::Auto);
    }
    let read = |text: &str| {
        let auto = "or write \"auto\": as many as the origin carries";
        quota(text).map_err(|problem| if problem.help.is_none() { problem.help(auto) } else { problem })
    };
    value.parse("a quota such as \"120/min\", or \"auto\"", read).map(Admit::Quota)
}

/// A session's times. An idle time left out is never longer than `max`.
fn session(table: Option<Table<'_>>) -> Session {
    const IDLE: Duration = Duration::from_secs(600);
    const MAX: Duration = Duration::from_secs(3600);
    let Some(mut table) = table else { return Session { idle: IDLE, max: MAX, return_within: Duration::ZERO } };
    let idle_value = table.take("idle");
    let idle = idle_value.as_ref().and_then(|v| v.parse("a duration", duration_not_zero));
    let max_given = table.take("max").and_then(|v| v.parse("a duration", duration_not_zero));
    let max = max_given.unwrap_or(MAX);
    if let (Some(value), true) = (idle_value, idle.is_some_and(|idle| idle > max)) {
        let help =
            if max_given.is_some() { "make idle shorter or max longer" } else { "max is \"1h\" where it is left out" };
        value.wrong(Problem::new("longer than session.max, so it would never count").help(help));
    }
    let return_within = table.read("return", Duration::ZERO, |v| v.parse("a duration", duration));
    table.finish();
    Session { idle: idle.unwrap_or(IDLE.min(max)), max, return_within }
}

fn places_per_client(value: Option<Value<'_>>) -> PlacesPerClient {
    let mut places = PlacesPerClient { ipv4: PLACES_IPV4, ipv6_64: PLACES_IPV6 };
    let Some(value) = value else { return places };
    if let Some(number) = value.is_number() {
        let problem = Problem::new("expected a number for each kind of address");
        value.wrong(problem.help(format!("write {{ ipv4 = {number}, ipv6_64 = {PLACES_IPV6} }}")));
        return places;
    }
    let Some(mut table) = value.table() else { return places };
    let count = |value: &Value<'_>| value.integer(1, ENTRIES_MAX).and_then(narrow);
    places.ipv4 = table.read("ipv4", places.ipv4, count);
    places.ipv6_64 = table.read("ipv6_64", places.ipv6_64, count);
    table.finish();
    places
}

fn commands(value: &Value<'_>) -> Commands {
    let mut commands = Commands { revoke: false, stock: false, close: false };
    for item in value.one_or_many() {
        match word(&item, &[("revoke", 0), ("stock", 1), ("close", 2)]) {
            Some(0) => commands.revoke = true,
            Some(1) => commands.stock = true,
            Some(_) => commands.close = true,
            None => {}
        }
    }
    commands
}

fn on_store_failure(value: &Value<'_>) -> Option<OnStoreFailure> {
    word(value, &[("hold", OnStoreFailure::Hold), ("share", OnStoreFailure::Share), ("open", OnStoreFailure::Open)])
}

/// What one of these words stands for.
fn word<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
    let mut quoted = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>();
    let last = quoted.pop().unwrap_or_default();
    let expected = format!("{} or {last}", quoted.join(", "));
    let written = value.string(&expected)?;
    let found = words.iter().find(|(word, _)| *word == written).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let problem = Problem::new(format!("expected {expected}"));
        value.wrong(match super::nearest(written, words.iter().map(|(word, _)| *word)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
    }
    found
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file::parse;
    use crate::policy::{Lane, Policy, Quota};

    fn policy(room: &str) -> Policy {
        let text = format!(
            "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = '127.0.0.1:9'\n[clients.staff]\n\
             networks = '::1'\n[waiting_room.a]\ncapacity = 5\n{room}\n[[route]]\nwaiting_room = 'a'\n\
             clients = 'staff'\nends_session = '0s'\n[[route]]\n"
        );
        let loaded = parse(&text, Path::new("/etc"));
        loaded.policy.unwrap_or_else(|| unreachable!("{:#?}", loaded.diagnostics))
    }

    fn room(keys: &str) -> WaitingRoom {
        policy(keys).waiting_rooms.remove(0)
    }

    #[test]
    fn what_is_left_out_has_the_defaults_that_hold() {
        let room = room("");
        assert_eq!((room.admit, room.order, room.outside), (Admit::AsPlacesComeFree, Order::Fifo, Outside::Pass));
        assert_eq!((room.opens_unix_ms, room.closes_unix_ms, room.gather), (None, None, Duration::from_secs(1800)));
        let minutes = |n: u64| Duration::from_secs(n * 60);
        assert_eq!((room.session_idle, room.session_max, room.session_return), (minutes(10), minutes(60), minutes(0)));
        assert_eq!((room.claim, room.place_hold, room.max_queue), (minutes(3), minutes(180), MAX_QUEUE));
        assert_eq!((room.places_per_client.ipv4.get(), room.places_per_client.ipv6_64.get()), (256, 16));
        assert!(room.bypass.is_empty() && room.cookie_domain.is_none() && room.lanes.is_empty() && room.page.is_none());
        assert_eq!((room.commands, room.on_store_failure, room.dry_run), (Commands::ALL, OnStoreFailure::Hold, false));
    }

    #[test]
    fn every_key_arrives() {
        let policy = policy(
            "admit = '120/min'\norder = 'lottery'\nopens = 2027-11-26T10:00:00+01:00\ngather = '45m'\n\
             closes = 2027-11-26T18:00:00+01:00\noutside = 'closed'\nsession = { idle = '5m', max = '20m', return = '15m' }\n\
             claim = '2m'\nplace_hold = '1h'\nplaces_per_client = { ipv4 = 100, ipv6_64 = 2 }\nmax_queue = 7\n\
             bypass = 'staff'\ncookie_domain = 'Shop.example'\npage = 'launch.html'\ncommands = ['stock']\n\
             on_store_failure = 'share'\ndry_run = true\n\
             lanes.fans = { weight = 4, invitations = 'fans.keys', uses = 1, opens = 2027-11-26T09:15:00+01:00 }\n\
             lanes.press = { invitations = '/run/press.keys' }",
        );
        let at = |minutes: u64| 1_827_219_600_000 + minutes * 60_000;
        let (minutes, number) = (|n: u64| Duration::from_secs(n * 60), |n| NonZeroU32::new(n).unwrap());
        let lane = |name: &str, weight, invitations: &str, uses, opens_unix_ms| {
            let invitations = PathBuf::from(invitations);
            Lane { name: name.to_owned(), weight: number(weight), invitations, uses, opens_unix_ms }
        };
        let expected = WaitingRoom {
            name: "a".to_owned(),
            capacity: number(5),
            admit: Admit::Quota(Quota { count: number(120), period: minutes(1) }),
            order: Order::Lottery,
            opens_unix_ms: Some(at(0)),
            gather: minutes(45),
            closes_unix_ms: Some(at(480)),
            outside: Outside::Closed,
            session_idle: minutes(5),
            session_max: minutes(20),
            session_return: minutes(15),
            claim: minutes(2),
            place_hold: minutes(60),
            max_queue: NonZeroU64::new(7).unwrap(),
            places_per_client: PlacesPerClient { ipv4: number(100), ipv6_64: number(2) },
            bypass: vec![ClientsId(0)],
            cookie_domain: Some("shop.example".to_owned()),
            lanes: vec![
                lane("fans", 4, "/etc/fans.keys", Some(number(1)), Some(at(0) - 45 * 60_000)),
                lane("press", 1, "/run/press.keys", None, None),
            ],
            page: Some(PathBuf::from("/etc/launch.html")),
            commands: Commands { revoke: false, stock: true, close: false },
            on_store_failure: OnStoreFailure::Share,
            dry_run: true,
        };
        assert_eq!(policy.waiting_rooms, [expected]);
        assert_eq!(policy.routes.first().and_then(|route| route.ends_session), Some(Duration::ZERO));
        assert!(policy.routes.get(1).is_some_and(|route| route.ends_session.is_none()));
    }

    #[test]
    fn a_room_may_only_close_and_may_do_as_the_origin_says_in_nothing() {
        let room = room("admit = 'auto'\ncloses = 2027-11-26T18:00:00Z\noutside = 'pass'\ncommands = []");
        assert_eq!((room.admit, room.opens_unix_ms), (Admit::Auto, None));
        assert_eq!(room.commands, Commands { revoke: false, stock: false, close: false });
    }
}
