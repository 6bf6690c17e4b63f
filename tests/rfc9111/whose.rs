//! Whose an answer is: what followers, those who come after a failure or a write, and those behind a proxy get.

use super::*;

/// Runs `ask` for many at once, while the origin holds its answer back.
fn together(edge: &Edge, place: &Origin, gate: &Gate, path: &str, fields: &[&str]) -> Vec<Answer> {
    let mut clients: Vec<_> =
        fields.iter().map(|fields| (edge.connect(), support::client::get(path, fields))).collect();
    for (client, request) in &mut clients {
        client.send(&request);
        // The first leads.
        eventually("the fill is at the origin", || place.in_flight() > 0);
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    gate.open();
    clients.iter_mut().map(|(client, _)| client.answer()).collect()
}

#[test]
fn followers_of_what_is_too_large_to_keep_get_no_more_than_they_would_of_a_copy() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        hold.pass();
        let language = request.field("accept-language").unwrap_or("none").to_owned();
        let fields = "Cache-Control: max-age=60, no-cache=\"set-cookie\"\r\nSet-Cookie: session=1\r\n\
            Vary: Accept-Language\r\n";
        ok(to, fields, format!("a large page in {language}"))
    });
    let edge = edge(&place);
    let german = "Accept-Language: de\r\n";
    let answers = together(&edge, &place, &gate, "/small/large", &[german, german, "Accept-Language: fr\r\n"]);
    assert_eq!(answers[0].field("set-cookie"), Some("session=1"), "it is the leader's");
    assert_eq!(answers[1].field("set-cookie"), None, "{:?}", answers[1]);
    assert_eq!(
        answers.iter().map(Answer::text).collect::<Vec<_>>(),
        ["a large page in de", "a large page in de", "a large page in fr"]
    );
}

#[test]
fn who_follows_a_prefetch_that_finds_no_place_asks_for_one_as_a_visitor() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.target == "/none/slow" {
            hold.pass();
        }
        ok(to, "Cache-Control: max-age=60\r\n", "page")
    });
    let origin = format!(
        "[origin.site]\nservers = [\"{}\"]\n[origin.site.concurrency]\nmode = \"fixed\"\nlimit = 1\nqueue = 20\n\
         patience = {{ normal = \"10s\", bulk = \"300ms\" }}\n",
        place.address
    );
    let edge = Edge::start("", &(origin + ROUTES));
    let mut slow = edge.connect();
    slow.send(support::client::get("/none/slow", ""));
    eventually("the one place is taken", || place.in_flight() == 1);
    let (mut prefetch, mut visitor) = (edge.connect(), edge.connect());
    prefetch.send(support::client::get("/page", "Sec-Purpose: prefetch\r\n"));
    eventually("it leads a fill", || edge.ask_admin("/metrics").text().contains("seawall_cache_fills_open 1\n"));
    visitor.send(support::client::get("/page", ""));
    assert_eq!(prefetch.answer().status, 503, "it was not let wait for long");
    gate.open();
    assert_eq!((visitor.answer().status, slow.answer().status), (200, 200));
}

#[test]
fn a_failure_that_is_repeated_shows_no_field_that_was_for_caches_alone() {
    let place = Origin::start(|request, to| {
        let control = if request.target == "/private" { "CDN-Cache-Control: no-store\r\nX-Mine: 1\r\n" } else { "" };
        let head = format!("HTTP/1.1 503 No\r\nSurrogate-Key: k\r\nX-Any: 1\r\n{control}Content-Length: 4\r\n\r\nsorr");
        to.write_all(head.as_bytes()).is_ok()
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            let answer = door.get("/", &[]);
            assert_eq!((answer.status, answer.field("x-any"), answer.field("surrogate-key")), (503, Some("1"), None));
        }
        assert_eq!(door.get("/private", &[]).field("x-mine"), Some("1"));
        let other = door.get("/private", &[]);
        assert_eq!((other.status, other.field("x-mine")), (503, None), "it was not to be stored: {other:?}");
    }
}

#[test]
fn what_was_written_is_not_given_again_at_stale_while_the_origin_answers() {
    let version = Arc::new(AtomicUsize::new(1));
    let written = version.clone();
    let place = Origin::start(move |request, to| match request.method.as_str() {
        "GET" => ok(to, "Cache-Control: max-age=60\r\n", format!("version {}", version.load(Ordering::SeqCst))),
        _ => to.write_all(b"HTTP/1.1 204 Done\r\n\r\n").is_ok(),
    });
    let routes =
        ROUTES.replace("[[route]]\ncache = \"own\"\n", "[[route]]\ncache = \"own\"\nat.elevated = \"stale\"\n");
    let edge = Edge::start("", &(origin(place.address, 50) + &routes));
    let mut client = Door::First(edge.connect());
    client.get("/item", &[]);
    assert!(edge.cli(&["level", "pin", "elevated", "--for", "1h", "--why", "test"]).status.success());
    assert_hit(&client.get("/item", &[]));
    written.store(2, Ordering::SeqCst);
    assert_eq!(client.ask("POST", "/item", &[]).status, 204);
    assert_eq!(client.get("/item", &[]).text(), "version 2");
}

#[test]
fn fields_of_the_origins_connection_go_no_further() {
    let place = Origin::start(|_, to| {
        let fields = "Connection: X-Debug\r\nX-Debug: 1\r\nKeep-Alive: timeout=120\r\nProxy-Authenticate: Basic\r\n\
            Upgrade: h2c\r\nX-Any: 1\r\n";
        ok(to, fields, "page")
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for path in ["/none/page", "/page"] {
            let answer = door.get(path, &[]);
            assert_eq!((answer.field("x-any"), answer.text().as_str()), (Some("1"), "page"));
            for name in ["x-debug", "keep-alive", "proxy-authenticate", "upgrade"] {
                assert_eq!(answer.field(name), None, "{path}: {name}");
            }
        }
    }
}

#[test]
fn a_204_has_no_length_whether_it_comes_from_the_origin_or_from_a_copy() {
    let place = Origin::start(|_, to| {
        to.write_all(b"HTTP/1.1 204 Nothing\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            let answer = door.get("/", &[]);
            assert_eq!((answer.status, answer.field("content-length")), (204, None), "{answer:?}");
        }
    }
}

#[test]
fn s_maxage_is_not_stretched_by_a_wish_by_rfc_9111_5_2_2_10() {
    let place = Origin::start(|_, to| ok(to, "Cache-Control: s-maxage=60\r\nETag: \"a\"\r\nAge: 60\r\n", "page"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        door.get("/", &[]);
        let answer = door.get("/", &[("cache-control", "max-stale=1000")]);
        assert!(status_of(&answer).starts_with("Seawall; fwd=stale"), "{answer:?}");
    }
}

#[test]
fn a_new_version_of_a_large_page_is_stored_before_its_readers_have_its_end() {
    let version = Arc::new(AtomicUsize::new(0));
    let place = Origin::start(move |_, to| {
        let version = version.fetch_add(1, Ordering::SeqCst) % 10;
        ok(to, "Cache-Control: max-age=0\r\nETag: \"x\"\r\n", version.to_string().repeat(3 << 20))
    });
    let edge = edge(&place);
    let mut client = edge.connect();
    for _ in 0..20 {
        let whole = client.get("/", "").body[0];
        let part = client.get("/", "Range: bytes=0-0\r\n");
        assert_eq!((part.status, part.body.len()), (206, 1), "{part:?}");
        assert_eq!(part.body[0], b'0' + (whole - b'0' + 1) % 10, "it is of the version that was just fetched");
    }
}
