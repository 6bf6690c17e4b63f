//! HTTP caching over real sockets, at both doors: what is kept, asked about, told apart, cut in parts and
//! outdated. docs/rfc9111.md says which requirement each test shows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;
#[path = "rfc9111/validation.rs"]
mod validation;
#[path = "rfc9111/variants.rs"]
mod variants;
#[path = "rfc9111/whose.rs"]
mod whose;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use support::origin::{Gate, ok};
use support::{Answer, Client, Door, Edge, H2, Origin, Request, doors, eventually, origin};

const ROUTES: &str = "[cache.own]\nttl = \"origin\"\nstale_if_error = \"0s\"\n\
    [cache.lenient]\nttl = \"origin\"\nstale_if_error = \"1h\"\nrequest_directives = \"never\"\n\
    vary_cookies = [\"currency\"]\n\
    [cache.patient]\nttl = \"origin\"\nstale_while_revalidate = \"1h\"\n\
    [cache.small]\nttl = \"1h\"\nmax_object = \"10B\"\n\
    [[route]]\npath = \"/lenient/**\"\ncache = \"lenient\"\n\
    [[route]]\npath = \"/patient/**\"\ncache = \"patient\"\n\
    [[route]]\npath = \"/small/**\"\ncache = \"small\"\n\
    [[route]]\npath = \"/none/**\"\ncache = false\n\
    [[route]]\ncache = \"own\"\n";

fn edge(place: &Origin) -> Edge {
    Edge::start("", &(origin(place.address, 50) + ROUTES))
}

#[track_caller]
fn status_of(answer: &Answer) -> &str {
    answer.all("cache-status").last().copied().unwrap_or_default()
}

#[track_caller]
fn assert_hit(answer: &Answer) {
    assert!(status_of(answer).starts_with("Seawall; hit"), "{answer:?}");
}

fn not_modified(to: &mut TcpStream, fields: &str) -> bool {
    to.write_all(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n").as_bytes()).is_ok()
}

/// Answers a question about `etag` with a 304, anything else with the page.
fn tagged(request: &Request, to: &mut TcpStream, control: &str) -> bool {
    match request.field("if-none-match") {
        Some("\"v1\"") => not_modified(to, &format!("ETag: \"v1\"\r\nCache-Control: {control}\r\nX-Round: again\r\n")),
        _ => ok(to, &format!("ETag: \"v1\"\r\nCache-Control: {control}\r\nX-Round: first\r\n"), "0123456789"),
    }
}

#[test]
fn parts_are_cut_from_a_whole() {
    let place = Origin::start(|request, to| {
        assert_eq!(request.field("range"), None, "a fill asks for the whole");
        let fields = "ETag: \"v1\"\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\n\
            Last-Modified: Wed, 31 Dec 2025 10:00:00 GMT\r\n";
        ok(to, fields, "0123456789")
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        // The first is a miss, and filled as a whole.
        for (round, status) in ["fwd=uri-miss; stored", "hit"].into_iter().enumerate() {
            let one = door.get("/", &[("range", "bytes=2-4")]);
            assert_eq!((one.status, one.text().as_str()), (206, "234"), "{round}");
            assert_eq!((one.field("content-range"), one.field("content-length")), (Some("bytes 2-4/10"), Some("3")));
            assert_eq!((one.field("etag"), one.field("content-type")), (Some("\"v1\""), Some("text/plain")));
            assert!(status_of(&one).contains(status), "{one:?}");
        }
        assert_eq!(door.get("/", &[("range", "bytes=-3")]).text(), "789");
        let two = door.get("/", &[("range", "bytes=0-1, 8-")]);
        let kind = two.field("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range, body| {
            format!("--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{body}\r\n")
        };
        assert_eq!(two.text(), format!("{}{}--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89")));
        assert_eq!((two.status, two.field("content-range")), (206, None));
        let beyond = door.get("/", &[("range", "bytes=10-")]);
        assert_eq!(
            (beyond.status, beyond.field("content-range"), beyond.text().as_str()),
            (416, Some("bytes */10"), "")
        );
        for (name, value, status) in [
            ("if-range", "\"v1\"", 206),
            ("if-range", "Wed, 31 Dec 2025 10:00:00 GMT", 206),
            ("if-range", "W/\"v1\"", 200),
            ("if-range", "\"v0\"", 200),
            ("if-range", "Wed, 31 Dec 2025 10:00:01 GMT", 200),
            ("if-none-match", "\"v1\"", 304),
            ("x", "y", 206),
        ] {
            let answer = door.get("/", &[("range", "bytes=0-0"), (name, value)]);
            assert_eq!(answer.status, status, "{name}: {value}");
        }
        assert_eq!(door.get("/", &[("range", "lines=1")]).status, 200);
        assert_eq!(door.ask("HEAD", "/", &[("range", "bytes=0-1")]).status, 200, "of a GET alone");
    }
    assert_eq!(place.count(), 2);
}

#[test]
fn parts_of_what_is_not_kept_are_the_origins() {
    let place = Origin::start(|request, to| match request.field("range") {
        Some("bytes=0-1") => {
            let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/20\r\nContent-Length: 2\r\n\r\nab";
            to.write_all(head.as_bytes()).is_ok()
        }
        _ => ok(to, "", "abcdefghijklmnopqrst"),
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for path in ["/small/large", "/none/", "/unsaid"] {
            for _ in 0..2 {
                let part = door.get(path, &[("range", "bytes=0-1")]);
                assert_eq!((part.status, part.text().as_str()), (206, "ab"), "{path}");
                assert_eq!(part.field("content-range"), Some("bytes 0-1/20"));
            }
            assert_eq!(door.get(path, &[]).text().len(), 20, "{path}: a part is never given as a whole");
        }
    }
}

#[test]
fn a_head_is_answered_by_what_a_get_left_and_its_own_answer_renews_or_outdates_it() {
    let tag = Arc::new(AtomicUsize::new(1));
    let now = tag.clone();
    let place = Origin::start(move |request, to| {
        let tag = now.load(Ordering::SeqCst);
        let fields = format!("ETag: \"v{tag}\"\r\nX-Method: {}\r\nCache-Control: max-age=60\r\n", request.method);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{fields}\r\n");
        let body = if request.method == "HEAD" { "" } else { "page" };
        to.write_all((head + body).as_bytes()).is_ok()
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        tag.store(1, Ordering::SeqCst);
        assert_eq!(door.get("/", &[]).text(), "page");
        assert_hit(&door.ask("HEAD", "/", &[]));
        // Nothing is kept of an answer to one who says so (§5.2.1.5).
        door.ask("HEAD", "/", &[("cache-control", "no-cache, no-store")]);
        assert_eq!(door.get("/", &[]).field("x-method"), Some("GET"));
        // One who wishes for news asks the origin, and what it says is news for all.
        door.ask("HEAD", "/", &[("cache-control", "no-cache")]);
        let renewed = door.get("/", &[]);
        assert_hit(&renewed);
        assert_eq!((renewed.field("x-method"), renewed.text().as_str()), (Some("HEAD"), "page"));
        tag.store(2, Ordering::SeqCst);
        door.ask("HEAD", "/", &[("cache-control", "no-cache"), ("x-forwarded-host", "evil")]);
        assert_hit(&door.get("/", &[]));
        door.ask("HEAD", "/", &[("cache-control", "no-cache")]);
        let after = door.get("/", &[]);
        assert_eq!((status_of(&after), after.field("etag")), ("Seawall; fwd=stale; stored", Some("\"v2\"")));
    }
}

#[test]
fn request_directives_are_heard_while_the_origin_is_well() {
    let place = Origin::start(|_, to| ok(to, "Cache-Control: max-age=60\r\nAge: 30\r\n", "page"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        assert_eq!(door.get("/", &[("cache-control", "only-if-cached")]).status, 504);
        door.get("/", &[]);
        assert_hit(&door.get("/", &[("cache-control", "only-if-cached")]));
        let asked = place.count();
        for wish in ["no-cache", "max-age=0", "max-age=10", "min-fresh=50", "no-cache, max-age=100"] {
            let answer = door.get("/", &[("cache-control", wish)]);
            assert_eq!(status_of(&answer), "Seawall; fwd=request; stored", "{wish}");
        }
        assert_eq!(status_of(&door.get("/", &[("pragma", "no-cache")])), "Seawall; fwd=request; stored");
        assert_eq!(place.count(), asked + 6);
        for wish in ["max-age=40", "min-fresh=20", "max-stale", "no-store", "foo"] {
            assert_hit(&door.get("/", &[("cache-control", wish)]));
        }
        door.get("/unkept", &[("cache-control", "no-store")]);
        assert_eq!(status_of(&door.get("/unkept", &[])), "Seawall; fwd=uri-miss; stored");
        // Where the policy says so, they are not heard at all.
        door.get("/lenient/", &[]);
        assert_hit(&door.get("/lenient/", &[("cache-control", "no-cache")]));
    }
}

#[test]
fn above_level_normal_a_wish_for_more_is_no_way_round_the_cache() {
    let place = Origin::start(|_, to| ok(to, "Cache-Control: max-age=60\r\n", "page"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        door.get("/", &[]);
    }
    let pinned = edge.cli(&["level", "pin", "elevated", "--for", "1h", "--why", "test"]);
    assert!(pinned.status.success(), "{pinned:?}");
    for mut door in doors(&edge) {
        for wish in ["no-cache", "max-age=0", "no-store", "min-fresh=1000"] {
            assert_hit(&door.get("/", &[("cache-control", wish)]));
        }
        assert_eq!(door.get("/unheld", &[("cache-control", "only-if-cached")]).status, 504);
    }
    assert_eq!(place.count(), 2);
    let told = edge.cli_offline(&["explain", "/", "-H", "Cache-Control: no-cache"]);
    assert!(told.contains("its Cache-Control is heard") && told.contains("its Cache-Control is not heard"), "{told}");
}

#[test]
fn max_stale_takes_a_copy_that_others_would_not_get() {
    let place = Origin::start(|_, to| ok(to, "Cache-Control: max-age=60\r\nETag: \"a\"\r\nAge: 60\r\n", "page"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        door.get("/", &[]);
        let stale = door.get("/", &[("cache-control", "max-stale=1000")]);
        assert_hit(&stale);
        assert!(stale.field("age").unwrap().parse::<u64>().unwrap() >= 60);
        assert!(status_of(&door.get("/", &[])).starts_with("Seawall; fwd=stale"));
    }
}

#[test]
fn targeted_fields_are_for_this_cache_and_cache_control_for_those_behind_it() {
    let place = Origin::start(|request, to| {
        let fields = match request.target.as_str() {
            "/cdn" => "CDN-Cache-Control: max-age=60\r\nCache-Control: no-store\r\n",
            "/own" => "Seawall-Cache-Control: max-age=60\r\nCDN-Cache-Control: no-store\r\n",
            _ => "CDN-Cache-Control: no-store\r\nCache-Control: max-age=60\r\n",
        };
        ok(to, fields, "page")
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for (path, kept) in [("/cdn", true), ("/own", true), ("/forbidden", false)] {
            door.get(path, &[]);
            let second = door.get(path, &[]);
            assert_eq!(status_of(&second).starts_with("Seawall; hit"), kept, "{path}: {second:?}");
        }
        assert_eq!(door.get("/cdn", &[]).field("cache-control"), Some("no-store"), "it is passed on");
    }
}

#[test]
fn a_successful_write_outdates_the_page_and_those_it_names() {
    let place = Origin::start(|request, to| match (request.method.as_str(), request.target.as_str()) {
        ("GET", _) => ok(to, "Cache-Control: max-age=60\r\n", "page"),
        (_, "/fails") => to.write_all(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n").is_ok(),
        _ => {
            let head = "HTTP/1.1 303 See Other\r\nLocation: /list\r\nContent-Location: http://localhost/item?id=1\r\n";
            to.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes()).is_ok()
        }
    });
    let edge = edge(&place);
    let mut client = Door::First(edge.connect());
    let pages = ["/", "/list", "/item?id=1", "/other", "/fails"];
    for page in pages {
        client.get(page, &[]);
        assert_hit(&client.get(page, &[]));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(client.ask(method, "/fails", &[]).status, 422);
        assert_eq!(client.ask(method, "/", &[]).status, 303);
        for (page, outdated) in pages.into_iter().zip([true, true, true, false, false]) {
            let answer = client.get(page, &[]);
            assert_eq!(status_of(&answer) == "Seawall; fwd=stale; stored", outdated, "{method} {page}: {answer:?}");
            assert_hit(&client.get(page, &[]));
        }
    }
    // HTTP/2, which is https, may outdate what it holds itself.
    let mut second = Door::Second(H2::connect(edge.tls));
    second.get("/", &[]);
    assert_eq!(second.ask("POST", "/", &[]).status, 303);
    assert_eq!(status_of(&second.get("/", &[])), "Seawall; fwd=stale; stored");
}

#[test]
fn what_the_origin_withholds_goes_to_the_one_who_asked_alone() {
    let place = Origin::start(|_, to| {
        let fields = "Cache-Control: max-age=60, private=\"set-cookie, x-mine\", no-cache=\"x-checked\"\r\n\
            Set-Cookie: session=1\r\nX-Mine: 1\r\nX-Checked: 1\r\nX-Any: 1\r\n";
        ok(to, fields, "page")
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        let first = door.get("/", &[]);
        assert_eq!(first.field("set-cookie"), Some("session=1"));
        assert_eq!((first.field("x-mine"), first.field("x-checked")), (Some("1"), Some("1")));
        let second = door.get("/", &[]);
        assert_hit(&second);
        assert_eq!((second.field("x-any"), second.text().as_str()), (Some("1"), "page"));
        for name in ["set-cookie", "x-mine", "x-checked"] {
            assert_eq!(second.field(name), None, "{name}");
        }
    }
}

#[test]
fn credentials_share_only_what_the_origin_lets_them() {
    let place = Origin::start(|request, to| {
        let control = match request.target.as_str() {
            "/public" => "public, max-age=60",
            "/revalidate" => "must-revalidate, max-age=60",
            "/shared" => "s-maxage=60",
            _ => "max-age=60",
        };
        ok(to, &format!("Cache-Control: {control}\r\n"), request.field("authorization").unwrap_or("nobody"))
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for path in ["/public", "/revalidate", "/shared"] {
            door.get(path, &[("authorization", "alice")]);
            assert_hit(&door.get(path, &[("authorization", "bob")]));
            assert_hit(&door.get(path, &[]));
        }
        for who in ["alice", "bob", "alice"] {
            assert_eq!(door.get("/own", &[("authorization", who)]).text(), who);
        }
        assert_eq!(door.get("/own", &[]).text(), "nobody");
        assert_eq!(door.get("/own", &[("authorization", "alice")]).text(), "alice");
    }
}

#[test]
fn an_upstreams_cache_status_is_kept_and_ours_comes_after_it() {
    let place = Origin::start(|request, to| {
        let control = if request.target == "/" { "max-age=60" } else { "no-store" };
        ok(to, &format!("Cache-Status: Inner; hit; ttl=5\r\nCache-Control: {control}\r\n"), "page")
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        let ours = |answer: &Answer| {
            let all = answer.all("cache-status").join(", ");
            let parsed: sfv::List = sfv::Parser::new(&all).parse().unwrap();
            assert_eq!(parsed.len(), 2, "{all}");
            all.strip_prefix("Inner; hit; ttl=5, ").unwrap().to_owned()
        };
        assert_eq!(ours(&door.get("/", &[])), "Seawall; fwd=uri-miss; stored");
        assert!(ours(&door.get("/", &[])).starts_with("Seawall; hit; ttl="));
        assert_eq!(ours(&door.get("/unkept", &[])), "Seawall; fwd=uri-miss");
    }
}

#[test]
fn a_write_says_in_cache_status_that_its_method_is_not_kept() {
    let place = Origin::plain();
    let edge = edge(&place);
    for mut door in doors(&edge) {
        assert_eq!(status_of(&door.ask("POST", "/", &[])), "Seawall; fwd=method");
    }
}

#[test]
fn many_who_ask_about_a_public_page_at_once_ask_once() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.field("if-none-match").is_some() {
            hold.pass();
        }
        tagged(request, to, "public, max-age=0, must-revalidate")
    });
    let edge = edge(&place);
    edge.get("/", "");
    let together = Arc::new(Barrier::new(50));
    let readers = (0..50).map(|_| {
        let (address, together) = (edge.address, together.clone());
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            together.wait();
            assert_eq!(client.get("/", "").text(), "0123456789");
        })
    });
    let readers: Vec<_> = readers.collect();
    eventually("the question is at the origin", || place.in_flight() == 1);
    // Those who come after the answer's head ask for themselves.
    std::thread::sleep(std::time::Duration::from_millis(300));
    gate.open();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(place.count() <= 4, "{}", place.count());
}

#[test]
fn every_test_that_the_table_names_is_there() {
    fn sources(dir: &std::path::Path, into: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    ["src", "tests"].iter().for_each(|dir| sources(&root.join(dir), &mut code));
    let table = std::fs::read_to_string(root.join("docs/rfc9111.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 3);
    let tests = rows.skip(1).map(|row| (row, row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2)));
    let mut named = 0;
    for (row, tests) in tests {
        let before = named;
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "no test is called {test}");
            named += 1;
        }
        assert!(named > before || row.starts_with("| | "), "no test shows: {row}");
    }
    assert!(named > 100, "{named}");
}
