//! Handing over to a new process: nothing is lost, and a room has one owner at every moment.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use support::origin::{Busy, ok};
use support::{Answer, Client, Edge, H2, Origin, eventually, origin, write_policy};

const ROOM: &str = "[waiting_room.drop]\ncapacity = 2\nclaim = \"30s\"\nsession = { idle = \"10m\", max = \"10m\" }\n\
     [[route]]\nname = \"drop\"\npath = \"/drop/**\"\nwaiting_room = \"drop\"\ncache = false\n\
     [[route]]\nname = \"rest\"\ncache = false\n";

fn edge(place: &Origin) -> Edge {
    Edge::start("", &(origin(place.address, 64) + ROOM))
}

/// One who keeps cookies, follows redirects, and keeps the connection while the server does.
struct Visitor {
    cookies: String,
    connection: Option<Client>,
}

impl Visitor {
    fn new() -> Self {
        Self { cookies: String::new(), connection: None }
    }

    fn ask(&mut self, edge: &Edge, path: &str) -> Answer {
        for _ in 0..10 {
            let mut connection = self.connection.take().unwrap_or_else(|| edge.connect());
            let fields = format!("Accept: application/json\r\nCookie: {}\r\n", self.cookies);
            let answer = connection.get(path, &fields);
            if answer.field("connection") != Some("close") {
                self.connection = Some(connection);
            }
            if answer.status == 307 {
                assert_eq!(answer.field("location"), Some(path));
                assert_eq!(answer.field("set-cookie"), None, "the old process says nothing of the room");
                continue;
            }
            if answer.field("set-cookie").is_some() {
                self.cookies = answer.cookies();
            }
            return answer;
        }
        panic!("sent from one process to the other and back");
    }

    fn status(&mut self, edge: &Edge) -> u16 {
        self.ask(edge, "/drop/1").status
    }

    fn poll(&mut self, edge: &Edge) -> serde_json::Value {
        self.ask(edge, "/.seawall/room/drop").json()
    }
}

#[test]
fn no_request_is_lost() {
    let place = Origin::start(|_, to| ok(to, "", "here"));
    let mut edge = edge(&place);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (address, tls) = (edge.address, edge.tls);
    let kept = |_| {
        let (stop, asked) = (stop.clone(), asked.clone());
        std::thread::spawn(move || {
            let mut connection = None;
            while !stop.load(Ordering::Relaxed) {
                let mut open = connection.take().unwrap_or_else(|| Client::connect(address));
                let answer = open.get("/", "");
                assert_eq!((answer.status, answer.text().as_ref()), (200, "here"));
                asked.fetch_add(1, Ordering::Relaxed);
                connection = (answer.field("connection") != Some("close")).then_some(open);
            }
        })
    };
    let alone = |_| {
        let (stop, asked) = (stop.clone(), asked.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(Client::connect(address).get("/", "Connection: close\r\n").status, 200);
                assert_eq!(H2::connect(tls).get("/", &[]).status, 200);
                asked.fetch_add(2, Ordering::Relaxed);
            }
        })
    };
    let clients: Vec<_> = (0..4).map(kept).chain((0..2).map(alone)).collect();
    for _ in 0..5 {
        let before = asked.load(Ordering::Relaxed);
        eventually("they ask", || asked.load(Ordering::Relaxed) > before + 50);
        edge.hand_over();
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn places_and_sessions_are_kept_and_never_too_many_are_in() {
    let place = Origin::plain();
    let mut edge = edge(&place);
    let mut guests: Vec<_> = (0..2).map(|_| Visitor::new()).collect();
    for guest in &mut guests {
        eventually("a free room lets its visitor in", || guest.status(&edge) == 200);
    }
    let mut line: Vec<_> = (0..3).map(|_| Visitor::new()).collect();
    for visitor in &mut line {
        assert_eq!(visitor.status(&edge), 503);
        eventually("a place in line", || visitor.poll(&edge)["position"].is_u64());
    }
    let mut late = Visitor::new();
    assert_eq!(late.status(&edge), 503, "a stub, and no number yet");
    let positions = |line: &mut Vec<Visitor>, edge: &Edge| {
        line.iter_mut().map(|visitor| visitor.poll(edge)["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        let before = positions(&mut line, &edge);
        edge.hand_over();
        assert_eq!(positions(&mut line, &edge), before);
        guests.iter_mut().for_each(|guest| assert_eq!(guest.status(&edge), 200));
    }
    eventually("the stub is good with the new process", || late.poll(&edge)["position"] == 4);
    edge.cli(&["room", "evict", "drop", "--sessions", "--yes"]);
    for visitor in line.iter_mut().take(2) {
        eventually("the first two come in", || visitor.status(&edge) == 200);
    }
    assert_eq!(line[2].status(&edge), 503, "and nobody else");
}

#[test]
fn what_was_ordered_goes_with_it() {
    let place = Origin::plain();
    let mut edge = edge(&place);
    edge.cli(&["room", "pause", "drop", "--why", "a drill"]);
    edge.cli(&["level", "floor", "elevated", "--for", "1h"]);
    edge.hand_over();
    let status = edge.status();
    assert_eq!(status["state"], "serving");
    assert_eq!(edge.level(), "elevated");
    let mut visitor = Visitor::new();
    eventually("it is paused there too", || visitor.poll(&edge)["state"] == "paused");
}

#[test]
fn the_process_that_has_handed_over_writes_nothing_any_more() {
    let place = Origin::plain();
    let mut edge = edge(&place);
    let mut idle = edge.connect();
    assert_eq!(idle.get("/", "").status, 200);
    edge.cli(&["room", "set", "drop", "--capacity", "5", "--for", "2s", "--why", "a drill", "--yes"]);
    edge.hand_over();
    edge.cli(&["room", "message", "drop", "Said to the new one"]);
    eventually("the old order has lapsed", || edge.status()["waiting_rooms"][0]["capacity"] == 2);
    std::thread::sleep(Duration::from_millis(500));
    drop(idle);
    edge.wait_for_the_first();
    let edge = edge.restart(libc::SIGKILL);
    assert!(edge.status()["waiting_rooms"][0].to_string().contains("Said to the new one"));
}

#[test]
fn what_is_on_its_way_ends_well_in_the_old_process() {
    let busy = Busy::default();
    let (open, gate) = (Arc::new(AtomicBool::new(false)), busy.clone());
    let opened = open.clone();
    let place = Origin::start(move |_, to| {
        gate.during(|| {
            while !opened.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        ok(to, "", "slow")
    });
    let mut edge = edge(&place);
    let mut slow = edge.connect();
    slow.send(support::client::get("/slow", ""));
    let mut stream = H2::connect(edge.tls);
    let asked = stream.ask(Method::GET, "/slow", &[], &[]);
    eventually("both are at the origin", || busy.most() == 2);
    edge.hand_over();
    open.store(true, Ordering::Relaxed);
    let answer = slow.answer();
    assert_eq!((answer.text().as_ref(), answer.field("connection")), ("slow", Some("close")));
    assert_eq!(asked.answer().status, 200);
}

#[test]
fn a_new_process_that_can_not_serve_changes_nothing() {
    let place = Origin::plain();
    let edge = edge(&place);
    let mut guest = Visitor::new();
    eventually("inside", || guest.status(&edge) == 200);
    let policy = std::fs::read_to_string(edge.dir().join("seawall.toml")).unwrap();
    write_policy(edge.dir(), "[edge]\nlissten = []\n");
    edge.signal(libc::SIGQUIT);
    eventually("it says so", || edge.log().contains("not handed over"));
    assert!(edge.log().contains("did you mean `listen`"), "{}", edge.log());

    // This one fails at the last moment: the room's file is not what it should be for the new one alone.
    write_policy(edge.dir(), &(policy + "[waiting_room.other]\ncapacity = 1\n"));
    std::fs::create_dir(edge.dir().join("state/room-other.state")).unwrap();
    edge.signal(libc::SIGQUIT);
    eventually("it says so", || edge.log().matches("not handed over").count() == 2);
    assert_eq!(guest.status(&edge), 200);
    let mut next = Visitor::new();
    eventually("the old process lets in again", || next.status(&edge) == 200);
    assert_eq!(edge.status()["waiting_rooms"][0]["inside"], 2);

    std::fs::remove_dir(edge.dir().join("state/room-other.state")).unwrap();
    let edge = edge.restart(libc::SIGKILL);
    (guest.connection, next.connection) = (None, None);
    assert_eq!(guest.status(&edge), 200, "and what it wrote since is whole");
    assert_eq!(next.status(&edge), 200);
}

#[test]
fn the_listening_sockets_follow_the_new_policy() {
    let place = Origin::plain();
    let mut edge = edge(&place);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let policy = std::fs::read_to_string(edge.dir().join("seawall.toml")).unwrap();
    write_policy(edge.dir(), &policy.replacen("listen = [", &format!("listen = [\"{port}\", "), 1));
    edge.hand_over();
    assert_eq!(edge.get("/", "").status, 200);
    assert_eq!(Client::connect(port).get("/", "").status, 200);
}

#[test]
fn systemd_is_told_who_serves() {
    let place = Origin::plain();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let said = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    };
    let policy = support::policy("", &(origin(place.address, 8) + ROOM));
    let mut edge = Edge::start_with(&policy, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(said(), "READY=1");
    edge.hand_over();
    // By two processes, in no order.
    let mut both = [said(), said()];
    both.sort();
    assert_eq!(both, [format!("MAINPID={}", edge.pid()), "READY=1".to_owned()]);
    edge.signal(libc::SIGTERM);
    assert_eq!(said(), "STOPPING=1");
}
