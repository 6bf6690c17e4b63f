//! Groups of clients over real sockets: a signed link, and all that must not learn of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::process::Command;

use support::{Edge, H2, Origin, eventually, origin};

const STAFF: &str = "[log]\naccess = \"access.log\"\n[clients.staff]\npasses = \"staff.keys\"\n\
    [cache.page]\nttl = \"1m\"\n\
    [[route]]\nname = \"editors\"\npath = \"/admin/**\"\nclients = [\"staff\"]\ncache = false\n\
    [[route]]\nname = \"others\"\npath = \"/admin/**\"\nat.normal = \"refuse\"\n\
    [[route]]\nname = \"pages\"\ncache = \"page\"\n";

fn pass(edge: &Edge, args: &[&str]) -> String {
    let policy = edge.dir().join("seawall.toml");
    let ran = Command::new(env!("CARGO_BIN_EXE_seawall")).args(["pass", "staff"]).arg(policy).args(args).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_signed_link_makes_a_browser_one_of_the_group_through_both_doors() {
    let place = Origin::plain();
    let edge = Edge::start("", &(origin(place.address, 4) + STAFF));
    let link = pass(&edge, &["--for", "1h", "--url", "/admin/posts?page=2"]);
    let token = link.split_once("seawall_pass=").unwrap().1.to_owned();
    assert_eq!(edge.get("/admin/posts", "").reason(), "level_refused");

    let came = edge.get(&link, "");
    assert_eq!(came.status, 200, "{came:?}");
    let cookie = came.cookies();
    assert!(cookie.contains("seawall_pass_staff="), "{came:?}");
    assert_eq!(edge.get("/admin/posts", &format!("Cookie: {cookie}\r\n")).status, 200);
    assert_eq!(edge.get("/admin/posts", "Cookie: seawall_pass_staff=x\r\n").reason(), "level_refused");

    let mut second = H2::connect(edge.tls);
    let came = second.get(&link, &[]);
    assert_eq!(came.status, 200, "{came:?}");
    assert!(came.cookies().contains("__Host-seawall_pass_staff="), "{came:?}");
    assert_eq!(second.get("/admin/posts", &[("cookie", &came.cookies())]).status, 200);

    for request in place.requests() {
        let told = format!("{} {:?}", request.target, request.fields);
        assert!(!told.contains(&token), "the origin got to see the pass: {told}");
    }
    assert_eq!(place.count_of("/admin/posts?page=2"), 2);
    let log = edge.dir().join("access.log");
    eventually("the log is written", || std::fs::read_to_string(&log).unwrap().lines().count() >= 6);
    assert!(!std::fs::read_to_string(&log).unwrap().contains(&token));
}

#[test]
fn a_link_to_a_cached_page_makes_no_second_copy() {
    let place = Origin::plain();
    let edge = Edge::start("", &(origin(place.address, 4) + STAFF));
    assert_eq!(edge.get("/page", "").status, 200);
    let came = edge.get(&pass(&edge, &["--for", "1h", "--url", "/page"]), "");
    assert_eq!(came.status, 200);
    assert!(came.cookies().contains("seawall_pass_staff="), "{came:?}");
    assert!(edge.get("/page", "").cookies().is_empty(), "the cookie is not kept with the page");
    assert_eq!(place.count(), 1);
}

#[test]
fn a_pass_for_a_group_that_has_none_is_refused_with_what_to_do() {
    let place = Origin::plain();
    let edge = Edge::start("", &(origin(place.address, 4) + "[clients.office]\nnetworks = \"10.0.0.0/8\"\n"));
    let policy = edge.dir().join("seawall.toml");
    let ran = |group: &str| {
        let ran =
            Command::new(env!("CARGO_BIN_EXE_seawall")).args(["pass", group, "--for", "1h"]).arg(&policy).output();
        String::from_utf8(ran.unwrap().stderr).unwrap()
    };
    assert!(ran("office").contains("add to it: passes = \"office.keys\""), "{}", ran("office"));
    assert!(ran("staff").contains("there is no [clients.staff]"), "{}", ran("staff"));
}
