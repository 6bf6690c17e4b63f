//! Cached text in the codings that clients take: made once, true to its head, and never of what may not
//! be touched.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io::Read;

use support::client::get;
use support::doors::doors;
use support::origin::ok;
use support::{Answer, Edge, H2, Origin, eventually, origin, write_policy};

const ALL: &str = "Accept-Encoding: gzip, br, zstd\r\n";

fn text() -> String {
    "what is new today, and what was new yesterday; ".repeat(200)
}

fn edge(place: &Origin, cache: &str) -> Edge {
    let routes = format!("[cache.page]\n{cache}\n[[route]]\nname = \"pages\"\ncache = \"page\"\n");
    Edge::start("", &(origin(place.address, 50) + &routes))
}

fn page() -> Origin {
    Origin::start(|request, to| {
        let fields = match request.target.as_str() {
            "/picture" => "Content-Type: image/png\r\n",
            "/as-it-is" => "Content-Type: text/html\r\nCache-Control: no-transform\r\n",
            "/encoded" => "Content-Type: text/html\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n",
            _ => "Content-Type: text/html\r\nETag: \"v1\"\r\n",
        };
        let age = "Cache-Control: max-age=600\r\n";
        ok(to, &format!("{age}{fields}"), text())
    })
}

fn decoded(answer: &Answer) -> String {
    let mut read = String::new();
    let body = answer.body.as_slice();
    match answer.field("content-encoding") {
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_string(&mut read).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(body, 4096).read_to_string(&mut read).unwrap()),
        Some("zstd") => read = String::from_utf8(zstd::bulk::decompress(body, 1 << 20).unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
    read
}

#[test]
fn text_is_given_in_the_coding_that_a_client_takes() {
    let place = page();
    let edge = edge(&place, "");
    let mut client = edge.connect();
    for (accepts, coding) in [("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip", "gzip")] {
        let accepts = format!("Accept-Encoding: {accepts}\r\n");
        let first = client.get("/", &accepts);
        assert_eq!(first.text(), text(), "the first gets it as it came");
        assert_eq!((first.field("vary"), first.field("etag")), (Some("Accept-Encoding"), Some("\"v1\"")));
        eventually("it is encoded", || client.get("/", &accepts).field("content-encoding") == Some(coding));
        let hit = client.get("/", &accepts);
        assert!(hit.field("cache-status").unwrap().starts_with("Seawall; hit; ttl="), "{hit:?}");
        assert_eq!(hit.all("vary"), ["Accept-Encoding"]);
        assert_eq!(hit.field("etag"), Some("W/\"v1\""));
        assert_eq!(decoded(&hit), text(), "{coding}");
        let head = client.send(get("/", &accepts).replacen("GET", "HEAD", 1)).answer_to_head();
        assert_eq!(head.field("content-length"), hit.field("content-length"));
        let known = client.get("/", &format!("{accepts}If-None-Match: W/\"v1\"\r\n"));
        assert_eq!((known.status, known.field("etag")), (304, Some("W/\"v1\"")));
    }
    for accepts in ["", "Accept-Encoding: identity\r\n", "Accept-Encoding: deflate\r\n"] {
        client.get("/", accepts);
        let hit = client.get("/", accepts);
        assert_eq!((hit.field("content-encoding"), hit.text()), (None, text()));
        assert_eq!((hit.field("vary"), hit.field("etag")), (Some("Accept-Encoding"), Some("\"v1\"")));
    }
    client.assert_kept();
}

#[test]
fn http_2_gets_the_same_coding() {
    let place = page();
    let edge = edge(&place, "");
    let mut second = H2::connect(edge.tls);
    let accepts = [("accept-encoding", "br")];
    assert_eq!(second.get("/", &accepts).text(), text());
    eventually("it is encoded", || second.get("/", &accepts).field("content-encoding") == Some("br"));
    let hit = second.get("/", &accepts);
    assert_eq!(
        (decoded(&hit), hit.field("etag"), hit.field("vary")),
        (text(), Some("W/\"v1\""), Some("Accept-Encoding"))
    );
    assert_eq!(hit.field("content-length").unwrap(), hit.body.len().to_string());
}

#[test]
fn what_is_purged_softly_is_stale_and_renewed_in_every_coding() {
    let place = Origin::start(|_, to| {
        let fields = "Content-Type: text/html\r\nCache-Control: max-age=600, stale-while-revalidate=600\r\n";
        ok(to, fields, text())
    });
    let edge = edge(&place, "");
    let mut client = edge.connect();
    let accepts = "Accept-Encoding: br\r\n";
    client.get("/", accepts);
    eventually("it is encoded", || client.get("/", accepts).field("content-encoding") == Some("br"));
    assert!(edge.cli(&["purge", "--soft", "--url", "http://localhost/"]).status.success());
    let stale = client.get("/", accepts);
    assert_eq!((stale.status, stale.field("content-encoding")), (200, Some("br")));
    assert!(!stale.field("cache-status").unwrap().contains("ttl=5"), "{stale:?}");
    eventually("it is asked for anew", || place.count() == 2);
}

#[test]
fn what_is_no_text_or_not_to_be_touched_stays_as_it_came() {
    let place = page();
    let edge = edge(&place, "");
    let mut client = edge.connect();
    for path in ["/picture", "/as-it-is", "/encoded"] {
        client.get(path, ALL);
    }
    // What is encoded after them was asked for after them.
    client.get("/", ALL);
    eventually("a page is encoded", || client.get("/", ALL).field("content-encoding") == Some("zstd"));
    for path in ["/picture", "/as-it-is", "/encoded"] {
        for _ in 0..3 {
            let hit = client.get(path, ALL);
            let came = (path == "/encoded").then_some("gzip");
            assert_eq!((hit.field("content-encoding"), hit.text()), (came, text()), "{path}");
            assert_eq!(hit.field("vary").is_some(), path == "/encoded", "{path}");
        }
    }
}

#[test]
fn nothing_is_encoded_where_the_policy_says_so() {
    let place = page();
    let edge = edge(&place, "compress = false");
    let mut client = edge.connect();
    for _ in 0..5 {
        let answer = client.get("/", ALL);
        assert_eq!((answer.field("content-encoding"), answer.field("vary")), (None, None));
        assert_eq!((answer.field("etag"), answer.text()), (Some("\"v1\""), text()));
    }
}

#[test]
fn nothing_is_encoded_any_more_once_the_policy_says_so() {
    let place = page();
    let edge = edge(&place, "");
    let mut client = edge.connect();
    eventually("it is encoded", || client.get("/", ALL).field("content-encoding") == Some("zstd"));
    let text = std::fs::read_to_string(edge.dir().join("seawall.toml")).unwrap();
    write_policy(edge.dir(), &text.replace("[cache.page]\n", "[cache.page]\ncompress = false\n"));
    edge.signal(libc::SIGHUP);
    eventually("it is as it came", || client.get("/", ALL).field("content-encoding").is_none());
    let asked = place.count();
    assert_eq!((client.get("/", ALL).text(), place.count()), (self::text(), asked), "the copy is still good");
}

#[test]
fn parts_are_joined_by_no_date_that_several_codings_have() {
    let date = "Thu, 26 Nov 2026 10:00:00 GMT";
    let place = Origin::start(move |_, to| {
        ok(to, &format!("Content-Type: text/html\r\nLast-Modified: {date}\r\nCache-Control: max-age=60\r\n"), text())
    });
    let edge = edge(&place, "");
    let mut client = edge.connect();
    eventually("it is encoded", || client.get("/", ALL).field("content-encoding") == Some("zstd"));
    let rest = client.get("/", &format!("{ALL}Range: bytes=100-\r\nIf-Range: {date}\r\n"));
    assert_eq!(rest.status, 200, "the client's beginning may be of the coded text");
    assert_eq!(client.get("/", "Range: bytes=0-3\r\n").text(), "what");
}

#[test]
fn a_304_says_nothing_of_a_coding_through_either_door() {
    let place = Origin::start(|_, to| {
        let fields = "Content-Type: text/html\r\nETag: \"v1\"\r\nCache-Control: max-age=60\r\n";
        ok(to, &format!("{fields}Last-Modified: Thu, 26 Nov 2026 10:00:00 GMT\r\n"), text())
    });
    let edge = edge(&place, "");
    for mut door in doors(&edge) {
        let mut coded = || door.get("/", &[("Accept-Encoding", "zstd")]).field("content-encoding").is_some();
        eventually("it is encoded", &mut coded);
        let answer = door.get("/", &[("If-None-Match", "\"v1\""), ("Accept-Encoding", "zstd")]);
        let names: Vec<_> = ["content-encoding", "content-type", "last-modified"].map(|n| answer.field(n)).into();
        assert_eq!((answer.status, names), (304, vec![None; 3]), "{answer:?}");
    }
}

#[test]
fn a_page_that_the_origin_says_is_still_right_is_not_encoded_anew() {
    let place = Origin::start(|request, to| {
        if request.field("if-none-match") == Some("\"v1\"") {
            return std::io::Write::write_all(to, b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n").is_ok();
        }
        ok(to, "Content-Type: text/html\r\nETag: \"v1\"\r\nCache-Control: max-age=1\r\n", text())
    });
    let edge = edge(&place, "");
    let mut client = edge.connect();
    eventually("it is encoded", || client.get("/", ALL).field("content-encoding") == Some("zstd"));
    let asked = place.count();
    eventually("it is asked about", || {
        client.get("/", ALL);
        place.count() > asked
    });
    let renewed = client.get("/", ALL);
    assert_eq!((renewed.field("content-encoding"), decoded(&renewed)), (Some("zstd"), text()));
}
