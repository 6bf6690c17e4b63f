use super::super::request::Bypass;
use super::super::request::tests::cache;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Thu, 01 Jan 2026 00:00:00 GMT
const NOW_UNIX_MS: u64 = 1_767_225_600_000;
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Head came at once.
fn at_once() -> Exchange {
    let now = Now { unix_ms: NOW_UNIX_MS, ..Now::default() };
    Exchange { request: now, response: now }
}

fn judged(status: u16, fields: &[(&str, &str)], lookup: Lookup, cache: &policy::Cache) -> Store {
    let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    judge(&ResponseParts { status, fields: &fields }, lookup, cache, at_once())
}

fn plain(fields: &[(&str, &str)]) -> Store {
    judged(200, fields, Lookup::Plain, &cache())
}

fn terms_of(store: Store) -> Terms {
    match store {
        Store::Yes(terms) => terms,
        Store::No(why) => unreachable!("not stored: {why:?}"),
    }
}

fn fresh_for(fields: &[(&str, &str)]) -> u64 {
    terms_of(plain(fields)).fresh_for.as_secs()
}

fn overriding() -> policy::Cache {
    policy::Cache { override_origin: true, ttl: Ttl::Fixed(7 * SECOND), ..cache() }
}

#[test]
fn the_policys_ttl_is_for_what_has_no_freshness_of_its_own() {
    let terms = terms_of(plain(&[]));
    assert_eq!((terms.fresh_for, terms.public), (SECOND, false));
    assert_eq!(terms.stale_while_revalidate, 30 * SECOND);
    let none = policy::Cache { ttl: Ttl::Origin, ..cache() };
    assert_eq!(judged(200, &[], Lookup::Plain, &none), Store::No(Unstorable::NoFreshness));
    assert_eq!(terms_of(judged(200, &[("Age", "50")], Lookup::Plain, &cache())).fresh_for, SECOND, "from arrival");
}

#[test]
fn s_maxage_over_max_age_over_expires_by_rfc_9111_4_2_1() {
    let expires = ("Expires", "Thu, 01 Jan 2026 00:01:40 GMT");
    assert_eq!(fresh_for(&[expires, ("Cache-Control", "max-age=20, s-maxage=10")]), 10);
    assert_eq!(fresh_for(&[expires, ("Cache-Control", "max-age=20")]), 20);
    assert_eq!(fresh_for(&[expires]), 100);
}

#[test]
fn expires_counts_from_date_by_rfc_9111_4_2_1() {
    // The origin's clock is an hour ahead: the page is good for 10 s all the same.
    let fields = [("Date", "Thu, 01 Jan 2026 01:00:00 GMT"), ("Expires", "Thu, 01 Jan 2026 01:00:10 GMT")];
    assert_eq!(fresh_for(&fields), 10);
}

#[test]
fn an_invalid_or_repeated_expires_is_past_by_rfc_9111_5_3() {
    for fields in [&[("Expires", "0")][..], &[("Expires", "soon")], &[("Expires", DATE), ("Expires", DATE)]] {
        assert_eq!(fresh_for(fields), 0);
    }
}

#[test]
fn age_by_rfc_9111_4_2_3() {
    let age = |fields: &[(&str, &str)]| terms_of(plain(fields)).initial_age.as_secs();
    let earlier = ("Date", "Wed, 31 Dec 2025 23:59:50 GMT");
    assert_eq!(age(&[("Date", DATE)]), 0);
    assert_eq!(age(&[earlier]), 10, "apparent age");
    assert_eq!(age(&[earlier, ("Age", "30")]), 30, "the larger one");
    assert_eq!(age(&[earlier, ("Age", "3")]), 10);
    assert_eq!(age(&[("Date", "Thu, 01 Jan 2026 01:00:00 GMT")]), 0, "a clock ahead makes nothing younger");
    assert_eq!(age(&[("Age", "x")]), 0, "RFC 9111 5.1: invalid is ignored");
    assert_eq!(age(&[("Age", "7, 9")]), 7, "RFC 9111 5.1: the first of a list");
    assert_eq!(fresh_for(&[("Age", "30"), ("Cache-Control", "max-age=100")]), 70);
}

#[test]
fn the_exchanges_time_counts_by_rfc_9111_4_2_3() {
    let exchange = Exchange { response: at_once().response.after(4 * SECOND), ..at_once() };
    let after_4_s = |fields: &[Field<'_>]| {
        terms_of(judge(&ResponseParts { status: 200, fields }, Lookup::Plain, &cache(), exchange))
    };
    assert_eq!(after_4_s(&[Field { name: "Age", value: b"10" }]).initial_age, 14 * SECOND);
    assert_eq!(after_4_s(&[]).fresh_for, SECOND, "the policy's ttl counts from arrival");
    let slow = after_4_s(&[Field { name: "Cache-Control", value: b"max-age=2" }]);
    assert_eq!((slow.initial_age, slow.fresh_for), (4 * SECOND, Duration::ZERO));
    assert_eq!(slow.stale_while_revalidate, 30 * SECOND, "a slow origin is spared all the same");
}

#[test]
fn no_store_private_and_no_cache_are_never_stored_by_rfc_9111_3() {
    for (value, why) in [
        ("no-store", Unstorable::NoStore),
        ("public, max-age=60, No-Store", Unstorable::NoStore),
        ("private, max-age=60", Unstorable::Private),
        ("private=\"x\", public", Unstorable::Private),
        ("no-cache", Unstorable::NoCache),
        ("no-cache=\"x\", max-age=60", Unstorable::NoCache),
    ] {
        assert_eq!(plain(&[("Cache-Control", value)]), Store::No(why), "{value}");
        let overridden = judged(200, &[("Cache-Control", value)], Lookup::Plain, &overriding());
        assert_eq!(overridden, Store::No(why), "override is for freshness: {value}");
    }
}

#[test]
fn what_sets_a_cookie_is_stored_only_when_that_is_stripped() {
    let fields = [("Set-Cookie", "a=1"), ("Cache-Control", "public, max-age=60")];
    assert_eq!(plain(&fields), Store::No(Unstorable::SetCookie));
    assert_eq!(judged(200, &fields, Lookup::Plain, &overriding()), Store::No(Unstorable::SetCookie));
    let strips = policy::Cache { strip_set_cookie: true, ..cache() };
    assert_eq!(terms_of(judged(200, &fields, Lookup::Plain, &strips)).fresh_for, 60 * SECOND);
}

#[test]
fn vary_by_more_than_the_key_holds_is_not_stored_by_rfc_9111_4_1() {
    assert!(matches!(plain(&[("Vary", "Accept-Encoding, COOKIE")]), Store::Yes(_)));
    for vary in ["*", "User-Agent", "accept-encoding, accept-language"] {
        assert_eq!(plain(&[("Vary", vary)]), Store::No(Unstorable::Vary), "{vary}");
    }
    assert_eq!(plain(&[("Vary", "Accept-Encoding"), ("Vary", "Origin")]), Store::No(Unstorable::Vary));
    let fields = [("Vary", "Cookie"), ("Cache-Control", "public, max-age=60")];
    assert_eq!(judged(200, &fields, Lookup::Personal, &cache()), Store::No(Unstorable::Vary));
    assert!(!terms_of(plain(&fields)).public, "what differs by cookie is no answer for one with cookies");
}

#[test]
fn a_personal_answer_is_stored_only_when_the_origin_says_that_it_is_anyones() {
    let personal = |value| judged(200, &[("Cache-Control", value)], Lookup::Personal, &cache());
    assert_eq!(personal("max-age=60"), Store::No(Unstorable::Personal));
    assert!(terms_of(personal("public, max-age=60")).public);
    assert!(terms_of(personal("s-maxage=60")).public);
    assert_eq!(judged(200, &[], Lookup::Personal, &overriding()), Store::No(Unstorable::Personal));
    assert!(!terms_of(plain(&[("Cache-Control", "max-age=60")])).public);
}

#[test]
fn only_whole_and_lasting_statuses_are_stored_by_rfc_9110_15_1() {
    for status in 100..600 {
        let stored =
            matches!(judged(status, &[("Cache-Control", "max-age=9")], Lookup::Plain, &cache()), Store::Yes(_));
        assert_eq!(stored, [200, 203, 204, 300, 301, 308, 404, 410].contains(&status), "{status}");
    }
}

#[test]
fn a_bypass_fills_nothing() {
    let bypass = Lookup::Bypass(Bypass::Authorization);
    assert_eq!(judged(200, &[("Cache-Control", "public")], bypass, &cache()), Store::No(Unstorable::Bypass));
}

#[test]
fn override_wins_over_the_origins_freshness() {
    let fields = [("Cache-Control", "max-age=600"), ("Age", "100")];
    assert_eq!(terms_of(judged(200, &fields, Lookup::Plain, &overriding())).fresh_for, 7 * SECOND);
    let fields = [("Cache-Control", "max-age=0")];
    assert_eq!(terms_of(judged(200, &fields, Lookup::Plain, &overriding())).fresh_for, 7 * SECOND);
}

#[test]
fn must_revalidate_allows_no_stale_use_by_rfc_9111_5_2_2() {
    for directive in ["must-revalidate", "proxy-revalidate"] {
        let terms = terms_of(plain(&[("Cache-Control", &format!("max-age=5, stale-if-error=9, {directive}"))]));
        assert!(terms.must_revalidate);
        assert_eq!((terms.stale_while_revalidate, terms.stale_if_error), Default::default());
    }
    assert_eq!(plain(&[("Cache-Control", "max-age=0, must-revalidate")]), Store::No(Unstorable::Stale));
}

#[test]
fn the_origins_stale_windows_win_over_the_policys_by_rfc_5861() {
    let terms = terms_of(plain(&[("Cache-Control", "max-age=5, stale-while-revalidate=2, stale-if-error=3")]));
    assert_eq!((terms.stale_while_revalidate, terms.stale_if_error), (2 * SECOND, 3 * SECOND));
    let terms = terms_of(plain(&[("Cache-Control", "max-age=0")]));
    assert_eq!((terms.fresh_for, terms.stale_while_revalidate), Default::default(), "stale at once is meant so");
    assert_eq!(terms.stale_if_error, 86_400 * SECOND);
}

#[test]
fn what_is_too_large_is_not_stored() {
    assert!(matches!(plain(&[("Content-Length", "1000")]), Store::Yes(_)));
    for length in ["1001", "99999999999999999999", "x"] {
        assert_eq!(plain(&[("Content-Length", length)]), Store::No(Unstorable::TooLarge));
    }
}
