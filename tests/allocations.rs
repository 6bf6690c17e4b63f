//! What a decision of the core allocates: nothing, once the tables have grown to the crowd.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seawall::cache::entry::Entry;
use seawall::cache::freshness::{ResponseParts, Terms};
use seawall::cache::key;
use seawall::cache::vary::{self, Selecting};
use seawall::clock::{Clock, Mono, Now};
use seawall::keys::Keys;
use seawall::pipeline::answer::RequestId;
use seawall::pipeline::reason::Reason;
use seawall::pipeline::site::{Parts, Site};
use seawall::pipeline::view::{BodyKind, Field, Scheme, Version, View};
use seawall::pipeline::{Flow, Outcome, decide};
use seawall::policy::file;
use seawall::telemetry::Telemetry;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system's; only a number beside it changes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLICY: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[clients.staff]
networks = ["192.0.2.0/24", "2001:db8::/32"]
passes = "staff.keys"
[priority]
cookie = "rank"
from = ["staff", "trusted_proxies"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 100 }
[rate_limit.visitors]
key = "visitor"
quota = "1000/s"
[rate_limit.searches]
key = ["client_net", "header:x-app", "cookie:id", "query:q", "path", "host"]
quota = "1000/s"
plan = "clients"
plans.staff = "5000/s"
[rate_limit.planned]
key = "client_ip"
quota = "1/h"
dry_run = true
[[route]]
path = "/admin/**"
clients = "staff"
[[route]]
path = "/search/**"
clients = "staff"
rate_limit = ["visitors", "searches", "planned"]
cost = 1
[[route]]
"#;

fn site(policy: &str) -> Arc<Site> {
    let policy = file::parse(policy, Path::new(".")).policy.unwrap();
    let telemetry = Arc::new(Telemetry::new(None));
    let passes = policy.clients.iter().map(|_| Some(Keys::from_bytes(1, &[7; 32]))).collect();
    let parts = Parts {
        clock: Clock::start(),
        telemetry,
        snapshot: None,
        rooms: Vec::new(),
        passes,
        keys: Arc::new(Keys::from_bytes(1, &[7; 32])),
        seed: 7,
    };
    Arc::new(Site::bind(policy, None, parts))
}

#[test]
fn routes_groups_classes_and_limits_are_decided_without_an_allocation() {
    let site = site(POLICY);
    let field = |name, value: &'static str| Field { name, value: value.as_bytes() };
    let fields = [
        field("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        field("X-App", "ios"),
        field(
            "Cookie",
            "a=1; id=7; rank=critical; seawall_pass_staff=rubbishrubbishrubbishrubbishrubbishrubbishrubbishrubbish",
        ),
        field("Seawall-Priority", "critical"),
    ];
    let view = View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/search/x",
        raw_path: "/search/x",
        query: Some("q=a+b&seawall_pass=rubbish"),
        fields: &fields,
        client: [192, 0, 2, 1].into(),
        trusted: false,
        body: BodyKind::None,
    };
    let mut allocated = Vec::with_capacity(8);
    for at in 1..=4 {
        let now = Now { mono: Mono::from_nanos(at * 1_000_000_000), unix_ms: 1_795_000_000_000 };
        let before = ALLOCATED.get();
        let (mut passage, outcome) = decide(&site, &view, RequestId::new(at), now);
        assert!(matches!(outcome, Outcome::Origin));
        assert_eq!(passage.would_refuse.is_some(), at > 1);
        passage.finish_with(&view, Reason::Pass, 200, 0, now.mono);
        drop(passage);
        allocated.push(ALLOCATED.get() - before);
    }
    // The first request's keys are new: the tables grow.
    assert!(matches!(allocated.as_slice(), [_, 0, 0, 0]), "{allocated:?}");
}

#[test]
fn a_fresh_hit_is_decided_without_allocating() {
    let site = site(
        "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9']\n[cache.page]\nttl = '1s'\n\
         [[route]]\ncache = 'page'\n",
    );
    let field = |name, value: &'static str| Field { name, value: value.as_bytes() };
    let fields = [
        field("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        field("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        field("Accept-Language", "de-AT,de;q=0.8,en;q=0.5"),
        field("Accept-Encoding", "gzip, deflate, br, zstd"),
        field("Cookie", "_ga=GA1.1.123; _fbp=fb.1.2"),
    ];
    let view = View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/page",
        raw_path: "/page",
        query: Some("id=7"),
        fields: &fields,
        client: [192, 0, 2, 1].into(),
        trusted: false,
        body: BodyKind::None,
    };
    let now = Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_795_000_000_000 };
    for vary in ["", "Accept-Encoding, Accept-Language"] {
        let response = [field("Vary", vary), field("ETag", "\"a\"")];
        let parts = ResponseParts { status: 200, fields: &response };
        let terms = Terms { fresh_for: Duration::from_secs(60), ..Terms::default() };
        let selecting = Selecting::of(&vary::names(&parts).unwrap(), &fields);
        let entry = Entry::new(&parts, "page".into(), terms, now).for_requests(selecting);
        let mut key = Vec::new();
        key::write(&mut key, &view, &site.policy.caches[0], &site.policy.origins[0].name);
        site.store.insert(key.into(), Arc::new(entry), &fields, now.mono);
        let allocated = (0..3).map(|_| {
            let before = ALLOCATED.get();
            let (mut passage, outcome) = decide(&site, &view, RequestId::new(1), now);
            assert!(matches!(&outcome, Outcome::Answer(answer) if answer.reason == Reason::Hit));
            passage.finish_with(&view, Reason::Hit, 200, 4, now.mono);
            drop((passage, outcome));
            ALLOCATED.get() - before
        });
        // The first look into the store may grow its own buffers.
        let allocated: Vec<_> = allocated.collect();
        assert!(matches!(allocated.as_slice(), [_, 0, 0]), "{vary:?}: {allocated:?}");
    }
}

/// One place, and a line or none.
fn narrow(queue: u32) -> Arc<Site> {
    site(&format!(
        "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9']\n\
         [origin.shop.concurrency]\nmode = 'fixed'\nlimit = 1\nqueue = {queue}\n[[route]]\ncache = false\n"
    ))
}

/// Allocations of a few requests while the only place is taken.
fn while_full(site: &Arc<Site>) -> Vec<usize> {
    let view = View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/",
        raw_path: "/",
        query: None,
        fields: &[],
        client: [192, 0, 2, 1].into(),
        trusted: false,
        body: BodyKind::None,
    };
    let now = |at| Now { mono: Mono::from_nanos(at * 1_000_000), unix_ms: 1_795_000_000_000 };
    let (mut holds, _) = decide(site, &view, RequestId::new(0), now(1));
    assert!(matches!(holds.turn(now(1)), Flow::Continue));
    (2..=6)
        .map(|at| {
            let before = ALLOCATED.get();
            let (mut passage, _) = decide(site, &view, RequestId::new(at), now(at));
            let flow = passage.turn(now(at));
            assert!(!matches!(flow, Flow::Continue));
            drop((passage, flow));
            ALLOCATED.get() - before
        })
        .collect()
}

#[test]
fn who_waits_or_is_refused_costs_no_allocation() {
    // The first opens the line.
    assert!(matches!(while_full(&narrow(8)).as_slice(), [_, 0, 0, 0, 0]));
    assert_eq!(while_full(&narrow(0)), [0; 5]);
}

/// A poll is answered from what the room shows, without its lock.
#[test]
fn a_poll_of_one_who_waits_allocates_nothing() {
    use seawall::waiting_room::{Presented, Room, Visit};
    let policy = "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9']\n\
                  [waiting_room.launch]\ncapacity = 1\nadmit = '1/h'\n";
    let rules = file::parse(policy, Path::new(".")).policy.unwrap().waiting_rooms.remove(0);
    let mut now = Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_795_000_000_000 };
    let mut room = Room::new(rules, [7; 32], now);
    let changes = room.tick(now);
    room.commit(&changes);
    let Visit::Stub { stub, .. } = room.poll(Presented::default(), now) else { panic!("a stub") };
    let second = Presented { stub: Some(stub), ..Presented::default() };
    let Visit::Queued { mut ticket, .. } = room.poll(second, now) else { panic!("a number") };
    let face = room.face().clone();
    let before = ALLOCATED.get();
    for _ in 0..1000 {
        now = now.after(Duration::from_millis(10));
        let Some(Visit::Queued { ticket: next, .. }) = face.poll(ticket, Default::default(), now) else { panic!() };
        ticket = next;
    }
    assert_eq!(ALLOCATED.get() - before, 0);
}
