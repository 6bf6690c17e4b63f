//! The ladder over real sockets: floors known in advance, dry runs, what is shown, and the way back
//! of an origin that was gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::net::TcpListener;
use std::time::{Duration, UNIX_EPOCH};

use seawall::clock::Clock;
use support::origin::ok;
use support::{Edge, Origin, eventually, origin};

const ROUTES: &str = "[[route]]\nname = \"pages\"\ncache = false\n";

/// An origin that says which level it was told.
fn listening() -> Origin {
    Origin::start(|request, to| {
        let told = request.field("seawall-level").unwrap_or("nothing").to_owned();
        ok(to, "", &told)
    })
}

/// A TOML date-time, so many seconds from now.
fn from_now(seconds: i64) -> String {
    let now = Duration::from_millis(Clock::start().now().unix_ms);
    let shift = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { now - shift } else { now + shift };
    humantime::format_rfc3339_seconds(UNIX_EPOCH + moment).to_string()
}

fn window(at_least: &str, from: i64, until: i64) -> String {
    format!("[[level.schedule]]\nat_least = \"{at_least}\"\nfrom = {}\nuntil = {}\n", from_now(from), from_now(until))
}

#[test]
fn a_window_of_the_schedule_raises_the_level_and_the_next_one_is_shown() {
    let place = listening();
    let schedule = window("elevated", -60, 3600) + &window("degraded", 7200, 9000);
    let edge = Edge::start("", &(origin(place.address, 4) + &schedule + ROUTES));
    eventually("the floor is in force", || edge.get("/", "").text() == "elevated");
    let site = &edge.status()["origins"][0];
    assert_eq!((&site["level"], &site["level_automatic"]), (&"elevated".into(), &"normal".into()));
    assert_eq!(site["next_scheduled"]["at_least"], "degraded");
    let shown = String::from_utf8(edge.cli(&["status"]).stdout).unwrap();
    assert!(shown.contains("level elevated   (by itself normal)"), "{shown}");
    assert!(shown.contains("scheduled: at least degraded from "), "{shown}");
    assert!(edge.log().contains("the schedule's floor is elevated"), "{}", edge.log());
}

#[test]
fn pressure_and_the_edges_own_strain_are_in_status_and_metrics() {
    let place = listening();
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    assert_eq!(edge.get("/", "").text(), "normal");
    eventually("the edge has measured itself", || edge.status()["edge"]["resident_bytes"].as_u64() > Some(0));
    let shown = String::from_utf8(edge.cli(&["status"]).stdout).unwrap();
    assert!(shown.contains("\nedge ") && shown.contains("\n  pressure "), "{shown}");
    let metrics = edge.ask_admin("/metrics").text();
    for line in [
        "seawall_pressure{origin=\"site\"} ",
        "seawall_pressure_leading{origin=\"site\",signal=\"",
        "seawall_origin_allowance{origin=\"site\"} 1",
        "seawall_origin_level_automatic{origin=\"site\",level=\"normal\"} 1",
        "seawall_edge_strain{strain=\"",
        "seawall_edge_lag_seconds ",
        "seawall_edge_cpu ",
        "seawall_edge_resident_bytes ",
    ] {
        assert!(metrics.lines().any(|found| found.starts_with(line)), "no {line} in\n{metrics}");
    }
}

#[test]
fn a_dry_run_says_what_it_would_do() {
    // A port that nobody listens on.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ladder = "[level]\ndry_run = true\n[level.static]\nenter = { unreachable = \"1s\" }\n";
    let edge = Edge::start("", &(origin(gone, 4) + ladder + ROUTES));
    assert_eq!(edge.get("/", "").reason(), "origin_unreachable");
    eventually("it would be static", || edge.status()["origins"][0]["level_automatic"] == "static");
    assert_eq!(edge.level(), "normal");
    assert_eq!(edge.get("/", "").reason(), "origin_unreachable", "it goes to the origin all the same");
    assert!(edge.log().contains("the level would have moved"), "{}", edge.log());
    let shown = String::from_utf8(edge.cli(&["status"]).stdout).unwrap();
    assert!(shown.contains("(would be static: dry run)"), "{shown}");
}

#[test]
fn an_origin_that_is_back_gets_its_traffic_bit_by_bit() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let ladder = "[level.static]\nenter = { unreachable = \"1s\" }\nleave = { probes = 5, for = \"2s\" }\n";
    let edge = Edge::start("", &(origin(address, 10) + ladder + ROUTES));
    edge.get("/", "");
    eventually("it is static", || edge.level() == "static");
    assert_eq!(edge.get("/", "").reason(), "level_refused");
    let allowance = || edge.status()["origins"][0]["allowance"].as_f64().unwrap();
    assert!((allowance() - 0.1).abs() < 1e-9);
    let back = Origin::start_at(address, |request, to| {
        let told = request.field("seawall-level").unwrap_or("nothing").to_owned();
        ok(to, "", &told)
    });
    eventually("it is on its way back", || edge.level() == "degraded");
    assert_eq!(edge.get("/", "").text(), "degraded");
    eventually("it gets all of its traffic", || allowance() >= 1.0);
    assert_eq!(edge.level(), "degraded", "the level comes back later, step by step");
    assert!(edge.log().contains("5 good probes in a row; its traffic is let back over 2.0 s"), "{}", edge.log());
    drop(back);
}

#[test]
fn where_connections_are_short_one_who_is_sent_away_gives_theirs_up() {
    let place = listening();
    let refusing = "[[route]]\nname = \"off\"\npath = \"/off\"\nat.normal = \"refuse\"\n".to_owned() + ROUTES;
    let edge = Edge::start("max_connections = 10", &(origin(place.address, 4) + &refusing));
    let mut early = edge.connect();
    assert_eq!((early.get("/off", "").status, early.get("/", "").status), (503, 200));
    let mut others: Vec<_> = (0..7).map(|_| edge.connect()).collect();
    others.iter_mut().for_each(|other| assert_eq!(other.get("/", "").status, 200));
    let refused = early.get("/off", "");
    assert_eq!((refused.status, refused.field("connection")), (503, Some("close")));
    let served = others[0].get("/", "");
    assert_eq!(served.status, 200);
    assert_ne!(served.field("connection"), Some("close"), "who is served keeps theirs");
    others.push(edge.connect());
    eventually("an idle one has gone", || edge.status()["connections"].as_u64() < Some(8));
}

#[test]
fn a_pin_outlives_a_policy_that_has_lost_its_origin() {
    let place = listening();
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    let pinned = edge.cli(&["level", "pin", "degraded", "--for", "1h", "--why", "rehearsal"]);
    assert!(pinned.status.success(), "{pinned:?}");
    let policy = std::fs::read_to_string(edge.dir().join("seawall.toml")).unwrap();
    let reload = |policy: &str, times: usize| {
        support::write_policy(edge.dir(), policy);
        edge.signal(libc::SIGHUP);
        eventually("it is reloaded", || edge.log().matches("policy reloaded").count() == times);
    };
    reload(&policy.replace("origin.site", "origin.other"), 1);
    assert_eq!(edge.level(), "normal");
    // Another word is written down meanwhile.
    assert!(edge.cli(&["level", "floor", "elevated", "--for", "1h", "--why", "test"]).status.success());
    reload(&policy, 2);
    assert_eq!(edge.level(), "degraded");
    assert!(edge.log().contains("a level is set"));
}
