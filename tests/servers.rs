//! Several servers: the load is shared, one that fails is left out and comes back, what may be tried
//! again is, and retries never become the storm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use support::client::post;
use support::origin::{Gate, ok};
use support::{Edge, H2, Origin, eventually, policy, write_policy};

/// An origin with these servers; `more` are lines of `[origin.site]`.
fn site(servers: &[SocketAddr], more: &str) -> String {
    let servers: Vec<_> = servers.iter().map(|s| format!("\"{s}\"")).collect();
    format!(
        "[origin.site]\nservers = [{}]\n{more}\n[origin.site.concurrency]\nmode = \"fixed\"\nlimit = 100\n\
         [[route]]\nname = \"rest\"\ncache = false\n",
        servers.join(", ")
    )
}

/// A server that answers with the status it is told, and with Retry-After where that is 503 on
/// `rest`; 0: it breaks off.
fn moody(rest: Option<u32>) -> (Origin, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(200));
    let told = mood.clone();
    let origin = Origin::start(move |request, to| {
        use std::io::Write;
        match told.load(Ordering::SeqCst) {
            0 => false,
            200 => ok(to, "", &request.target),
            status => {
                let rest = rest.map_or(String::new(), |s| format!("Retry-After: {s}\r\n"));
                write!(to, "HTTP/1.1 {status} Not Now\r\n{rest}Content-Length: 3\r\n\r\nno\n").is_ok()
            }
        }
    });
    (origin, mood)
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn state(edge: &Edge, server: usize) -> String {
    edge.status()["origins"][0]["servers"][server]["state"].as_str().unwrap().to_owned()
}

#[test]
fn two_servers_share_the_load() {
    let (a, b) = (Origin::plain(), Origin::plain());
    let edge = Edge::start("", &site(&[a.address, b.address], ""));
    for _ in 0..100 {
        assert_eq!(edge.get("/", "").status, 200);
    }
    assert!(a.count() > 20 && b.count() > 20, "{} and {}", a.count(), b.count());
    assert_eq!(a.count() + b.count(), 100);
}

#[test]
fn the_one_with_less_to_do_is_asked() {
    let gate = Gate::default();
    let hold = gate.clone();
    let slow = Origin::start(move |_, to| {
        hold.pass();
        ok(to, "", "slow")
    });
    let fast = Origin::plain();
    let edge = Edge::start("", &site(&[slow.address, fast.address], ""));
    let mut clients: Vec<_> = (0..2).map(|_| edge.connect()).collect();
    clients.iter_mut().for_each(|c| {
        c.send(support::client::get("/", ""));
    });
    eventually("one is stuck at the slow server", || {
        if slow.in_flight() == 0 {
            let mut client = edge.connect();
            client.send(support::client::get("/", ""));
            clients.push(client);
        }
        slow.in_flight() > 0
    });
    let stuck = slow.count();
    for _ in 0..50 {
        assert_eq!(edge.get("/quick", "").text(), "GET /quick\n");
    }
    assert_eq!((slow.count(), fast.count_of("/quick")), (stuck, 50));
    let servers = edge.status()["origins"][0]["servers"].clone();
    assert!(servers[0]["in_flight"].as_u64() >= Some(1), "{servers}");
    gate.open();
    clients.iter_mut().for_each(|c| assert_eq!(c.answer().status, 200));
    eventually("nothing is in flight anywhere", || {
        let servers = edge.status()["origins"][0]["servers"].clone();
        (0..2).all(|i| servers[i]["in_flight"] == 0)
    });
}

#[test]
fn when_a_server_is_gone_no_request_fails() {
    let alive = Origin::plain();
    let edge = Edge::start("", &site(&[nobody(), alive.address], ""));
    let mut second = H2::connect(edge.tls);
    for i in 0..60 {
        let answer = match i % 3 {
            0 => edge.get("/", ""),
            // What was never sent can be sent again, whatever its method.
            1 => edge.connect().send(post("/", "", "a=1")).answer(),
            _ => second.ask(Method::GET, "/", &[], &[]).answer(),
        };
        assert_eq!(answer.status, 200, "{i}: {answer:?}");
    }
    assert_eq!(alive.count(), 60);
    assert_eq!(state(&edge, 0), "failing");
    assert_eq!(edge.status()["origins"][0]["retries"], 5);
    assert_eq!((edge.figure("unreached"), edge.level().as_str()), (0, "normal"));
    let metrics = edge.ask_admin("/metrics").text();
    assert!(metrics.contains("seawall_origin_retries_total{origin=\"site\"} 5\n"), "{metrics}");
    let told = edge.cli(&["status"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("out: failing, for "), "{told:?}");
}

#[test]
fn a_server_that_breaks_off_is_asked_again_only_for_what_may_be_repeated() {
    let ((a, mood_a), (b, mood_b)) = (moody(None), moody(None));
    let edge = Edge::start("", &site(&[a.address, b.address], ""));
    mood_a.store(0, Ordering::SeqCst);
    mood_b.store(0, Ordering::SeqCst);
    let answer = edge.connect().send(post("/order", "", "a=1")).answer();
    assert_eq!((answer.status, answer.reason()), (502, "origin_failed".to_owned()));
    assert_eq!(a.count() + b.count(), 1, "an order is not sent twice");
    let answer = edge.get("/page", "");
    assert_eq!((answer.status, answer.reason()), (502, "origin_failed".to_owned()));
    assert_eq!((a.count_of("/page"), b.count_of("/page")), (1, 1));
    mood_b.store(200, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(edge.get("/page", "").text(), "/page");
        let put = "PUT /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na=1";
        assert_eq!(edge.connect().send(put).answer().text(), "/p");
    }
    assert!(b.requests().iter().filter(|r| r.method == "PUT").all(|r| r.body == b"a=1"));
}

#[test]
fn without_retries_nothing_is_tried_again() {
    let ((a, mood_a), (b, mood_b)) = (moody(None), moody(None));
    let edge = Edge::start("", &site(&[a.address, b.address], "retries = 0"));
    mood_a.store(503, Ordering::SeqCst);
    mood_b.store(0, Ordering::SeqCst);
    for _ in 0..4 {
        assert!(matches!(edge.get("/", "").status, 502 | 503));
    }
    assert_eq!(a.count() + b.count(), 4);
}

#[test]
fn what_was_too_slow_is_not_asked_for_again() {
    let gate = Gate::default();
    let slow = |gate: Gate| {
        Origin::start(move |_, to| {
            gate.pass();
            ok(to, "", "late")
        })
    };
    let (a, b) = (slow(gate.clone()), slow(gate.clone()));
    let edge = Edge::start("", &site(&[a.address, b.address], "retries = 5\nresponse_timeout = \"300ms\""));
    let answer = edge.get("/", "");
    assert_eq!((answer.status, answer.reason()), (504, "origin_timeout".to_owned()));
    assert_eq!(a.count() + b.count(), 1);
    gate.open();
}

#[test]
fn who_leaves_is_in_flight_nowhere() {
    let gate = Gate::default();
    let hold = gate.clone();
    let a = Origin::start(move |_, to| {
        hold.pass();
        ok(to, "", "")
    });
    let edge = Edge::start("", &site(&[a.address], ""));
    let in_flight = || edge.status()["origins"][0]["servers"][0]["in_flight"].as_u64().unwrap();
    let mut client = edge.connect();
    client.send(support::client::get("/", ""));
    let mut second = H2::connect(edge.tls);
    let asked = second.ask(Method::GET, "/", &[], &[]);
    eventually("both are at the server", || in_flight() == 2);
    drop(client);
    asked.leave();
    eventually("none is", || in_flight() == 0);
    assert_eq!(state(&edge, 0), "in");
    gate.open();
}

#[test]
fn a_fill_is_tried_again_before_a_copy_stands_in() {
    let ((a, mood), b) = (moody(None), Origin::start(|_, to| ok(to, "Cache-Control: max-age=60\r\n", "page")));
    let cached = site(&[a.address, b.address], "").replace("[[route]]\nname = \"rest\"\ncache = false\n", "");
    let edge = Edge::start("", &cached);
    mood.store(503, Ordering::SeqCst);
    for i in 0..20 {
        let answer = edge.get(&format!("/{i}"), "");
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
        let again = edge.get(&format!("/{i}"), "");
        assert!(again.field("cache-status").is_some_and(|s| s.contains("hit")), "{again:?}");
    }
    assert_eq!((b.count(), a.count()), (20, 5));
}

#[test]
fn a_kept_connection_that_was_closed_is_no_failure() {
    // Each connection answers once and breaks at the second request, without a word before.
    let answered = Arc::new(Mutex::new(HashSet::new()));
    let a = Origin::start(move |request, to| {
        answered.lock().unwrap().insert(to.peer_addr().unwrap()) && ok(to, "", &request.target)
    });
    let edge = Edge::start("", &site(&[a.address], "retries = 0"));
    for _ in 0..20 {
        assert_eq!(edge.get("/", "").text(), "/");
    }
    let origin = &edge.status()["origins"][0];
    assert_eq!((&origin["retries"], &origin["unreached"]), (&0.into(), &0.into()));
    assert!(a.count() > 20, "none was kept");
}

#[test]
fn a_failing_server_is_left_out_and_let_back() {
    let ((a, mood), b) = (moody(None), Origin::plain());
    let edge = Edge::start("", &site(&[a.address, b.address], ""));
    mood.store(502, Ordering::SeqCst);
    let mut asked = 0;
    while state(&edge, 0) == "in" {
        assert_eq!(edge.get("/", "").status, 200, "the other one answers");
        asked += 1;
        assert!(asked < 200);
    }
    assert_eq!((state(&edge, 0), a.count()), ("failing".to_owned(), 5));
    assert!(edge.log().contains("the server is left out"));
    for _ in 0..20 {
        assert_eq!(edge.get("/", "").status, 200);
    }
    assert_eq!(a.count(), 5, "it is left alone");
    mood.store(200, Ordering::SeqCst);
    eventually("it is on its way back", || state(&edge, 0) == "returning");
    eventually("it is asked again", || {
        assert_eq!(edge.get("/", "").status, 200);
        a.count() > 5
    });
    eventually("it is back", || state(&edge, 0) == "in");
}

#[test]
fn retries_stay_within_their_budget_when_everything_fails() {
    let ((a, mood_a), (b, mood_b)) = (moody(None), moody(None));
    let edge = Edge::start("", &site(&[a.address, b.address], "retries = 5"));
    mood_a.store(0, Ordering::SeqCst);
    mood_b.store(0, Ordering::SeqCst);
    const ASKED: usize = 200;
    for _ in 0..ASKED {
        assert!(edge.get("/", "").status >= 502);
    }
    let origin = &edge.status()["origins"][0];
    let sent = a.count() + b.count();
    // The floor of ten is each ten seconds anew: room for a slow machine.
    assert!(sent <= ASKED + ASKED / 5 + 10 * 6, "{sent} requests reached the servers: {origin}");
    assert!(origin["retries"].as_u64() >= Some(10) && origin["retries_denied"].as_u64() > Some(0), "{origin}");
    // And the ladder's probes, two a second while nothing answers.
    let retries = origin["retries"].as_u64().unwrap();
    assert!((0..60).contains(&(sent as u64 - ASKED as u64 - retries)), "{sent} requests reached the servers: {origin}");
}

#[test]
fn a_server_that_asks_for_rest_gets_it() {
    let ((a, mood), b) = (moody(Some(20)), Origin::plain());
    let edge = Edge::start("", &site(&[a.address, b.address], ""));
    mood.store(503, Ordering::SeqCst);
    let mut refused = 0;
    for _ in 0..60 {
        let answer = edge.get("/", "");
        if answer.status == 503 {
            assert_eq!((answer.text().as_str(), answer.retry_after()), ("no\n", 20), "it is the server's own answer");
            refused += 1;
        }
    }
    assert_eq!((refused, a.count()), (1, 1), "from the first such answer on, the other one is asked");
    assert_eq!((state(&edge, 0), b.count()), ("busy".to_owned(), 59));
}

#[test]
fn a_single_server_is_asked_whatever_it_says() {
    let (a, mood) = moody(Some(20));
    let edge = Edge::start("", &site(&[a.address], "retries = 5"));
    mood.store(503, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(edge.get("/", "").retry_after(), 20);
    }
    assert_eq!((a.count(), state(&edge, 0)), (20, "in".to_owned()), "once each, and never left out");
    mood.store(200, Ordering::SeqCst);
    assert_eq!(edge.get("/", "").status, 200);
}

#[test]
fn a_health_check_counts_once_it_has_passed() {
    let checked = |mood: &Arc<AtomicU16>| {
        let told = mood.clone();
        Origin::start(move |request, to| {
            use std::io::Write;
            let well = request.target != "/healthz" || told.load(Ordering::SeqCst) == 200;
            if well {
                ok(to, "", "page")
            } else {
                to.write_all(b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n").is_ok()
            }
        })
    };
    let (well, ill) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(500)));
    let (a, b) = (checked(&well), checked(&ill));
    let health = "health = { path = \"/healthz\", every = \"100ms\" }";
    let edge = Edge::start("", &site(&[a.address, b.address], health));
    eventually("the second server's check has failed often", || b.count_of("/healthz") > 10);
    assert_eq!(state(&edge, 1), "in", "but never passed");
    well.store(500, Ordering::SeqCst);
    eventually("the first server is left out", || state(&edge, 0) == "unhealthy");
    let before = a.count_of("/");
    for _ in 0..20 {
        assert_eq!(edge.get("/", "").status, 200);
    }
    assert_eq!((a.count_of("/"), b.count_of("/")), (before, 20));
    assert_eq!(edge.level(), "normal");
    well.store(200, Ordering::SeqCst);
    eventually("it comes back", || state(&edge, 0) == "returning");
    assert!(edge.log().contains("the server is healthy again"));
}

#[test]
fn what_is_known_of_a_server_outlives_a_reload() {
    let (b, c) = (Origin::plain(), Origin::plain());
    let gone = nobody();
    let before = policy("", &site(&[gone, b.address], ""));
    let edge = Edge::start_in(Arc::new(tempfile::tempdir().unwrap()), &before);
    eventually("it is left out", || {
        assert_eq!(edge.get("/", "").status, 200);
        state(&edge, 0) == "failing"
    });
    write_policy(edge.dir(), &policy("", &site(&[c.address, gone, b.address], "")));
    edge.signal(libc::SIGHUP);
    eventually("the policy is taken over", || edge.log().contains("policy reloaded"));
    assert_eq!((state(&edge, 0), state(&edge, 1), state(&edge, 2)), ("in".into(), "failing".into(), "in".into()));
    for _ in 0..20 {
        assert_eq!(edge.get("/", "").status, 200);
    }
    assert!(c.count() > 0, "the new server is asked");
}
