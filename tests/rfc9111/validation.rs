//! What is stale is asked about: RFC 9111 §4.3.

use super::*;

#[test]
fn a_stale_copy_is_asked_about_and_renewed_by_all_fields_of_a_304() {
    let place = Origin::start(|request, to| tagged(request, to, "max-age=60, must-revalidate\r\nAge: 60"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        let first = door.get("/", &[]);
        assert_eq!((first.text().as_str(), first.field("x-round")), ("0123456789", Some("first")));
        let second = door.get("/", &[]);
        assert_eq!((second.status, second.text().as_str()), (200, "0123456789"));
        assert_eq!((second.field("x-round"), second.all("etag").len()), (Some("again"), 1));
        assert_eq!(status_of(&second), "Seawall; fwd=stale; fwd-status=304; stored");
        // What the visitor has is still right, too.
        assert_eq!(door.get("/", &[("if-none-match", "\"v1\"")]).status, 304);
    }
    let asked = place.requests();
    assert_eq!(asked.iter().filter(|r| r.field("if-none-match").is_none()).count(), 2, "once at each door");
}

#[test]
fn a_304_gives_a_copy_a_new_life() {
    let place = Origin::start(|request, to| match request.field("if-modified-since") {
        Some(_) => not_modified(to, "Cache-Control: max-age=60\r\n"),
        None => {
            ok(to, "Last-Modified: Wed, 31 Dec 2025 10:00:00 GMT\r\nCache-Control: max-age=60\r\nAge: 60\r\n", "page")
        }
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        assert_eq!(door.get("/", &[]).text(), "page");
        assert_eq!(door.get("/", &[]).text(), "page");
        let third = door.get("/", &[]);
        assert_hit(&third);
        assert_eq!(third.text(), "page");
    }
    assert_eq!(place.count(), 4);
}

#[test]
fn a_stale_copy_that_answers_is_asked_about_meanwhile() {
    let place = Origin::start(|request, to| match request.field("if-none-match") {
        Some("\"v1\"") => not_modified(to, "ETag: \"v1\"\r\nCache-Control: max-age=60\r\nX-Round: again\r\n"),
        _ => ok(to, "ETag: \"v1\"\r\nCache-Control: max-age=60\r\nAge: 60\r\nX-Round: first\r\n", "page"),
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        door.get("/patient/", &[]);
        let stale = door.get("/patient/", &[]);
        assert_hit(&stale);
        assert_eq!((stale.field("x-round"), stale.text().as_str()), (Some("first"), "page"));
        eventually("the copy is renewed", || door.get("/patient/", &[]).field("x-round") == Some("again"));
        assert_hit(&door.get("/patient/", &[]));
    }
    assert_eq!(place.count(), 4);
}

#[test]
fn no_cache_and_zero_lifetimes_are_asked_about_before_every_use() {
    let place = Origin::start(|request, to| {
        let control = if request.target == "/no-cache" { "no-cache" } else { "max-age=0" };
        tagged(request, to, control)
    });
    let edge = edge(&place);
    for path in ["/no-cache", "/zero"] {
        for mut door in doors(&edge) {
            for round in 0..3 {
                let answer = door.get(path, &[]);
                assert_eq!(answer.text(), "0123456789", "{path}, {round}");
                assert_eq!(status_of(&answer).contains("fwd-status=304"), round > 0, "{path}, {round}: {answer:?}");
            }
        }
        assert_eq!(place.count_of(path), 6, "{path}");
    }
}

#[test]
fn a_304_about_something_else_leads_to_a_request_for_the_whole() {
    let place = Origin::start(|request, to| match request.field("if-none-match") {
        Some(_) => not_modified(to, "ETag: \"v2\"\r\n"),
        None => ok(to, "ETag: \"v1\"\r\nCache-Control: no-cache\r\n", "page"),
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            let answer = door.get("/", &[]);
            assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
        }
    }
    assert_eq!(place.count(), 6);
}

#[test]
fn an_origin_that_fails_when_asked_about_a_copy_is_covered_only_where_stale_is_allowed() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let place = Origin::start(move |request, to| {
        if breaks.load(Ordering::SeqCst) {
            return to.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown").is_ok();
        }
        let strict = if request.target.ends_with("strict") { ", must-revalidate" } else { "" };
        tagged(request, to, &format!("max-age=1{strict}\r\nAge: 1"))
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        broken.store(false, Ordering::SeqCst);
        for path in ["/lenient/", "/lenient/strict"] {
            assert_eq!(door.get(path, &[]).text(), "0123456789");
        }
        broken.store(true, Ordering::SeqCst);
        let covered = door.get("/lenient/", &[]);
        assert_eq!((covered.status, covered.text().as_str()), (200, "0123456789"));
        assert_eq!(status_of(&covered), "Seawall; fwd=stale; fwd-status=503; detail=stale-if-error");
        assert_eq!(door.get("/lenient/strict", &[]).status, 503);
    }
}
