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
fn no_store_and_private_are_never_stored_by_rfc_9111_3() {
    for (value, why) in [
        ("no-store", Unstorable::NoStore),
        ("public, max-age=60, No-Store", Unstorable::NoStore),
        ("private, max-age=60", Unstorable::Private),
        ("private=\"x\", private", Unstorable::Private),
        ("no-cache", Unstorable::NoCache),
    ] {
        assert_eq!(plain(&[("Cache-Control", value)]), Store::No(why), "{value}");
        let overridden = judged(200, &[("Cache-Control", value)], Lookup::Plain, &overriding());
        assert_eq!(overridden, Store::No(why), "override is for freshness: {value}");
    }
}

#[test]
fn no_cache_is_stored_to_be_validated_before_every_use_by_rfc_9111_5_2_2_4() {
    let etag = ("ETag", "\"a\"");
    for cache in [cache(), overriding()] {
        let no_cache = ("Cache-Control", "no-cache, max-age=60, stale-if-error=9, stale-while-revalidate=9");
        let terms = terms_of(judged(200, &[etag, no_cache], Lookup::Plain, &cache));
        assert_eq!((terms.fresh_for, terms.must_revalidate), (Duration::ZERO, true));
        assert_eq!((terms.stale_while_revalidate, terms.stale_if_error), Default::default());
    }
    assert_eq!(fresh_for(&[etag, ("Cache-Control", "no-cache=\"x\", max-age=60")]), 60);
}

#[test]
fn private_with_field_names_is_about_those_fields_by_rfc_9111_5_2_2_7() {
    assert_eq!(fresh_for(&[("Cache-Control", "private=\"x\", max-age=60")]), 60);
    let cookie = [("Set-Cookie", "a=1"), ("Cache-Control", "private=\"Set-Cookie\", max-age=60")];
    assert_eq!(fresh_for(&cookie), 60);
    let fields = [Field { name: "cache-control", value: b"private=\"X, Y\"" }];
    assert_eq!(withheld(&ResponseParts { status: 200, fields: &fields }), [b"x", b"y"]);
}

#[test]
fn zero_lifetimes_are_stored_where_they_can_be_validated() {
    let none = policy::Cache { stale_if_error: Duration::ZERO, ..cache() };
    let judge = |fields: &[(&str, &str)]| judged(200, fields, Lookup::Plain, &none);
    let zero = ("Cache-Control", "max-age=0");
    assert_eq!(judge(&[zero]), Store::No(Unstorable::Stale));
    assert!(terms_of(judge(&[zero, ("ETag", "\"a\"")])).is_for_one_use());
    assert!(terms_of(judge(&[zero, ("Last-Modified", DATE)])).is_for_one_use());
    assert_eq!(judge(&[zero, ("Last-Modified", "lately")]), Store::No(Unstorable::Stale));
}

#[test]
fn must_understand_stands_in_for_no_store_where_the_status_is_known_by_rfc_9111_5_2_2_3() {
    let fields = [("Cache-Control", "must-understand, no-store, max-age=60")];
    assert_eq!(fresh_for(&fields), 60);
    assert_eq!(judged(599, &fields, Lookup::Plain, &cache()), Store::No(Unstorable::NotUnderstood));
    let without = [("Cache-Control", "max-age=60")];
    assert!(matches!(judged(599, &without, Lookup::Plain, &cache()), Store::Yes(_)));
}

#[test]
fn answers_to_credentials_are_stored_as_rfc_9111_3_5_allows() {
    let with = |value| judged(200, &[("Cache-Control", value)], Lookup::Authorized, &cache());
    for value in ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"] {
        assert!(terms_of(with(value)).authorized, "{value}");
    }
    for value in ["max-age=60", "proxy-revalidate, max-age=60", "no-cache, max-age=60"] {
        assert_eq!(with(value), Store::No(Unstorable::Personal), "{value}");
    }
    assert_eq!(with("must-revalidate"), Store::No(Unstorable::Status), "no guess at what someone alone may see");
    let varies = [("Cache-Control", "public, max-age=60"), ("Vary", "Authorization")];
    assert_eq!(judged(200, &varies, Lookup::Authorized, &cache()), Store::No(Unstorable::Vary));
    assert!(!terms_of(plain(&varies)).authorized);
}

#[test]
fn heuristics_are_a_share_of_the_time_since_the_change_where_the_policy_allows_by_rfc_9111_4_2_2() {
    let guesses = policy::Cache { ttl: Ttl::Heuristic, ..cache() };
    let judge = |status, fields: &[(&str, &str)]| judged(status, fields, Lookup::Plain, &guesses);
    // 1000 s ago.
    let modified = ("Last-Modified", "Wed, 31 Dec 2025 23:43:20 GMT");
    assert_eq!(terms_of(judge(200, &[modified])).fresh_for, 100 * SECOND);
    assert_eq!(terms_of(judge(200, &[modified, ("Age", "30")])).fresh_for, 70 * SECOND);
    assert_eq!(terms_of(judge(200, &[modified, ("Cache-Control", "max-age=5")])).fresh_for, 5 * SECOND);
    assert_eq!(terms_of(judge(200, &[("Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT")])).fresh_for, 86_400 * SECOND);
    for fields in [&[][..], &[("Last-Modified", "Thu, 01 Jan 2026 00:00:01 GMT")]] {
        assert_eq!(judge(200, fields), Store::No(Unstorable::NoFreshness));
    }
    assert_eq!(judge(302, &[modified]), Store::No(Unstorable::Status));
    assert_eq!(terms_of(judge(302, &[modified, ("Cache-Control", "public")])).fresh_for, 100 * SECOND);
}

#[test]
fn a_targeted_field_takes_the_place_of_cache_control_and_expires_by_rfc_9213_2_2() {
    let cdn = ("CDN-Cache-Control", "max-age=7");
    assert_eq!(fresh_for(&[cdn, ("Cache-Control", "no-store"), ("Expires", "0")]), 7);
    assert_eq!(fresh_for(&[cdn, ("Seawall-Cache-Control", "max-age=9")]), 9);
    let unsaid = [("CDN-Cache-Control", "public"), ("Expires", "Thu, 01 Jan 2026 00:01:40 GMT")];
    assert_eq!(fresh_for(&unsaid), 1, "the policy's");
    assert_eq!(
        plain(&[("CDN-Cache-Control", "private"), ("Cache-Control", "max-age=9")]),
        Store::No(Unstorable::Private)
    );
}

#[test]
fn s_maxage_forbids_the_policys_stale_windows_by_rfc_9111_5_2_2_10() {
    let windows = |store| {
        let terms = terms_of(store);
        (terms.stale_while_revalidate, terms.stale_if_error)
    };
    assert_eq!(windows(plain(&[("Cache-Control", "s-maxage=5")])), Default::default());
    let own = plain(&[("Cache-Control", "s-maxage=5, stale-while-revalidate=2, stale-if-error=3")]);
    assert_eq!(windows(own), (2 * SECOND, 3 * SECOND));
    let overridden = judged(200, &[("Cache-Control", "s-maxage=5")], Lookup::Plain, &overriding());
    assert_eq!(windows(overridden), (30 * SECOND, 86_400 * SECOND));
}

#[test]
fn an_error_is_kept_no_longer_than_the_origin_says() {
    let kept = terms_of(judged(503, &[("Cache-Control", "max-age=5")], Lookup::Plain, &overriding()));
    assert_eq!((kept.fresh_for, kept.stale_if_error), (5 * SECOND, Duration::ZERO));
    for fields in [&[][..], &[("Cache-Control", "max-age=0")]] {
        assert!(matches!(judged(503, fields, Lookup::Plain, &overriding()), Store::No(_)));
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
fn what_varies_by_everything_or_by_who_asks_is_not_stored_by_rfc_9111_4_1() {
    for vary in ["Accept-Encoding, COOKIE", "User-Agent", "accept-encoding, accept-language", "x-anything"] {
        assert!(matches!(plain(&[("Vary", vary)]), Store::Yes(_)), "{vary}");
    }
    assert_eq!(plain(&[("Vary", "Accept-Encoding"), ("Vary", "*")]), Store::No(Unstorable::Vary));
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
    for nobody_elses in ["max-age=60, s-maxage=0", "no-cache, s-maxage=0", "s-maxage=x"] {
        assert_eq!(personal(nobody_elses), Store::No(Unstorable::Personal), "{nobody_elses}: RFC 9111 §5.2.2.10");
        let authorized = judged(200, &[("Cache-Control", nobody_elses)], Lookup::Authorized, &overriding());
        assert_eq!(authorized, Store::No(Unstorable::Personal), "{nobody_elses}: RFC 9111 §3.5");
    }
    assert_eq!(judged(200, &[], Lookup::Personal, &overriding()), Store::No(Unstorable::Personal));
    assert!(!terms_of(plain(&[("Cache-Control", "max-age=60")])).public);
}

#[test]
fn statuses_by_rfc_9111_3_and_rfc_9110_15_1() {
    for status in 100..600 {
        let stored = |fields: &[(&str, &str)]| matches!(judged(status, fields, Lookup::Plain, &cache()), Store::Yes(_));
        let told = status >= 200 && ![206, 304, 407].contains(&status);
        assert_eq!(stored(&[("Cache-Control", "max-age=9")]), told, "{status}");
        let guessed = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
        assert_eq!(stored(&[]), guessed, "{status} with the policy's ttl");
    }
}

#[test]
fn a_bypass_fills_nothing() {
    let bypass = Lookup::Bypass(Bypass::Upgrade);
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
