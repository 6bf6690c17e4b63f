//! An operator's word on the waiting rooms: by the command line, over reload, crash and restart.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that fails should say where, and reads the clock"
)]

mod support;

use std::process::{Command, Output};

use seawall::clock::Clock;
use serde_json::{Value, json};
use support::client::post;
use support::origin::ok;
use support::{Answer, Client, Edge, Origin, SEAWALL, eventually, origin, write_policy};

fn edge(place: &Origin) -> Edge {
    let rooms = "[waiting_room.drop]\ncapacity = 2\nclaim = \"30s\"\nsession = { idle = \"10m\", max = \"10m\" }\n\
         lanes.fans = { weight = 2, invitations = \"fans.keys\" }\n\
         [waiting_room.other]\ncapacity = 5\n\
         [[route]]\nname = \"other\"\npath = \"/other/**\"\nwaiting_room = \"other\"\ncache = false\n\
         [[route]]\nname = \"drop\"\nwaiting_room = \"drop\"\ncache = false\n";
    Edge::start("", &(origin(place.address, 8) + rooms))
}

/// One who keeps cookies, as a browser does.
#[derive(Default, Clone)]
struct Visitor(String);

impl Visitor {
    fn ask(&mut self, edge: &Edge, path: &str, fields: &str) -> Answer {
        let answer = edge.get(path, &format!("{fields}Cookie: {}\r\n", self.0));
        if answer.field("set-cookie").is_some() {
            self.0 = answer.cookies();
        }
        answer
    }

    fn status(&mut self, edge: &Edge) -> u16 {
        self.ask(edge, "/", "Accept: application/json\r\n").status
    }

    fn poll(&mut self, edge: &Edge) -> Value {
        self.ask(edge, "/.seawall/room/drop", "").json()
    }
}

fn inside(edge: &Edge, count: usize) -> Vec<Visitor> {
    let mut visitors = vec![Visitor::default(); count];
    for visitor in &mut visitors {
        eventually("a free room lets its visitor in", || visitor.status(edge) == 200);
    }
    visitors
}

/// In line, with a number.
fn queued(edge: &Edge) -> Visitor {
    let mut visitor = Visitor::default();
    assert_eq!(visitor.status(edge), 503);
    eventually("a place in line", || visitor.poll(edge)["position"].is_u64());
    visitor
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `seawall room …`, which must go well.
#[track_caller]
fn room(edge: &Edge, args: &[&str]) -> String {
    let done = edge.cli(&[&["room"], args].concat());
    assert!(done.status.success(), "{args:?}: {}", told(&done));
    told(&done)
}

/// The same, which must go wrong; its exit code and what it says.
#[track_caller]
fn refused(edge: &Edge, args: &[&str]) -> (i32, String) {
    let done = edge.cli(&[&["room"], args].concat());
    assert!(!done.status.success(), "{args:?}: {}", told(&done));
    (done.status.code().unwrap(), told(&done))
}

fn shown(edge: &Edge) -> Value {
    edge.ask_admin("/api/v1/rooms/drop").json()
}

#[track_caller]
fn order(edge: &Edge, body: &Value) -> Answer {
    let body = body.to_string();
    Client::connect(edge.admin).send(post("/api/v1/rooms/drop", "Content-Type: application/json\r\n", &body)).answer()
}

#[test]
fn a_capacity_set_for_a_time_ends_by_itself() {
    let place = Origin::plain();
    let edge = edge(&place);
    inside(&edge, 2);
    let mut third = queued(&edge);
    let said = room(&edge, &["set", "drop", "--capacity", "3", "--for", "4s", "--why", "a drill", "--yes"]);
    assert!(said.contains("capacity 3") && said.contains("the tail waits"), "{said}");
    assert_eq!((&shown(&edge)["capacity"], &shown(&edge)["policy"]["capacity"]), (&3.into(), &2.into()));
    eventually("there is a place for a third", || third.status(&edge) == 200);
    eventually("it is over", || shown(&edge)["capacity"] == 2);
    assert!(shown(&edge)["orders"].as_array().unwrap().is_empty());
    eventually("it is logged", || edge.log().contains("an order is no more"));
    assert_eq!(third.status(&edge), 200, "nobody is sent out by it");
}

#[test]
fn what_is_set_outlives_reload_crash_and_restart() {
    let place = Origin::plain();
    let edge = edge(&place);
    let set = ["set", "drop", "--admit", "240/min", "--capacity", "7", "--for", "1h", "--why", "a drill"];
    room(&edge, &[&set[..], &["--who", "ops", "--yes"]].concat());
    let in_force = |edge: &Edge| {
        let shown = shown(edge);
        (shown["admit"].clone(), shown["capacity"].clone(), shown["orders"].as_array().unwrap().len())
    };
    let wanted = (Value::from("240/min"), Value::from(7), 2);
    assert_eq!(in_force(&edge), wanted);

    edge.signal(libc::SIGHUP);
    eventually("it is reloaded", || edge.log().contains("policy reloaded"));
    assert_eq!(in_force(&edge), wanted);
    let edge = edge.restart(libc::SIGKILL);
    assert_eq!(in_force(&edge), wanted);
    assert!(edge.log().contains("a change from before is in force"), "{}", edge.log());
    let edge = edge.restart(libc::SIGTERM);
    assert_eq!(in_force(&edge), wanted);
    let status = told(&edge.cli(&["status"]));
    assert!(status.contains("capacity 7 by ops until") && status.contains("a drill"), "{status}");

    room(&edge, &["set", "drop", "--admit", "policy", "--capacity", "policy", "--yes"]);
    assert_eq!(in_force(&edge), ("none".into(), 2.into(), 0));
    let edge = edge.restart(libc::SIGKILL);
    assert_eq!(in_force(&edge), ("none".into(), 2.into(), 0));
}

#[test]
fn a_reload_changes_what_is_not_ordered() {
    let place = Origin::plain();
    let edge = edge(&place);
    room(&edge, &["set", "drop", "--admit", "60/min", "--for", "1h", "--why", "a drill", "--yes"]);
    let policy = std::fs::read_to_string(edge.dir().join("seawall.toml")).unwrap();
    write_policy(edge.dir(), &policy.replace("capacity = 2\n", "capacity = 4\nadmit = \"30/min\"\n"));
    edge.signal(libc::SIGHUP);
    eventually("the capacity is the new one", || shown(&edge)["capacity"] == 4);
    assert_eq!((&shown(&edge)["admit"], &shown(&edge)["policy"]["admit"]), (&"60/min".into(), &"30/min".into()));
}

#[test]
fn a_pause_lets_nobody_in_and_sends_nobody_out() {
    let place = Origin::plain();
    let mut edge = edge(&place);
    let mut guests = inside(&edge, 1);
    // So that after a crash more is free than the slot that may be somebody's.
    room(&edge, &["set", "drop", "--capacity", "9", "--for", "1h", "--why", "a drill", "--yes"]);
    room(&edge, &["pause", "drop", "--why", "the database"]);
    let mut waits = queued(&edge);
    for restarted in [false, true] {
        if restarted {
            edge = edge.restart(libc::SIGKILL);
        }
        eventually("everyone knows", || waits.poll(&edge)["state"] == "paused");
        eventually("the status says why", || shown(&edge)["limited_by"] == "pause");
        assert_eq!(guests[0].status(&edge), 200);
        assert_eq!(waits.status(&edge), 503);
    }
    room(&edge, &["resume", "drop"]);
    eventually("the line moves again", || waits.status(&edge) == 200);
}

#[test]
fn an_order_holds_from_the_first_moment_after_a_crash() {
    let place = Origin::plain();
    let edge = edge(&place);
    room(&edge, &["set", "drop", "--capacity", "1", "--for", "1h", "--why", "a drill", "--yes"]);
    inside(&edge, 1);
    let mut waits = queued(&edge);
    // Long enough for the number to be on disk: one that is not is not served at first anyway.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let edge = edge.restart(libc::SIGKILL);
    for _ in 0..20 {
        assert_eq!(waits.poll(&edge)["state"], "queued", "the policy has two places, the order one");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_closed_room_says_so_until_it_is_opened() {
    let place = Origin::plain();
    let edge = edge(&place);
    room(&edge, &["close", "drop", "--why", "sold"]);
    let mut late = Visitor::default();
    eventually("it is closed", || {
        late.status(&edge);
        late.poll(&edge)["state"] == "closed"
    });
    let edge = edge.restart(libc::SIGKILL);
    assert_eq!(late.poll(&edge)["state"], "closed");
    room(&edge, &["open", "drop"]);
    eventually("it lets in again", || late.status(&edge) == 200);
}

#[test]
fn a_message_is_told_to_those_who_wait_in_their_language() {
    let place = Origin::plain();
    let edge = edge(&place);
    inside(&edge, 2);
    let mut waits = queued(&edge);
    room(&edge, &["message", "drop", "More records arrive at noon"]);
    room(&edge, &["message", "drop", "--lang", "de", "Um zwölf kommen mehr Platten"]);
    let mut message = |language: &str| {
        let json = waits.ask(&edge, "/.seawall/room/drop", &format!("Accept-Language: {language}\r\n")).json();
        json["message"].as_str().unwrap().to_owned()
    };
    assert!(message("en").contains("More records arrive at noon"));
    assert!(message("de").contains("Um zwölf kommen mehr Platten"));
    assert!(message("fr").contains("More records arrive at noon"), "who has no message of their own gets the other");
    let page = Visitor::default().ask(&edge, "/", "Accept: text/html\r\nAccept-Language: de\r\n");
    assert!(page.text().contains("Um zwölf kommen mehr Platten"), "{}", page.text());
    room(&edge, &["message", "drop", "--clear"]);
    assert!(!message("de").contains("Platten") && !message("en").contains("records"));
    assert_eq!(refused(&edge, &["message", "drop"]).0, 2);
    assert_eq!(refused(&edge, &["message", "drop", &"x".repeat(5000)]).0, 1);
}

#[test]
fn who_is_evicted_is_out_and_may_queue_again() {
    let place = Origin::plain();
    let edge = edge(&place);
    let mut guests = inside(&edge, 2);
    let mut waits = queued(&edge);
    let (code, said) = refused(&edge, &["evict", "drop", "--sessions"]);
    assert!(code == 1 && said.contains("--yes"), "{said}");
    assert!(room(&edge, &["evict", "drop", "--sessions", "--dry-run"]).contains("2 visitors"));
    assert_eq!(guests[0].status(&edge), 200, "nothing has happened yet");

    assert!(room(&edge, &["evict", "drop", "--sessions", "--yes"]).contains("2 visitors"));
    eventually("the one in line comes in", || waits.status(&edge) == 200);
    room(&edge, &["pause", "drop"]);
    guests.iter_mut().for_each(|guest| assert_eq!(guest.status(&edge), 503, "a session that was ended opens nothing"));

    let mut line: Vec<_> = (0..2).map(|_| queued(&edge)).collect();
    let before = shown(&edge)["waiting"].as_u64().unwrap();
    assert!(before >= 2);
    room(&edge, &["evict", "drop", "--queue", "--yes"]);
    eventually("nobody is in line", || shown(&edge)["waiting"] == 0);
    let place = line[0].poll(&edge);
    assert_eq!(place["state"], "paused", "who polls again is in line again: {place}");
    assert_eq!(refused(&edge, &["evict", "drop", "--yes"]).0, 2);
}

#[test]
fn a_reference_finds_its_visitor() {
    let place = Origin::plain();
    let edge = edge(&place);
    inside(&edge, 2);
    let (_first, mut second) = (queued(&edge), queued(&edge));
    let reference = second.poll(&edge)["reference"].as_str().unwrap().to_owned();
    let found: Value = serde_json::from_str(&room(&edge, &["find", "drop", &reference, "--json"])).unwrap();
    assert_eq!((&found["state"], &found["position"]), (&"waiting".into(), &2.into()), "{found}");
    assert!(room(&edge, &["find", "drop", &reference]).contains(&reference));
    assert_eq!(refused(&edge, &["find", "drop", "nonsense"]).0, 2);
    assert_eq!(edge.ask_admin("/api/v1/rooms/drop/tickets/nonsense").status, 400);

    room(&edge, &["evict", "drop", "--reference", &reference, "--yes"]);
    assert!(room(&edge, &["find", "drop", &reference]).contains("sent out"));
    assert_eq!(second.status(&edge), 503);
    assert_ne!(second.poll(&edge)["reference"], reference, "a place that was taken away is not given back");
}

#[test]
fn a_forecast_moves_with_the_pace_asked_about() {
    let place = Origin::plain();
    let edge = edge(&place);
    inside(&edge, 2);
    let line: Vec<_> = (0..12).map(|_| queued(&edge)).collect();
    room(
        &edge,
        &["set", "drop", "--admit", "60/min", "--capacity", "1000", "--for", "1h", "--why", "a drill", "--yes"],
    );
    room(&edge, &["pause", "drop"]);
    let tail = |query: &str| {
        let answer = edge.ask_admin(&format!("/api/v1/rooms/drop/forecast?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let slow = tail("admit=6/min&capacity=1000");
    let fast = tail("admit=600/min&capacity=1000");
    let wait = |forecast: &Value| forecast["then"]["tail_wait_seconds"].as_u64();
    assert!(wait(&slow).unwrap() > wait(&fast).unwrap(), "{slow} {fast}");
    let slowest = wait(&slow).unwrap();
    assert!((80..=160).contains(&slowest), "some twelve at six a minute: {slow}");
    assert_eq!(edge.ask_admin("/api/v1/rooms/drop/forecast?admit=soon").status, 400);
    assert_eq!(shown(&edge)["admit"], "60/min", "to ask changes nothing");
    let said = room(&edge, &["set", "drop", "--admit", "6/min", "--dry-run"]);
    assert!(said.contains("With admit 6/min and capacity 1000 the tail waits"), "{said}");
    drop(line);
}

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let place = Origin::plain();
    let edge = edge(&place);
    let (code, said) = refused(&edge, &["pause", "dorp"]);
    assert!(code == 1 && said.contains("drop, other"), "{said}");
    assert_eq!(refused(&edge, &["pause", "../level"]).0, 2);
    let (code, said) = refused(&edge, &["set", "drop", "--admit", "240", "--for", "1h", "--why", "x"]);
    assert!(code == 2 && said.contains("240/min"), "{said}");
    assert_eq!(refused(&edge, &["set", "drop"]).0, 2);
    let (_, said) = refused(&edge, &["set", "drop", "--capacity", "3", "--why", "x", "--yes"]);
    assert!(said.contains("--for"), "{said}");
    let (_, said) = refused(&edge, &["set", "drop", "--capacity", "3", "--for", "1h", "--yes"]);
    assert!(said.contains("--why"), "{said}");
    let (_, said) = refused(&edge, &["set", "drop", "--capacity", "3", "--for", "1h", "--why", "x"]);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(shown(&edge)["capacity"], 2, "nothing was changed by any of it");
}

#[test]
fn the_api_answers_problems_as_problems() {
    let place = Origin::plain();
    let edge = edge(&place);
    let problem = |answer: &Answer| {
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer:?}");
        (answer.status, answer.json()["detail"].as_str().unwrap().to_owned())
    };
    let (status, detail) = problem(&edge.ask_admin("/api/v1/rooms/none"));
    assert!(status == 404 && detail.contains("drop, other"), "{detail}");
    for (body, wrong) in [
        (json!({ "action": "set", "who": "ops" }), "nothing to set"),
        (json!({ "action": "set", "who": "ops", "capacity": 0 }), "0"),
        (json!({ "action": "set", "who": "ops", "capacity": "many" }), "many"),
        (json!({ "action": "evict", "who": "ops" }), "evict"),
        (json!({ "action": "evict", "who": "ops", "evict": "ticket" }), "reference"),
        (json!({ "action": "pause" }), "who"),
        (json!({ "action": "pause", "who": "ops", "wyh": "typo" }), "wyh"),
        (json!({ "action": "explode", "who": "ops" }), "explode"),
        (json!({ "action": "pause", "who": "x".repeat(101) }), "100"),
        (json!({ "action": "message", "who": "ops", "text": "x".repeat(5000) }), ""),
    ] {
        let (status, detail) = problem(&order(&edge, &body));
        assert!((400..500).contains(&status) && detail.contains(wrong), "{body}: {status} {detail}");
    }
    let form = "POST /api/v1/rooms/drop HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(Client::connect(edge.admin).send(form).answer().status, 415);
    let elsewhere = "GET /api/v1/rooms HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(Client::connect(edge.admin).send(elsewhere).answer().status, 421);
    assert!(shown(&edge)["orders"].as_array().unwrap().is_empty());
    assert_eq!(order(&edge, &json!({ "action": "pause", "who": "ops", "dry_run": true })).status, 200);
    assert!(shown(&edge)["orders"].as_array().unwrap().is_empty(), "a dry run changes nothing");
}

#[test]
fn every_change_is_logged_with_who_why_and_the_numbers() {
    let place = Origin::plain();
    let edge = edge(&place);
    room(&edge, &["set", "drop", "--capacity", "9", "--for", "1h", "--why", "more servers", "--who", "kim", "--yes"]);
    eventually("it is logged", || edge.log().contains("an operator changed the room"));
    let log = edge.log();
    let line = log.lines().find(|line| line.contains("an operator changed the room")).unwrap();
    for part in ["kim", "more servers", "capacity 2", "capacity 9", "drop"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn metrics_have_the_rooms_counters() {
    let place = Origin::plain();
    let edge = edge(&place);
    inside(&edge, 2);
    queued(&edge);
    eventually("it is full", || shown(&edge)["limited_by"] == "capacity");
    let metrics = edge.ask_admin("/metrics").text();
    for sample in [
        "seawall_room_inside{room=\"drop\"} 2\n",
        "seawall_room_capacity{room=\"drop\"} 2\n",
        "seawall_room_waiting{room=\"drop\"} 1\n",
        "seawall_room_admitted_total{room=\"drop\"} 2\n",
        "seawall_room_claimed_total{room=\"drop\"}",
        "seawall_room_abandoned_total{room=\"drop\"} 0\n",
        "seawall_room_order{room=\"drop\",order=\"pause\"} 0\n",
        "seawall_room_phase{room=\"drop\",phase=\"open\"} 1\n",
        "seawall_room_limited_by{room=\"drop\",by=\"capacity\"} 1\n",
    ] {
        assert!(metrics.contains(sample), "{sample} is not in\n{metrics}");
    }
}

#[test]
fn invitations_are_made_without_an_edge_and_lead_into_their_lane() {
    let place = Origin::plain();
    let edge = edge(&place);
    let invite = |args: &[&str]| {
        let file = edge.dir().join("seawall.toml");
        Command::new(SEAWALL).args(["room", "invite"]).arg(file).args(args).output().unwrap()
    };
    let made = invite(&["drop", "fans", "--count", "3", "--for", "1h", "--url", "http://localhost/shop?a=1"]);
    let links = told(&made);
    assert!(made.status.success() && links.lines().count() == 3, "{links}");
    assert!(links.lines().all(|l| l.starts_with("http://localhost/shop?a=1&seawall_invite=")), "{links}");
    for (args, part) in [
        (&["drop", "fams", "--for", "1h"][..], "fans"),
        (&["dorp", "fans", "--for", "1h"], "drop, other"),
        (&["other", "fans", "--for", "1h"], "none"),
        (&["drop", "fans"], "--for"),
        (&["drop", "fans", "--for", "9999d"], "400d"),
    ] {
        let said = invite(args);
        assert!(said.status.code() == Some(1) && told(&said).contains(part), "{args:?}: {}", told(&said));
    }
}

#[test]
fn what_the_origin_says_is_left_outlives_a_crash_and_an_operator_takes_it_back() {
    let place = Origin::start(|_, to| ok(to, "Seawall-Room: stock=0\r\n", "the last one"));
    let edge = edge(&place);
    let mut guests = inside(&edge, 1);
    assert_eq!(guests[0].ask(&edge, "/", "").field("seawall-room"), None, "visitors don't see it");
    let sold_out = |edge: &Edge| {
        let mut late = Visitor::default();
        eventually("it is sold out", || {
            late.status(edge);
            late.poll(edge)["state"] == "sold_out"
        });
    };
    sold_out(&edge);
    let written = || std::fs::read_to_string(edge.dir().join("state/rooms.json")).unwrap_or_default();
    eventually("it is written down", || written().contains("stock"));
    let edge = edge.restart(libc::SIGKILL);
    sold_out(&edge);
    assert!(told(&edge.cli(&["status"])).contains("stock 0 by origin"));
    room(&edge, &["set", "drop", "--stock", "5", "--for", "1h", "--why", "a crate was found", "--yes"]);
    let mut late = Visitor::default();
    eventually("it is sold out no longer", || {
        late.status(&edge);
        late.poll(&edge)["state"] != "sold_out"
    });
    assert_eq!(guests[0].status(&edge), 200, "and the origin says again that nothing is left");
    assert_eq!(shown(&edge)["stock"], 5, "an operator is heard before the origin");
}

#[test]
fn a_drawing_can_be_checked_by_anyone_who_has_the_seed_and_the_commitment() {
    let place = Origin::plain();
    let opens = seawall::telemetry::access_log::time((Clock::start().now().unix_ms / 1000 + 6) * 1000);
    let rooms = format!(
        "[waiting_room.drop]\ncapacity = 1\nopens = {opens}\ngather = \"1h\"\n\
         [[route]]\nname = \"drop\"\nwaiting_room = \"drop\"\ncache = false\n"
    );
    let edge = Edge::start("", &(origin(place.address, 8) + &rooms));
    let mut crowd = vec![Visitor::default(); 9];
    let mut references = Vec::new();
    for visitor in &mut crowd {
        let mut reference = None;
        visitor.status(&edge);
        eventually("a reference", || {
            reference = visitor.poll(&edge)["reference"].as_str().map(str::to_owned);
            reference.is_some()
        });
        references.push(reference.unwrap());
    }
    let before: Value = serde_json::from_str(&room(&edge, &["draws", "drop"])).unwrap();
    assert_eq!(before["draws"][0]["drawn"], Value::Null, "the seed is not known before: {before}");
    eventually("it is drawn", || {
        let draws: Value = serde_json::from_str(&room(&edge, &["draws", "drop"])).unwrap();
        draws["draws"][0]["drawn"].is_object()
    });
    let after = room(&edge, &["draws", "drop"]);
    let file = edge.dir().join("draws.json");
    std::fs::write(&file, &after).unwrap();
    let verify = |more: &[&str]| Command::new(SEAWALL).args(["room", "verify"]).arg(&file).args(more).output().unwrap();
    let drawn: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(drawn["draws"][0]["commitment"], before["draws"][0]["commitment"]);
    let all: Vec<_> = references.iter().map(String::as_str).chain(["--json"]).collect();
    let checked = verify(&all);
    assert!(checked.status.success(), "{}", told(&checked));
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let mut ranks: Vec<_> =
        checked["tickets"].as_array().unwrap().iter().map(|t| t["rank"].as_u64().unwrap()).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, (1..=9).collect::<Vec<_>>());
    assert!(told(&verify(&[&references[0]])).contains("the seed is the one committed to"));

    let seed = drawn["draws"][0]["drawn"]["seed"].as_str().unwrap();
    std::fs::write(&file, after.replace(seed, &"ab".repeat(32))).unwrap();
    let broken = verify(&[]);
    assert!(broken.status.code() == Some(1) && told(&broken).contains("NOT AS PROMISED"), "{}", told(&broken));
    std::fs::write(&file, "{}").unwrap();
    assert!(told(&verify(&[])).contains("this is not what"));
}
