//! Places at the origin: never more than the limit, a queue that is bounded and patient, and none
//! held by who does not use it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use support::client::{get, post};
use support::origin::{Busy, Gate, ok};
use support::{Edge, H2, Origin, eventually};

fn place(address: SocketAddr, limit: usize, queue: usize, patience: &str) -> String {
    format!(
        "[origin.site]\nservers = [\"{address}\"]\n[origin.site.concurrency]\nmode = \"fixed\"\nlimit = {limit}\n\
         queue = {queue}\npatience = \"{patience}\"\n[[route]]\nname = \"rest\"\ncache = false\n"
    )
}

/// `/slow` waits for the gate; everything else is answered at once.
fn gated() -> (Origin, Gate) {
    let gate = Gate::default();
    let hold = gate.clone();
    let origin = Origin::start(move |request, to| {
        if request.target.starts_with("/slow") {
            hold.pass();
        }
        ok(to, "", &request.target)
    });
    (origin, gate)
}

#[test]
fn the_origin_never_sees_more_than_the_limit() {
    let busy = Busy::default();
    let counted = busy.clone();
    let origin = Origin::start(move |_, to| {
        counted.during(|| std::thread::sleep(Duration::from_millis(20)));
        ok(to, "", "done")
    });
    let edge = Edge::start("", &place(origin.address, 2, 100, "30s"));
    let mut first: Vec<_> = (0..15).map(|_| edge.connect()).collect();
    for (i, client) in first.iter_mut().enumerate() {
        client.send(if i % 2 == 0 { get("/", "") } else { post("/", "", "a=1") });
    }
    let mut second = H2::connect(edge.tls);
    let asked: Vec<_> = (0..15).map(|_| second.ask(Method::GET, "/", &[], &[])).collect();
    for client in &mut first {
        assert_eq!(client.answer().text(), "done");
    }
    for request in asked {
        assert_eq!(request.answer().text(), "done");
    }
    assert_eq!((origin.count(), busy.most()), (30, 2));
    eventually("every place is given back", || edge.figure("in_flight") == 0 && edge.figure("queued") == 0);
}

#[test]
fn a_full_queue_refuses_at_once_and_keeps_the_connection() {
    let (origin, gate) = gated();
    let edge = Edge::start("", &place(origin.address, 1, 1, "30s"));
    let (mut inside, mut waiting) = (edge.connect(), edge.connect());
    inside.send(get("/slow/1", ""));
    eventually("one is at the origin", || origin.in_flight() == 1);
    waiting.send(get("/slow/2", ""));
    eventually("one waits", || edge.figure("queued") == 1);
    let mut client = edge.connect();
    let refused = client.get("/3", "");
    assert_eq!((refused.status, refused.reason()), (503, "queue_full".to_owned()));
    assert!(refused.retry_after() >= 1);
    client.assert_kept();
    let refused = H2::connect(edge.tls).get("/4", &[]);
    assert_eq!((refused.status, refused.reason()), (503, "queue_full".to_owned()));
    gate.open();
    assert_eq!((inside.answer().text(), waiting.answer().text()), ("/slow/1".to_owned(), "/slow/2".to_owned()));
    assert_eq!(client.get("/5", "").text(), "/5");
}

#[test]
fn patience_ends_with_an_answer() {
    let (origin, gate) = gated();
    let edge = Edge::start("", &place(origin.address, 1, 10, "300ms"));
    let mut inside = edge.connect();
    inside.send(get("/slow", ""));
    eventually("one is at the origin", || origin.in_flight() == 1);
    let mut client = edge.connect();
    for answer in [client.get("/", ""), H2::connect(edge.tls).get("/", &[])] {
        assert_eq!((answer.status, answer.reason()), (503, "queue_timeout".to_owned()));
        assert!(answer.retry_after() >= 1);
    }
    client.assert_kept();
    gate.open();
    assert_eq!(inside.answer().status, 200);
}

#[test]
fn who_leaves_gives_the_place_back() {
    let (origin, gate) = gated();
    let edge = Edge::start("", &place(origin.address, 1, 2, "30s"));
    let mut inside = edge.connect();
    inside.send(get("/slow/1", ""));
    eventually("one is at the origin", || origin.in_flight() == 1);

    let mut leaves = edge.connect();
    leaves.send(get("/left", ""));
    let mut second = H2::connect(edge.tls);
    let asked = second.ask(Method::GET, "/left", &[], &[]);
    eventually("two wait", || edge.figure("queued") == 2);
    drop(leaves);
    asked.leave();
    eventually("nobody waits", || edge.figure("queued") == 0);

    // One who leaves while at the origin frees the place, though the origin never answers.
    drop(inside);
    eventually("no place is held", || edge.figure("in_flight") == 0);
    assert_eq!(edge.get("/next", "").text(), "/next");
    assert_eq!(origin.count_of("/left"), 0);
    gate.open();
}

#[test]
fn slow_uploads_take_no_place() {
    let origin = Origin::start(|request, to| ok(to, "", format!("{} {}", request.target, request.body.len())));
    let edge = Edge::start("", &place(origin.address, 2, 2, "5s"));
    let mut uploads: Vec<_> = (0..20).map(|_| edge.connect()).collect();
    for (i, upload) in uploads.iter_mut().enumerate() {
        let framing = if i % 2 == 0 { "Content-Length: 100" } else { "Transfer-Encoding: chunked" };
        upload.send(format!("POST /upload HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"));
    }
    let mut second = H2::connect(edge.tls);
    let mut streams: Vec<_> = (0..20).map(|_| second.begin(Method::POST, "/upload", &[], false)).collect();
    let piece = |i: usize| if i.is_multiple_of(2) { "x" } else { "1\r\nx\r\n" };
    for _ in 0..4 {
        for (i, upload) in uploads.iter_mut().enumerate() {
            upload.send(piece(i));
        }
        streams.iter_mut().for_each(|(body, _)| body.send(Bytes::from_static(b"x")).unwrap());
        assert_eq!(edge.figure("in_flight"), 0);
        assert_eq!(edge.get("/normal", "").text(), "/normal 0");
        assert_eq!(H2::connect(edge.tls).get("/normal", &[]).text(), "/normal 0");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(origin.count_of("/normal"), 8);
    drop(uploads);
    drop(streams);
}

#[test]
fn a_large_upload_that_crawls_loses_its_place() {
    let origin = Origin::plain();
    let edge = Edge::start("buffer_body = \"1KiB\"\nbody_min_rate = \"1KiB/s\"", &place(origin.address, 1, 2, "30s"));
    let mut crawls = edge.connect();
    crawls.send("POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    crawls.send(vec![b'x'; 2000]);
    let mut drip = crawls.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while drip.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    eventually("it has the place", || edge.figure("in_flight") == 1);
    eventually("its place is free", || edge.figure("in_flight") == 0);
    assert_eq!(edge.get("/next", "").status, 200);
    let answer = crawls.answer();
    assert_eq!(answer.status, 408);
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn a_large_upload_over_http2_that_crawls_loses_its_place() {
    let origin = Origin::plain();
    let edge = Edge::start("buffer_body = \"1KiB\"\nbody_min_rate = \"1KiB/s\"", &place(origin.address, 1, 2, "30s"));
    let mut second = H2::connect(edge.tls);
    let (body, asked) = second.begin(Method::POST, "/upload", &[("content-length", "1000000")], false);
    body.send(Bytes::from(vec![b'x'; 2000])).unwrap();
    std::thread::spawn(move || {
        while body.send(Bytes::from_static(b"x")).is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    eventually("it has the place", || edge.figure("in_flight") == 1);
    eventually("its place is free", || edge.figure("in_flight") == 0);
    assert_eq!(edge.get("/next", "").status, 200);
    drop(asked);
}
