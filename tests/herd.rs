//! The herd: everyone asks for the same thing at the same moment, and the origin hears of it once;
//! when it fails, once a second; when it says that the answer is not to be shared, as often as it can.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]
#![allow(clippy::disallowed_methods, reason = "how far apart the origin is asked is a matter of real time")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use support::client::{End, get};
use support::doors::doors;
use support::h2::Asked;
use support::origin::{Busy, Gate, ok};
use support::{Client, Edge, H2, Origin, eventually};

const N: usize = 10_000;
/// Fewer than a connection may have under way at once.
const STREAMS: usize = 80;

/// An edge with so many places at the origin and room for the whole herd in the line for them.
fn edge(address: SocketAddr, limit: usize, cache: &str) -> Edge {
    let origin = format!(
        "[origin.site]\nservers = [\"{address}\"]\nretries = 0\nresponse_timeout = \"60s\"\n\
         [origin.site.concurrency]\nmode = \"fixed\"\n\
         limit = {limit}\npatience = \"60s\"\nqueue = 20000\n"
    );
    Edge::start(
        "body_timeout = \"2s\"\n",
        &format!("{origin}[cache.page]\n{cache}\n[[route]]\nname = \"pages\"\ncache = \"page\"\n"),
    )
}

/// So many requests over real connections, all under way at once.
struct Herd {
    connections: Vec<H2>,
}

impl Herd {
    fn gather(edge: &Edge, many: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let runtime = Arc::new(runtime);
        Self { connections: (0..many / STREAMS).map(|_| H2::connect_on(&runtime, edge.tls)).collect() }
    }

    fn ask(&mut self, path: &str) -> Vec<Asked> {
        let each = self.connections.iter_mut();
        each.flat_map(|c| (0..STREAMS).map(|_| c.ask(Method::GET, path, &[], &[])).collect::<Vec<_>>()).collect()
    }

    /// Waits until the edge has read what was asked so far.
    fn is_heard(&mut self) {
        for connection in &mut self.connections {
            assert_eq!(connection.get("/.seawall/live", &[]).status, 200);
        }
    }
}

/// When the origin was asked.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<Instant>>>);

impl Times {
    fn note(&self) {
        self.0.lock().unwrap().push(Instant::now());
    }

    /// The shortest time between two.
    fn least(&self) -> Duration {
        let times = self.0.lock().unwrap();
        times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(Duration::MAX)
    }
}

fn ask(clients: &mut [Client], path: &str) {
    for client in clients {
        client.send(get(path, ""));
    }
}

fn answer(to: &mut TcpStream, status: &str, fields: &str, body: &str) -> bool {
    write!(to, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len()).is_ok()
}

#[test]
fn ten_thousand_misses_of_a_page_cost_the_origin_one_request() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |_, to| {
        hold.pass();
        ok(to, "Cache-Control: max-age=600\r\n", "page")
    });
    let edge = edge(place.address, 20, "");
    let mut herd = Herd::gather(&edge, N);
    let asked = herd.ask("/");
    herd.is_heard();
    gate.open();
    for one in asked {
        let answer = one.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    }
    assert_eq!(place.count(), 1);
}

#[test]
fn ten_thousand_misses_of_a_page_that_fails_cost_the_origin_one_request_a_second() {
    let times = Times::default();
    let told = times.clone();
    let place = Origin::start(move |_, to| {
        told.note();
        answer(to, "503 Service Unavailable", "Retry-After: 7\r\n", "down")
    });
    let edge = edge(place.address, 20, "");
    let mut herd = Herd::gather(&edge, N);
    for _ in 0..3 {
        for one in herd.ask("/") {
            let answer = one.answer();
            assert_eq!((answer.status, answer.text().as_str(), answer.field("retry-after")), (503, "down", Some("7")));
        }
    }
    // From answer to request, so the requests are further apart yet.
    assert!(times.least() >= Duration::from_secs(1), "{:?} between two of {}", times.least(), place.count());
    let repeated = edge.get("/", "");
    if place.count() == 1 {
        assert_eq!(repeated.field("cache-status"), Some("Seawall; hit; detail=negative"));
    }
    assert!(edge.count("origin_error") > 0);
}

#[test]
fn those_who_waited_for_what_is_not_to_be_stored_go_through_the_places_there_are() {
    let (busy, gate) = (Busy::default(), Gate::default());
    let (counted, hold) = (busy.clone(), gate.clone());
    let place = Origin::start(move |_, to| {
        hold.pass();
        counted.during(|| std::thread::sleep(Duration::from_millis(1)));
        ok(to, "Cache-Control: no-store\r\n", "yours")
    });
    let edge = edge(place.address, 20, "");
    let mut before = 0;
    // So few are in line at once, before the line counts as one that stands; of the many, on a machine that
    // has other work, some may come later than that, and are told to come back.
    for (many, all) in [(240, true), (800, false)] {
        let path = format!("/{many}");
        gate.close();
        let mut herd = Herd::gather(&edge, many);
        let asked = herd.ask(&path);
        herd.is_heard();
        gate.open();
        let answers: Vec<_> = asked.into_iter().map(Asked::answer).collect();
        let served = answers.iter().filter(|a| (a.status, a.text().as_str()) == (200, "yours")).count();
        let refused = answers.iter().filter(|a| a.status == 503).count();
        assert!(busy.most() <= 20, "{} at once", busy.most());
        assert_eq!((served + refused, place.count() - before), (many, served));
        assert!(if all { refused == 0 } else { served > many / 2 }, "{served} of {many} served");
        before = place.count();
    }
}

#[test]
fn after_the_first_verdict_nobody_waits_to_hear_that_an_answer_is_not_for_them() {
    let (gate, held) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (hold, holds) = (gate.clone(), held.clone());
    let place = Origin::start(move |_, to| {
        if holds.load(Ordering::SeqCst) {
            hold.pass();
        }
        ok(to, "Cache-Control: no-store\r\n", "yours")
    });
    let edge = edge(place.address, 20, "");
    assert_eq!(edge.get("/", "").text(), "yours");
    held.store(true, Ordering::SeqCst);
    let mut clients: Vec<_> = (0..10).map(|_| edge.connect()).collect();
    ask(&mut clients, "/");
    eventually("all ten are at the origin at once", || place.in_flight() == 10);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "yours");
    }
}

#[test]
fn a_failure_is_never_given_where_there_is_a_copy() {
    let (down, times) = (Arc::new(AtomicBool::new(false)), Times::default());
    let (is_down, told) = (down.clone(), times.clone());
    let place = Origin::start(move |_, to| {
        if !is_down.load(Ordering::SeqCst) {
            return ok(to, "Cache-Control: max-age=0, stale-if-error=600\r\n", "page");
        }
        told.note();
        answer(to, "503 Service Unavailable", "", "down")
    });
    let edge = edge(place.address, 20, "");
    assert_eq!(edge.get("/", "").text(), "page");
    down.store(true, Ordering::SeqCst);
    let mut client = edge.connect();
    while place.count() < 4 {
        let stale = client.get("/", "");
        assert_eq!((stale.status, stale.text().as_str()), (200, "page"));
    }
    assert!(times.least() >= Duration::from_secs(1), "{:?} between two", times.least());
}

#[test]
fn a_failure_whose_body_comes_late_is_remembered_too_where_there_is_a_copy() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let place = Origin::start(move |_, to| {
        if !is_down.load(Ordering::SeqCst) {
            return ok(to, "Cache-Control: max-age=0, stale-if-error=600\r\n", "page");
        }
        let head = to.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n");
        std::thread::sleep(Duration::from_millis(100));
        head.and_then(|()| to.write_all(b"down")).is_ok()
    });
    let edge = edge(place.address, 20, "negative_ttl = \"1h\"");
    for mut door in doors(&edge) {
        down.store(false, Ordering::SeqCst);
        assert_eq!(door.get("/", &[]).text(), "page");
        down.store(true, Ordering::SeqCst);
        let asked = place.count();
        for _ in 0..5 {
            assert_eq!(door.get("/", &[]).text(), "page");
            std::thread::sleep(Duration::from_millis(150));
        }
        assert_eq!(place.count(), asked + 1);
    }
}

#[test]
fn an_origin_that_gives_no_answer_is_asked_once_in_the_time() {
    let place = Origin::start(|_, _| false);
    let edge = edge(place.address, 20, "negative_ttl = \"1h\"");
    let mut client = edge.connect();
    let mut second = H2::connect(edge.tls);
    let first = client.get("/", "");
    let asked = place.count();
    assert_eq!(first.status, 502, "{first:?}");
    for _ in 0..20 {
        let again = client.get("/", "");
        assert_eq!((again.status, again.reason()), (502, first.reason()));
        assert!(again.retry_after() >= 1);
        client.assert_kept();
    }
    assert_eq!(place.count(), asked);
    assert_eq!(second.get("/", &[]).status, 502, "the scheme is part of the key: asked once more");
    assert_eq!(second.get("/", &[]).reason(), first.reason());
    assert_eq!(place.count(), 2 * asked);
}

#[test]
fn without_a_negative_ttl_nothing_is_remembered() {
    let place = Origin::start(|_, to| answer(to, "503 Service Unavailable", "", "down"));
    let edge = edge(place.address, 20, "negative_ttl = \"0s\"");
    for _ in 0..5 {
        assert_eq!(edge.get("/", "").text(), "down");
    }
    assert_eq!(place.count(), 5);
}

#[test]
fn an_error_that_is_one_visitors_is_repeated_to_nobody_though_all_hear_that_there_was_one() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        hold.pass();
        let own = if request.target == "/cookie" { "Set-Cookie: id=alice\r\n" } else { "Cache-Control: no-store\r\n" };
        answer(to, "500 Internal Server Error", own, "for alice")
    });
    let edge = edge(place.address, 20, "negative_ttl = \"1h\"");
    for path in ["/cookie", "/no-store"] {
        let before = place.count();
        let mut waiting: Vec<_> = (0..5).map(|_| edge.connect()).collect();
        ask(&mut waiting, path);
        eventually("one is at the origin", || place.count() > before);
        gate.open();
        let answers: Vec<_> = waiting.iter_mut().map(Client::answer).collect();
        if path == "/cookie" {
            assert_eq!(answers.iter().filter(|a| a.field("set-cookie").is_some()).count(), 1);
        }
        let later = edge.get(path, "");
        assert_eq!((later.status, later.reason()), (503, "origin_error".to_owned()), "{path}");
        assert_eq!(later.field("set-cookie"), None);
        assert_eq!(place.count(), before + 1, "{path}");
    }
}

#[test]
fn what_fails_for_one_visitor_is_asked_anew_for_another() {
    let place = Origin::start(|request, to| match request.field("cookie") {
        Some("session=broken") => answer(to, "500 Internal Server Error", "", "broken"),
        _ => ok(to, "", "page"),
    });
    let edge = edge(place.address, 20, "negative_ttl = \"1h\"");
    assert_eq!(edge.get("/", "Cookie: session=broken\r\n").status, 500);
    assert_eq!(edge.get("/", "Cookie: session=whole\r\n").text(), "page");
    assert_eq!(edge.get("/", "").text(), "page");
}

#[test]
fn a_renewal_that_finds_no_place_leaves_the_stale_copy_and_is_not_tried_again_at_once() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.target == "/slow" {
            hold.pass();
        }
        ok(to, "Cache-Control: max-age=0, stale-while-revalidate=600\r\n", "page")
    });
    let origin = format!(
        "[origin.site]\nservers = [\"{}\"]\n[origin.site.concurrency]\nmode = \"fixed\"\nlimit = 1\nqueue = 100\n\
         patience = {{ normal = \"60s\", bulk = \"0s\" }}\n[cache.page]\nnegative_ttl = \"1h\"\n\
         [[route]]\nname = \"pages\"\ncache = \"page\"\n",
        place.address
    );
    let edge = Edge::start("", &origin);
    assert_eq!(edge.get("/", "").text(), "page");
    let mut slow = edge.connect();
    slow.send(get("/slow", ""));
    eventually("the only place is taken", || place.in_flight() == 1);
    for _ in 0..10 {
        assert_eq!(edge.get("/", "").text(), "page");
    }
    gate.open();
    assert_eq!(slow.answer().status, 200);
    for _ in 0..10 {
        assert_eq!(edge.get("/", "").text(), "page");
    }
    assert_eq!(place.count_of("/"), 1);
}

#[test]
fn a_renewal_in_the_background_goes_after_all_who_wait() {
    let (gate, order) = (Gate::default(), Arc::new(Mutex::new(Vec::new())));
    let (hold, seen) = (gate.clone(), order.clone());
    let place = Origin::start(move |request, to| {
        if request.target == "/slow" {
            hold.pass();
        }
        seen.lock().unwrap().push(request.target.clone());
        ok(to, "Cache-Control: max-age=0, stale-while-revalidate=600\r\n", "page")
    });
    let edge = edge(place.address, 1, "");
    assert_eq!(edge.get("/", "").text(), "page");
    let (mut slow, mut miss) = (edge.connect(), edge.connect());
    slow.send(get("/slow", ""));
    eventually("the only place is taken", || place.in_flight() == 1);
    assert_eq!(edge.get("/", "").text(), "page");
    eventually("the renewal waits", || edge.figure("queued") == 1);
    miss.send(get("/miss", ""));
    eventually("the miss waits", || edge.figure("queued") == 2);
    gate.open();
    assert_eq!((slow.answer().status, miss.answer().status), (200, 200));
    eventually("it is renewed", || place.count_of("/") == 2);
    assert_eq!(*order.lock().unwrap(), ["/", "/slow", "/miss", "/"]);
}

#[test]
fn early_hints_reach_who_asks_alone_or_leads_and_nobody_by_http_1_0() {
    let place = Origin::start(|request, to| {
        let _ =
            to.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\nX: 1\r\n\r\n");
        let own =
            if request.target == "/alone" { "Cache-Control: no-store\r\n" } else { "Cache-Control: max-age=600\r\n" };
        ok(to, own, "page")
    });
    let edge = edge(place.address, 20, "");
    for (path, fields) in [("/led", ""), ("/alone", "Authorization: Basic x\r\n")] {
        let mut client = edge.connect();
        let hint = client.send(get(path, fields)).head();
        assert_eq!((hint.status, hint.field("link")), (103, Some("</a.css>; rel=preload")), "{path}");
        assert_eq!((client.answer().text().as_str(), hint.field("transfer-encoding")), ("page", None));
        client.assert_kept();
    }
    let hit = edge.get("/led", "");
    assert_eq!((hit.status, hit.field("link")), (200, None));
    for path in ["/old", "/alone"] {
        let mut old = TcpStream::connect(edge.address).unwrap();
        write!(old, "GET {path} HTTP/1.0\r\nHost: edge.test\r\nAuthorization: Basic x\r\n\r\n").unwrap();
        let mut read = String::new();
        old.read_to_string(&mut read).unwrap();
        assert!(read.starts_with("HTTP/1.1 200") && !read.contains("103"), "{read}");
        let mut old = TcpStream::connect(edge.address).unwrap();
        write!(old, "GET {path}/led HTTP/1.0\r\nHost: edge.test\r\n\r\n").unwrap();
        let mut read = String::new();
        old.read_to_string(&mut read).unwrap();
        assert!(read.starts_with("HTTP/1.1 200"), "{read}");
    }
    assert_eq!(H2::connect(edge.tls).get("/led", &[]).text(), "page");
}

#[test]
fn a_level_that_leaves_the_origin_alone_renews_nothing() {
    let place = Origin::start(|_, to| ok(to, "Cache-Control: max-age=0, stale-while-revalidate=600\r\n", "page"));
    let edge = edge(place.address, 20, "");
    assert_eq!(edge.get("/", "").text(), "page");
    assert!(edge.cli(&["level", "pin", "static", "--for", "1h", "--why", "test"]).status.success());
    eventually("the level is static", || edge.level() == "static");
    for _ in 0..10 {
        let stale = edge.get("/", "");
        assert_eq!((stale.status, stale.text().as_str()), (200, "page"));
    }
    assert_eq!(place.count(), 1);
    assert!(edge.cli(&["level", "release"]).status.success());
    eventually("it is renewed again", || edge.get("/", "").status == 200 && place.count() > 1);
}

/// Half a body, by whatever framing, and then nothing until the origin dies.
fn half(request: &support::Request, to: &mut TcpStream, die: &Gate) -> bool {
    let head = match request.target.as_str() {
        "/length" => "Content-Length: 2000000\r\n\r\n".to_owned(),
        _ => "Transfer-Encoding: chunked\r\n\r\nf4240\r\n".to_owned(),
    };
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{head}");
    let _ = to.write_all(&[head.as_bytes(), &[b'x'; 1_000_000]].concat());
    let _ = to.write_all(b"\r\n");
    die.pass();
    false
}

#[test]
fn readers_of_a_fill_that_breaks_off_see_an_error_by_every_framing() {
    for (max_object, path) in [("8MiB", "/length"), ("8MiB", "/chunked"), ("500KiB", "/length"), ("500KiB", "/chunked")]
    {
        let gate = Gate::default();
        let die = gate.clone();
        let place = Origin::start(move |request, to| half(request, to, &die));
        let edge = edge(place.address, 1, &format!("max_object = \"{max_object}\""));
        let mut first: Vec<_> = (0..20).map(|_| edge.connect()).collect();
        let mut old: Vec<_> = (0..20).map(|_| TcpStream::connect(edge.address).unwrap()).collect();
        let mut second = H2::connect(edge.tls);
        ask(&mut first, path);
        old.iter_mut().for_each(|old| write!(old, "GET {path} HTTP/1.0\r\nHost: edge.test\r\n\r\n").unwrap());
        let asked = second.ask(Method::GET, path, &[], &[]);
        eventually("the fill is at the origin", || place.in_flight() == 1);
        gate.open();
        for client in &mut first {
            if let Some((answer, end)) = client.looks_whole() {
                assert!(end == End::Cut || answer.status >= 500, "{path}, {max_object}: {}", answer.status);
            }
        }
        for old in &mut old {
            let mut read = Vec::new();
            let ended = old.read_to_end(&mut read);
            let whole = ended.is_ok() && read.starts_with(b"HTTP/1.1 200");
            let framed = read.windows(14).any(|w| w.eq_ignore_ascii_case(b"content-length"));
            assert!(!whole || framed, "{path}, {max_object}: HTTP/1.0 saw a clean end after {} bytes", read.len());
        }
        let told = asked.try_answer();
        assert!(told.as_ref().map_or(true, |a| a.status >= 500), "{path}, {max_object}, HTTP/2");
    }
}

#[test]
fn a_body_that_breaks_off_on_the_way_to_one_reader_alone_is_no_clean_end_either() {
    let gate = Gate::default();
    gate.open();
    let place = Origin::start(move |request, to| half(request, to, &gate));
    let edge = edge(place.address, 1, "");
    let mut old = TcpStream::connect(edge.address).unwrap();
    old.write_all(b"GET /chunked HTTP/1.0\r\nHost: edge.test\r\nAuthorization: Basic x\r\n\r\n").unwrap();
    let mut read = Vec::new();
    let ended = old.read_to_end(&mut read);
    assert!(ended.is_err() || !read.starts_with(b"HTTP/1.1 200"), "a clean end after {} bytes", read.len());
}

const PIECE: usize = 64 << 10;
const PIECES: usize = 256;

/// 16 MiB, as fast as it is taken.
fn large(to: &mut TcpStream, length: bool) -> bool {
    let body = vec![b'x'; PIECE];
    let framing =
        if length { format!("Content-Length: {}", PIECE * PIECES) } else { "Transfer-Encoding: chunked".into() };
    let mut sent = write!(to, "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{framing}\r\n\r\n").is_ok();
    for _ in 0..PIECES {
        let chunk = if length { body.clone() } else { [format!("{PIECE:x}\r\n").as_bytes(), &body, b"\r\n"].concat() };
        sent = sent && to.write_all(&chunk).is_ok();
    }
    sent && (length || to.write_all(b"0\r\n\r\n").is_ok())
}

#[test]
fn readers_who_wait_for_what_is_too_large_to_keep_share_one_request() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        hold.pass();
        large(to, request.target == "/length")
    });
    let edge = edge(place.address, 20, "max_object = \"1MiB\"");
    let got = Arc::new(AtomicUsize::new(0));
    for path in ["/length", "/chunked"] {
        let readers: Vec<_> = (0..50)
            .map(|_| {
                let (mut client, got) = (edge.connect(), got.clone());
                client.send(get(path, ""));
                std::thread::spawn(move || {
                    let answer = client.answer();
                    assert_eq!((answer.status, answer.body.len()), (200, PIECE * PIECES));
                    got.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        eventually("the fill is at the origin", || place.in_flight() >= 1);
        gate.open();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }
    assert_eq!(got.load(Ordering::SeqCst), 100);
    assert_eq!(place.count_of("/length"), 1);
}

#[test]
fn one_who_does_not_read_does_not_hold_up_the_others_for_ever() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |_, to| {
        hold.pass();
        large(to, true)
    });
    let edge = edge(place.address, 20, "max_object = \"1MiB\"");
    let mut stuck = edge.connect();
    stuck.send(get("/", ""));
    eventually("the fill is at the origin", || place.in_flight() == 1);
    let mut quick: Vec<_> = (0..5).map(|_| edge.connect()).collect();
    ask(&mut quick, "/");
    gate.open();
    let readers: Vec<_> = quick.into_iter().map(|mut c| std::thread::spawn(move || c.answer().body.len())).collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), PIECE * PIECES);
    }
    let (answer, end) = stuck.answer_and_end(true);
    assert!(end == End::Cut && answer.body.len() < PIECE * PIECES, "{}", answer.body.len());
    assert_eq!(place.count(), 1);
}
