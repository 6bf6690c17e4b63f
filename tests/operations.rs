//! What an operator does to it and sees of it: start, check, reload, end, levels, numbers, and
//! files that are not as they should be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use support::client::get;
use support::origin::{Gate, ok};
use support::{Client, Edge, Origin, SEAWALL, eventually, origin, policy, run, write_policy};

const ROUTES: &str = "[[route]]\nname = \"pages\"\ncache = false\nat.degraded = \"refuse\"\n";

fn edge() -> (Origin, Edge) {
    let place = Origin::plain();
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    (place, edge)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Starts an edge that can't start; what it says.
#[track_caller]
fn does_not_start(change: impl FnOnce(&std::path::Path), text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    write_policy(dir.path(), text);
    change(dir.path());
    let output = run(dir.path()).env("SEAWALL_LOG", "warn").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(!told(&output).contains("panicked"), "{}", told(&output));
    told(&output)
}

fn plain_policy() -> String {
    policy("", &(origin(([127, 0, 0, 1], 9).into(), 4) + ROUTES))
}

#[test]
fn check_tells_good_from_bad_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| {
        let mut command = Command::new(SEAWALL);
        command.arg("check").args(args).current_dir(dir.path()).output().unwrap()
    };
    write_policy(dir.path(), &plain_policy());
    let good = check(&[]);
    assert_eq!(good.status.code(), Some(0), "{}", told(&good));
    assert!(told(&good).contains("seawall.toml: good"));
    write_policy(dir.path(), &plain_policy().replace("cache = false", "cashe = false"));
    let bad = check(&[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(told(&bad).contains("cashe") && told(&bad).contains("cache"), "{}", told(&bad));
    let json: serde_json::Value = serde_json::from_slice(&check(&["--json"]).stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(check(&["none.toml"]).status.code(), Some(1));
    assert_eq!(check(&["--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_port_in_use_ends_the_program_with_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for place in ["listen = [\"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:0\""] {
        let text = plain_policy().replacen(place, &place.replace("127.0.0.1:0", &address), 1);
        let said = does_not_start(|_| {}, &text);
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(said.contains(&address) && said.contains("another program listens there"), "{said}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    type Change = fn(&std::path::Path);
    let cases: [(&str, Change); 5] = [
        ("edge.key", |dir| std::fs::remove_file(dir.join("edge.key")).unwrap()),
        ("edge.pem", |dir| std::fs::write(dir.join("edge.pem"), "no certificate").unwrap()),
        ("edge.key", |dir| std::fs::write(dir.join("edge.key"), "no key").unwrap()),
        ("seawall.toml", |dir| std::fs::remove_file(dir.join("seawall.toml")).unwrap()),
        ("seawall.keys", |dir| std::fs::write(dir.join("seawall.keys"), "garbage").unwrap()),
    ];
    for (name, change) in cases {
        let said = does_not_start(change, &plain_policy());
        assert!(said.contains(name), "{name} is not named in: {said}");
    }
    let said = does_not_start(|_| {}, &(plain_policy() + "[log]\naccess = \"nowhere/access.log\"\n"));
    assert!(said.contains("nowhere/access.log"), "{said}");
}

#[test]
fn a_reload_takes_effect_for_new_requests_and_a_bad_file_changes_nothing() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.target == "/slow" {
            hold.pass();
        }
        ok(to, "", "page")
    });
    let good = policy("", &(origin(place.address, 4) + ROUTES));
    let edge = Edge::start_in(Arc::new(tempfile::tempdir().unwrap()), &good);
    let mut old = edge.connect();
    old.send(get("/slow", ""));
    eventually("it is at the origin", || place.in_flight() == 1);

    write_policy(edge.dir(), &good.replace("cache = false", "cashe = false"));
    edge.signal(libc::SIGHUP);
    eventually("the bad file is told", || edge.log().contains("policy not reloaded") && edge.log().contains("cashe"));
    assert_eq!(edge.get("/", "").status, 200);

    write_policy(edge.dir(), &good.replace("cache = false", "cache = false\nat.normal = \"refuse\""));
    edge.signal(libc::SIGHUP);
    eventually("the good file is taken over", || edge.log().contains("policy reloaded"));
    let refused = edge.get("/", "");
    assert_eq!((refused.status, refused.reason()), (503, "level_refused".to_owned()));
    gate.open();
    assert_eq!(old.answer().text(), "page");
    assert_eq!(old.get("/", "").status, 503, "the next request on an old connection is a new request");
}

#[test]
fn an_idle_edge_ends_at_once() {
    let (_place, mut edge) = edge();
    let mut idle: Vec<_> = (0..5).map(|_| edge.connect()).collect();
    idle[0].get("/", "");
    idle[1].assert_kept();
    let mut second = support::H2::connect(edge.tls);
    second.get("/", &[]);
    eventually("all are there", || edge.status()["connections"].as_u64() >= Some(6));
    edge.signal(libc::SIGTERM);
    for _ in 0..250 {
        if !edge.is_running() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!edge.is_running(), "idle connections keep it");
    assert!(edge.wait().success());
    idle.iter_mut().for_each(Client::assert_closed);
}

#[test]
fn a_request_in_flight_ends_before_the_edge_does() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |_, to| {
        hold.pass();
        ok(to, "", "whole")
    });
    let mut edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    let mut client = edge.connect();
    client.send(get("/", ""));
    let mut second = support::H2::connect(edge.tls);
    let asked = second.ask(http::Method::GET, "/", &[], &[]);
    eventually("both are at the origin", || place.in_flight() == 2);
    edge.signal(libc::SIGTERM);
    eventually("it is draining", || edge.log().contains("draining"));
    assert!(std::net::TcpStream::connect(edge.address).is_err() || edge.is_running());
    assert_eq!(edge.ask_admin("/readyz").status, 503);
    gate.open();
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("whole".to_owned(), Some("close")));
    assert_eq!(asked.answer().text(), "whole");
    assert!(edge.wait().success());
}

#[test]
fn a_full_disk_loses_log_lines_and_nothing_else() {
    let place = Origin::plain();
    let full = Edge::start("", &(origin(place.address, 4) + ROUTES + "[log]\naccess = \"/dev/full\"\n"));
    eventually("lost lines are counted", || {
        assert_eq!(full.get("/", "").status, 200);
        full.status()["access_log_lost"].as_u64() > Some(0)
    });
    let metrics = full.ask_admin("/metrics").text();
    let lost = metrics.lines().find(|l| l.starts_with("seawall_") && l.contains("lost") && !l.ends_with(" 0"));
    assert!(lost.is_some(), "{metrics}");
    assert!(told(&full.cli(&["status"])).contains("lines lost"));

    let written = Edge::start("", &(origin(place.address, 4) + ROUTES + "[log]\naccess = \"access.log\"\n"));
    written.get("/logged?a=1", "");
    let log = || std::fs::read_to_string(written.dir().join("access.log")).unwrap_or_default();
    eventually("the line is there", || log().contains("/logged?a=1"));
    let line: serde_json::Value = serde_json::from_str(log().lines().next().unwrap()).unwrap();
    assert_eq!((&line["status"], &line["reason"], &line["route"]), (&200.into(), &"pass".into(), &"pages".into()));
}

#[test]
fn status_and_explain_say_what_is_and_what_would_be() {
    let (_place, edge) = edge();
    edge.get("/", "");
    let status = edge.cli(&["status"]);
    assert!(status.status.success() && told(&status).contains("origin site   level normal"), "{}", told(&status));
    let json: serde_json::Value = serde_json::from_slice(&edge.cli(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&json["state"], &json["requests"]["pass"]), (&"serving".into(), &1.into()));
    let file = edge.dir().join("seawall.toml");
    let explain = Command::new(SEAWALL).args(["explain", "/cart", "--policy"]).arg(file).output().unwrap();
    assert!(explain.status.success(), "{}", told(&explain));
    for word in ["pages", "admission", "degraded", "at most 4 at `site`"] {
        assert!(told(&explain).contains(word), "{word}: {}", told(&explain));
    }
    let address = edge.admin.to_string();
    drop(edge);
    let nobody = Command::new(SEAWALL).args(["status", "--admin", &address]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(told(&nobody).contains("no edge answers"), "{}", told(&nobody));
}

#[test]
fn pins_and_floors_hold_over_a_restart_until_they_are_released() {
    let (_place, edge) = edge();
    let pin = edge.cli(&["level", "pin", "degraded", "--why", "a drill", "--who", "ops"]);
    assert!(pin.status.success() && told(&pin).contains("pinned at degraded by ops until released: a drill"));
    assert_eq!((edge.level().as_str(), edge.get("/", "").status), ("degraded", 503));
    let edge = edge.restart(libc::SIGKILL);
    assert_eq!((edge.level().as_str(), edge.get("/", "").status), ("degraded", 503));
    assert!(told(&edge.cli(&["status"])).contains("a drill"));
    assert!(edge.cli(&["level", "release"]).status.success());
    assert_eq!((edge.level().as_str(), edge.get("/", "").status), ("normal", 200));
    assert!(edge.cli(&["level", "floor", "elevated", "--for", "1h"]).status.success());
    assert_eq!(edge.level(), "elevated");
    let edge = edge.restart(libc::SIGTERM);
    assert_eq!(edge.level(), "elevated");
    assert_eq!(edge.cli(&["level", "pin", "sideways"]).status.code(), Some(2));
    assert_eq!(edge.cli(&["level", "pin", "static", "--origin", "none"]).status.code(), Some(1));
}

#[test]
fn metrics_and_health_are_for_those_who_name_the_listener() {
    let (_place, edge) = edge();
    edge.get("/", "");
    let metrics = edge.ask_admin("/metrics");
    assert!(metrics.field("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    let mut families = std::collections::HashSet::new();
    for line in text.lines().filter(|l| *l != "# EOF") {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(about.split(' ').next().unwrap().to_owned()), "twice: {line}");
        }
        let sample = line.starts_with('#') || line.rsplit_once(' ').is_some_and(|(_, v)| v.parse::<f64>().is_ok());
        assert!(sample && (line.starts_with('#') || line.starts_with("seawall_")), "{line}");
    }
    assert!(text.contains("seawall_requests_total{reason=\"pass\"} 1\n"), "{text}");
    assert_eq!((edge.ask_admin("/healthz").status, edge.ask_admin("/readyz").status), (200, 200));
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"] {
        let ask = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Client::connect(edge.admin).send(ask).answer().status, 421, "{host}");
    }
    let form =
        "POST /api/v1/level HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(Client::connect(edge.admin).send(form).answer().status, 415);
    assert_eq!(edge.get("/metrics", "").text(), "GET /metrics\n", "the public door has none of it");
}
