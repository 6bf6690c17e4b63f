use super::super::request::{Bypass, tests::view};
use super::*;
use crate::pipeline::view::Field;

/// Thu, 01 Jan 2026 00:00:00 GMT
const NOW: Now = Now { mono: Mono::ZERO, unix_ms: 1_767_225_600_000 };
const LAST_MODIFIED: &str = "Wed, 31 Dec 2025 10:00:00 GMT";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn terms() -> Terms {
    Terms {
        public: false,
        authorized: false,
        fresh_for: seconds(10),
        initial_age: seconds(3),
        stale_while_revalidate: seconds(20),
        stale_if_error: seconds(60),
        must_revalidate: false,
        no_max_stale: false,
        immutable: false,
    }
}

fn entry_with(status: u16, fields: &[(&str, &str)], terms: Terms) -> Entry {
    let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    Entry::new(&ResponseParts { status, fields: &fields }, Bytes::from_static(b"hello"), terms, NOW)
}

fn entry(fields: &[(&str, &str)]) -> Entry {
    entry_with(200, fields, terms())
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn asked(entry: &Entry, fields: &[(&str, &str)]) -> Precondition {
    let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    entry.precondition(&view(&fields))
}

#[test]
fn the_head_is_whole_but_for_what_belongs_to_one_answer() {
    let entry = entry(&[
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("X-B", "2"),
        ("content-length", "999"),
        ("Age", "3"),
        ("X-A", " 1 "),
        ("X-B", "3"),
    ]);
    let head =
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-B: 2\r\nX-A: 1\r\nX-B: 3\r\nContent-Length: 5\r\n";
    assert_eq!(text(entry.head()), head);
    let fields: Vec<_> = entry.fields().iter().skip(1).map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(fields, [("x-b", "2"), ("x-a", "1"), ("x-b", "3")]);
}

#[test]
fn fields_for_one_connection_are_not_stored_by_rfc_9111_3_1() {
    let entry = entry(&[
        ("Connection", "close, X-Hop"),
        ("Connection", "x-two"),
        ("X-Hop", "1"),
        ("X-Two", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "x"),
        ("Proxy-Authenticate", "Basic"),
        ("Set-Cookie", "a=1"),
        ("Content-Type", "text/html"),
    ]);
    let names: Vec<_> = entry.fields().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "date"]);
}

#[test]
fn a_missing_date_is_added_by_rfc_9110_6_6_1() {
    assert!(text(entry(&[]).head()).contains("\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"));
}

#[test]
fn a_malformed_field_can_not_split_the_head() {
    let entry = entry(&[("X-A", "1\r\nSet-Cookie: a=1"), ("X B", "1"), ("X\r\nC", "1"), ("", "1")]);
    assert_eq!(entry.fields().len(), 1);
    assert_eq!(text(entry.head()).lines().count(), 3);
}

#[test]
fn a_204_has_no_content_length_by_rfc_9110_8_6() {
    assert!(!text(entry_with(204, &[], terms()).head()).contains("Content-Length"));
}

#[test]
fn an_unknown_status_has_a_line_all_the_same() {
    assert!(text(entry_with(299, &[], terms()).head()).starts_with("HTTP/1.1 299 \r\n"));
}

#[test]
fn it_is_fresh_then_stale_in_two_windows_then_dead() {
    let entry = entry(&[]);
    for (second, state) in [
        (0, State::Fresh),
        (9, State::Fresh),
        (10, State::StaleWhileRevalidate),
        (29, State::StaleWhileRevalidate),
        (30, State::StaleIfError),
        (69, State::StaleIfError),
        (70, State::Dead),
    ] {
        let now = Mono::ZERO.after(seconds(second));
        assert_eq!(entry.state(now), state, "{second}");
        assert_eq!(entry.is_good_on_error(now), second < 70);
    }
    assert_eq!(entry.useful_for(), seconds(70));
}

#[test]
fn a_longer_window_of_stale_while_revalidate_can_be_asked_for() {
    let entry = entry(&[]);
    let state = |second| entry.state_within(Mono::ZERO.after(seconds(second)), seconds(40));
    assert_eq!([9, 49, 50].map(state), [State::Fresh, State::StaleWhileRevalidate, State::StaleIfError]);
}

#[test]
fn no_ones_page_is_anothers() {
    for public in [false, true] {
        let entry = entry_with(200, &[], Terms { public, ..terms() });
        assert!(entry.may_answer(Lookup::Plain));
        assert_eq!(entry.may_answer(Lookup::Personal), public);
        assert!(!entry.may_answer(Lookup::Authorized));
        assert!(!entry.may_answer(Lookup::Bypass(Bypass::Upgrade)));
    }
    assert!(entry_with(200, &[], Terms { authorized: true, ..terms() }).may_answer(Lookup::Authorized));
}

#[test]
fn what_is_withheld_is_not_stored_by_rfc_9111_5_2_2() {
    let entry = entry(&[
        ("Cache-Control", "private=\"X-Mine\", no-cache=\"x-checked\""),
        ("X-Mine", "1"),
        ("X-Checked", "1"),
        ("X-Other", "1"),
    ]);
    let names: Vec<_> = entry.fields().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cache-control", "x-other", "date"]);
}

#[test]
fn one_that_is_expired_is_stale_at_once_and_answers_only_for_an_origin_that_fails() {
    let entry = entry(&[]);
    let at = |second| Mono::ZERO.after(seconds(second));
    entry.expire(at(4));
    entry.expire(at(6));
    assert_eq!(entry.state(at(3)), State::Fresh);
    assert_eq!(
        [4, 63, 64].map(|second| entry.state(at(second))),
        [State::StaleIfError, State::StaleIfError, State::Dead]
    );
    assert!(entry.is_good_on_error(at(63)) && !entry.is_good_on_error(at(64)));
    assert!(!entry.may_be_stale_for(Duration::MAX, at(5)));
    assert_eq!(entry.ttl_seconds(at(5)), -1);
}

#[test]
fn what_can_be_validated_is_kept_for_that() {
    assert_eq!(entry(&[("ETag", "\"a\"")]).useful_for(), seconds(10) + KEPT_TO_VALIDATE);
    assert!(entry(&[("Last-Modified", LAST_MODIFIED)]).can_be_validated());
    assert!(!entry(&[("Last-Modified", "lately")]).can_be_validated());
    assert!(!entry_with(404, &[("ETag", "\"a\"")], terms()).can_be_validated());
}

#[test]
fn age_is_what_it_came_with_and_the_time_since_by_rfc_9111_4_2_3() {
    let entry = entry(&[]);
    assert_eq!(entry.age_seconds(Mono::ZERO), 3);
    assert_eq!(entry.age_seconds(Mono::ZERO.after(Duration::from_millis(9999))), 12);
    assert_eq!(entry.ttl_seconds(Mono::ZERO.after(seconds(4))), 6);
    assert_eq!(entry.ttl_seconds(Mono::ZERO.after(seconds(15))), -5);
}

#[test]
fn if_none_match_compares_weakly_over_lists_by_rfc_9110_13_1_2() {
    for own in ["\"a,b\"", "W/\"a,b\""] {
        let entry = entry(&[("ETag", own)]);
        for (value, outcome) in [
            ("\"a,b\"", Precondition::NotModified),
            ("W/\"a,b\"", Precondition::NotModified),
            ("\"x\", W/\"y\" ,\"a,b\"", Precondition::NotModified),
            ("*", Precondition::NotModified),
            ("\"a\"", Precondition::Full),
            ("a,b", Precondition::Full),
            ("\"A,B\"", Precondition::Full),
            ("\"x, \"a,b\"", Precondition::Full),
            ("", Precondition::Full),
            ("\"", Precondition::Full),
        ] {
            assert_eq!(asked(&entry, &[("If-None-Match", value)]), outcome, "{value}");
        }
        let two = [("If-None-Match", "\"x\""), ("if-none-match", "\"a,b\"")];
        assert_eq!(asked(&entry, &two), Precondition::NotModified, "over all fields");
    }
}

#[test]
fn if_modified_since_counts_only_without_if_none_match_by_rfc_9110_13_2_2() {
    let entry = entry(&[("ETag", "\"a\""), ("Last-Modified", LAST_MODIFIED)]);
    let since = ("If-Modified-Since", LAST_MODIFIED);
    assert_eq!(asked(&entry, &[since]), Precondition::NotModified);
    assert_eq!(asked(&entry, &[since, ("If-None-Match", "\"b\"")]), Precondition::Full);
    assert_eq!(asked(&entry, &[("If-Modified-Since", "Wed, 31 Dec 2025 09:59:59 GMT")]), Precondition::Full);
    assert_eq!(asked(&entry, &[("If-Modified-Since", "Thu, 01 Jan 2026 09:59:59 GMT")]), Precondition::NotModified);
    assert_eq!(asked(&entry, &[("If-Modified-Since", "yesterday")]), Precondition::Full);
    assert_eq!(asked(&entry, &[since, since]), Precondition::Full, "RFC 9110 13.1.3: one date, not a list");
}

#[test]
fn without_validators_or_success_a_precondition_is_ignored_by_rfc_9110_13_2_1() {
    assert_eq!(asked(&entry(&[]), &[("If-None-Match", "\"a\"")]), Precondition::Full);
    assert_eq!(asked(&entry(&[]), &[("If-Modified-Since", LAST_MODIFIED)]), Precondition::Full);
    let not_found = entry_with(404, &[("ETag", "\"a\"")], terms());
    assert_eq!(asked(&not_found, &[("If-None-Match", "\"a\"")]), Precondition::Full);
}

#[test]
fn a_304_repeats_what_rfc_9110_15_4_5_asks_for() {
    let entry = entry(&[
        ("ETag", "\"a\""),
        ("Content-Type", "text/html"),
        ("Vary", "Accept-Encoding"),
        ("Cache-Control", "max-age=10"),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ]);
    let head = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nVary: Accept-Encoding\r\nCache-Control: max-age=10\r\n\
                Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    assert_eq!(text(entry.head_not_modified()), head);
}
