//! The waiting room: never more inside than it holds, and nobody's place is lost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod support;

use support::client::post;
use support::{Answer, Edge, H2, Origin, eventually, origin};

fn room(place: &Origin, idle: &str) -> Edge {
    let rooms = format!(
        "[waiting_room.drop]\ncapacity = 2\nclaim = \"30s\"\nsession = {{ idle = \"{idle}\", max = \"10m\" }}\n\
         [waiting_room.other]\ncapacity = 5\n\
         [[route]]\nname = \"other\"\npath = \"/other/**\"\nwaiting_room = \"other\"\ncache = false\n\
         [[route]]\nname = \"drop\"\nwaiting_room = \"drop\"\ncache = false\n"
    );
    Edge::start("", &(origin(place.address, 8) + &rooms))
}

/// One who keeps cookies, as a browser does.
#[derive(Default, Clone)]
struct Visitor(String);

impl Visitor {
    fn ask(&mut self, edge: &Edge, path: &str, accept: &str) -> Answer {
        let answer = edge.get(path, &format!("Accept: {accept}\r\nCookie: {}\r\n", self.0));
        if answer.field("set-cookie").is_some() {
            self.0 = answer.cookies();
        }
        answer
    }

    fn status(&mut self, edge: &Edge) -> u16 {
        self.ask(edge, "/", "application/json").status
    }

    fn poll(&mut self, edge: &Edge) -> serde_json::Value {
        let answer = self.ask(edge, "/.seawall/room/drop", "application/json");
        assert_eq!((answer.status, answer.field("cache-control")), (200, Some("no-store")));
        answer.json()
    }

    fn state(&mut self, edge: &Edge) -> String {
        self.poll(edge)["state"].as_str().unwrap().to_owned()
    }
}

/// Visitors who are inside.
fn inside(edge: &Edge, count: usize) -> Vec<Visitor> {
    let mut visitors = vec![Visitor::default(); count];
    for visitor in &mut visitors {
        eventually("a free room lets its visitor in", || visitor.status(edge) == 200);
    }
    visitors
}

fn queued(edge: &Edge) -> Visitor {
    let mut visitor = Visitor::default();
    // The first touch brings a cookie, and the second, which bears it, a number.
    let stub = visitor.ask(edge, "/", "application/json");
    assert_eq!((stub.status, stub.json().get("position")), (503, None), "{stub:?}");
    let answer = visitor.ask(edge, "/", "application/json");
    assert_eq!((answer.status, answer.json()["state"].as_str()), (503, Some("queued")), "{answer:?}");
    assert!(answer.json()["position"].is_u64(), "{answer:?}");
    visitor
}

#[test]
fn the_third_visitor_gets_the_page_or_the_json_and_a_place() {
    let place = Origin::plain();
    let edge = room(&place, "10m");
    let mut in_already = inside(&edge, 2);
    let mut third = Visitor::default();
    let page = third.ask(&edge, "/cart", "text/html");
    assert_eq!((page.status, page.field("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!((page.field("cache-control"), page.retry_after() > 0), (Some("no-store"), true));
    assert!(page.text().contains("<html") && page.text().contains("http-equiv=\"refresh\""), "{}", page.text());
    let json = third.ask(&edge, "/cart", "application/json");
    assert_eq!((json.status, json.field("content-type")), (503, Some("application/json")));
    let told = json.json();
    assert_eq!((&told["room"], &told["state"], &told["position"]), (&"drop".into(), &"queued".into(), &1.into()));
    assert!(told["poll_after_seconds"].as_u64().unwrap() >= 1);
    assert_eq!(third.poll(&edge)["position"], 1);
    assert_eq!(queued(&edge).poll(&edge)["position"], 2);

    let write = edge.get("/", "").status;
    assert_eq!(write, 503);
    let answer =
        edge.connect().send(post("/", &format!("Accept: application/json\r\nCookie: {}\r\n", third.0), "a=1")).answer();
    assert_eq!((answer.status, answer.json()["state"].as_str()), (503, Some("queued")));
    assert_eq!(H2::connect(edge.tls).get("/", &[("accept", "application/json")]).json()["state"], "queued");
    for visitor in &mut in_already {
        assert_eq!(visitor.status(&edge), 200);
    }
    let seen = place.requests();
    assert!(
        seen.iter().all(|r| !r.field("cookie").unwrap_or_default().contains("seawall")),
        "the origin sees no ticket"
    );
}

#[test]
fn a_place_that_is_left_goes_to_the_next_in_line() {
    let place = Origin::plain();
    let edge = room(&place, "2s");
    let mut stays = inside(&edge, 2).remove(0);
    let mut first = queued(&edge);
    let mut second = queued(&edge);
    eventually("the first in line is let in when one has left", || {
        assert_eq!(stays.status(&edge), 200);
        second.poll(&edge);
        first.state(&edge) == "admitted"
    });
    assert_eq!(first.status(&edge), 200);
    assert_eq!(second.poll(&edge)["position"], 1);
}

fn keeps_places_over(signal: i32) {
    let place = Origin::plain();
    let edge = room(&place, "10m");
    let mut in_already = inside(&edge, 2);
    let mut line: Vec<_> = (0..5).map(|_| queued(&edge)).collect();
    let before: Vec<_> = line.iter_mut().map(|v| v.poll(&edge)["position"].as_u64().unwrap()).collect();
    assert_eq!(before, [1, 2, 3, 4, 5]);

    let edge = edge.restart(signal);
    assert_eq!(queued(&edge).state(&edge), "queued");
    for (visitor, position) in line.iter_mut().zip(before) {
        let told = visitor.poll(&edge);
        assert_eq!((&told["state"], told["position"].as_u64()), (&"queued".into(), Some(position)));
    }
    for visitor in &mut in_already {
        assert_eq!(visitor.status(&edge), 200, "whoever was inside still is");
    }
    assert!(line.iter_mut().all(|v| v.status(&edge) == 503));
    let status = edge.status();
    let room = &status["waiting_rooms"][0];
    assert!(room["inside"].as_u64().unwrap() + room["reserved"].as_u64().unwrap() <= 2, "{room}");
}

#[test]
fn a_crash_keeps_every_place_and_lets_no_one_too_many_in() {
    keeps_places_over(libc::SIGKILL);
}

#[test]
fn a_clean_restart_keeps_every_place() {
    keeps_places_over(libc::SIGTERM);
}

#[test]
fn a_crash_right_after_an_admission_does_not_give_its_slot_twice() {
    let place = Origin::plain();
    let mut edge = room(&place, "10m");
    let mut admitted = Vec::new();
    for _ in 0..3 {
        for _ in 0..4 {
            let mut visitor = Visitor::default();
            if visitor.status(&edge) == 200 {
                admitted.push(visitor);
            }
        }
        edge = edge.restart(libc::SIGKILL);
        let now = admitted.iter_mut().map(|v| v.status(&edge)).filter(|s| *s == 200).count();
        assert!(admitted.len() <= 2 && now == admitted.len(), "{now} of {} are inside", admitted.len());
    }
}

#[test]
fn forged_and_foreign_cookies_are_worth_nothing() {
    let place = Origin::plain();
    let edge = room(&place, "10m");
    let mut elsewhere = Visitor::default();
    eventually("the other room lets in", || elsewhere.ask(&edge, "/other/", "application/json").status == 200);
    let insiders = inside(&edge, 2);
    let session = insiders[0].0.split_once('=').unwrap().1.to_owned();
    let foreign = elsewhere.0.split_once('=').unwrap().1.to_owned();
    let at = session.len() / 2;
    let flipped = if session.as_bytes()[at] == b'A' { "B" } else { "A" };
    let forged = [
        format!("{}{flipped}{}", &session[..at], &session[at + 1..]),
        session[..session.len() - 1].to_owned(),
        format!("{session}A"),
        foreign,
        session.to_ascii_uppercase(),
    ];
    for value in forged {
        let mut forger = Visitor(format!("seawall_drop={value}"));
        assert_eq!(forger.status(&edge), 503, "{value} is no session");
    }
    assert_eq!(Visitor(format!("seawall_other={session}")).status(&edge), 503);
    assert_eq!(insiders[0].clone().status(&edge), 200);
}
