//! A refusal is honest, cheap, and keeps the connection; nonsense is told so, and crashes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod support;

use std::io::Read;
use std::time::Duration;

use http::Method;
use support::client::{get, post};
use support::{Answer, Client, Edge, H2, Nginx, Origin, origin};

const LIMITED: &str = "[rate_limit.few]\nkey = \"client_ip\"\nquota = \"2/min\"\nburst = 2\n\
    [waiting_room.drop]\ncapacity = 10\n\
    [[route]]\nname = \"limited\"\npath = \"/limited/**\"\nrate_limit = \"few\"\ncache = false\n\
    [[route]]\nname = \"room\"\npath = \"/room/**\"\nwaiting_room = \"drop\"\ncache = false\n\
    [[route]]\nname = \"rest\"\ncache = false\n";

fn limited_edge(edge: &str) -> (Origin, Edge) {
    let place = Origin::plain();
    let edge = Edge::start(edge, &(origin(place.address, 4) + LIMITED));
    (place, edge)
}

fn assert_limited(answer: &Answer) {
    assert_eq!((answer.status, answer.reason()), (429, "rate_limited".to_owned()));
    assert!(answer.retry_after() <= 60);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("ratelimit-policy"), Some("\"few\";q=2;w=60"));
    assert!(answer.field("ratelimit").unwrap().starts_with("\"few\";r=0"), "{answer:?}");
    assert!(answer.field("proxy-status").unwrap().contains("error=http_request_denied"));
    assert_eq!(answer.field("x-request-id").unwrap().len(), 16);
}

#[test]
fn a_limited_visitor_is_told_when_to_come_back_and_keeps_the_connection() {
    let (place, edge) = limited_edge("");
    let mut first = edge.connect();
    let mut second = H2::connect(edge.tls);
    // The first door's visitor is 127.0.0.1, the second's ::1: each has its own two.
    for _ in 0..2 {
        assert_eq!(first.get("/limited/", "").status, 200);
        assert_eq!(second.get("/limited/", &[]).status, 200);
    }
    for _ in 0..3 {
        assert_limited(&first.get("/limited/", ""));
        assert_limited(&second.get("/limited/", &[]));
    }
    let head = first.send(get("/limited/", "").replacen("GET", "HEAD", 1)).answer_to_head();
    assert_eq!(head.status, 429);
    first.assert_kept();
    assert_eq!(first.get("/else", "").status, 200);
    assert_eq!(second.get("/else", &[]).status, 200);
    assert_eq!((place.count(), edge.count("rate_limited")), (6, 7));
}

#[test]
fn a_dry_run_refuses_nothing_and_is_seen_in_metrics_and_log() {
    let place = Origin::plain();
    let dry = "[log]\naccess = \"access.log\"\n[rate_limit.planned]\nkey = \"host\"\nquota = \"1/h\"\ndry_run = true\n\
        [[route]]\nrate_limit = \"planned\"\ncache = false\n";
    let edge = Edge::start("", &(origin(place.address, 4) + dry));
    let mut client = edge.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/", "").status, 200);
    }
    let metric = "seawall_rate_limit_refused_total{rate_limit=\"planned\",dry_run=\"true\"} 2";
    let metrics = edge.ask_admin("/metrics").text();
    assert!(metrics.contains(metric), "{metrics}");
    let log = || std::fs::read_to_string(edge.dir().join("access.log")).unwrap();
    support::eventually("the log is written", || log().lines().count() == 3);
    assert_eq!(log().matches("\"detail\":\"rate_limit.planned would refuse\"").count(), 2, "{}", log());
}

#[test]
fn a_refusal_is_one_write() {
    let (_place, edge) = limited_edge("");
    let mut client = edge.connect();
    for _ in 0..2 {
        client.get("/limited/", "");
    }
    client.send(get("/limited/", "Accept: text/html\r\n"));
    let mut all = vec![0; 64 << 10];
    let came = client.stream.read(&mut all).unwrap();
    let text = String::from_utf8_lossy(&all[..came]);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
}

#[test]
fn the_client_chooses_between_a_page_and_a_problem() {
    let (_place, edge) = limited_edge("");
    let mut client = edge.connect();
    let kinds = [
        ("Accept: text/html,*/*;q=0.8\r\n", "text/html; charset=utf-8"),
        ("Accept: application/json\r\n", "application/problem+json"),
        ("", "application/problem+json"),
    ];
    for (accept, kind) in kinds {
        let answer = client.get("/.seawall/nothing", accept);
        assert_eq!((answer.status, answer.field("content-type")), (404, Some(kind)));
    }
    assert!(client.get("/.seawall/nothing", "Accept: text/html\r\n").text().contains("<html"));
}

#[test]
fn a_small_refused_body_is_read_away_and_a_large_one_ends_the_connection_in_order() {
    let (place, edge) = limited_edge("");
    for _ in 0..2 {
        edge.get("/limited/", "");
    }
    let mut client = edge.connect();
    for body in ["x".to_owned(), "y".repeat(64 << 10)] {
        assert_limited(&client.send(post("/limited/", "", &body)).answer());
        client.assert_kept();
    }
    let chunked =
        "POST /limited/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_limited(&client.send(chunked).answer());
    client.assert_kept();

    // The client goes on sending while it is refused, and still reads why.
    let mut client = edge.connect();
    client.send(post("/limited/", "", &"z".repeat(200 << 10)));
    let answer = client.answer();
    assert_limited(&answer);
    assert_eq!(answer.field("connection"), Some("close"));
    client.assert_closed();

    // Half a body, and then nothing: refused at once, and the rest is not waited for long.
    let mut client = edge.connect();
    client.send("POST /limited/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (429, Some("close")));

    let expects = "POST /limited/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    let answer = edge.connect().send(expects).answer();
    assert_eq!(answer.status, 429, "refused without a 100");
    let mut second = H2::connect(edge.tls);
    for _ in 0..2 {
        second.get("/limited/", &[]);
    }
    for size in [1, 60 << 10, 300 << 10] {
        assert_eq!(second.ask(Method::POST, "/limited/", &[], &vec![0; size]).answer().status, 429);
    }
    assert_eq!(place.count(), 4);
}

#[test]
fn a_body_over_the_limit_is_refused_before_or_on_its_way() {
    let (_place, edge) = limited_edge("max_body_size = \"100KiB\"\nbuffer_body = \"1KiB\"");
    let mut client = edge.connect();
    let answer = client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n").answer();
    assert_eq!((answer.status, answer.reason()), (413, "body_too_large".to_owned()));
    assert_eq!(answer.field("connection"), Some("close"));

    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = "x".repeat(0x4000);
    for _ in 0..8 {
        client.send(format!("4000\r\n{piece}\r\n"));
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.reason()), (413, "body_too_large".to_owned()));
}

#[test]
fn malformed_heads_get_a_clear_answer() {
    let (place, edge) = limited_edge("max_header_size = \"8KiB\"");
    let long = "x".repeat(9000);
    let many = "A: 1\r\n".repeat(150);
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (get("/", "Host: other\r\n"), 400),
        (get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (get("/", "Content-Length: -1\r\n"), 400),
        (get("/", "Transfer-Encoding: chunked, gzip\r\n"), 400),
        (get("/", "Folded: a\r\n b\r\n"), 400),
        (get("/", "Name : v\r\n"), 400),
        (get("/", "Bare: a\nB: c\r\n"), 400),
        (get("/%zz", ""), 400),
        (get("/a%00b", ""), 400),
        (get("/a%5cb", ""), 400),
        (get("nowhere", ""), 400),
        (get("/", &format!("Long: {long}\r\n")), 431),
        (get(&format!("/{long}"), ""), 431),
        (get("/", &many), 431),
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned(), 405),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        (get("/", "Expect: a-miracle\r\n"), 417),
    ];
    for (sent, status) in cases {
        let mut client = edge.connect();
        let answer = client.send(&sent).answer();
        assert_eq!(answer.status, status, "{:?}", &sent[..sent.len().min(80)]);
        assert_eq!(answer.field("connection"), Some("close"), "{sent:?}");
        client.assert_closed();
    }
    assert_eq!(place.count(), 0);
    edge.connect().assert_kept();
}

#[test]
fn a_head_that_does_not_end_is_ended() {
    let (_place, edge) = limited_edge("header_timeout = \"1s\"");
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: localh");
    // A byte now and then does not put the deadline off.
    let mut dripping = client.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut dripping, b"o").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    assert_eq!(client.answer().status, 408);
    drop(client);
    drip.join().unwrap();
}

#[test]
fn garbage_in_cookies_and_tickets_is_worth_nothing_and_breaks_nothing() {
    let (place, mut edge) = limited_edge("");
    let mut client = edge.connect();
    let mut second = H2::connect(edge.tls);
    let long = "A".repeat(4000);
    for garbage in ["", "=", ";;;=;", "%%%", "\u{fe}\u{ff}", "a.b.c", "AAAA", "é=ü", "\"", long.as_str()] {
        for name in ["seawall_drop", "__Host-seawall_drop", "seawall_", "x"] {
            let fields = format!("Cookie: {name}={garbage}\r\nCookie: {garbage}\r\nSeawall-Ticket: {garbage}\r\n");
            for path in ["/room/", "/.seawall/room/drop", "/"] {
                let status = client.get(path, &fields).status;
                assert!(status == 200 || (status, path) == (503, "/room/"), "{status} {path} {fields}");
            }
            if garbage.is_ascii() {
                assert_eq!(second.get("/", &[("cookie", &format!("{name}={garbage}"))]).status, 200);
            }
        }
    }
    assert!(place.count() > 0 && edge.is_running());
}

#[test]
fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
    let nginx =
        Nginx::start("location / { return 200 '$http_x_forwarded_for|$http_x_forwarded_proto|$http_forwarded'; }");
    let policy = origin(nginx.address, 4) + LIMITED;
    let forged = "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=198.51.100.7\r\n";

    let stranger = Edge::start("", &policy);
    assert_eq!(stranger.get("/", forged).text(), "127.0.0.1|http|for=127.0.0.1;proto=http;host=\"localhost\"");
    let trusting = Edge::start("trusted_proxies = [\"127.0.0.0/8\"]", &policy);
    let told = trusting.get("/", forged).text();
    assert!(told.starts_with("198.51.100.7, 127.0.0.1|https|"), "{told}");

    // So a forger shares one quota, and visitors behind a trusted proxy each have their own.
    let statuses = |edge: &Edge| {
        let mut client = Client::connect(edge.address);
        let ask = |n| client.get("/limited/", &format!("X-Forwarded-For: 198.51.100.{n}\r\n")).status;
        (1..=4).map(ask).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&stranger), [200, 200, 429, 429]);
    assert_eq!(statuses(&trusting), [200, 200, 200, 200]);
}

#[test]
fn an_origin_that_fails_is_told_as_such_and_the_connection_is_kept() {
    let place = Origin::start(|_, _| false);
    let unreachable = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Origin::start(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        false
    });
    for (address, status, reason) in [
        (place.address, 502, "origin_failed"),
        (unreachable, 502, "origin_unreachable"),
        (silent.address, 504, "origin_timeout"),
    ] {
        let slow = origin(address, 4).replace("[origin.site.conc", "response_timeout = \"1s\"\n[origin.site.conc");
        let edge = Edge::start("", &(slow + "[level.static]\nenter = { unreachable = \"1h\" }\n" + LIMITED));
        for ask in [get("/", ""), post("/", "", "a=1")] {
            let mut client = edge.connect();
            let answer = client.send(ask).answer();
            assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
            assert!(answer.retry_after() >= 1);
            client.assert_kept();
        }
        let mut second = H2::connect(edge.tls);
        for _ in 0..2 {
            let answer = second.get("/", &[]);
            assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
        }
    }
}
