//! Attacks on the cache, over real sockets at both doors: poisoning what others get, and getting what is
//! another's. None may work.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io::Write;
use std::net::TcpStream;

use support::origin::ok;
use support::{Edge, H2, Origin, Request, doors, origin};

/// The most dangerous policy there is: everything is kept for an hour, whatever the origin says.
const ROUTES: &str = "[cache.page]\nttl = \"1h\"\noverride = true\nignore_query = [\"utm_*\"]\n\
    ignore_cookies = [\"theme\"]\nvary_cookies = [\"currency\"]\nrequest_directives = \"always\"\n\
    [cache.stripped]\nttl = \"1h\"\nstrip_set_cookie = true\n\
    [[route]]\npath = \"/stripped/**\"\ncache = \"stripped\"\n\
    [[route]]\ncache = \"page\"\n";

const EVIL: &str = "evil.example";

/// An origin that repeats all that it is told, and says nothing of caching.
fn parrot() -> Origin {
    Origin::start(|request, to| ok(to, "", repeated(request)))
}

fn repeated(request: &Request) -> String {
    let fields: String = request.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{} {}\n{fields}\n{}", request.method, request.target, String::from_utf8_lossy(&request.body))
}

fn edge(place: &Origin) -> Edge {
    Edge::start("", &(origin(place.address, 50) + ROUTES))
}

/// Fields that no key holds, and by which frameworks, servers and proxies let themselves be steered.
const UNKEYED: [&str; 40] = [
    "X-Forwarded-Host",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Server",
    "X-Forwarded",
    "Forwarded",
    "Forwarded-For",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-HTTP-DestinationURL",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Scheme",
    "X-URL-Scheme",
    "X-URI",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Remote-Addr",
    "True-Client-IP",
    "Client-IP",
    "CF-Connecting-IP",
    "X-ProxyUser-IP",
    "X-Accel-Redirect",
    "X-Envoy-Original-Path",
    "X-Wap-Profile",
    "X-Middleware-Subrequest",
    "X-Matched-Path",
    "X-Invoke-Path",
    "X-NextJS-Data",
    "Front-End-Https",
    "Max-Forwards",
];

#[test]
fn a_field_that_is_in_no_key_reaches_no_cached_answer() {
    let place = parrot();
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for (i, name) in UNKEYED.iter().enumerate() {
            let path = format!("/{i}");
            let attack = door.get(&path, &[(name, EVIL)]);
            assert!(!attack.text().contains(EVIL), "{name} was said to the origin: {}", attack.text());
            let victim = door.get(&path, &[]);
            assert!(victim.field("cache-status").unwrap().starts_with("Seawall; hit"), "{name}: {victim:?}");
            assert!(!victim.text().contains(EVIL), "{name}: {}", victim.text());
        }
    }
}

#[test]
fn what_a_fill_leaves_out_for_other_reasons_reaches_no_cached_answer_either() {
    let place = parrot();
    let edge = edge(&place);
    let attacks: [(&str, &[(&str, &str)]); 10] = [
        ("GET", &[("Cookie", "_ga=evil.example; theme=evil.example")]),
        ("GET", &[("Cache-Control", "no-cache, evil.example")]),
        ("GET", &[("Pragma", "evil.example")]),
        ("GET", &[("Accept-Encoding", "gzip, evil.example")]),
        ("GET", &[("Range", "bytes=0-1"), ("If-Range", "\"evil.example\"")]),
        ("GET", &[("If-None-Match", "\"evil.example\"")]),
        ("GET", &[("If-Match", "\"evil.example\"")]),
        ("GET", &[("Authorization", "evil.example")]),
        ("GET", &[("X-Api-Key", "evil.example")]),
        ("HEAD", &[("X-Forwarded-Host", "evil.example")]),
    ];
    for mut door in doors(&edge) {
        for (i, (method, fields)) in attacks.iter().enumerate() {
            let path = format!("/{i}");
            door.ask(method, &path, fields);
            assert!(!door.get(&path, &[]).text().contains(EVIL), "{fields:?}");
            door.ask(method, &path, fields);
            assert!(!door.get(&path, &[]).text().contains(EVIL), "{fields:?}, once it is held");
        }
        // Ignored parameters are in no key: neither does the origin hear of them.
        for query in ["utm_source=evil.example&a=1", "a=1&utm_x=evil.example", "a=1&seawall_pass=evil.example"] {
            let path = format!("/query?{query}");
            assert!(!door.get(&path, &[]).text().contains(EVIL), "{query}");
        }
        assert!(!door.get("/query?a=1", &[]).text().contains(EVIL));
    }
}

#[test]
fn a_field_named_by_connection_reaches_no_cached_answer() {
    let place = parrot();
    let edge = edge(&place);
    let mut client = edge.connect();
    client.get("/", "Connection: X-Trick, keep-alive\r\nX-Trick: evil.example\r\n");
    assert!(!client.get("/", "").text().contains(EVIL));
}

#[test]
fn a_get_with_a_body_is_kept_for_nobody() {
    let place = parrot();
    let edge = edge(&place);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\nevil.example");
    assert!(client.answer().text().contains(EVIL), "it is the attacker's own");
    assert!(!client.get("/", "").text().contains(EVIL));
}

#[test]
fn one_host_is_never_told_as_another() {
    let place = parrot();
    let edge = edge(&place);
    let host_told = |request: &str| -> Option<String> {
        let answer = edge.connect().send(request).answer();
        let line = answer.text().lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned));
        if answer.status == 200 { line } else { None }
    };
    let at = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // One page with its spellings, whichever comes first.
    for host in ["LOCALHOST", "localhost:80", "localhost"] {
        assert_eq!(host_told(&at(host)).as_deref(), Some("localhost"), "{host}");
    }
    assert_eq!(host_told("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n").as_deref(), Some("localhost"));
    assert_eq!(
        host_told("GET http://LOCALHOST:80/ HTTP/1.1\r\nHost: localhost:80\r\n\r\n").as_deref(),
        Some("localhost")
    );
    // Others are other pages.
    for host in ["localhost.", "localhost:8080", "localhost:443", EVIL, "localhost.evil.example"] {
        assert_eq!(host_told(&at(host)).as_deref(), Some(host));
        assert_eq!(host_told(&at("localhost")).as_deref(), Some("localhost"), "after {host}");
    }
    // Two answers to the question who is asked are none.
    for request in [
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost/evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n",
    ] {
        assert_eq!(host_told(request), None, "{request}");
    }
    assert_eq!(host_told(&at("localhost")).as_deref(), Some("localhost"));
}

/// A shop whose pages below `/account` show who asks, however the path goes on, and say this of caching.
fn shop(control: &'static str) -> Origin {
    Origin::start(move |request, to| {
        let who = ["cookie", "authorization", "x-api-key"].map(|name| request.field(name).unwrap_or_default());
        ok(to, control, format!("account of <{}>", who.concat()))
    })
}

#[test]
fn an_account_with_the_name_of_a_style_sheet_is_kept_for_nobody() {
    let paths = [
        "/account/x.css",
        "/account;x.css",
        "/account%2fx.css",
        "/account/..%2fstatic/x.css",
        "/static/..%2faccount",
        "/static/../account/x.js",
        "/account/x.css?utm_source=1",
        "/account/%2e%2e/account/x.png",
    ];
    let credentials = [("cookie", "session=alice"), ("authorization", "Bearer alice"), ("x-api-key", "alice")];
    for control in [
        "",
        "Cache-Control: private\r\n",
        "Cache-Control: max-age=60\r\n",
        "Cache-Control: no-cache\r\nETag: \"a\"\r\n",
    ] {
        let place = shop(control);
        let edge = edge(&place);
        for mut door in doors(&edge) {
            for path in paths {
                for (name, value) in credentials {
                    let mine = door.get(path, &[(name, value)]);
                    assert_eq!(mine.text(), format!("account of <{value}>"), "{path}");
                    for attack in [
                        &[][..],
                        &[("cookie", "session=eve")],
                        &[("authorization", "Bearer eve")],
                        &[("range", "bytes=0-")],
                    ] {
                        let seen = door.get(path, attack);
                        assert!(
                            !seen.text().contains("alice"),
                            "{control:?} {path} {name} {attack:?}: {}",
                            seen.text()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_session_that_is_begun_on_a_cached_page_is_nobody_elses() {
    let begun = std::sync::atomic::AtomicUsize::new(0);
    let place = Origin::start(move |request, to| {
        let number = begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let fields = format!("Set-Cookie: session=s{number}; HttpOnly\r\nX-Method: {}\r\n", request.method);
        ok(to, &fields, format!("token {number}"))
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        let mut seen = std::collections::HashSet::new();
        for round in 0..4 {
            let answer = door.get("/login", &[]);
            assert!(seen.insert(answer.text()), "round {round}: {answer:?}");
            assert!(seen.insert(answer.field("set-cookie").unwrap().to_owned()));
        }
        // Where the policy strips it, nobody gets one at all: not even who came first.
        for _ in 0..2 {
            assert_eq!(door.get("/stripped/", &[]).field("set-cookie"), None);
        }
    }
}

#[test]
fn pages_of_sessions_stay_apart_under_a_policys_ttl() {
    let place = shop("");
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for round in 0..3 {
            for who in ["alice", "bob"] {
                let cookie = format!("theme=dark; currency=EUR; session={who}");
                assert_eq!(door.get("/", &[("cookie", &cookie)]).text(), format!("account of <{cookie}>"), "{round}");
                let key = format!("Bearer {who}");
                assert_eq!(door.get("/", &[("authorization", &key)]).text(), format!("account of <{key}>"), "{round}");
            }
            assert_eq!(door.get("/", &[]).text(), "account of <>");
            assert_eq!(door.get("/", &[("cookie", "currency=EUR")]).text(), "account of <currency=EUR>");
        }
    }
}

#[test]
fn a_page_that_one_may_share_is_not_told_by_another_ones_cookie() {
    // `public`, but it varies by Cookie: who sends one gets their own.
    let place = shop("Cache-Control: public, max-age=60\r\nVary: Cookie\r\n");
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for who in ["session=alice", "session=bob", "session=alice"] {
            assert_eq!(door.get("/", &[("cookie", who)]).text(), format!("account of <{who}>"));
        }
        assert_eq!(door.get("/", &[]).text(), "account of <>");
    }
}

/// An origin that refuses a request by what is odd about it.
fn fussy(request: &Request, to: &mut TcpStream) -> bool {
    let odd = request.fields.iter().any(|(name, value)| name == "x-odd" || value.len() > 2000);
    let status = if request.field("x-http-method-override").is_some() {
        "405 Method Not Allowed"
    } else if request.field("range").is_some_and(|range| range.len() > 20) {
        "416 Range Not Satisfiable"
    } else if odd {
        "400 Bad Request"
    } else {
        return ok(to, "", "page");
    };
    to.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nevil").as_bytes()).is_ok()
}

#[test]
fn an_error_that_one_provokes_is_not_served_to_others() {
    let place = Origin::start(fussy);
    let edge = edge(&place);
    let long = "x".repeat(3000);
    let ranges = format!("bytes={}", vec!["0-0"; 50].join(","));
    let attacks =
        [("x-odd", "1"), ("x-long", long.as_str()), ("x-http-method-override", "DELETE"), ("range", ranges.as_str())];
    for mut door in doors(&edge) {
        for (i, (name, value)) in attacks.iter().enumerate() {
            let path = format!("/{i}");
            door.get(&path, &[(name, value)]);
            let victim = door.get(&path, &[]);
            assert_eq!((victim.status, victim.text().as_str()), (200, "page"), "{name}");
        }
    }
}

#[test]
fn a_request_of_very_many_fields_takes_a_page_from_nobody() {
    let place = Origin::start(fussy);
    let edge = edge(&place);
    let names: Vec<_> = (0..300).map(|i| format!("x-{i}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for (i, mut door) in doors(&edge).into_iter().enumerate() {
        let path = format!("/{i}");
        assert_eq!(door.get(&path, &fields).status, 431);
        let victim = edge.get(&path, "");
        assert_eq!((victim.status, victim.text().as_str()), (200, "page"));
    }
    let crumbs: Vec<_> = (0..200).map(|i| format!("c{i}=1")).collect();
    let crumbs: Vec<_> = crumbs.iter().map(|crumb| ("cookie", crumb.as_str())).collect();
    let visitor = H2::connect(edge.tls).get("/crumbs", &crumbs);
    assert_eq!(visitor.status, 200, "a browser's cookies come in crumbs (RFC 9113 §8.2.3)");
    let cookies = place.requests().last().unwrap().field("cookie").unwrap().to_owned();
    assert!(cookies.starts_with("c0=1; c1=1") && cookies.ends_with("c199=1"), "{cookies}");
}

#[test]
fn a_redirect_to_where_one_wished_is_not_served_to_others() {
    let place = Origin::start(|request, to| {
        let host = request.field("x-forwarded-host").or(request.field("host")).unwrap_or_default();
        let scheme = request.field("x-forwarded-proto").unwrap_or_default();
        let head =
            format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {scheme}://{host}/there\r\nContent-Length: 0\r\n\r\n");
        to.write_all(head.as_bytes()).is_ok()
    });
    let edge = edge(&place);
    for (mut door, expected) in doors(&edge).into_iter().zip(["http://localhost/there", "https://localhost/there"]) {
        for (name, value) in
            [("X-Forwarded-Host", EVIL), ("X-Forwarded-Proto", "javascript"), ("Forwarded", "host=evil.example")]
        {
            assert_eq!(door.get("/", &[(name, value)]).field("location"), Some(expected));
            assert_eq!(door.get("/", &[]).field("location"), Some(expected), "{name}");
        }
    }
}
