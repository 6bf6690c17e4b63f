//! The cache's decisions beside those of the crate `http-cache-semantics`, over generated exchanges: where the
//! two should agree, they must. Where they rightly differ, the difference has a name here, and a reason; a
//! case that differs without one fails.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use seawall::cache::directives::Directives;
use seawall::cache::entry::{Entry, State};
use seawall::cache::freshness::{Exchange, ResponseParts, Store, judge};
use seawall::cache::request::read;
use seawall::cache::reuse::{Reuse, reuse};
use seawall::cache::vary::{self, Selecting};
use seawall::clock::Now;
use seawall::pipeline::view::{BodyKind, Field, Scheme, Version, View};
use seawall::policy::{Cache, RequestDirectives, Ttl};

/// Thu, 01 Jan 2026 00:00:00 GMT
const NOW_UNIX_S: u64 = 1_767_225_600;

type Fields = Vec<(String, String)>;

/// Two requests for the same, the second so many seconds after the answer to the first.
#[derive(Clone, Debug)]
struct Story {
    first: Fields,
    status: u16,
    response: Fields,
    seconds: u64,
    second: Fields,
}

/// What the policy of this cache says, so that it is as free as the other: guesses, and no stale windows.
fn rules() -> Cache {
    Cache {
        name: "page".into(),
        ttl: Ttl::Heuristic,
        override_origin: false,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        ignore_cookies: Vec::new(),
        vary_cookies: Vec::new(),
        request_directives: RequestDirectives::Always,
        strip_set_cookie: false,
        ignore_query: Vec::new(),
        negative_ttl: Duration::ZERO,
        compress: false,
        max_object: 1000,
        read_your_writes: false,
    }
}

fn borrowed(fields: &Fields) -> Vec<Field<'_>> {
    fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
}

fn view<'a>(fields: &'a [Field<'a>]) -> View<'a> {
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Https,
        host: "a.example",
        path: "/",
        raw_path: "/",
        query: None,
        fields,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        trusted: false,
        body: BodyKind::None,
    }
}

fn now() -> Now {
    Now { unix_ms: NOW_UNIX_S * 1000, ..Now::default() }
}

/// What this cache makes of the second request: whether a copy answers.
fn ours(story: &Story) -> bool {
    let (first, second, response) = (borrowed(&story.first), borrowed(&story.second), borrowed(&story.response));
    let parts = ResponseParts { status: story.status, fields: &response };
    if Directives::of(&view(&first)).no_store {
        return false;
    }
    let lookup = read(&view(&first), &rules()).lookup;
    let Store::Yes(terms) = judge(&parts, lookup, &rules(), Exchange { request: now(), response: now() }) else {
        return false;
    };
    let Some(names) = vary::names(&parts) else { return false };
    let entry = Entry::new(&parts, Bytes::new(), terms, now()).for_requests(Selecting::of(&names, &first));
    let later = now().after(Duration::from_secs(story.seconds));
    entry.selecting().matches(&second)
        && entry.may_answer(read(&view(&second), &rules()).lookup)
        && reuse(&entry, &Directives::of(&view(&second)), 1, later.mono) == Reuse::Serve(State::Fresh)
}

/// What the other makes of it.
fn theirs(story: &Story) -> bool {
    let request = |fields: &Fields| {
        let mut request = http::Request::builder().uri("https://a.example/");
        for (name, value) in fields {
            request = request.header(name, value);
        }
        request.body(()).unwrap()
    };
    let mut response = http::Response::builder().status(story.status);
    for (name, value) in &story.response {
        response = response.header(name, value);
    }
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_UNIX_S + seconds);
    // It would keep what is `immutable` and says no more for a day: RFC 8246 gives no lifetime.
    let options = CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
    let policy = CachePolicy::new_options(&request(&story.first), &response.body(()).unwrap(), at(0), options);
    policy.is_storable()
        && matches!(policy.before_request(&request(&story.second), at(story.seconds)), BeforeRequest::Fresh(_))
}

impl Story {
    fn says(&self, directive: &str) -> bool {
        let control = self.response.iter().filter(|(name, _)| name == "cache-control");
        control.flat_map(|(_, value)| value.split(", ")).any(|said| said.split('=').next() == Some(directive))
    }

    fn has(fields: &Fields, name: &str) -> bool {
        fields.iter().any(|(held, _)| held == name)
    }

    /// Why the two may differ about this one, if they may.
    fn difference(&self) -> Option<&'static str> {
        let asks = |fields: &Fields| Self::has(fields, "authorization");
        let has_lifetime = self.says("max-age") || self.says("s-maxage") || Self::has(&self.response, "expires");
        let differences = [
            // RFC 9111 §5.2.2.8: it is about what is stale. The other takes it for a lifetime of zero.
            (self.says("proxy-revalidate"), "proxy-revalidate keeps nothing from being fresh"),
            // Law 7: what sets a cookie is one visitor's, until the policy says otherwise. The other lets
            // `public` and `immutable` say so too.
            (Self::has(&self.response, "set-cookie"), "what sets a cookie is not kept"),
            // RFC 8246 §2.
            (self.says("immutable") && Self::has(&self.second, "cache-control"), "a reload of what is immutable"),
            // §5.4: only where there is no Cache-Control. The other heeds it always.
            (
                Self::has(&self.second, "pragma") && Self::has(&self.second, "cache-control"),
                "Pragma beside Cache-Control",
            ),
            // Stricter than §3.5: who shows credentials gets nothing that is not for such as they, and what
            // only `must-revalidate` lets be kept needs a lifetime of its own.
            (asks(&self.second) && !asks(&self.first), "credentials take only what was meant for them"),
            (asks(&self.first) && !has_lifetime, "no guess at what was shown to credentials"),
            // §5.2.2.3 is younger than the other.
            (self.says("must-understand"), "must-understand"),
        ];
        differences.iter().find(|(applies, _)| *applies).map(|(_, why)| *why)
    }
}

fn date(offset: i64) -> String {
    let seconds = NOW_UNIX_S.checked_add_signed(offset).unwrap();
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn control() -> impl Strategy<Value = Fields> {
    let time = prop_oneof![
        Just("0".to_owned()),
        Just("x".to_owned()),
        (1..600_u64).prop_map(|s| s.to_string()),
        (1..600_u64).prop_map(|s| s.to_string())
    ];
    let flag = |name: &'static str| prop::option::weighted(0.08, Just(name.to_owned()));
    let timed =
        |name: &'static str| prop::option::weighted(0.45, time.clone().prop_map(move |t| format!("{name}={t}")));
    (
        (timed("max-age"), timed("s-maxage"), flag("public"), flag("private"), flag("no-cache")),
        (flag("no-store"), flag("must-revalidate"), flag("proxy-revalidate"), flag("immutable"), flag("foo")),
    )
        .prop_map(|((a, b, c, d, e), (f, g, h, i, j))| {
            let all: Vec<_> = [a, b, c, d, e, f, g, h, i, j].into_iter().flatten().collect();
            if all.is_empty() { Vec::new() } else { vec![("cache-control".to_owned(), all.join(", "))] }
        })
}

fn sometimes(weight: f64, name: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = Fields> {
    let field = value.prop_map(move |value| (name.to_owned(), value));
    prop::option::weighted(weight, field).prop_map(|field| field.into_iter().collect())
}

fn response() -> impl Strategy<Value = Fields> {
    let vary = prop_oneof![Just("x-a"), Just("X-A, x-b"), Just("*")].prop_map(str::to_owned);
    let expires = prop_oneof![Just("0".to_owned()), (-100..200_i64).prop_map(date)];
    (
        control(),
        sometimes(0.3, "expires", expires),
        // Whole seconds of guess: the other cuts fractions off.
        sometimes(0.4, "last-modified", (0..200_i64).prop_map(|tens| date(-10 * tens))),
        sometimes(0.3, "age", (0..150_u64).prop_map(|age| age.to_string())),
        // An older Date makes an answer older here (§4.2.3) and not there: see below.
        sometimes(0.5, "date", Just(date(0))),
        sometimes(0.3, "vary", vary),
        sometimes(0.1, "set-cookie", Just("a=1".to_owned())),
    )
        .prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].concat())
}

fn request() -> impl Strategy<Value = Fields> {
    let wish = prop_oneof![
        Just("no-cache".to_owned()),
        Just("foo".to_owned()),
        (0..200_u64).prop_map(|s| format!("max-age={s}")),
        (0..200_u64).prop_map(|s| format!("min-fresh={s}")),
    ];
    let value = || prop_oneof![Just("1"), Just("2")].prop_map(str::to_owned);
    (
        sometimes(0.4, "cache-control", wish),
        sometimes(0.1, "pragma", Just("no-cache".to_owned())),
        sometimes(0.3, "x-a", value()),
        sometimes(0.2, "x-b", value()),
        sometimes(0.15, "authorization", Just("Basic x".to_owned())),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
}

fn story() -> impl Strategy<Value = Story> {
    // Those that the other understands: of the rest it keeps none.
    let status = prop::sample::select(vec![200, 200, 200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 501]);
    let is_wish = |(name, _): &(String, String)| matches!(name.as_str(), "cache-control" | "pragma");
    (request(), status, response(), 0..200_u64, request(), prop::bool::weighted(0.7)).prop_map(
        move |(mut first, status, response, seconds, mut second, same)| {
            first.retain(|field| !is_wish(field));
            if same {
                // They differ in their wishes alone.
                second.retain(is_wish);
                second.extend(first.iter().cloned());
            }
            Story { first, status, response, seconds, second }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_two_agree_but_where_a_difference_has_a_name(story in story()) {
        let (ours, theirs) = (ours(&story), theirs(&story));
        prop_assert!(ours == theirs || story.difference().is_some(), "ours {ours}, theirs {theirs}");
    }

    /// Of the differences, most are on the careful side.
    #[test]
    fn where_they_differ_this_cache_gives_less_but_for_three_reasons(story in story()) {
        let freer = ["proxy-revalidate", "immutable"].iter().any(|directive| story.says(directive))
            || Story::has(&story.second, "pragma");
        prop_assert!(freer || !ours(&story) || theirs(&story));
    }
}

/// Both answers are given often enough for their agreement to say something.
#[test]
fn the_stories_are_of_hits_and_of_misses() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let stories = (0..2000).map(|_| story().new_tree(&mut runner).unwrap().current());
    let stories: Vec<_> = stories.filter(|story| story.difference().is_none()).collect();
    let hits = stories.iter().filter(|story| ours(story)).count();
    assert!(stories.len() > 1000 && hits > 100 && stories.len() - hits > 100, "{hits} of {}", stories.len());
}

fn told(response: &[(&str, &str)], seconds: u64) -> (bool, bool) {
    let response = response.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let story = Story { first: Vec::new(), status: 200, response, seconds, second: Vec::new() };
    (ours(&story), theirs(&story))
}

#[test]
fn differences_that_are_not_generated() {
    let earlier = date(-50);
    // §4.2.3: the apparent age counts, too.
    assert_eq!(told(&[("cache-control", "max-age=60"), ("date", &earlier)], 20), (false, true));
    // §4.2.1: a directive given twice is stale. The other takes the first, and must-revalidate.
    assert_eq!(told(&[("cache-control", "max-age=60, max-age=70")], 20), (false, true));
    // §5.2.2.4: no-cache with field names is about those alone.
    assert_eq!(told(&[("cache-control", "max-age=60, no-cache=\"x\"")], 20), (true, false));
    // §5.2.2.7: and so is private.
    assert_eq!(told(&[("cache-control", "max-age=60, private=\"x\"")], 20), (true, false));
    // §5.4: Pragma means nothing in an answer.
    assert_eq!(told(&[("expires", &date(60)), ("pragma", "no-cache")], 20), (true, false));
    // §5.2: directives compare without case.
    assert_eq!(told(&[("cache-control", "Max-Age=60")], 20), (true, false));
    // A guess has a bound here.
    let long_ago = date(-100 * 24 * 3600);
    assert_eq!(told(&[("last-modified", &long_ago)], 2 * 24 * 3600), (false, true));
}
