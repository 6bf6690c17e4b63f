//! What those try who would rather not wait, over real sockets. What needs none is tried beside the core:
//! `src/waiting_room/tests/attacks.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod support;

use std::io::{Read, Write};

use support::client::{get, post};
use support::origin::ok;
use support::{Answer, Edge, H2, Origin, eventually, origin};

/// A room of one, which someone is in, before all of /checkout and a page of it that is cached.
struct Guarded {
    edge: Edge,
    place: Origin,
    insider: String,
}

fn guarded_by(rules: &str) -> Guarded {
    let place = Origin::start(|request, to| {
        if request.target.starts_with("/checkout/events") {
            let _ = to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
            let mut rest = [0; 16];
            return to.read(&mut rest).is_ok_and(|n| n > 0);
        }
        let fields = match request.target.as_str() {
            "/checkout/done" => "Seawall-Room: revoke\r\n",
            "/checkout/sold" => "Seawall-Room: stock=0\r\n",
            "/checkout/cached" => "Cache-Control: public, max-age=60\r\n",
            _ => "",
        };
        ok(to, fields, "inside")
    });
    let rules = format!(
        "[cache.page]\nttl = \"60s\"\n[waiting_room.drop]\ncapacity = 1\nsession = {{ idle = \"5m\", max = \"10m\" }}\n{rules}\n\
         [[route]]\nname = \"over\"\npath = \"/checkout/over\"\nwaiting_room = \"drop\"\nends_session = \"0s\"\ncache = false\n\
         [[route]]\nname = \"cached\"\npath = \"/checkout/cached\"\nwaiting_room = \"drop\"\ncache = \"page\"\n\
         [[route]]\nname = \"checkout\"\npath = \"/checkout/**\"\nwaiting_room = \"drop\"\ncache = false\n\
         [[route]]\nname = \"free\"\ncache = false\n"
    );
    let edge = Edge::start("trusted_proxies = [\"127.0.0.0/8\"]", &(origin(place.address, 8) + &rules));
    let mut insider = String::new();
    eventually("the room is open", || {
        let answer = edge.get("/checkout", "X-Forwarded-For: 192.0.2.1\r\n");
        insider = answer.cookies();
        answer.status == 200
    });
    assert_eq!(edge.get("/checkout", &format!("Cookie: {insider}\r\n")).status, 200);
    Guarded { edge, place, insider }
}

fn guarded() -> Guarded {
    guarded_by("")
}

impl Guarded {
    fn inside(&self, path: &str) -> Answer {
        self.edge.get(path, &format!("Cookie: {}\r\nAccept: application/json\r\n", self.insider))
    }

    /// One who takes a number: by the second touch.
    fn queued(&self, client: u8) -> String {
        let from = format!("X-Forwarded-For: 192.0.2.{client}\r\nAccept: application/json\r\n");
        let stub = self.edge.get("/checkout", &from).cookies();
        self.edge.get("/checkout", &format!("{from}Cookie: {stub}\r\n")).cookies()
    }

    fn reached(&self) -> usize {
        self.place.count()
    }
}

#[test]
fn no_spelling_of_a_path_leads_around_the_room() {
    let it = guarded();
    let before = it.reached();
    for path in [
        "/checkout",
        "/checkout/",
        "/checkout/x.js",
        "/checkout/%2e/x",
        "/x/../checkout",
        "/%63heckout",
        "//checkout",
        "/./checkout",
        "/checkout;v=1/x",
        "/checkout?x=/free",
        "/CHECKOUT/../checkout",
    ] {
        let answer = it.edge.get(path, "X-Original-URL: /free\r\nX-Rewrite-URL: /free\r\n");
        let refused = matches!(answer.status, 503 | 400);
        let elsewhere = answer.status == 200
            && !it.place.requests().iter().skip(before).any(|r| {
                // What was let through must not be what the origin takes for the guarded page.
                r.target.split(['?', ';']).next().is_some_and(|p| p == "/checkout" || p.starts_with("/checkout/"))
            });
        assert!(refused || elsewhere, "{path}: {answer:?}");
    }
}

#[test]
fn no_method_leads_around_the_room_and_no_body_is_kept_for_later() {
    let it = guarded();
    let before = it.reached();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"] {
        let mut client = it.edge.connect();
        let answer = client.send(format!("{method} /checkout HTTP/1.1\r\nHost: shop\r\n\r\n"));
        let answer = if method == "HEAD" { answer.answer_to_head() } else { answer.answer() };
        assert_eq!(answer.status, 503, "{method}");
    }
    let mut client = it.edge.connect();
    let answer = client.send(post("/checkout", "Accept: application/json\r\n", "card=1")).answer();
    assert_eq!((answer.status, answer.json()["state"].as_str()), (503, Some("queued")));
    assert_eq!(client.get("/free", "").status, 200, "the connection is kept");
    assert_eq!(it.reached(), before + 1, "nothing but the free page");
}

#[test]
fn a_preflight_takes_no_place_and_is_answered_by_the_origin() {
    let it = guarded();
    let head = "OPTIONS /checkout HTTP/1.1\r\nHost: shop\r\nOrigin: https://app.example\r\n\
                Access-Control-Request-Method: POST\r\n\r\n";
    let answer = it.edge.connect().send(head).answer();
    assert_eq!((answer.status, answer.field("set-cookie")), (200, None));
    let ours = head.replace("/checkout", "/.seawall/room/drop");
    let answer = it.edge.connect().send(ours).answer();
    assert_eq!(answer.field("access-control-allow-headers"), Some("Seawall-Ticket"));
}

#[test]
fn what_one_says_to_be_changes_the_form_of_the_answer_alone() {
    let it = guarded();
    let before = it.reached();
    for fields in [
        "Accept: text/html\r\n",
        "Accept: application/json\r\n",
        "Accept: image/webp\r\n",
        "User-Agent: Googlebot/2.1\r\n",
        "X-Requested-With: XMLHttpRequest\r\n",
        "Sec-Purpose: prefetch\r\n",
    ] {
        let answer = it.edge.get("/checkout", fields);
        assert_eq!(answer.status, 503, "{fields}");
        assert!(answer.retry_after() >= 1);
        assert_eq!(answer.field("x-robots-tag"), Some("noindex"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!((answer.field("etag"), answer.field("last-modified")), (None, None));
    }
    assert_eq!(it.reached(), before);
}

#[test]
fn what_the_room_guards_never_leaks_from_a_copy() {
    let it = guarded();
    assert_eq!(it.inside("/checkout/cached").text(), "inside");
    let again = it.inside("/checkout/cached");
    assert!(again.field("cache-status").is_some_and(|s| s.contains("hit")), "{again:?}");
    assert_eq!(it.edge.get("/checkout/cached", "").status, 503);
}

#[test]
fn a_proof_is_ours_alone_and_says_what_the_origin_sees() {
    use hmac::{Hmac, Mac};
    let it = guarded();
    let answer = it.edge.get("/free?a=1&seawall_pass=x", "Seawall-Proof: v1 t=1 id=x mac=forged\r\n");
    assert_eq!(answer.status, 200);
    let seen = it.place.requests().pop().unwrap();
    let proof = seen.field("seawall-proof").unwrap().to_owned();
    assert!(!proof.contains("forged") && seen.fields.iter().filter(|(n, _)| n == "seawall-proof").count() == 1);
    let part = |name: &str| proof.split(' ').find_map(|p| p.strip_prefix(name)).unwrap().to_owned();
    let key = it.edge.cli_offline(&["keys", "seawall.toml"]);
    let key = data_encoding::HEXLOWER.decode(key.trim().as_bytes()).unwrap();
    let mut mac = <Hmac<sha2::Sha256> as Mac>::new_from_slice(&key).unwrap();
    let host = seen.field("host").unwrap();
    mac.update(format!("v1\n{}\n{}\nGET\n{host}\n{}", part("t="), part("id="), seen.target).as_bytes());
    let code = data_encoding::BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
    assert_eq!((code, seen.target.as_str()), (part("mac="), "/free?a=1"));
}

#[test]
fn an_event_stream_is_checked_at_its_beginning_and_ends_with_its_session() {
    let it = guarded();
    assert_eq!(it.edge.get("/checkout/events", "Accept: text/event-stream\r\n").status, 503);
    let mut stream = it.edge.connect();
    stream.send(get("/checkout/events", &format!("Cookie: {}\r\nAccept: text/event-stream\r\n", it.insider)));
    assert_eq!(stream.head().status, 200);
    assert!(it.inside("/checkout/done").status == 200, "the origin revokes the session");
    stream.stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let _ = stream.stream.read_to_end(&mut rest);
    assert_eq!(it.inside("/checkout").status, 503, "and the session is over");
}

#[test]
fn a_silent_event_stream_over_http2_ends_with_its_session_too() {
    let it = guarded();
    let mut h2 = H2::connect(it.edge.tls);
    let cookie = format!("__Host-{}", it.insider);
    let stream = h2.ask(http::Method::GET, "/checkout/events", &[("cookie", &cookie)], &[]);
    eventually("the stream is at the origin", || it.place.count_of("/checkout/events") == 1);
    assert!(it.inside("/checkout/done").status == 200, "the origin revokes the session");
    assert!(stream.try_answer().is_err(), "it has no end of its own: it is cut");
    assert_eq!(h2.get("/free", &[]).status, 200, "the connection is kept");
}

#[test]
fn an_upgrade_is_checked_like_any_request() {
    let it = guarded();
    let answer = it.edge.get("/checkout/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(answer.status, 503);
}

#[test]
fn one_connection_of_many_streams_is_one_client() {
    let it = guarded_by("places_per_client = { ipv4 = 256, ipv6_64 = 4 }");
    let mut h2 = H2::connect(it.edge.tls);
    let mut numbers = 0;
    for _ in 0..20 {
        let stub = h2.get("/checkout", &[("accept", "application/json")]);
        let cookie = stub.cookies();
        let answer = h2.get("/checkout", &[("accept", "application/json"), ("cookie", &cookie)]);
        assert_eq!(answer.status, 503);
        numbers += usize::from(answer.json()["state"] == "queued");
    }
    assert_eq!(numbers, 4, "as many as its network may hold");
}

#[test]
fn a_page_never_leads_to_another_site() {
    let it = guarded();
    for path in ["/checkout//evil.example/x", "/checkout/?next=//evil.example", "//evil.example/../checkout"] {
        let page = it.edge.get(path, "Accept: text/html\r\n");
        let text = page.text();
        assert!(page.status != 302 && page.field("location").is_none() && page.field("refresh").is_none());
        assert!(!text.contains("href=\"//") && !text.contains("href=\"http") && !text.contains("url=//"), "{path}");
    }
}

#[test]
fn the_origin_ends_sessions_and_sales_and_nobody_hears_its_words() {
    let it = guarded();
    let waiting = it.queued(7);
    let poll = |cookie: &str| {
        let fields = format!("X-Forwarded-For: 192.0.2.7\r\nCookie: {cookie}\r\n");
        it.edge.get("/.seawall/room/drop", &fields)
    };
    assert_eq!(poll(&waiting).json()["state"], "queued");
    let sold = it.inside("/checkout/sold");
    assert_eq!((sold.status, sold.field("seawall-room")), (200, None));
    eventually("those who wait are told", || poll(&waiting).json()["state"] == "sold_out");
    assert_eq!(it.edge.get("/checkout", "Accept: application/json\r\n").json()["state"], "sold_out");
    assert_eq!(it.inside("/checkout").status, 200, "who is inside finishes");
    assert_eq!(it.inside("/checkout/over").status, 200);
    assert_eq!(it.inside("/checkout").status, 503, "the route has ended the session");
}

#[test]
fn what_the_policy_does_not_believe_is_not_heard() {
    let it = guarded_by("commands = []");
    for path in ["/checkout/sold", "/checkout/done"] {
        assert_eq!((it.inside(path).status, it.inside(path).field("seawall-room")), (200, None));
    }
    assert_eq!(it.inside("/checkout").status, 200);
}

#[test]
fn an_app_carries_its_ticket_in_a_field_of_its_own() {
    let it = guarded();
    let ask = |ticket: &str| {
        let fields = format!("X-Forwarded-For: 192.0.2.9\r\nAccept: application/json\r\nSeawall-Ticket: {ticket}\r\n");
        it.edge.get("/checkout", &fields)
    };
    let stub = ask("none");
    let stub = stub.field("seawall-ticket").unwrap().to_owned();
    let queued = ask(&stub);
    assert_eq!(queued.json()["position"], 1);
    assert_eq!(queued.field("access-control-allow-origin"), Some("*"));
    assert!(queued.field("access-control-allow-credentials").is_none());
    let ticket = queued.field("seawall-ticket").unwrap().to_owned();
    it.inside("/checkout/over");
    eventually("its turn comes", || ask(&ticket).status == 200);
    assert!(it.place.requests().iter().all(|r| r.field("seawall-ticket").is_none()), "the origin sees no ticket");
}

#[test]
fn a_visitor_comes_back_from_a_payment_page_of_another_site() {
    let it = guarded();
    let mut h2 = H2::connect(it.edge.tls);
    let cookie = h2.get("/checkout", &[("accept", "application/json")]);
    let set = cookie.field("set-cookie").unwrap();
    // A cross-site POST brings no Lax cookie; this one it brings.
    assert!(set.starts_with("__Host-seawall_drop=") && set.ends_with("SameSite=None; Secure"), "{set}");
    let back = it
        .edge
        .connect()
        .send(post("/checkout/paid", &format!("Cookie: {}\r\nOrigin: https://pay.example\r\n", it.insider), "ok=1"))
        .answer();
    assert_eq!(back.status, 200);
}

#[test]
fn the_frontier_is_the_same_for_everyone_and_may_be_kept() {
    let it = guarded();
    it.queued(3);
    let answer = it.edge.get("/.seawall/room/drop/frontier.json", "");
    assert_eq!((answer.status, answer.field("cache-control")), (200, Some("public, max-age=1")));
    assert_eq!(answer.field("set-cookie"), None);
    let told = answer.json();
    assert_eq!((&told["room"], &told["state"], &told["waiting"]), (&"drop".into(), &"open".into(), &1.into()));
}

#[test]
fn an_invitation_opens_its_lane_and_the_origin_never_sees_it() {
    let it = guarded_by("[waiting_room.drop.lanes.fans]\nweight = 4\ninvitations = \"fans.keys\"\nuses = 1\n");
    let link =
        it.edge.cli_offline(&["room", "invite", "seawall.toml", "drop", "fans", "--for", "1h", "--url", "/checkout"]);
    let link = link.trim();
    let from = |client: u8| format!("X-Forwarded-For: 192.0.2.{client}\r\nAccept: application/json\r\n");
    let enter = |client: u8| {
        let stub = it.edge.get(link, &from(client)).cookies();
        it.edge.get("/.seawall/room/drop", &format!("{}Cookie: {stub}\r\n", from(client))).json()
    };
    let reference = |told: serde_json::Value| told["reference"].as_str().unwrap_or_default().to_owned();
    assert!(reference(enter(4)).starts_with('C'), "the first lane by invitation");
    assert!(reference(enter(5)).starts_with('A'), "used once, by one");
    it.edge.get(link, &format!("Cookie: {}\r\n", it.insider));
    assert!(it.place.requests().iter().all(|r| !r.target.contains("seawall_invite")));
}

#[test]
fn those_who_are_let_by_take_no_place_and_a_dry_run_holds_nobody() {
    let rules = "bypass = [\"staff\"]\n[clients.staff]\nnetworks = [\"192.0.2.200/32\"]";
    let it = guarded_by(rules);
    let staff = it.edge.get("/checkout", "X-Forwarded-For: 192.0.2.200\r\n");
    assert_eq!((staff.status, staff.field("set-cookie")), (200, None));
    let it = guarded_by("dry_run = true");
    let other = it.edge.get("/checkout", "X-Forwarded-For: 192.0.2.8\r\n");
    assert_eq!((other.status, other.text().as_str()), (200, "inside"));
    assert!(other.field("set-cookie").is_some(), "it counts as it would");
}

#[test]
fn before_it_opens_all_are_told_when() {
    let it = guarded_by("");
    drop(it);
    let place = Origin::plain();
    let rules = "[waiting_room.drop]\ncapacity = 1\nopens = 2099-01-01T00:00:00Z\noutside = \"closed\"\n\
                 [[route]]\nwaiting_room = \"drop\"\ncache = false\n";
    let edge = Edge::start("", &(origin(place.address, 8) + rules));
    let told = edge.get("/", "Accept: application/json\r\n");
    assert_eq!((told.status, told.json()["state"].as_str()), (503, Some("before")));
    assert!(told.json()["opens_in_seconds"].as_u64().unwrap() > 1_000_000 && told.retry_after() <= 300);
    assert_eq!(place.count(), 0);
}
