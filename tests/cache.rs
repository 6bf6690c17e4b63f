//! The micro-cache: one request for all who ask at once, a copy when the origin is gone, and
//! nobody's page for anybody else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use http::Method;
use support::client::{End, get};
use support::origin::{Gate, ok};
use support::{Client, Edge, H2, Nginx, Origin, Request, eventually, origin};

const ROUTES: &str = "[cache.page]\nttl = \"1h\"\noverride = true\nstale_if_error = \"1h\"\n\
    [cache.brief]\nttl = \"1s\"\nstale_if_error = \"1h\"\nstale_while_revalidate = \"0s\"\n\
    [[route]]\nname = \"none\"\npath = \"/none/**\"\ncache = false\n\
    [[route]]\nname = \"brief\"\npath = \"/brief/**\"\ncache = \"brief\"\n\
    [[route]]\nname = \"pages\"\ncache = \"page\"\n";

fn edge(place: &Origin) -> Edge {
    Edge::start("", &(origin(place.address, 50) + ROUTES))
}

#[test]
fn two_hundred_readers_cost_the_origin_one_request() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |_, to| {
        hold.pass();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        to.write_all(head.as_bytes()).is_ok() && to.write_all(b"6\r\n world\r\n0\r\n\r\n").is_ok()
    });
    let edge = edge(&place);
    let mut readers: Vec<_> = (0..200).map(|_| edge.connect()).collect();
    for reader in &mut readers {
        reader.send(get("/", ""));
    }
    let mut leaves = edge.connect();
    leaves.send(get("/", ""));
    eventually("the fill is at the origin", || place.in_flight() == 1);
    drop(leaves);
    gate.open();
    for reader in &mut readers {
        let answer = reader.answer();
        assert_eq!((answer.status, answer.text()), (200, "hello world".to_owned()));
        assert!(answer.field("cache-status").unwrap().starts_with("Seawall; "), "{answer:?}");
    }
    assert_eq!(H2::connect(edge.tls).get("/", &[("x", "y")]).text(), "hello world");
    // One for http, one for https: the scheme is part of the key.
    assert_eq!(place.count(), 2);
}

#[test]
fn a_visitor_whose_copy_is_current_is_told_so_on_a_cold_cache_too() {
    let place = Origin::start(|request, to| {
        assert_eq!(request.field("if-none-match"), None, "a fill asks for the whole");
        ok(to, "ETag: \"v1\"\r\n", "page")
    });
    let edge = edge(&place);
    let mut client = edge.connect();
    let unchanged = client.get("/", "If-None-Match: \"v1\"\r\n");
    assert_eq!((unchanged.status, unchanged.field("etag"), unchanged.text().as_str()), (304, Some("\"v1\""), ""));
    assert_eq!(H2::connect(edge.tls).get("/", &[("if-none-match", "W/\"v1\"")]).status, 304);
    assert_eq!(client.get("/other", "If-None-Match: \"v0\"\r\n").text(), "page");
    eventually("the whole page was kept", || {
        client.get("/", "").field("cache-status").unwrap().starts_with("Seawall; hit")
    });
    assert_eq!(place.count_of("/"), 2);
}

#[test]
fn a_hit_says_its_age_and_answers_conditions_and_head() {
    let place = Origin::start(|_, to| ok(to, "ETag: \"v1\"\r\nX-Own: kept\r\n", "page"));
    let edge = edge(&place);
    let mut client = edge.connect();
    let miss = client.get("/", "");
    assert_eq!(miss.field("cache-status"), Some("Seawall; fwd=uri-miss; stored"));
    let hit = client.get("/", "");
    assert!(hit.field("cache-status").unwrap().starts_with("Seawall; hit; ttl="), "{hit:?}");
    assert!(hit.field("age").unwrap().parse::<u64>().unwrap() < 3600);
    assert_eq!((hit.text().as_str(), hit.field("x-own"), hit.field("etag")), ("page", Some("kept"), Some("\"v1\"")));
    let unchanged = client.get("/", "If-None-Match: \"v1\"\r\n");
    assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some("\"v1\"")));
    let head = client.send(get("/", "").replacen("GET", "HEAD", 1)).answer_to_head();
    assert_eq!((head.status, head.field("content-length")), (200, Some("4")));
    client.assert_kept();
    assert_eq!(place.count(), 1);
}

#[test]
fn answers_without_a_body_are_kept_like_others() {
    let place = Origin::start(|request, to| {
        let status = match request.target.as_str() {
            "/moved" => "301 Moved Permanently\r\nLocation: /there\r\nContent-Length: 0",
            "/nothing" => "204 No Content",
            _ => "200 OK\r\nContent-Length: 0",
        };
        to.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).is_ok()
    });
    let edge = edge(&place);
    let mut second = H2::connect(edge.tls);
    for (path, status) in [("/moved", 301), ("/nothing", 204), ("/empty", 200)] {
        let mut client = edge.connect();
        for _ in 0..2 {
            assert_eq!(client.get(path, "").status, status, "{path}");
            assert_eq!(second.get(path, &[]).status, status, "{path}");
        }
        client.assert_kept();
        assert_eq!(place.count_of(path), 2, "{path}");
    }
}

#[test]
fn nobody_is_given_another_visitors_page() {
    let place = Origin::start(|request, to| {
        let who = [request.field("cookie"), request.field("authorization")].map(Option::unwrap_or_default).concat();
        let fields = match request.target.as_str() {
            "/sets" => "Set-Cookie: session=fresh\r\nCache-Control: max-age=60\r\n",
            "/private" => "Cache-Control: private, max-age=60\r\n",
            "/no-store" => "Cache-Control: no-store\r\n",
            "/varies" => "Vary: Cookie\r\nCache-Control: max-age=60\r\n",
            "/all" => "Vary: *\r\n",
            _ => "",
        };
        ok(to, fields, format!("page of <{who}>"))
    });
    let edge = edge(&place);
    let mut second = H2::connect(edge.tls);
    for path in ["/plain", "/sets", "/private", "/no-store", "/varies", "/all", "/brief/1"] {
        let mut client = edge.connect();
        for round in 0..3 {
            for field in ["cookie: session=alice", "cookie: session=bob", "authorization: Bearer carol"] {
                let (name, value) = field.split_once(": ").unwrap();
                let expected = format!("page of <{value}>");
                assert_eq!(client.get(path, &format!("{field}\r\n")).text(), expected, "{path}, round {round}");
                assert_eq!(second.get(path, &[(name, value)]).text(), expected, "{path}, round {round}, HTTP/2");
            }
            assert_eq!(client.get(path, "").text(), "page of <>", "{path}, round {round}");
            let head = get(path, "Cookie: session=dora\r\n").replacen("GET", "HEAD", 1);
            assert_eq!(client.send(head).answer_to_head().status, 200);
        }
    }
    // Those who asked at once, each with a cookie of their own.
    let together = Arc::new(Barrier::new(20));
    let readers = (0..20).map(|i| {
        let (address, together) = (edge.address, together.clone());
        std::thread::spawn(move || {
            together.wait();
            let answer = Client::connect(address).get("/private", &format!("Cookie: session=v{i}\r\n"));
            assert_eq!(answer.text(), format!("page of <session=v{i}>"));
        })
    });
    readers.collect::<Vec<_>>().into_iter().for_each(|r| r.join().unwrap());
    // What sets a cookie is asked for anew each time.
    assert_eq!(edge.get("/sets", "").field("set-cookie"), Some("session=fresh"));
    assert_eq!(place.requests().iter().filter(|r| r.target == "/sets" && r.method == "GET").count(), 3 * 2 * 3 + 3 + 1);
}

#[test]
fn who_waits_for_an_answer_that_is_not_shared_goes_on_alone() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |_, to| {
        hold.pass();
        ok(to, "Cache-Control: private\r\n", "yours")
    });
    let edge = edge(&place);
    let mut readers: Vec<_> = (0..10).map(|_| edge.connect()).collect();
    for reader in &mut readers {
        reader.send(get("/", ""));
    }
    eventually("the fill is at the origin", || place.count() == 1);
    gate.open();
    for reader in &mut readers {
        assert_eq!(reader.answer().text(), "yours");
    }
    assert_eq!(place.count(), 10);
}

fn cut(request: &Request, to: &mut std::net::TcpStream) -> bool {
    let head = if request.target.starts_with("/chunked") {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    } else {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    };
    let _ = to.write_all(head.as_bytes());
    false
}

#[test]
fn a_body_that_was_cut_never_looks_whole_and_is_not_kept() {
    let mend = Arc::new(AtomicBool::new(false));
    let mended = mend.clone();
    let place = Origin::start(
        move |request, to| {
            if mended.load(Ordering::SeqCst) { ok(to, "", "whole") } else { cut(request, to) }
        },
    );
    let edge = edge(&place);
    let paths = ["/length", "/chunked", "/none/length", "/none/chunked"];
    for path in paths {
        let mut readers: Vec<_> = (0..5).map(|_| edge.connect()).collect();
        for reader in &mut readers {
            reader.send(get(path, ""));
        }
        for reader in &mut readers {
            if let Some((answer, end)) = reader.looks_whole() {
                assert!(end == End::Cut || answer.status == 502, "{path}: {answer:?}");
            }
        }
        let mut second = H2::connect(edge.tls);
        let told = second.ask(Method::GET, path, &[], &[]).try_answer();
        assert!(told.as_ref().map_or(true, |a| a.status == 502), "{path}: {told:?}");
    }
    mend.store(true, Ordering::SeqCst);
    for path in paths {
        // For a moment the failure is remembered.
        eventually("it is asked for again", || edge.get(path, "").text() == "whole");
    }
}

#[test]
fn an_origin_that_dies_under_load_is_not_missed_where_there_is_a_copy() {
    let mut nginx = Nginx::start("");
    for name in ["brief/page.html", "shown/index.html", "none/page.html"] {
        nginx.write(name, format!("live {name}"));
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("snapshot/shown")).unwrap();
    std::fs::write(dir.path().join("snapshot/shown/index.html"), "snapshot of shown/index.html").unwrap();
    let rest = "[snapshot]\ndir = \"snapshot\"\n[level.static]\nenter = { unreachable = \"1s\" }\n\
        leave = { probes = 2, for = \"1s\" }\n\
        [[route]]\nname = \"shown\"\npath = \"/shown/**\"\ncache = false\nat.static = \"snapshot\"\n";
    let rest = origin(nginx.address, 8) + BRIEF + rest + BRIEF_ROUTES;
    let policy = support::policy("", &rest);
    let edge = Edge::start_in(Arc::new(dir), &policy);
    assert_eq!(edge.get("/brief/page.html", "").text(), "live brief/page.html");
    assert_eq!(edge.get("/shown/", "").text(), "live shown/index.html");

    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..6)
        .map(|i| {
            let (stop, asked, address) = (stop.clone(), asked.clone(), edge.address);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    let path = if i % 2 == 0 { "/brief/page.html" } else { "/shown/" };
                    let answer = client.get(path, "");
                    assert_eq!(answer.status, 200, "{path}: {answer:?}");
                    assert!(answer.text().ends_with(if i % 2 == 0 { "brief/page.html" } else { "shown/index.html" }));
                    if answer.field("connection") == Some("close") {
                        client = Client::connect(address);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            })
        })
        .collect();
    let more = |n: usize| {
        let from = asked.load(Ordering::SeqCst);
        eventually("the crowd asks on", || {
            asked.load(Ordering::SeqCst) >= from + n || crowd.iter().any(|c| c.is_finished())
        });
    };
    more(50);
    nginx.kill();
    eventually("the level is static", || edge.level() == "static");
    more(50);
    assert_eq!(edge.get("/shown/", "").text(), "snapshot of shown/index.html");
    assert_eq!(edge.get("/none/page.html", "").status, 503);
    nginx.start_again();
    eventually("it is on its way back", || edge.level() == "degraded");
    more(50);
    eventually("the origin is asked again", || edge.get("/shown/", "").text() == "live shown/index.html");
    stop.store(true, Ordering::SeqCst);
    crowd.into_iter().for_each(|c| c.join().unwrap());
    assert_eq!(edge.get("/none/page.html", "").text(), "live none/page.html");
}

const BRIEF: &str = "[cache.brief]\nttl = \"1s\"\nstale_if_error = \"1h\"\nstale_while_revalidate = \"0s\"\n";
const BRIEF_ROUTES: &str = "[[route]]\nname = \"brief\"\npath = \"/brief/**\"\ncache = \"brief\"\n\
    [[route]]\nname = \"rest\"\ncache = false\n";

#[test]
fn who_is_given_a_copy_only_because_nobody_is_to_be_asked_asks_nothing_of_it() {
    let place = Origin::start(|request, to| {
        if request.field("if-none-match").is_some() {
            return to.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n").is_ok();
        }
        ok(to, "ETag: \"v1\"\r\nCache-Control: max-age=1, stale-while-revalidate=60\r\n", "page")
    });
    let routes = "[cache.page]\n[[route]]\nname = \"pages\"\ncache = \"page\"\nat.elevated = \"stale\"\n";
    let edge = Edge::start("", &(origin(place.address, 50) + routes));
    assert_eq!(edge.get("/", "").text(), "page");
    assert!(edge.cli(&["level", "pin", "elevated"]).status.success());
    let is_stale = || edge.get("/", "Cookie: session=1\r\n").field("cache-status").unwrap().contains("ttl=-");
    eventually("it is stale", is_stale);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(place.count(), 1, "a session's answer would be none for others");
    assert_eq!(edge.get("/", "").text(), "page");
    eventually("who may have it renews it", || place.count() == 2);
    eventually("and it is fresh", || !edge.get("/", "").field("cache-status").unwrap().contains("ttl=-"));
}
