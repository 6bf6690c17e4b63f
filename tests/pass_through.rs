//! What an origin says arrives as it said it, by both doors.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use http::Method;
use support::client::get;
use support::nginx::files_below;
use support::origin::{Gate, ok};
use support::{Answer, Client, Edge, H2, Nginx, Origin, eventually, origin};

const ROUTES: &str = "[cache.page]\nttl = \"1h\"\nmax_object = \"64MiB\"\ncompress = false\n\
    [[route]]\nname = \"kept\"\npath = \"/kept/**\"\ncache = \"page\"\nmax_body_size = \"64MiB\"\n\
    [[route]]\nname = \"rest\"\nmax_body_size = \"64MiB\"\ncache = false\n";

/// Documents of every size and kind that matters, and those of the distribution.
fn site() -> (Nginx, Vec<(String, Vec<u8>)>) {
    let nginx = Nginx::start(
        "location /doc/ { alias /usr/share/doc/; }\nlocation /kept/ { alias ROOT/; etag on; }\n\
         location /dav/ { dav_methods PUT; create_full_put_path on; }\n\
         location = /told { add_header X-Odd 'a, \"b\";c'; add_header X-Twice 1; add_header X-Twice 2; return 200 told; }\n",
    );
    let line = "Ünïcode, and a line of a document that someone wrote.\n";
    let noise = |n: usize| (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>();
    let documents = [
        ("empty.txt", Vec::new()),
        ("one.txt", b"x".to_vec()),
        ("page.html", format!("<!doctype html><title>t</title>{}", line.repeat(40)).into_bytes()),
        ("data.json", format!("{{\"lines\":{:?}}}", line.repeat(400)).into_bytes()),
        ("picture.png", noise(65_536)),
        ("odd.bin", noise(65_537)),
        ("large.bin", noise(5 << 20)),
    ];
    let mut expected = Vec::new();
    for (name, content) in documents {
        nginx.write(name, &content);
        expected.push((format!("/{name}"), content.clone()));
        expected.push((format!("/kept/{name}"), content));
    }
    for path in files_below(Path::new("/usr/share/doc"), 150) {
        let url = format!("/doc/{}", path.strip_prefix("/usr/share/doc").unwrap().display());
        expected.push((url, std::fs::read(path).unwrap()));
    }
    (nginx, expected)
}

/// What an answer says end to end, without what is this hop's or this moment's.
fn told(answer: &Answer) -> Vec<(String, String)> {
    let hop = ["connection", "keep-alive", "date", "x-request-id", "cache-status", "age", "transfer-encoding"];
    let mut fields: Vec<_> = answer.fields.iter().filter(|(n, _)| !hop.contains(&n.as_str())).cloned().collect();
    fields.sort();
    fields
}

#[test]
fn documents_and_their_headers_arrive_unmodified_by_both_doors() {
    let (nginx, documents) = site();
    let edge = Edge::start("", &(origin(nginx.address, 8) + ROUTES));
    let (mut bare, mut first, mut second) = (Client::connect(nginx.address), edge.connect(), H2::connect(edge.tls));
    for _ in 0..2 {
        for (path, content) in &documents {
            let direct = bare.get(path, "");
            for answer in [first.get(path, ""), second.get(path, &[])] {
                assert_eq!(answer.status, 200, "{path}");
                assert!(answer.body == *content, "{path} by {} differs", answer.version);
                assert_eq!(told(&answer), told(&direct), "{path} by {}", answer.version);
            }
        }
    }
    let direct = bare.get("/told", "");
    assert_eq!(direct.all("x-twice"), ["1", "2"]);
    assert_eq!(told(&first.get("/told", "")), told(&direct));
    assert_eq!(told(&second.get("/told", &[])), told(&direct));
    assert!(edge.count("hit") > 0, "the second round of /kept/ came from the cache");
}

#[test]
fn ranges_conditions_and_head_are_answered_as_the_origin_does() {
    let (nginx, _) = site();
    let edge = Edge::start("", &(origin(nginx.address, 8) + ROUTES));
    let mut bare = Client::connect(nginx.address);
    let mut first = edge.connect();
    let mut second = H2::connect(edge.tls);
    for path in ["/picture.png", "/kept/picture.png", "/kept/picture.png"] {
        let whole = bare.get(path, "");
        first.get(path, "");
        second.get(path, &[]);
        let etag = whole.field("etag").unwrap().to_owned();
        let modified = whole.field("last-modified").unwrap().to_owned();
        let cases = [
            (("range", "bytes=0-99"), 206),
            (("range", "bytes=-100"), 206),
            (("range", "bytes=65000-"), 206),
            (("range", "bytes=70000-"), 416),
            (("if-none-match", etag.as_str()), 304),
            (("if-modified-since", modified.as_str()), 304),
            (("if-none-match", "\"other\""), 200),
        ];
        for ((name, value), status) in cases {
            let direct = bare.get(path, &format!("{name}: {value}\r\n"));
            assert_eq!(direct.status, status);
            for answer in [first.get(path, &format!("{name}: {value}\r\n")), second.get(path, &[(name, value)])] {
                assert_eq!(answer.status, status, "{path} {name}: {value} by {}", answer.version);
                assert!(status == 416 || answer.body == direct.body, "{path} {name}: {value}");
                assert_eq!(answer.field("content-range"), direct.field("content-range"));
                assert_eq!(answer.field("etag"), direct.field("etag"), "{path} {name}: {value}");
            }
        }
        let head = first.send(get(path, "").replacen("GET", "HEAD", 1)).answer_to_head();
        assert_eq!((head.status, told(&head)), (200, told(&whole)), "{path}");
        let head = second.ask(Method::HEAD, path, &[], &[]).answer();
        assert_eq!((head.status, head.body.len(), told(&head)), (200, 0, told(&whole)), "{path}");
        first.assert_kept();
        assert!(first.get(path, "").body == whole.body);
    }
}

#[test]
fn uploads_arrive_whole_however_they_are_framed() {
    let (nginx, _) = site();
    let edge = Edge::start("buffer_body = \"64KiB\"", &(origin(nginx.address, 8) + ROUTES));
    let mut first = edge.connect();
    let mut second = H2::connect(edge.tls);
    for size in [1, 1000, 65_536, 65_537, 3 << 20] {
        let body: Vec<u8> = (0..size).map(|i: usize| (i * 31 % 251) as u8).collect();
        let arrived = |name: &str| std::fs::read(nginx.root().join("dav").join(name)).unwrap();
        let put =
            |name: &str, framing: &str| format!("PUT /dav/{name} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");

        let name = format!("length-{size}");
        first.send(put(&name, &format!("Content-Length: {size}"))).send(&body);
        assert_eq!(first.answer().status, 201);
        assert!(arrived(&name) == body, "{name}");

        let name = format!("chunked-{size}");
        first.send(put(&name, "Transfer-Encoding: chunked"));
        for piece in body.chunks(10_007) {
            first.send(format!("{:x};ext=1\r\n", piece.len())).send(piece).send("\r\n");
        }
        first.send("0\r\n\r\n");
        assert_eq!(first.answer().status, 201);
        assert!(arrived(&name) == body, "{name}");

        let name = format!("h2-{size}");
        assert_eq!(second.ask(Method::PUT, &format!("/dav/{name}"), &[], &body).answer().status, 201);
        assert!(arrived(&name) == body, "{name}");
    }
    first.assert_kept();
}

#[test]
fn expect_is_answered_with_100_and_then_with_the_answer() {
    let place = Origin::start(|request, to| ok(to, "", format!("{} bytes", request.body.len())));
    let edge = Edge::start("buffer_body = \"1KiB\"", &(origin(place.address, 2) + ROUTES));
    for size in [10, 100_000] {
        let mut client = edge.connect();
        let head =
            format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.send(head).head().status, 100, "{size}");
        let answer = client.send(vec![b'x'; size]).answer();
        assert_eq!((answer.status, answer.text()), (200, format!("{size} bytes")));
        match answer.field("connection") {
            // Pingora gives up a connection on which it passes the origin's own 100 on, and says so.
            Some("close") => client.assert_closed(),
            _ => client.assert_kept(),
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.target == "/slow" {
            hold.pass();
        }
        ok(to, "", &request.target)
    });
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    let mut client = edge.connect();
    client.send([get("/1", ""), get("/2", ""), get("/.seawall/live", ""), get("/3", "")].concat());
    let bodies: Vec<_> = (0..4).map(|_| client.answer().text()).collect();
    assert_eq!(bodies, ["/1", "/2", "ok\n", "/3"]);

    client.send(get("/slow", ""));
    eventually("the first is at the origin", || place.count_of("/slow") == 1);
    client.send(get("/next", ""));
    assert_eq!(place.count_of("/next"), 0);
    gate.open();
    assert_eq!(client.answer().text(), "/slow");
    assert_eq!(client.answer().text(), "/next");
    client.assert_kept();
}

#[test]
fn http_1_0_is_never_sent_chunks_and_is_kept_only_if_it_asks() {
    let place = Origin::start(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
            .is_ok()
    });
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    for path in ["/", "/kept/1", "/kept/1"] {
        let mut client = edge.connect();
        let answer = client.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).answer();
        assert_eq!(
            (answer.status, answer.text(), answer.field("transfer-encoding")),
            (200, "hello world".to_owned(), None)
        );
        client.assert_closed();
    }
    let mut client = edge.connect();
    for _ in 0..2 {
        let ask = "GET /kept/1 HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
        let answer = client.send(ask).answer();
        assert_eq!((answer.text(), answer.field("connection")), ("hello world".to_owned(), Some("keep-alive")));
    }
}

#[test]
fn a_websocket_talks_and_holds_no_place() {
    let place = Origin::start(|request, to| {
        if request.field("upgrade").is_none() {
            return ok(to, "", "page");
        }
        assert_eq!(request.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        to.write_all(head.as_bytes()).unwrap();
        let mut from = to.try_clone().unwrap();
        let _ = std::io::copy(&mut from, to);
        false
    });
    let edge = Edge::start("max_body_size = \"1KiB\"", &(origin(place.address, 1) + ROUTES));
    let mut socket = edge.connect();
    let head =
        get("/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    // What comes with the head is the socket's already.
    let answer = socket.send(head + "early").head();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(socket.bytes(5), b"early");
    let long = "longer than any body may be here".repeat(100);
    for message in ["first", "second", &long] {
        socket.send(message);
        assert_eq!(socket.bytes(message.len()), message.as_bytes());
        // The one place is free while the socket is open.
        assert_eq!(edge.get("/page", "").text(), "page");
    }
    assert_eq!(edge.figure("streams"), 1);
    drop(socket);
    eventually("the stream is counted no more", || edge.figure("streams") == 0);
}

#[test]
fn a_gigabyte_passes_at_constant_memory() {
    const SIZE: u64 = 1 << 30;
    let (nginx, _) = site();
    std::fs::File::create(nginx.root().join("sparse.bin")).unwrap().set_len(SIZE).unwrap();
    let edge = Edge::start("", &(origin(nginx.address, 4) + ROUTES));
    edge.get("/large.bin", "");
    edge.get("/kept/page.html", "");
    for path in ["/sparse.bin", "/kept/sparse.bin"] {
        let before = edge.memory();
        let mut client = edge.connect();
        let head = client.send(get(path, "")).head();
        assert_eq!((head.status, head.field("content-length")), (200, Some("1073741824")));
        let mut most = 0;
        for part in 1..=16 {
            assert_eq!(client.skip(SIZE / 16), SIZE / 16, "{path}, part {part}");
            most = most.max(edge.memory());
        }
        assert!(most.saturating_sub(before) < 64 << 20, "{path}: from {before} to {most}");
        client.assert_kept();
    }
}

#[test]
fn connections_to_the_origin_are_used_again() {
    let place = Origin::plain();
    let edge = Edge::start("", &(origin(place.address, 4) + ROUTES));
    for i in 0..20 {
        assert_eq!(edge.get(&format!("/{i}"), "").status, 200);
    }
    assert!(place.connections() <= 2, "{}", place.connections());
}

#[test]
fn an_upgraded_connection_may_be_silent_for_as_long_as_an_idle_one() {
    let place = Origin::start(|_, to| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let mut said = [0; 5];
        to.write_all(head.as_bytes()).is_ok() && to.read_exact(&mut said).is_ok() && to.write_all(&said).is_ok()
    });
    let rest = origin(place.address, 1) + "[[route]]\nname = \"all\"\ncache = false\n";
    let edge = Edge::start("body_timeout = \"1s\"\nidle_timeout = \"1m\"\n", &rest);
    let mut client = edge.connect();
    client.send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    assert_eq!(client.head().status, 101);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(client.send("hello").bytes(5), b"hello");
}

#[test]
fn one_who_takes_no_answer_loses_its_place_whatever_the_answer_is() {
    let place = Origin::start(|request, to| {
        let fields = format!("X-Long: {}\r\n", "x".repeat(6000));
        let body = if request.method == "HEAD" { "" } else { "1" };
        to.write_all(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 1\r\n\r\n{body}").as_bytes()).is_ok()
    });
    let rest = origin(place.address, 1) + "[[route]]\nname = \"all\"\ncache = false\n";
    let edge = Edge::start("body_timeout = \"1s\"\n", &rest);
    let mut greedy = edge.connect();
    // More heads than the sockets between hold, and none is read.
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    greedy.send(head.repeat(3000));
    eventually("it takes no more", || {
        let before = place.count();
        std::thread::sleep(Duration::from_millis(300));
        place.count() == before && before > 10
    });
    eventually("its place is another's", || edge.get("/", "").status != 503 && edge.count("client_gone") > 0);
}

#[test]
fn http_1_0_that_names_no_host_goes_on_with_one() {
    let place = Origin::start(|request, to| ok(to, "", request.field("host").unwrap_or("none")));
    for cache in ["false", "\"page\""] {
        let route = format!("[cache.page]\n[[route]]\nname = \"all\"\ncache = {cache}\n");
        let edge = Edge::start("", &(origin(place.address, 1) + &route));
        let answer = edge.connect().send("GET / HTTP/1.0\r\n\r\n").answer();
        assert_eq!(answer.text(), place.address.to_string());
    }
}

#[test]
fn a_body_that_stops_coming_is_the_clients_fault_though_the_origin_waits_no_longer() {
    let place = Origin::start(|_, to| ok(to, "", "page"));
    let rest = origin(place.address, 1).replacen("]\n", "]\nresponse_timeout = \"1s\"\n", 1)
        + "[[route]]\nname = \"all\"\ncache = false\n";
    let edge = Edge::start("buffer_body = \"0B\"\nbody_min_rate = \"0B/s\"\n", &rest);
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nbegun");
    assert_eq!(client.head().status, 408);
    assert_eq!((edge.count("origin_timeout"), edge.get("/", "").text().as_str()), (0, "page"));
}
