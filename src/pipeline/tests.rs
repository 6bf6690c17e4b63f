//! The whole way of a request, in simulated time: no socket, no disk, no clock of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answer::{Content, RequestId};
use super::reason::Reason;
use super::room::{self, Room};
use super::site::{Parts, Site};
use super::view::{BodyKind, Field, Scheme, Version, View};
use super::{Flow, Outcome, decide};
use crate::cache::entry::Entry;
use crate::cache::freshness::{ResponseParts, Terms};
use crate::clock::{Clock, Mono, Now};
use crate::keys::Keys;
use crate::level::{Contact, Override};
use crate::overload::{Strain, Vitals};
use crate::policy::{Level, file};
use crate::telemetry::Telemetry;
use crate::waiting_room;
use crate::waiting_room::page::Page;

mod limits;
mod places;

const POLICY: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 1, queue = 1 }
[rate_limit.few]
key = "client_ip"
quota = "1/min"
burst = 2
[waiting_room.launch]
capacity = 1
session = { idle = "10s", max = "1m" }
claim = "10s"
[cache.page]
ttl = "10s"
stale_if_error = "1h"
[level.static]
enter = { unreachable = "5s" }
[[route]]
name = "limited"
path = "/limited"
rate_limit = "few"
max_body_size = "1KiB"
[[route]]
name = "checkout"
path = "/checkout/**"
waiting_room = "launch"
rate_limit = "few"
at.static = "wait"
[[route]]
name = "pages"
cache = "page"
at.elevated = "stale"
at.degraded = "refuse"
at.static = "stale"
"#;

struct Shop {
    site: Arc<Site>,
    now: Now,
    next: u64,
}

/// One request, as a test writes it.
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    client: [u8; 4],
    cookie: Option<String>,
    body: BodyKind,
}

fn get(path: &str) -> Ask<'_> {
    Ask { method: "GET", path, client: [192, 0, 2, 1], cookie: None, body: BodyKind::None }
}

impl Shop {
    fn open() -> Self {
        Self::open_with(POLICY)
    }

    fn open_with(policy: &str) -> Self {
        let policy = file::parse(policy, std::path::Path::new(".")).policy.unwrap();
        let now = Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_795_000_000_000 };
        let keys = Arc::new(Keys::from_bytes(1, &[7; 32]));
        let clock = Clock::start();
        let rooms = policy.waiting_rooms.iter();
        let rooms = rooms
            .map(|rules| {
                let machine = waiting_room::Room::new(rules.clone(), [7; 32], now);
                let parts = room::Parts { page: Page::built_in(&rules.name), lanes: Vec::new() };
                Arc::new(Room::new(machine, rules, parts, keys.clone(), clock))
            })
            .collect();
        let telemetry = Arc::new(Telemetry::new(None));
        let site = Site::bind(
            policy,
            None,
            Parts {
                clock,
                telemetry,
                snapshot: None,
                rooms,
                passes: Vec::new(),
                keys: Arc::new(Keys::from_bytes(1, &[7; 32])),
                seed: 7,
            },
        );
        let mut shop = Self { site: Arc::new(site), now, next: 0 };
        shop.pass(Duration::from_millis(200));
        shop
    }

    /// Lets time go by, in steps of a room's tick.
    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis().div_ceil(100) {
            self.now = self.now.after(Duration::from_millis(100));
            for room in self.site.rooms() {
                let changes = room.tick(self.now);
                room.commit(&changes);
            }
            for origin in self.site.origins() {
                origin.ladder(self.now, |_| ());
            }
        }
    }

    fn ask(&mut self, ask: Ask<'_>) -> (super::passage::Passage, Outcome) {
        self.next += 1;
        let cookie = ask.cookie.unwrap_or_default();
        let fields =
            [Field { name: "Accept", value: b"application/json" }, Field { name: "Cookie", value: cookie.as_bytes() }];
        let view = View {
            method: ask.method,
            version: Version::Http11,
            scheme: Scheme::Http,
            host: "shop.example",
            path: ask.path,
            raw_path: ask.path,
            query: None,
            fields: fields.get(..if cookie.is_empty() { 1 } else { 2 }).unwrap(),
            client: ask.client.into(),
            trusted: false,
            body: ask.body,
        };
        decide(&self.site, &view, RequestId::new(self.next), self.now)
    }

    fn reason(&mut self, ask: Ask<'_>) -> Option<Reason> {
        match self.ask(ask).1 {
            Outcome::Answer(answer) => Some(answer.reason),
            Outcome::File(_) => Some(Reason::File),
            Outcome::Origin => None,
        }
    }

    fn set(&self, level: Level) {
        let set = Override { level, exact: true, until_unix_ms: None, who: "test".into(), why: String::new() };
        self.site.origins()[0].ladder(self.now, |ladder| ladder.set(set, self.now));
    }

    /// Keeps a page as a fill would.
    fn keep(&mut self, path: &str) {
        let (passage, outcome) = self.ask(get(path));
        assert!(matches!(outcome, Outcome::Origin));
        let terms =
            Terms { fresh_for: Duration::from_secs(10), stale_if_error: Duration::from_secs(3600), ..Terms::default() };
        let entry =
            Entry::new(&ResponseParts { status: 200, fields: &[] }, Bytes::from_static(b"page"), terms, self.now);
        self.site.store.insert(passage.copy.key.clone().unwrap(), Arc::new(entry), &[], self.now.mono);
    }
}

/// The cookie that an answer sets, as the browser sends it back.
fn cookie_of(answer: &super::answer::Answer) -> String {
    let set = &answer.fields.iter().find(|(name, _)| *name == "set-cookie").unwrap().1;
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn a_request_over_its_quota_is_told_when_to_come_back() {
    let mut shop = Shop::open();
    assert_eq!(shop.reason(get("/limited")), None);
    assert_eq!(shop.reason(get("/limited")), None);
    let (_, outcome) = shop.ask(get("/limited"));
    let Outcome::Answer(answer) = outcome else { panic!("not limited") };
    assert_eq!((answer.reason, answer.status()), (Reason::RateLimited, 429));
    let field = |name| answer.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
    assert_eq!(field("retry-after").as_deref(), Some("60"));
    assert!(field("ratelimit-policy").unwrap().contains("q=2"), "{:?}", field("ratelimit-policy"));
    assert!(field("ratelimit").unwrap().contains("r=0"));
    assert_eq!(shop.reason(Ask { client: [192, 0, 2, 2], ..get("/limited") }), None);
    shop.pass(Duration::from_secs(61));
    assert_eq!(shop.reason(get("/limited")), None);
}

#[test]
fn a_body_that_is_too_large_is_refused_by_its_length() {
    let mut shop = Shop::open();
    let post = |n| Ask { method: "POST", body: BodyKind::Length(n), ..get("/limited") };
    assert_eq!(shop.reason(post(1025)), Some(Reason::BodyTooLarge));
    assert_eq!(shop.reason(post(1024)), None);
}

#[test]
fn what_the_room_answers_does_not_count_against_a_quota() {
    let mut shop = Shop::open();
    assert_eq!(shop.reason(get("/checkout")), None, "the first finds the room empty");
    for _ in 0..10 {
        assert_eq!(shop.reason(get("/checkout")), Some(Reason::Queued));
    }
}

#[test]
fn a_visitor_waits_comes_in_and_makes_room_for_the_next() {
    let mut shop = Shop::open();
    let (first, outcome) = shop.ask(get("/checkout"));
    assert!(matches!(outcome, Outcome::Origin));
    let Outcome::Answer(queued) = shop.ask(Ask { client: [192, 0, 2, 2], ..get("/checkout") }).1 else { panic!() };
    let stub = cookie_of(&queued);
    let again = |cookie: &String| Ask { client: [192, 0, 2, 2], cookie: Some(cookie.clone()), ..get("/checkout") };
    let Outcome::Answer(queued) = shop.ask(again(&stub)).1 else { panic!() };
    let ticket = cookie_of(&queued);
    assert!(ticket.len() > stub.len(), "the second touch draws the number");
    shop.pass(Duration::from_secs(11));
    assert_eq!(shop.reason(again(&ticket)), Some(Reason::Queued), "the first one's request is still on its way");
    drop(first);
    // Drop reads the real clock, which is far behind the simulated one: idle since long ago.
    shop.pass(Duration::from_secs(1));
    let (second, outcome) = shop.ask(again(&ticket));
    assert!(matches!(outcome, Outcome::Origin), "its turn has come");
    assert!(second.cookies[0].starts_with("seawall_launch="));
    assert_eq!(shop.reason(get("/checkout")), Some(Reason::Queued));
}

#[test]
fn at_static_the_room_holds_everyone_and_polls_say_so() {
    let mut shop = Shop::open();
    shop.set(Level::Static);
    assert_eq!(shop.reason(get("/checkout")), Some(Reason::RoomHeld));
    let (_, outcome) = shop.ask(get("/.seawall/room/launch"));
    let Outcome::Answer(answer) = outcome else { panic!() };
    let Content::Made { status: 200, body, .. } = answer.content else { panic!() };
    assert!(body.starts_with(b"{\"room\":\"launch\",\"state\":\"paused\""), "{body:?}");
}

#[test]
fn a_fresh_copy_answers_and_a_stale_one_only_where_the_mode_says_so() {
    let mut shop = Shop::open();
    shop.keep("/news");
    assert_eq!(shop.reason(get("/news")), Some(Reason::Hit));
    assert_eq!(shop.reason(Ask { method: "POST", ..get("/news") }), None, "a write is never answered from a copy");
    let session = Some("sid=1".to_owned());
    assert_eq!(shop.reason(Ask { cookie: session.clone(), ..get("/news") }), None, "a personal visitor goes on");
    shop.pass(Duration::from_secs(11));
    assert_eq!(shop.reason(get("/news")), None);
    shop.set(Level::Elevated);
    assert_eq!(shop.reason(get("/news")), Some(Reason::Stale));
    assert_eq!(shop.reason(Ask { cookie: session, ..get("/news") }), Some(Reason::Stale));
    assert_eq!(shop.reason(get("/other")), None, "without a copy, on to the origin");
    shop.set(Level::Degraded);
    assert_eq!(shop.reason(get("/news")), Some(Reason::LevelRefused));
}

#[test]
fn an_origin_that_fails_is_covered_by_the_newest_copy() {
    let mut shop = Shop::open();
    shop.keep("/news");
    shop.pass(Duration::from_secs(60));
    let now = shop.now;
    let (mut passage, _) = shop.ask(get("/news"));
    assert!(passage.has_fallback(now));
    assert_eq!(passage.fall_back(Reason::OriginUnreachable, Duration::ZERO, now).reason, Reason::Stale);
    let (mut passage, _) = shop.ask(get("/never-seen"));
    let answer = passage.fall_back(Reason::OriginUnreachable, Duration::from_millis(1), now);
    assert_eq!((answer.reason, answer.status()), (Reason::OriginUnreachable, 502));
    assert!(answer.fields.iter().any(|(name, value)| *name == "retry-after" && value == "1"));
}

#[test]
fn an_origin_out_of_reach_goes_static_by_itself() {
    let mut shop = Shop::open();
    let origin = shop.site.origins()[0].clone();
    origin.observe(Contact::Unreachable, shop.now);
    shop.pass(Duration::from_secs(4));
    assert_eq!(origin.level(), Level::Normal);
    origin.observe(Contact::Unreachable, shop.now);
    shop.pass(Duration::from_secs(2));
    assert_eq!(origin.level(), Level::Static);
}

#[test]
fn one_place_one_in_line_and_the_rest_are_refused() {
    let mut shop = Shop::open();
    let now = shop.now;
    let mut passages: Vec<_> = (0..3).map(|_| shop.ask(get("/limited-not")).0).collect();
    assert!(matches!(passages[0].turn(now), Flow::Continue));
    let Flow::Wait(turn) = passages[1].turn(now) else { panic!("not queued") };
    let Flow::Respond(refused) = passages[2].turn(now) else { panic!("not refused") };
    assert_eq!(refused.reason, Reason::QueueFull);
    let mut turn = by_hand(turn);
    assert!(turn().is_none());
    passages.remove(0);
    assert!(turn().is_some(), "the place goes to the next in line");
}

#[test]
fn a_short_edge_does_not_ask_where_others_are_sent_away() {
    let mut shop = Shop::open();
    shop.keep("/news");
    let now = shop.now;
    let mut held: Vec<_> = (0..3).map(|_| shop.ask(get("/other")).0).collect();
    let turns: Vec<_> = held.iter_mut().map(|passage| passage.turn(now)).collect();
    assert!(matches!(turns.last(), Some(Flow::Respond(refused)) if refused.reason == Reason::QueueFull));
    assert_eq!(shop.reason(get("/other")), None, "an edge at ease asks");
    shop.site.condition.tell(Strain::Short, &Vitals::default());
    assert_eq!(shop.reason(get("/news")), Some(Reason::Hit), "a copy costs no more than a refusal");
    let (_, outcome) = shop.ask(get("/other"));
    let Outcome::Answer(answer) = outcome else { panic!("asked in vain") };
    assert_eq!((answer.reason, answer.status()), (Reason::EdgeBusy, 503));
    assert!(answer.fields.iter().any(|(name, _)| *name == "retry-after"));
    assert_eq!(shop.reason(get("/.seawall/live")), Some(Reason::Own));
    shop.now = now.after(Duration::from_millis(5));
    assert_eq!(shop.reason(get("/other")), None, "now and then someone asks, or nobody would know");
    shop.site.condition.tell(Strain::Tight, &Vitals::default());
    shop.now = now;
    assert_eq!(shop.reason(get("/other")), None);
}

/// Polls a future by hand.
fn by_hand<F: Future + Unpin>(mut future: F) -> impl FnMut() -> Option<F::Output> {
    move || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(&mut future).poll(&mut cx) {
            std::task::Poll::Ready(out) => Some(out),
            std::task::Poll::Pending => None,
        }
    }
}
